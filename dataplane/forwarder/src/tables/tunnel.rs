//! `tunnel`: what is put in front of a packet, ready but for what depends on the packet.

use svpn_contract::wire::{Label, NextHopId, TtlMode};
use svpn_contract::{Member, TunnelAction};

use super::delivery::{Delivery, Version};
use super::group::MemberLine;
use super::words::LINE;

/// Transport labels of a tunnel at most.
pub(crate) const TRANSPORT: usize = 3;

/// A member of a tunnel.
///
/// ```text
/// word 0: | header bytes 8 | kind 8 | labels 8 | TTL mode 8 | share 32 |
///      1: | sum of an IPv4 header 32 | next hop slot 32 |
///   2..=3: labels: three stack entries in the order of the wire, label only, the innermost last; room for the VPN label's
///   2..=7: GRE: the delivery header, in the order of the wire, at the end of 48 bytes
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TunnelMember {
    /// Slot of the next hop.
    pub(crate) nexthop: u32,
    /// 0 uniform, else the TTL of the labels pushed or of the delivery header.
    pub(crate) ttl_mode: u8,
    /// What is put in front.
    pub(crate) encapsulation: Encapsulation,
}

/// What a tunnel puts in front of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encapsulation {
    /// Transport labels, and the VPN label below them.
    Labels(Transport),
    /// GRE over IPv4, and the VPN label behind it.
    GreV4(Delivery),
    /// GRE over IPv6, and the VPN label behind it.
    GreV6(Delivery),
}

/// Stack entries of transport labels, without TC, S and TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transport {
    /// The last `labels` of the first three, two by two in the order of the wire, the innermost last; the others are 0.
    pub(crate) entries: [u64; 2],
    /// How many there are; none in a tunnel of one hop.
    pub(crate) labels: u8,
}

const LABELS: u8 = 0;

/// Two label stack entries of the wire's order as one word, which has them so in memory.
#[inline]
pub(crate) const fn pair(first: u32, second: u32) -> u64 {
    // Whichever end is first, this is how it is written to memory.
    if cfg!(target_endian = "little") { (second as u64) << 32 | first as u64 } else { (first as u64) << 32 | second as u64 }
}

impl Transport {
    /// Of these labels, the outermost first.
    fn new<const COUNT: usize>(labels: [Label; COUNT]) -> Self {
        const { assert!(COUNT <= TRANSPORT, "a line has room for so many") };
        let mut entries = [0; TRANSPORT + 1];
        for (entry, label) in entries[TRANSPORT - COUNT..].iter_mut().zip(labels) {
            *entry = (label.get() << 12).to_be();
        }
        #[allow(clippy::cast_possible_truncation, reason = "3 at most")]
        Self { entries: [pair(entries[0], entries[1]), pair(entries[2], entries[3])], labels: COUNT as u8 }
    }
}

impl Transport {
    /// Of the first words of a line; `None` if it is of no labels.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    pub(crate) fn from_words([first, _, entries @ ..]: [u64; 4]) -> Option<Self> {
        ((first >> 48) as u8 == LABELS).then_some(Self { entries, labels: (first >> 40) as u8 })
    }
}

impl Transport {
    /// The three entries, in the order of the wire.
    pub(crate) fn labels_of_wire(&self) -> [u32; TRANSPORT] {
        let mut labels = [0; TRANSPORT];
        for (label, bytes) in labels.iter_mut().zip(self.entries.map(u64::to_ne_bytes).as_flattened().as_chunks().0) {
            *label = u32::from_ne_bytes(*bytes);
        }
        labels
    }
}

impl TunnelMember {
    /// The slot of the next hop, and the TTL mode, of the first words of a line.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    pub(crate) fn way([first, second, ..]: [u64; 4]) -> (u32, u8) {
        (second as u32, (first >> 32) as u8)
    }

    #[inline]
    fn new(nexthop: u32, ttl_mode: u8, encapsulation: Encapsulation) -> Self {
        Self { nexthop, ttl_mode, encapsulation }
    }

    #[cfg(test)]
    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its width")]
    fn from_line(line: [u64; LINE]) -> Self {
        let ttl_mode = (line[0] >> 32) as u8;
        let [first, second, third, fourth, ..] = line;
        let encapsulation = if let Some(transport) = Transport::from_words([first, second, third, fourth]) {
            Encapsulation::Labels(transport)
        } else {
            let delivery = Delivery::from_line(line);
            match delivery.version {
                Version::V4 => Encapsulation::GreV4(delivery),
                Version::V6 => Encapsulation::GreV6(delivery),
            }
        };
        Self::new(line[1] as u32, ttl_mode, encapsulation)
    }

    fn line(&self) -> [u64; LINE] {
        let first = |length: u8, kind: u8, labels: u8| u64::from_be_bytes([length, kind, labels, self.ttl_mode, 0, 0, 0, 0]);
        let mut line = [0, u64::from(self.nexthop), 0, 0, 0, 0, 0, 0];
        let (kind, delivery) = match &self.encapsulation {
            Encapsulation::Labels(Transport { entries: [outer, inner], labels }) => {
                line[0] = first(0, LABELS, *labels);
                line[2] = *outer;
                line[3] = *inner;
                return line;
            }
            Encapsulation::GreV4(delivery) => (Version::V4 as u8, delivery),
            Encapsulation::GreV6(delivery) => (Version::V6 as u8, delivery),
        };
        line[0] = first(delivery.length, kind, 0);
        line[1] |= u64::from(delivery.sum) << 32;
        line[2..].copy_from_slice(&delivery.words());
        line
    }
}

/// The next hop of a member.
pub(crate) fn nexthop(action: &TunnelAction) -> NextHopId {
    parts(action).0
}

/// The line of a member whose next hop has this slot.
pub(crate) fn member_line(member: &Member<TunnelAction>, slot: u32) -> MemberLine {
    let (_, ttl_mode, encapsulation) = parts(&member.action);
    let made = TunnelMember::new(slot, ttl_mode.get(), encapsulation);
    MemberLine { weight: member.weight.get(), line: made.line() }
}

fn parts(action: &TunnelAction) -> (NextHopId, TtlMode, Encapsulation) {
    let labels = Encapsulation::Labels;
    match *action {
        TunnelAction::Lsp0 { nexthop, ttl_mode } => (nexthop, ttl_mode, labels(Transport::new([]))),
        TunnelAction::Lsp1 { l1, nexthop, ttl_mode } => (nexthop, ttl_mode, labels(Transport::new([l1]))),
        TunnelAction::Lsp2 { l1, l2, nexthop, ttl_mode } => (nexthop, ttl_mode, labels(Transport::new([l1, l2]))),
        TunnelAction::Lsp3 { l1, l2, l3, nexthop, ttl_mode } => (nexthop, ttl_mode, labels(Transport::new([l1, l2, l3]))),
        TunnelAction::GreV4 { src, dst, key, nexthop, ttl_mode } => {
            (nexthop, ttl_mode, Encapsulation::GreV4(Delivery::v4(src, dst, key.get())))
        }
        TunnelAction::GreV6 { src, dst, key, nexthop, ttl_mode } => {
            (nexthop, ttl_mode, Encapsulation::GreV6(Delivery::v6(src, dst, key.get())))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_member_survives_its_line_and_leaves_its_share_free() {
        let label = |label| Label::new(label).unwrap();
        let (v4, v6) = (Delivery::v4([255; 4].into(), [254; 4].into(), 7), Delivery::v6([255; 16].into(), [254; 16].into(), u32::MAX));
        let encapsulations = [
            Encapsulation::Labels(Transport::new([])),
            Encapsulation::Labels(Transport::new([label(0)])),
            Encapsulation::Labels(Transport::new([label(0xf_ffff), label(17)])),
            Encapsulation::Labels(Transport::new([label(16), label(17), label(0xf_ffff)])),
            Encapsulation::GreV4(v4),
            Encapsulation::GreV6(v6),
        ];
        for encapsulation in encapsulations {
            let member = TunnelMember::new(u32::MAX, 255, encapsulation);
            assert_eq!(TunnelMember::from_line(member.line()), member);
            assert_eq!(member.line()[0] & u64::from(u32::MAX), 0);
        }
    }

    #[test]
    fn labels_are_in_the_order_of_the_stack() {
        let [l1, l2, l3] = [16, 17, 18].map(|label| Label::new(label).unwrap());
        let nexthop = NextHopId::new(5).unwrap();
        let action = TunnelAction::Lsp3 { l1, l2, l3, nexthop, ttl_mode: TtlMode::new(9).unwrap() };
        let line = member_line(&Member { action, weight: NonZeroU32::MIN, watch_port: None }, 6).line;
        let wire = |label: u32| (label << 12).to_be();
        let transport = Transport { entries: [pair(wire(16), wire(17)), pair(wire(18), 0)], labels: 3 };
        let expected = TunnelMember::new(6, 9, Encapsulation::Labels(transport));
        assert_eq!((TunnelMember::from_line(line), super::nexthop(&action)), (expected, nexthop));
        assert_eq!(TunnelMember::way([line[0], line[1], line[2], line[3]]), (6, 9));
        let two = Transport::new([l1, l2]);
        assert_eq!((two.entries, two.labels), ([pair(0, wire(16)), pair(wire(17), 0)], 2));
    }
}
