//! `vrf_policer` and `punt_policer`: ceilings on what has no session, and on what the controller gets.

use svpn_contract::Reason;
use svpn_contract::wire::Colour;

use super::View;
use super::packet::{Ceiling, Packet};

/// The colour of a packet that has a route and no session: that of its VRF's ceiling, if a customer sent it.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
pub(super) fn routed(packet: &Packet, view: &View<'_>) -> Colour {
    match packet.ceiling {
        Ceiling::None => Colour::GREEN,
        Ceiling::Vrf => view.tables.vrf_policer.colour(packet.vrf, packet.length, view.now),
    }
}

/// Why a packet does not go to the controller after all, if there are too many for this reason.
#[inline]
pub(super) fn punt(reason: Reason, view: &View<'_>) -> Option<Reason> {
    let colour = view.tables.punt_policer.colour(reason as u16, 1, view.now);
    (colour == Colour::RED).then_some(Reason::PuntPoliced)
}
