//! Ethernet and its tags (IEEE 802.3, IEEE 802.1Q).
//!
//! ```text
//!  0 destination   6 source   12 ethertype or tag
//! tag: 2 bytes 0x8100 or 0x88a8, then PCP 3, DEI 1, VID 12; up to two
//! ```

use svpn_contract::Reason;

use super::{Packet, Stop};

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(super) const ETHERTYPE_MPLS: u16 = 0x8847;
const ETHERTYPE_LLDP: u16 = 0x88cc;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// Bytes of an Ethernet header without tags.
const ETHERNET: usize = 14;
const TAG: usize = 4;

/// The two bytes at `at`.
#[inline]
pub(super) fn be16(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

/// The four bytes at `at`.
#[inline]
pub(super) fn be32(frame: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

/// The eight bytes at `at`.
#[inline]
pub(super) fn be64(frame: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

/// Reads Ethernet and tags.
#[inline]
pub(super) fn ethernet(frame: &[u8], packet: &mut Packet) -> Result<(), Stop> {
    const TRUNCATED: Stop = Stop(Reason::FrameTruncated);
    let mut ethertype = be16(frame, ETHERNET - 2).ok_or(TRUNCATED)?;
    let mut network = ETHERNET;
    if is_tag(ethertype) {
        packet.vlan = be16(frame, network).ok_or(TRUNCATED)? & 0x0fff;
        ethertype = be16(frame, network + 2).ok_or(TRUNCATED)?;
        network += TAG;
        if is_tag(ethertype) {
            packet.inner_vlan = be16(frame, network).ok_or(TRUNCATED)? & 0x0fff;
            ethertype = be16(frame, network + 2).ok_or(TRUNCATED)?;
            network += TAG;
        }
    }
    packet.ethertype = ethertype;
    #[allow(clippy::cast_possible_truncation, reason = "22 at most")]
    {
        packet.network = network as u16;
    }
    if ethertype == ETHERTYPE_LLDP { Err(Stop(Reason::Lldp)) } else { Ok(()) }
}

#[inline]
fn is_tag(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ
}
