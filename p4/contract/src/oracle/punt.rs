//! `punt_policer`: how much goes to the controller, for each reason.

use super::{Outcome, Walk};
use crate::packet::PacketIn;
use crate::tables::{PuntPolicerKey, Reason};
use crate::wire::Colour;

impl Walk<'_> {
    /// Hands the frame to the controller as it was received, unless there have been too many for this reason. The meter counts packets.
    pub(super) fn punt(&mut self, reason: Reason) -> Outcome {
        if self.metered(PuntPolicerKey { reason }.into(), 1) == Colour::RED {
            return Outcome::Dropped(Reason::PuntPoliced);
        }
        Outcome::Punt(PacketIn { ingress_port: self.port, reason, vrf: self.vrf, frame: self.bytes.to_vec() })
    }
}
