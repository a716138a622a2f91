//! `marking`: class and colour to traffic class and code point.

use svpn_contract::Reason;
use svpn_contract::wire::Colour;

use super::View;
use super::packet::Packet;
use crate::tables::small::Marking;

/// Notes the traffic class of labels pushed and the code point of a delivery header.
#[inline]
pub(super) fn mark(packet: &mut Packet, class: u8, colour: Colour, view: &View<'_>) -> Result<(), Reason> {
    match view.small.marking.get(class, colour) {
        Marking::Mark { tc, dscp } => {
            packet.tc = tc;
            packet.dscp = dscp;
            Ok(())
        }
        Marking::Discard => Err(Reason::MarkingDiscard),
        Marking::RedDiscard => Err(Reason::RedDiscard),
    }
}
