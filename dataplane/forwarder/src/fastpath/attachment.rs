//! `attachment` and `station`: which circuit a frame came in on, and whether it is for this router.

use svpn_contract::Reason;

use super::parse::be64;
use super::{Packet, Stop, View};
use crate::tables::small::Side;

/// The circuit, with its VRF.
#[inline]
pub(super) fn side(packet: &mut Packet, view: View<'_>) -> Result<Side, Stop> {
    let side = view.small.attachment(packet.port, packet.vlan, packet.inner_vlan).ok_or(Stop(Reason::UnknownAttachment))?;
    if let Side::Attachment(vrf) = side {
        packet.vrf = vrf;
    }
    Ok(side)
}

/// Whether the destination MAC is one of ours.
#[inline]
pub(super) fn station(frame: &[u8], packet: &Packet, view: View<'_>) -> Result<(), Stop> {
    // The destination MAC and two bytes more.
    let mac = be64(frame, 0).unwrap_or(0) >> 16;
    if view.small.accepts(packet.port, mac) { Ok(()) } else { Err(Stop(Reason::UnknownStation)) }
}
