//! Ethernet and its tags, read and written (IEEE 802.3, IEEE 802.1Q).

use super::Stop;
use crate::tables::Reason;
use crate::wire::{MacAddr, VlanId};

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
pub(super) const ETHERTYPE_VLAN: u16 = 0x8100;
pub(super) const ETHERTYPE_QINQ: u16 = 0x88a8;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(super) const ETHERTYPE_MPLS: u16 = 0x8847;
pub(super) const ETHERTYPE_LLDP: u16 = 0x88cc;

/// A frame taken apart as far as its tags.
pub(super) struct Frame<'a> {
    pub(super) dst: MacAddr,
    pub(super) outer: VlanId,
    pub(super) inner: VlanId,
    /// Behind the tags.
    pub(super) ethertype: u16,
    /// What follows Ethernet and tags.
    pub(super) payload: &'a [u8],
}

/// The number in two bytes, big-endian; what is not there counts as zero.
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    let byte = |index: usize| bytes.get(index).copied().unwrap_or_default();
    u16::from_be_bytes([byte(at), byte(at + 1)])
}

fn mac(bytes: &[u8]) -> MacAddr {
    let mut address = [0; 6];
    address.copy_from_slice(&bytes[..6]);
    MacAddr(address)
}

fn vid(tag: &[u8]) -> VlanId {
    VlanId::new(be16(tag, 0) & 0x0fff).unwrap_or_default()
}

impl<'a> Frame<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Stop> {
        let truncated = Stop::Drop(Reason::FrameTruncated);
        if bytes.len() < 14 {
            return Err(truncated);
        }
        let (mut ethertype, mut payload) = (be16(bytes, 12), &bytes[14..]);
        let mut vids = Vec::new();
        while vids.len() < 2 && (ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ) {
            if payload.len() < 4 {
                return Err(truncated);
            }
            vids.push(vid(payload));
            (ethertype, payload) = (be16(payload, 2), &payload[4..]);
        }
        let tag = |index: usize| vids.get(index).copied().unwrap_or_default();
        Ok(Self { dst: mac(bytes), outer: tag(0), inner: tag(1), ethertype, payload })
    }
}

/// A frame as it is sent: a VID of 0 has no tag, one tag is 0x8100, two are 0x88a8 outside 0x8100, with PCP and DEI 0.
pub(super) fn write(dst: MacAddr, src: MacAddr, outer: VlanId, inner: VlanId, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [dst.0, src.0].concat();
    let vids: Vec<u16> = [outer.get(), inner.get()].into_iter().filter(|vid| *vid != 0).collect();
    let tag_types: &[u16] = if vids.len() == 2 { &[ETHERTYPE_QINQ, ETHERTYPE_VLAN] } else { &[ETHERTYPE_VLAN] };
    for (tag_type, vid) in tag_types.iter().zip(vids) {
        frame.extend(tag_type.to_be_bytes());
        frame.extend(vid.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}
