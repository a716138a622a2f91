//! Frames of the small world, most of them sound.

use std::net::Ipv4Addr;

use proptest::arbitrary::any;
use proptest::strategy::{BoxedStrategy, Just, Strategy};
use proptest::{collection, option, prop_oneof, sample};

use super::world::{address, l4_port, label, port, protocol, station_mac, tags, value};
use crate::wire::{Label, MacAddr, PortId};

/// What a packet is damaged by.
#[derive(Debug, Clone)]
enum Damage {
    None,
    /// Cut to a share of its length.
    Cut(sample::Index),
    /// Bits flipped in one byte.
    Flip(sample::Index, u8),
    /// The same in one of the first bytes, where versions and lengths are.
    FlipEarly(usize, u8),
    /// More bytes behind it.
    Trail(Vec<u8>),
}

impl Damage {
    fn apply(self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Cut(length) => bytes.truncate(length.index(bytes.len() + 1)),
            Self::Flip(place, bits) if !bytes.is_empty() => {
                let place = place.index(bytes.len());
                bytes[place] ^= bits;
            }
            Self::FlipEarly(place, bits) => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= bits),
            Self::None | Self::Flip(..) => {}
            Self::Trail(more) => bytes.extend(more),
        }
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        14 => Just(Damage::None),
        1 => any::<sample::Index>().prop_map(Damage::Cut),
        2 => (any::<sample::Index>(), 1..=255_u8).prop_map(|(place, bits)| Damage::Flip(place, bits)),
        1 => (0..8_usize, 1..=255_u8).prop_map(|(place, bits)| Damage::FlipEarly(place, bits)),
        3 => collection::vec(any::<u8>(), 1..46).prop_map(Damage::Trail),
    ]
}

fn ttl() -> impl Strategy<Value = u8> + Clone {
    prop_oneof![8 => Just(64_u8), 1 => Just(0), 1 => Just(1), 2 => Just(2), 1 => Just(255), 1 => any::<u8>()]
}

/// The one's complement of the one's complement sum of a header (RFC 791, RFC 1071), its checksum field taken as zero.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).enumerate().filter(|(index, _)| *index != 5);
    let sum: u32 = words.map(|(_, word)| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or_default()
}

#[derive(Debug, Clone)]
struct Ipv4 {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    ports: (u16, u16),
    ttl: u8,
    dscp_and_ecn: u8,
    identification: u16,
    flags_and_offset: u16,
    options: usize,
    zero: Zero,
    payload: Vec<u8>,
}

/// How a checksum is written that comes to zero: it has two forms in one's complement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zero {
    /// As it comes, which is hardly ever zero.
    AsItComes,
    /// 0xffff, of a packet whose identification makes the sum come to that.
    Negative,
}

impl Ipv4 {
    fn bytes(&self) -> Vec<u8> {
        let header_words = 5 + u8::try_from(self.options).unwrap_or_default();
        let header_length = usize::from(header_words) * 4;
        let total_length = u16::try_from(header_length + 4 + self.payload.len()).unwrap_or(u16::MAX);
        let mut bytes = vec![0x40 | header_words, self.dscp_and_ecn];
        bytes.extend(total_length.to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(self.flags_and_offset.to_be_bytes());
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        // No operation (RFC 791).
        bytes.resize(header_length, 1);
        if self.zero == Zero::Negative {
            bytes[4..6].fill(0);
            let identification = checksum(&bytes);
            bytes[4..6].copy_from_slice(&identification.to_be_bytes());
        }
        let sum = if self.zero == Zero::Negative { 0xffff } else { checksum(&bytes) };
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(self.ports.0.to_be_bytes());
        bytes.extend(self.ports.1.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => collection::vec(any::<u8>(), 0..60), 1 => Just(vec![0xa5; 1400]), 1 => Just(vec![0x5a; 1476])]
}

fn ipv4() -> impl Strategy<Value = Vec<u8>> {
    // None, don't fragment, first fragment, later fragment, the reserved bit.
    let flags = prop_oneof![4 => Just(0_u16), 3 => Just(0x4000), 1 => Just(0x2000), 1 => Just(0x00b9), 1 => Just(0x8000)];
    let options = prop_oneof![6 => Just(0_usize), 1 => 1..=10_usize];
    let zero = prop_oneof![40 => Just(Zero::AsItComes), 1 => Just(Zero::Negative)];
    let header = (address(), address(), protocol(), (l4_port(), l4_port()), ttl(), any::<u8>(), any::<u16>(), flags, options);
    let packet = (header, zero, payload()).prop_map(|(header, zero, payload)| {
        let (src, dst, protocol, (sport, dport), ttl, dscp_and_ecn, identification, flags_and_offset, options) = header;
        let ports = (sport.get(), dport.get());
        let protocol = protocol.get();
        Ipv4 { src, dst, protocol, ports, ttl, dscp_and_ecn, identification, flags_and_offset, options, zero, payload }.bytes()
    });
    (packet, damage()).prop_map(|(packet, damage)| damage.apply(packet))
}

fn ipv6() -> impl Strategy<Value = Vec<u8>> {
    (protocol(), ttl(), l4_port(), l4_port(), any::<[u8; 4]>(), damage()).prop_map(|(next, hop_limit, sport, dport, hosts, damage)| {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 8, next.get(), hop_limit];
        for host in &hosts[..2] {
            bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, *host]);
        }
        bytes.extend(sport.get().to_be_bytes());
        bytes.extend(dport.get().to_be_bytes());
        bytes.extend(hosts);
        damage.apply(bytes)
    })
}

/// One to six labels over a packet.
fn mpls() -> impl Strategy<Value = Vec<u8>> {
    let reserved = (0..16_u64).prop_map(value::<Label>);
    let label = prop_oneof![20 => label(), 1 => reserved, 1 => any::<Label>()];
    let depth = prop_oneof![6 => Just(1_usize), 3 => Just(2), 1 => 3..=6_usize];
    let stack = depth.prop_flat_map(move |depth| collection::vec((label.clone(), 0..8_u32, ttl()), depth));
    let inner = prop_oneof![8 => ipv4(), 2 => ipv6(), 1 => collection::vec(any::<u8>(), 0..30)];
    (stack, inner, damage()).prop_map(|(stack, inner, damage)| {
        let depth = stack.len();
        let mut bytes = Vec::new();
        for (index, (label, tc, ttl)) in stack.into_iter().enumerate() {
            let bottom = u32::from(index + 1 == depth);
            bytes.extend((label.get() << 12 | tc << 9 | bottom << 8 | u32::from(ttl)).to_be_bytes());
        }
        bytes.extend(inner);
        damage.apply(bytes)
    })
}

fn arp() -> impl Strategy<Value = Vec<u8>> {
    let operation = prop_oneof![4 => Just(1_u8), 1 => Just(2)];
    (operation, any::<[u8; 6]>(), address(), address(), any::<[u8; 6]>(), damage()).prop_map(
        |(operation, sender_mac, sender, target, target_mac, damage)| {
            let fixed = [0, 1, 8, 0, 6, 4, 0, operation];
            damage.apply([&fixed, &sender_mac[..], &sender.octets(), &target_mac, &target.octets()].concat())
        },
    )
}

/// Ethertype and what follows it.
fn body() -> BoxedStrategy<(u16, Vec<u8>)> {
    prop_oneof![
        10 => ipv4().prop_map(|packet| (0x0800, packet)),
        8 => mpls().prop_map(|packet| (0x8847, packet)),
        2 => arp().prop_map(|packet| (0x0806, packet)),
        1 => ipv6().prop_map(|packet| (0x86dd, packet)),
        1 => (sample::select(&[0x88cc_u16, 0x8848, 0x8100, 0x88a8, 0x0600][..]), collection::vec(any::<u8>(), 0..50)),
    ]
    .boxed()
}

/// Tags as bytes: type, PCP, DEI and VID.
fn tag_bytes() -> impl Strategy<Value = Vec<u8>> {
    let kind = sample::select(&[0x8100_u16, 0x88a8][..]);
    (tags(), kind.clone(), kind, option::weighted(0.3, 0..16_u16)).prop_map(|((outer, inner), outer_kind, inner_kind, priority)| {
        let mut bytes = Vec::new();
        let (outer, inner) = (outer.get(), inner.get());
        // A VID of 0 is a priority tag; without a priority there is no tag at all, unless one is inside it.
        if outer != 0 || inner != 0 || priority.is_some() {
            bytes.extend(outer_kind.to_be_bytes());
            bytes.extend((priority.unwrap_or_default() << 12 | outer).to_be_bytes());
        }
        if inner != 0 || (outer != 0 && priority.is_some()) {
            bytes.extend(inner_kind.to_be_bytes());
            bytes.extend((priority.unwrap_or_default() << 12 | inner).to_be_bytes());
        }
        bytes
    })
}

/// A frame and the port it comes in on, from the world of [`network`](super::network): most hit something; some are cut, tagged,
/// fragmented, expired or otherwise at an edge.
pub fn arrival() -> impl Strategy<Value = (PortId, Vec<u8>)> {
    let station = prop_oneof![12 => Just(None), 1 => any::<MacAddr>().prop_map(Some)];
    (port(), station, any::<MacAddr>(), tag_bytes(), body(), damage()).prop_map(
        |(port, station, src, tags, (ethertype, packet), damage)| {
            let dst = station.unwrap_or_else(|| station_mac(port));
            let frame = [&dst.0[..], &src.0, &tags, &ethertype.to_be_bytes(), &packet].concat();
            (port, damage.apply(frame))
        },
    )
}
