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

/// Reads the header that `window` begins with if it is as most are: no options, and nothing wrong. `available` bytes of the packet are there,
/// all of them in the first segment. `ceiling` is as for [`check`]. If it is not, nothing has changed, and [`check`] says what it is.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
pub(super) fn read_plainly(window: &[u8; WINDOW], available: usize, packet: &mut Packet, ceiling: u8) -> bool {
    let [header @ .., p0, p1, p2, p3] = window;
    let bytes = u16::from_be_bytes([header[2], header[3]]);
    let [ttl, protocol] = [header[8], header[9]];
    let fits = (HEADER..=available).contains(&usize::from(bytes));
    if header[0] != PLAIN || !fits || ttl == 0 || !checksum_is_right(sum(header)) {
        return false;
    }
    let ports = u32::from_be_bytes([*p0, *p1, *p2, *p3]);
    let ports = if has_ports(header) && usize::from(bytes) >= WINDOW { ports } else { 0 };
    let word = [ttl, protocol, header[10], header[11]];
    note(packet, header, (bytes, ports), if ceiling >= ttl { one_lower(word) } else { with_ttl(word, ceiling.wrapping_sub(1)) }, ceiling);
    true
}

/// Notes what is known of a packet from its header.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
fn note(packet: &mut Packet, header: &[u8; HEADER], (bytes, ports): (u16, u32), word: [u8; 4], ceiling: u8) {
    packet.bytes = bytes;
    packet.ttl = header[8].min(ceiling);
    packet.word = word;
    packet.place = PLACE;
    packet.ethertype = ETHERTYPE_IPV4;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    packet.key = FlowKey::new(packet.vrf, u64::from_be_bytes([s0, s1, s2, s3, d0, d1, d2, d3]), header[9], ports);
}

/// Judges the header at `packet.start`, which `window` begins with, and reads it. `ceiling` is the most its TTL can be (RFC 3443,
/// uniform model).
#[inline(never)]
pub(super) fn check(mbuf: &Mbuf, window: &[u8; WINDOW], packet: &mut Packet, ceiling: u8) -> Result<(), Reason> {
    let start = usize::from(packet.start);
    let available = (packet.length as usize).saturating_sub(start);
    // Headers are in the first segment.
    let there = mbuf.len().saturating_sub(start);
    if there < HEADER {
        return Err(Reason::IpTruncated);
    }
    let (header_length, options) = if is_plain(window) { (HEADER, 0) } else { options(mbuf.data(), start)? };
    let bytes = u16::from_be_bytes([window[2], window[3]]);
    let total_length = usize::from(bytes);
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
    let ports = if !has_ports(header) || header_length + 4 > total_length.min(there) {
        0
    } else if header_length == HEADER {
        u32::from_be_bytes([*p0, *p1, *p2, *p3])
    } else {
        be32(mbuf.data(), start + header_length).unwrap_or(0)
    };
    let word = with_ttl([header[8], header[9], header[10], header[11]], header[8].min(ceiling).wrapping_sub(1));
    note(packet, header, (bytes, ports), word, ceiling);
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

/// TTL, protocol and checksum with another TTL: the checksum by equation 3 of RFC 1624, HC' = ~(~HC + ~m + m').
#[inline]
pub(super) fn with_ttl(word: [u8; 4], ttl: u8) -> [u8; 4] {
    let word = u32::from_be_bytes(word);
    // The protocol is in both m and m', and falls out. Sixteen one bits more, which are 0 in one's complement, keep the difference from being
    // negative.
    let changed = 0xffff + (u32::from(ttl) << 8) - (word >> 24 << 8);
    (u32::from(ttl) << 24 | word & 0x00ff_0000 | updated(word, changed)).to_be_bytes()
}

/// The same for a TTL that is one lower, where there is one. The checksum is then one higher in its first byte, which in the order of the bytes
/// that has the TTL lowest is one sum for both; what it carries is added to its end (RFC 1071), which has no 0xffff for 0.
#[inline]
fn one_lower(word: [u8; 4]) -> [u8; 4] {
    let word = u32::from_le_bytes(word);
    let carried = u32::from(word >= 0xfffe_0000);
    word.wrapping_add(0xffff).wrapping_add(carried << 16).to_le_bytes()
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
            // Both ways, of any checksum: those at which the sum comes round, too.
            for sum in [[received[2], received[3]], [0xff, 0xff], [0xff, 0xfe], [0xfe, 0xff], [0xfe, 0xfe], [0xff, 0xfd], [0xff, 0], [0, 0]] {
                let received = [header[8], header[9], sum[0], sum[1]];
                prop_assert!(header[8] == 0 || one_lower(received) == with_ttl(received, header[8] - 1));
            }
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
