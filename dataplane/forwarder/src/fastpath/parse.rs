//! Ethernet and its tags (IEEE 802.3, IEEE 802.1Q).
//!
//! ```text
//!  0 destination   6 source   12 ethertype or tag
//! tag: 2 bytes 0x8100 or 0x88a8, then PCP 3, DEI 1, VID 12; up to two
//! ```

use svpn_contract::Reason;

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(super) const ETHERTYPE_MPLS: u16 = 0x8847;
const ETHERTYPE_LLDP: u16 = 0x88cc;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// Bytes of an Ethernet header without tags.
pub(super) const ETHERNET: usize = 14;
const TAG: usize = 4;

/// Bytes that all headers lie in which most packets need: Ethernet with two tags, a label, IPv4, ports.
pub(super) const HEAD: usize = 64;

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

/// Ethernet and tags of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ethernet {
    /// Outer VID in the upper half, inner in the lower, 0 for none.
    pub(super) vlans: u32,
    /// Behind the tags.
    pub(super) ethertype: u16,
    /// Where what follows begins.
    pub(super) network: u16,
}

impl Ethernet {
    /// The outer VID, 0 for none.
    pub(super) fn outer_vlan(self) -> u16 {
        #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
        let outer = (self.vlans >> 16) as u16;
        outer
    }

    /// The inner VID, 0 for none.
    pub(super) fn inner_vlan(self) -> u16 {
        #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
        let inner = self.vlans as u16;
        inner
    }
}

/// Where a frame came in and what follows Ethernet begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// As in [`Ethernet`].
    pub(super) vlans: u32,
    /// As in [`Ethernet`].
    pub(super) network: u16,
}

/// Of a frame without tags.
#[allow(clippy::cast_possible_truncation, reason = "a small constant")]
pub(super) const UNTAGGED: Place = Place { vlans: 0, network: ETHERNET as u16 };

/// What follows the addresses of a frame: an ethertype, or the start of a tag.
#[inline]
pub(super) fn ethertype(head: &[u8; HEAD]) -> u16 {
    u16::from_be_bytes([head[ETHERNET - 2], head[ETHERNET - 1]])
}

/// Reads Ethernet and tags of a frame of which `bytes` are there.
#[inline]
pub(super) fn ethernet(head: &[u8; HEAD], bytes: usize) -> Result<Ethernet, Reason> {
    if bytes < ETHERNET {
        return Err(Reason::FrameTruncated);
    }
    let ethertype = ethertype(head);
    if is_tag(ethertype) {
        return tagged(head, bytes);
    }
    let Place { vlans, network } = UNTAGGED;
    known(Ethernet { vlans, ethertype, network })
}

/// The same where there is one tag or more.
fn tagged(head: &[u8; HEAD], bytes: usize) -> Result<Ethernet, Reason> {
    if bytes < ETHERNET + TAG {
        return Err(Reason::FrameTruncated);
    }
    let outer = u32::from(u16::from_be_bytes([head[14], head[15]]) & 0x0fff) << 16;
    let ethertype = u16::from_be_bytes([head[16], head[17]]);
    if !is_tag(ethertype) {
        return known(Ethernet { vlans: outer, ethertype, network: 18 });
    }
    if bytes < ETHERNET + 2 * TAG {
        return Err(Reason::FrameTruncated);
    }
    let inner = u32::from(u16::from_be_bytes([head[18], head[19]]) & 0x0fff);
    known(Ethernet { vlans: outer | inner, ethertype: u16::from_be_bytes([head[20], head[21]]), network: 22 })
}

#[inline]
fn known(ethernet: Ethernet) -> Result<Ethernet, Reason> {
    if ethernet.ethertype == ETHERTYPE_LLDP { Err(Reason::Lldp) } else { Ok(ethernet) }
}

#[inline]
fn is_tag(ethertype: u16) -> bool {
    ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ
}
