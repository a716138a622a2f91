//! The GRE delivery header of a tunnel (RFC 2784, RFC 2890, RFC 4023), ready but for what depends on the packet.
//!
//! ```text
//! IPv4 20: | 4 5 | DSCP 6, ECN 0 | total length | id 0 | DF, offset 0 | TTL | 47 | checksum | source | destination |
//! IPv6 40: | 6, DSCP 6, ECN 0, flow label 0 | payload length | 47 | hop limit | source 16 | destination 16 |
//! GRE 4:   | 0 or K 0x2000 | protocol type |, and 4 bytes of key if there is one
//! ```
//!
//! The header ends where its bytes end, whatever its length, so it is written in front of a packet in one piece.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::words::LINE;

/// Bytes in which a delivery header is written: those of the longest, IPv6 and GRE with a key.
pub(crate) const DELIVERY: usize = 48;
/// The same in words.
const WORDS: usize = DELIVERY / 8;
/// IP's number of GRE.
const GRE: u8 = 47;
const IPV4: usize = 20;
const IPV6: usize = 40;
/// Bytes of GRE without and with a key.
const BARE: usize = 4;
const KEYED: usize = 8;
/// The bit of GRE's first two bytes that says there is a key.
const KEY_PRESENT: u16 = 0x2000;

/// A delivery header without DSCP, length, TTL and protocol type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// In the order of the wire; they end with the header. Words, so that they go from a table's line into a frame without a stop.
    words: [u64; WORDS],
    /// Of IP.
    pub(crate) version: Version,
    /// Bytes of the header.
    pub(crate) length: u8,
    /// The sum of an IPv4 header's words (RFC 1071) without those that depend on the packet.
    pub(crate) sum: u32,
}

/// Which IP carries the delivery header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Version {
    /// RFC 791.
    V4 = 4,
    /// RFC 8200.
    V6 = 6,
}

/// What a delivery header needs of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixes {
    /// Differentiated services code point.
    pub(crate) dscp: u8,
    /// TTL or hop limit.
    pub(crate) ttl: u8,
    /// Bytes behind the delivery header.
    pub(crate) payload: u16,
    /// GRE's protocol type: the ethertype of what follows.
    pub(crate) protocol: u16,
}

impl Delivery {
    /// Over IPv4. A GRE key of 0 stands for none.
    pub(crate) fn v4(src: Ipv4Addr, dst: Ipv4Addr, key: u32) -> Self {
        let (mut bytes, start) = gre(IPV4, key);
        bytes[start] = 0x45;
        bytes[start + 6] = 0x40;
        bytes[start + 9] = GRE;
        bytes[start + 12..start + 16].copy_from_slice(&src.octets());
        bytes[start + 16..start + 20].copy_from_slice(&dst.octets());
        let words = bytes[start..start + IPV4].as_chunks().0.iter();
        let sum = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        Self { words: as_words(&bytes), version: Version::V4, length: length(start), sum }
    }

    /// Over IPv6. A GRE key of 0 stands for none.
    pub(crate) fn v6(src: Ipv6Addr, dst: Ipv6Addr, key: u32) -> Self {
        let (mut bytes, start) = gre(IPV6, key);
        bytes[start] = 0x60;
        bytes[start + 6] = GRE;
        bytes[start + 8..start + 24].copy_from_slice(&src.octets());
        bytes[start + 24..start + 40].copy_from_slice(&dst.octets());
        Self { words: as_words(&bytes), version: Version::V6, length: length(start), sum: 0 }
    }

    /// The header of a line: see [`super::tunnel::TunnelMember`].
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    pub(crate) fn from_line([first, second, words @ ..]: [u64; LINE]) -> Self {
        let version = if (first >> 48) as u8 == Version::V4 as u8 { Version::V4 } else { Version::V6 };
        Self { words, version, length: (first >> 56) as u8, sum: (second >> 32) as u32 }
    }

    /// The words of a line behind the first two.
    pub(crate) fn words(&self) -> [u64; WORDS] {
        self.words
    }

    /// Writes the whole header so that it ends where `place` ends. `None` if its length would be more than IP can say.
    ///
    /// What depends on the packet is written over the ready bytes where they are to be: to put them together first would have the processor wait
    /// for its own short writes before it could copy them.
    #[inline]
    pub(crate) fn write(&self, place: &mut [u8; DELIVERY], fixes: Fixes) -> Option<()> {
        for (bytes, word) in place.as_chunks_mut().0.iter_mut().zip(self.words) {
            *bytes = word.to_ne_bytes();
        }
        match self.version {
            Version::V4 => self.fix_v4(place, fixes),
            Version::V6 => self.fix_v6(place, fixes),
        }
    }

    #[inline]
    fn fix_v4(&self, place: &mut [u8; DELIVERY], fixes: Fixes) -> Option<()> {
        let total = u16::from(self.length).checked_add(fixes.payload)?;
        let services = fixes.dscp << 2;
        let sum = self.sum + u32::from(services) + u32::from(total) + (u32::from(fixes.ttl) << 8);
        let sum = (sum & 0xffff) + (sum >> 16);
        let [.., c0, c1] = (!((sum & 0xffff) + (sum >> 16))).to_be_bytes();
        let [t0, t1] = total.to_be_bytes();
        let header: &mut [u8; IPV4 + BARE] = place.get_mut(self.start()..)?.first_chunk_mut()?;
        header[..4].copy_from_slice(&[0x45, services, t0, t1]);
        header[8..12].copy_from_slice(&[fixes.ttl, GRE, c0, c1]);
        header[IPV4 + 2..].copy_from_slice(&fixes.protocol.to_be_bytes());
        Some(())
    }

    #[inline]
    fn fix_v6(&self, place: &mut [u8; DELIVERY], fixes: Fixes) -> Option<()> {
        let gre = usize::from(self.length).saturating_sub(IPV6);
        let [l0, l1] = fixes.payload.checked_add(u16::try_from(gre).ok()?)?.to_be_bytes();
        let header: &mut [u8; IPV6 + BARE] = place.get_mut(self.start()..)?.first_chunk_mut()?;
        // Version 6, traffic class, flow label 0.
        header[..4].copy_from_slice(&(0x6000_0000 | u32::from(fixes.dscp) << 22).to_be_bytes());
        header[4..8].copy_from_slice(&[l0, l1, GRE, fixes.ttl]);
        header[IPV6 + 2..].copy_from_slice(&fixes.protocol.to_be_bytes());
        Some(())
    }

    #[inline]
    fn start(&self) -> usize {
        DELIVERY.saturating_sub(usize::from(self.length))
    }
}

/// Bytes as they lie in memory.
fn as_words(bytes: &[u8; DELIVERY]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

/// Bytes that end with a GRE header behind so many bytes of IP, and where those begin.
fn gre(ip: usize, key: u32) -> ([u8; DELIVERY], usize) {
    let mut bytes = [0; DELIVERY];
    if key == 0 {
        return (bytes, DELIVERY - BARE - ip);
    }
    bytes[DELIVERY - KEYED..DELIVERY - KEYED + 2].copy_from_slice(&KEY_PRESENT.to_be_bytes());
    bytes[DELIVERY - 4..].copy_from_slice(&key.to_be_bytes());
    (bytes, DELIVERY - KEYED - ip)
}

#[allow(clippy::cast_possible_truncation, reason = "48 at most")]
fn length(start: usize) -> u8 {
    (DELIVERY - start) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIXES: Fixes = Fixes { dscp: 0x2e, ttl: 63, payload: 100, protocol: 0x0800 };

    /// What is written of a header; `None` where it is refused.
    fn written(delivery: &Delivery, fixes: Fixes) -> Option<Vec<u8>> {
        let mut place = [0xff; DELIVERY];
        delivery.write(&mut place, fixes)?;
        Some(place[DELIVERY - usize::from(delivery.length)..].to_vec())
    }

    #[test]
    fn headers_are_written_as_the_rfcs_have_them() {
        let [src, dst] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 2)];
        let delivery = Delivery::v4(src, dst, 0);
        let mut expected = vec![0x45, 0xb8, 0, 124, 0, 0, 0x40, 0, 63, 47, 0x4e, 0x64, 192, 0, 2, 1, 198, 51, 100, 2];
        expected.extend([0, 0, 8, 0]);
        assert_eq!(written(&delivery, FIXES).unwrap(), expected);
        let delivery = Delivery::v4(src, dst, 0x0102_0304);
        expected.truncate(20);
        // Four bytes more, and a checksum less by them.
        (expected[3], expected[11]) = (128, 0x60);
        expected.extend([0x20, 0, 0x88, 0x47, 1, 2, 3, 4]);
        assert_eq!(written(&delivery, Fixes { protocol: 0x8847, ..FIXES }).unwrap(), expected);

        let [src, dst] = [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)];
        for (key, length, gre) in [(0, 104, vec![0, 0, 0x86, 0xdd]), (9, 108, vec![0x20, 0, 0x86, 0xdd, 0, 0, 0, 9])] {
            let delivery = Delivery::v6(src, dst, key);
            let expected = [&[0x6b, 0x80, 0, 0, 0, length, 47, 63][..], &src.octets(), &dst.octets(), &gre].concat();
            assert_eq!(written(&delivery, Fixes { protocol: 0x86dd, ..FIXES }).unwrap(), expected);
        }
    }

    #[test]
    fn a_length_that_ip_cannot_say_is_refused() {
        let (over_v4, over_v6) = (Delivery::v4([1; 4].into(), [2; 4].into(), 1), Delivery::v6([1; 16].into(), [2; 16].into(), 1));
        let with = |payload| Fixes { payload, ..FIXES };
        assert!(written(&over_v4, with(u16::MAX - 28)).is_some() && written(&over_v4, with(u16::MAX - 27)).is_none());
        assert!(written(&over_v6, with(u16::MAX - 8)).is_some() && written(&over_v6, with(u16::MAX - 7)).is_none());
    }

    proptest! {
        #[test]
        fn checksums_over_ipv4_are_right(src: [u8; 4], dst: [u8; 4], key: u32, dscp in 0..64_u8, ttl: u8, payload in 0..60_000_u16) {
            let delivery = Delivery::v4(src.into(), dst.into(), key);
            let header = &written(&delivery, Fixes { dscp, ttl, payload, protocol: 0x0800 }).unwrap()[..20];
            let mut sum: u32 = header.as_chunks().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            prop_assert_eq!(sum, 0xffff);
            prop_assert_eq!((header[1], header[8], &header[12..16], &header[16..]), (dscp << 2, ttl, &src[..], &dst[..]));
        }
    }
}
