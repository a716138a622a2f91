//! `marking`: class and colour to traffic class.

use svpn_contract::Reason;
use svpn_contract::wire::Colour;

use super::View;
use crate::tables::small::Marking;

/// The traffic class of labels pushed.
#[inline]
pub(super) fn traffic_class(class: u8, colour: Colour, view: &View<'_>) -> Result<u8, Reason> {
    match view.small.marking.get(class, colour) {
        Marking::TrafficClass(tc) => Ok(tc),
        Marking::Discard => Err(Reason::MarkingDiscard),
        Marking::RedDiscard => Err(Reason::RedDiscard),
    }
}
