//! `nexthop`: the bytes of Ethernet and tags, ready to be put in front of a packet.

use svpn_contract::{Member, NexthopAction};

use super::group::MemberLine;
use super::words::LINE;
use crate::sync::{AtomicU64, Ordering};

/// Bytes in which Ethernet and its tags are written: those of the longest, Ethernet and two tags, in whole words.
pub(crate) const HEADER: usize = 24;

/// Bytes of a header without tags.
const UNTAGGED: u8 = 14;

/// A member of a next hop.
///
/// ```text
/// word 0: | port 16 | MTU 16 | share 32 |
///      1: | 56 | header bytes 8 |
///   2..=4: | what ends with the header, in the order of the wire; its ethertype is zero |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NexthopMember {
    /// The contract's number of the port.
    pub(crate) port: u16,
    /// Most bytes after Ethernet and tags.
    pub(crate) mtu: u16,
    /// Ethernet and tags.
    pub(crate) header: Header,
}

/// Ethernet and tags without the ethertype of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The header ends where these end, whatever its length, so it is written in front of a packet in one piece.
    words: [u64; HEADER / 8],
    length: u8,
}

impl Header {
    /// The header of a frame with these tags: a VID of 0 has none, one is 0x8100, two are 0x88a8 outside 0x8100; PCP and DEI are 0.
    pub(crate) fn new(dst: [u8; 6], src: [u8; 6], outer: u16, inner: u16) -> Self {
        let tag = |protocol: u32, vid: u16| (protocol << 16 | u32::from(vid)).to_be_bytes();
        let (tags, length) = match (outer, inner) {
            (0, 0) => ([[0; 4]; 2], UNTAGGED),
            (vid, 0) | (0, vid) => ([[0; 4], tag(0x8100, vid)], 18),
            (outer, inner) => ([tag(0x88a8, outer), tag(0x8100, inner)], 22),
        };
        let mut bytes = [0; HEADER];
        let start = HEADER - usize::from(length);
        bytes[14..22].copy_from_slice(tags.as_flattened());
        bytes[start..start + 6].copy_from_slice(&dst);
        bytes[start + 6..start + 12].copy_from_slice(&src);
        let mut words = [0; HEADER / 8];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        Self { words, length }
    }

    /// Bytes of the header, with the ethertype.
    #[inline]
    pub(crate) fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// The first eight and the last eight bytes of a header without tags, which overlap, with its ethertype; `None` of one with tags.
    #[inline]
    pub(crate) fn untagged(&self, ethertype: u16) -> Option<[[u8; 8]; 2]> {
        let [_, destination, source] = self.words.map(u64::from_le);
        let [high, low] = ethertype.to_be_bytes();
        let first = destination >> 16 | source << 48;
        let last = source | u64::from_le_bytes([0, 0, 0, 0, 0, 0, high, low]);
        (self.length == UNTAGGED).then_some([first.to_le_bytes(), last.to_le_bytes()])
    }

    /// The bytes that end with the header, with its ethertype.
    #[inline]
    pub(crate) fn with(&self, ethertype: u16) -> [u8; HEADER] {
        let [high, low] = ethertype.to_be_bytes();
        let [first, second, last] = self.words;
        let mut bytes = [0; HEADER];
        let words = [first, second, last | u64::from_ne_bytes([0, 0, 0, 0, 0, 0, high, low])];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_ne_bytes();
        }
        bytes
    }
}

impl NexthopMember {
    /// Words of a line that are used.
    pub(crate) const WORDS: usize = 5;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    pub(crate) fn from_line(words: [u64; Self::WORDS]) -> Self {
        let [first, length, header @ ..] = words;
        Self { port: (first >> 48) as u16, mtu: (first >> 32) as u16, header: Header { words: header, length: length as u8 } }
    }

    /// Of a line, if the header has no tags.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    pub(crate) fn untagged([first, length, header @ ..]: &[AtomicU64; LINE]) -> Option<Self> {
        // Asked before the rest is loaded.
        if length.load(Ordering::Relaxed) as u8 != UNTAGGED {
            return None;
        }
        let [second, third, fourth, ..] = header;
        let first = first.load(Ordering::Relaxed);
        let words = [second, third, fourth].map(|word| word.load(Ordering::Relaxed));
        Some(Self { port: (first >> 48) as u16, mtu: (first >> 32) as u16, header: Header { words, length: UNTAGGED } })
    }

    fn words(&self) -> [u64; Self::WORDS] {
        let [first, second, last] = self.header.words;
        [u64::from(self.port) << 48 | u64::from(self.mtu) << 32, u64::from(self.header.length), first, second, last]
    }
}

/// The line of a member.
pub(crate) fn member_line(member: &Member<NexthopAction>) -> MemberLine {
    let NexthopAction::Rewrite { port, src_mac, dst_mac, vlan, inner_vlan, mtu } = member.action;
    let header = Header::new(dst_mac.0, src_mac.0, vlan.get(), inner_vlan.get());
    let made = NexthopMember { port: port.get(), mtu: mtu.get(), header };
    let mut line = [0; LINE];
    line[..NexthopMember::WORDS].copy_from_slice(&made.words());
    MemberLine { weight: member.weight.get(), line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_written_as_ieee_802_1q_has_them() {
        let cases: [(u16, u16, &[u8]); 4] = [
            (0, 0, &[8, 0]),
            (5, 0, &[0x81, 0, 0, 5, 8, 0]),
            (0, 6, &[0x81, 0, 0, 6, 8, 0]),
            (0xfff, 6, &[0x88, 0xa8, 0xf, 0xff, 0x81, 0, 0, 6, 8, 0]),
        ];
        for (outer, inner, tail) in cases {
            let header = Header::new([1; 6], [2; 6], outer, inner);
            let member = NexthopMember { port: 511, mtu: 65535, header };
            assert_eq!(NexthopMember::from_line(member.words()), member);
            let mut line = [const { AtomicU64::new(0) }; LINE];
            line.iter_mut().zip(member.words()).for_each(|(to, from)| *to.get_mut() = from);
            assert_eq!(NexthopMember::untagged(&line), (outer == 0 && inner == 0).then_some(member));
            let expected = [&[1; 6], &[2; 6], tail].concat();
            assert_eq!(header.length(), expected.len());
            assert_eq!(header.with(0x0800)[HEADER - expected.len()..], expected);
            let overlapping = [&expected[..8], &expected[6..14]].concat();
            let untagged = header.untagged(0x0800).map(|halves| halves.as_flattened().to_vec());
            assert_eq!(untagged, (expected.len() == 14).then_some(overlapping));
        }
    }
}
