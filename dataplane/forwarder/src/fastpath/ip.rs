//! IPv4 (RFC 791): the checks of a header, its 5-tuple, and its TTL; and what is the same for both versions of IP.

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::ipv6;
use super::packet::Packet;
use super::parse::{ETHERTYPE_IPV4, be16, be32};
use crate::tables::flow::FlowKey;
use crate::tables::flow_v6::FlowKeyV6;

/// Bytes of an IPv4 header without options.
pub(super) const HEADER: usize = 20;
/// Bytes of such a header and of the ports behind it.
pub(super) const WINDOW: usize = HEADER + 4;
/// Where the TTL is; behind it are the protocol and the checksum.
pub(super) const PLACE: u8 = 8;
/// Version 4, five words of header: no options.
const PLAIN: u8 = 0x45;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const SCTP: u8 = 132;
/// GRE's number (RFC 2784).
pub(super) const GRE: u8 = 47;

/// Which IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// Judges and reads the packet at `packet.start` that something else was taken off: IPv6 if it says so, otherwise it has to be IPv4.
#[inline]
pub(super) fn check_either(mbuf: &Mbuf, packet: &mut Packet, key_v6: &mut FlowKeyV6, ceiling: u8) -> Result<Version, Reason> {
    let start = usize::from(packet.start);
    let window: &[u8; WINDOW] = mbuf.window(start).ok_or(Reason::IpTruncated)?;
    if mbuf.len() > start && window[0] >> 4 == 6 {
        *key_v6 = ipv6::check(mbuf, packet, ceiling)?;
        return Ok(Version::V6);
    }
    check(mbuf, window, packet, ceiling)?;
    Ok(Version::V4)
}

/// Whether a header says that it is of version 4 and has no options.
#[inline]
pub(super) fn is_plain(window: &[u8; WINDOW]) -> bool {
    window[0] == PLAIN
}

/// Judges the header at `packet.start`, which `window` begins with, and reads it. `ceiling` is the most its TTL can be (RFC 3443,
/// uniform model).
#[inline(never)]
pub(super) fn check(mbuf: &Mbuf, window: &[u8; WINDOW], packet: &mut Packet, ceiling: u8) -> Result<(), Reason> {
    check_at(mbuf, window, packet.start, packet, ceiling)
}

/// The same of the header at `start`, where the packet begins: for passes in which most packets come here.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
pub(super) fn check_at(mbuf: &Mbuf, window: &[u8; WINDOW], start: u16, packet: &mut Packet, ceiling: u8) -> Result<(), Reason> {
    let start = usize::from(start);
    let available = (packet.length as usize).saturating_sub(start);
    // Headers are in the first segment.
    let there = mbuf.len().saturating_sub(start);
    if there < HEADER {
        return Err(Reason::IpTruncated);
    }
    let (header_length, options) = if is_plain(window) { (HEADER, 0) } else { options(mbuf.data(), start)? };
    packet.bytes = u16::from_be_bytes([window[2], window[3]]);
    let total_length = usize::from(packet.bytes);
    if total_length < header_length || total_length > available {
        return Err(Reason::IpBadLength);
    }
    let [header @ .., p0, p1, p2, p3] = window;
    if !checksum_is_right(sum(header) + options) {
        return Err(Reason::IpBadChecksum);
    }
    if header[8] == 0 {
        return Err(Reason::IpTtlZero);
    }
    packet.ttl = header[8].min(ceiling);
    packet.word = [header[8], header[9], header[10], header[11]];
    packet.place = PLACE;
    packet.ethertype = ETHERTYPE_IPV4;
    let ports = if !has_ports(header) || header_length + 4 > total_length.min(there) {
        0
    } else if header_length == HEADER {
        u32::from_be_bytes([*p0, *p1, *p2, *p3])
    } else {
        be32(mbuf.data(), start + header_length).unwrap_or(0)
    };
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    packet.key = FlowKey::new(packet.vrf, u64::from_be_bytes([s0, s1, s2, s3, d0, d1, d2, d3]), header[9], ports);
    Ok(())
}

/// The length of a header that is no plain one, and the sum of its options; or what is wrong with it.
#[cold]
fn options(frame: &[u8], start: usize) -> Result<(usize, u64), Reason> {
    let header = frame.get(start..).unwrap_or_default();
    let first = header.first().copied().unwrap_or_default();
    if first >> 4 != 4 {
        return Err(Reason::IpBadVersion);
    }
    let length = usize::from(first & 0x0f) * 4;
    if length < HEADER {
        return Err(Reason::IpBadHeaderLength);
    }
    let options = header.get(HEADER..length).ok_or(Reason::IpTruncated)?;
    Ok((length, sum(options)))
}

/// Whether a header is of TCP, UDP or SCTP and of no fragment.
#[inline]
pub(super) fn has_ports(header: &[u8; HEADER]) -> bool {
    // More fragments, or an offset.
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    !fragment && matches!(header[9], TCP | UDP | SCTP)
}

/// The sum of a header's words of 32 bits. For the one's complement sum (RFC 1071) neither their size nor the order of bytes matters.
#[inline]
fn sum(header: &[u8]) -> u64 {
    header.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum()
}

/// Whether the one's complement sum is 0xffff.
#[inline]
fn checksum_is_right(sum: u64) -> bool {
    // Folding keeps the remainder, and a sum of a header is not zero, so it is 0xffff once folded if and only if it is a multiple of it. The
    // compiler makes a multiplication of this.
    sum.is_multiple_of(0xffff)
}

/// Notes that the packet at `packet.start` leaves with the TTL or hop limit one lower than what a pop says of it.
#[inline]
pub(super) fn decrement_ttl(packet: &mut Packet) {
    // As one word: what is stored in pieces cannot soon be loaded as a whole.
    let word = u32::from_be_bytes(packet.word);
    let ttl = packet.ttl.wrapping_sub(1);
    let word = if packet.place == ipv6::WORD {
        word & !0xff | u32::from(ttl)
    } else if word >> 24 == u32::from(packet.ttl) {
        one_lower(word)
    } else {
        with_ttl_in(word, ttl)
    };
    packet.word = word.to_be_bytes();
}

/// TTL, protocol and checksum with another TTL.
#[inline]
pub(super) fn with_ttl(word: [u8; 4], ttl: u8) -> [u8; 4] {
    with_ttl_in(u32::from_be_bytes(word), ttl).to_be_bytes()
}

/// The same of a word: the checksum by equation 3 of RFC 1624, HC' = ~(~HC + ~m + m').
#[inline]
fn with_ttl_in(word: u32, ttl: u8) -> u32 {
    // The protocol is in both m and m', and falls out. Sixteen one bits more, which are 0 in one's complement, keep the difference from being
    // negative.
    let changed = 0xffff + (u32::from(ttl) << 8) - (word >> 24 << 8);
    u32::from(ttl) << 24 | word & 0x00ff_0000 | updated(word, changed)
}

/// The same for a TTL that is one lower, where there is one: m' − m is a constant.
#[inline]
fn one_lower(word: u32) -> u32 {
    (word & 0xffff_0000).wrapping_sub(1 << 24) | updated(word, 0xffff - (1 << 8))
}

/// The checksum at the end of a word, after a change by `changed`.
#[inline]
fn updated(word: u32, changed: u32) -> u32 {
    let sum = (!word & 0xffff) + changed;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !sum & 0xffff
}

/// Whether the packet at `start` must not be fragmented on its way: IPv4 with DF, or IPv6.
pub(super) fn must_stay_whole(frame: &[u8], start: usize, length: usize) -> bool {
    let available = length.saturating_sub(start);
    match frame.get(start).map(|first| first >> 4) {
        Some(4) => available >= HEADER && be16(frame, start + 6).is_some_and(|flags| flags & 0x4000 != 0),
        Some(6) => available >= ipv6::HEADER,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The checksum of a header whose own checksum field is zero.
    fn checksum(header: &[u8]) -> u16 {
        let mut sum: u32 = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    proptest! {
        #[test]
        fn a_changed_ttl_leaves_a_right_checksum(mut header in prop::array::uniform20(any::<u8>()), ttl: u8, options in prop::array::uniform4(any::<u8>())) {
            let is_right = |header: &[u8]| checksum_is_right(sum(header) + sum(&options));
            header[0] = 0x46;
            header[10..12].fill(0);
            let right = checksum(&[&header[..], &options].concat());
            header[10..12].copy_from_slice(&right.to_be_bytes());
            prop_assert!(is_right(&header));
            let word = with_ttl([header[8], header[9], header[10], header[11]], ttl);
            prop_assert_eq!((word[0], word[1]), (ttl, header[9]));
            let received = [header[8], header[9], header[10], header[11]];
            let lower = one_lower(u32::from_be_bytes(received)).to_be_bytes();
            prop_assert!(header[8] == 0 || lower == with_ttl(received, header[8] - 1));
            header[8..12].copy_from_slice(&word);
            prop_assert!(is_right(&header));
            let before = header;
            header[12] ^= 1;
            prop_assert!(!is_right(&header));
            let mut cleared = before;
            cleared[10..12].fill(0);
            prop_assert_eq!(checksum(&[&cleared[..], &options].concat()).to_be_bytes(), [before[10], before[11]]);
        }
    }
}
