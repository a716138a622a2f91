//! IPv4 (RFC 791) and IPv6 (RFC 8200): the checks of the header that is acted upon, its TTL, and what leaves by a next hop as IP.

use super::attachment::Side;
use super::five_tuple::FiveTuple;
use super::frame::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, be16};
use super::nexthop::Packet;
use super::{Sent, Stop, Walk};
use crate::tables::Reason;
use crate::wire::NextHopId;

/// Bytes of an IPv4 header without options.
pub(super) const IPV4_HEADER: usize = 20;
/// Bytes of an IPv6 header.
pub(super) const IPV6_HEADER: usize = 40;
/// The next header of an IPv6 fragment header (RFC 8200 section 4.5).
pub(super) const FRAGMENT: u8 = 44;
/// Bytes of an IPv6 fragment header.
const FRAGMENT_HEADER: usize = 8;
/// The byte of the TTL in an IPv4 header.
const TTL: usize = 8;
const CHECKSUM: usize = 10;
/// The byte of the hop limit in an IPv6 header.
const HOP_LIMIT: usize = 7;

/// Which IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// What a packet is of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment {
    /// All of it: nothing says that it was fragmented.
    Whole,
    /// Its beginning; in IPv6 that can be all of it (RFC 6946).
    First,
    /// Something further on.
    Later,
}

impl Family {
    pub(super) fn ethertype(self) -> u16 {
        match self {
            Self::V4 => ETHERTYPE_IPV4,
            Self::V6 => ETHERTYPE_IPV6,
        }
    }

    /// What a label at the bottom of the stack carries, where the label does not say: by the first nibble, and IPv4 if that says nothing.
    pub(super) fn of_payload(payload: &[u8]) -> Self {
        if payload.first().is_some_and(|first| first >> 4 == 6) { Self::V6 } else { Self::V4 }
    }

    /// The byte of the TTL.
    pub(super) fn ttl_at(self) -> usize {
        match self {
            Self::V4 => TTL,
            Self::V6 => HOP_LIMIT,
        }
    }

    /// Writes a TTL. In IPv4 the checksum is updated by equation 3 of RFC 1624: HC' = ~(~HC + ~m + m').
    pub(super) fn set_ttl(self, packet: &mut [u8], ttl: u8) {
        let before = be16(packet, TTL);
        packet[self.ttl_at()] = ttl;
        if self == Self::V4 {
            let after = be16(packet, TTL);
            let checksum = !sum([!be16(packet, CHECKSUM), !before, after]);
            packet[CHECKSUM..CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    /// The checks of a header that is acted upon, in their order.
    fn check(self, packet: &[u8]) -> Result<(), Reason> {
        match self {
            Self::V4 => check_v4(packet),
            Self::V6 => check_v6(packet),
        }
    }
}

/// The one's complement sum (RFC 1071).
fn sum(words: impl IntoIterator<Item = u16>) -> u16 {
    words.into_iter().fold(0, |sum, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

/// Writes the checksum of an IPv4 header without options, its field still zero.
pub(super) fn write_checksum(header: &mut [u8; IPV4_HEADER]) {
    let checksum = !sum((0..IPV4_HEADER).step_by(2).map(|at| be16(header, at)));
    header[CHECKSUM..CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
}

fn check_v4(packet: &[u8]) -> Result<(), Reason> {
    if packet.len() < IPV4_HEADER {
        return Err(Reason::IpTruncated);
    }
    if packet[0] >> 4 != 4 {
        return Err(Reason::IpBadVersion);
    }
    let header_length = usize::from(packet[0] & 0x0f) * 4;
    if header_length < IPV4_HEADER {
        return Err(Reason::IpBadHeaderLength);
    }
    if packet.len() < header_length {
        return Err(Reason::IpTruncated);
    }
    let total_length = usize::from(be16(packet, 2));
    if total_length < header_length || total_length > packet.len() {
        return Err(Reason::IpBadLength);
    }
    if sum((0..header_length).step_by(2).map(|at| be16(packet, at))) != 0xffff {
        return Err(Reason::IpBadChecksum);
    }
    if packet[TTL] == 0 { Err(Reason::IpTtlZero) } else { Ok(()) }
}

fn check_v6(packet: &[u8]) -> Result<(), Reason> {
    if packet.len() < IPV6_HEADER {
        return Err(Reason::IpTruncated);
    }
    if packet[0] >> 4 != 6 {
        return Err(Reason::IpBadVersion);
    }
    if IPV6_HEADER + usize::from(be16(packet, 4)) > packet.len() {
        return Err(Reason::IpBadLength);
    }
    if packet[HOP_LIMIT] == 0 { Err(Reason::IpTtlZero) } else { Ok(()) }
}

/// A packet that passed the checks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ip<'a> {
    pub(super) family: Family,
    /// From its header to the end of the frame.
    pub(super) bytes: &'a [u8],
    /// Its own length: what follows is no part of it.
    pub(super) length: usize,
    /// Where what it carries begins; in IPv6 behind the fragment header, if that is first.
    pub(super) payload: usize,
    pub(super) fragment: Fragment,
    pub(super) tuple: FiveTuple,
    /// Its TTL or hop limit, or less where the label above it had less (RFC 3443).
    pub(super) ttl: u8,
}

impl<'a> Ip<'a> {
    /// `ceiling` is the TTL of the label above it where the model is uniform, else the largest.
    pub(super) fn checked(family: Family, bytes: &'a [u8], ceiling: u8) -> Result<Self, Stop> {
        family.check(bytes).map_err(Stop::Drop)?;
        let tuple = match family {
            Family::V4 => FiveTuple::of_ipv4(bytes),
            Family::V6 => FiveTuple::of_ipv6(bytes),
        };
        // A header that passed the checks has a 5-tuple.
        let tuple = tuple.ok_or(Stop::Drop(Reason::IpBadLength))?;
        let ttl = bytes[family.ttl_at()].min(ceiling);
        let (length, payload, fragment) = match family {
            Family::V4 => {
                let fragment = match be16(bytes, 6) & 0x3fff {
                    0 => Fragment::Whole,
                    0x2000 => Fragment::First,
                    _ => Fragment::Later,
                };
                (usize::from(be16(bytes, 2)), usize::from(bytes[0] & 0x0f) * 4, fragment)
            }
            Family::V6 => {
                let length = IPV6_HEADER + usize::from(be16(bytes, 4));
                let behind = IPV6_HEADER + FRAGMENT_HEADER;
                match be16(bytes, IPV6_HEADER + 2) >> 3 {
                    _ if bytes[6] != FRAGMENT || length < behind => (length, IPV6_HEADER, Fragment::Whole),
                    0 => (length, behind, Fragment::First),
                    _ => (length, behind, Fragment::Later),
                }
            }
        };
        Ok(Self { family, bytes, length, payload, fragment, tuple, ttl })
    }

    /// As it is forwarded: its TTL less one.
    pub(super) fn forwarded(&self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        self.family.set_ttl(&mut bytes, self.ttl - 1);
        bytes
    }
}

impl Walk<'_> {
    /// IP that stood right behind Ethernet and tags.
    pub(super) fn received(&mut self, family: Family, packet: &[u8], side: Side) -> Result<Sent, Stop> {
        let ip = Ip::checked(family, packet, u8::MAX)?;
        self.tuple = Some(ip.tuple);
        match side {
            Side::Attachment => match self.flow(&ip.tuple) {
                Some(session) => self.session(&ip, session),
                None => self.route(&ip, side),
            },
            Side::Core => match self.gre_ingress(&ip) {
                Some(decapsulation) => self.decapsulate(&ip, decapsulation),
                None => self.route(&ip, side),
            },
        }
    }

    /// Forwards a packet as IP.
    pub(super) fn leave(&mut self, ip: &Ip<'_>, nexthop: NextHopId) -> Result<Sent, Stop> {
        self.nexthop(Some(ip.bytes), nexthop, &Packet { ethertype: ip.family.ethertype(), bytes: ip.forwarded() })
    }
}
