//! Frames of the small world, most of them sound.

use super::packets::Packets;
use super::random::Random;
use super::world::{PORTS, host, host_v4, host_v6, port, station_mac, tags};
use crate::wire::{MacAddr, PortId};

/// An ARP packet (RFC 826), mostly a request.
fn arp(random: &mut Random) -> Vec<u8> {
    let fixed = [0, 1, 8, 0, 6, 4, 0, if random.once_in(5) { 2 } else { 1 }];
    let (sender_mac, target_mac): ([u8; 6], [u8; 6]) = (random.any(), random.any());
    let (sender, target) = (host_v4(host(random)).octets(), host_v4(host(random)).octets());
    [&fixed, &sender_mac[..], &sender, &target_mac, &target].concat()
}

/// ICMP for IPv6 (RFC 4861), mostly neighbour discovery as it should be.
fn discovery(random: &mut Random) -> Vec<u8> {
    let kind = random.weighted(&[(4, 135), (4, 136), (1, 133), (1, 134), (1, 137), (1, 132), (1, 138), (1, 128)]);
    let hop_limit = random.weighted(&[(12, 255), (1, 254), (1, 64), (1, 1)]);
    let next = random.weighted(&[(12, 58), (1, 0), (1, 44)]);
    let length = random.within(0..36);
    let version = random.weighted(&[(20, 6), (1, 4), (1, 7)]);
    let mut bytes = (version << 28 | random.any::<u32>() >> 4).to_be_bytes().to_vec();
    bytes.extend([0, 4 + length, next, hop_limit]);
    bytes.extend(host_v6(host(random)).octets());
    bytes.extend(host_v6(host(random)).octets());
    bytes.extend([kind, 0, random.any(), random.any()]);
    bytes.extend(random.bytes(length.into()));
    bytes
}

/// Ethertype and what follows it. Customers send IP mostly, the core labels and GRE.
fn body(random: &mut Random, port: PortId) -> (u16, Vec<u8>) {
    let customers = port.get() <= PORTS[1];
    let kind = random.within(0..100) + if customers { 0 } else { 1000 };
    let mut packets = Packets { random, depth: 0 };
    match kind {
        0..41 | 1000..1022 => (0x0800, packets.ipv4()),
        41..82 | 1022..1044 => (0x86dd, packets.ipv6()),
        82..86 | 1044..1092 => (0x8847, packets.labels()),
        86..91 | 1092..1094 => {
            let bytes = arp(packets.random);
            (0x0806, packets.damaged(bytes))
        }
        91..96 | 1094..1097 => {
            let bytes = discovery(packets.random);
            (0x86dd, packets.damaged(bytes))
        }
        96 | 1097 => (0x0800, packets.ipv6()),
        97 | 1098 => (0x86dd, packets.ipv4()),
        _ => {
            let length = random.within(0..50);
            (random.pick(&[0x88cc, 0x88cc, 0x8848, 0x8100, 0x88a8, 0x0600]), random.bytes(length))
        }
    }
}

/// Tags as bytes: type, PCP, DEI and VID.
fn tag_bytes(random: &mut Random) -> Vec<u8> {
    let (outer, inner) = tags(random);
    let (outer, inner) = (outer.get(), inner.get());
    let priority = random.once_in(4).then(|| random.within(0..16_u16));
    let mut bytes = Vec::new();
    let mut put = |vid: u16| {
        bytes.extend(random.pick(&[0x8100_u16, 0x88a8]).to_be_bytes());
        bytes.extend((priority.unwrap_or_default() << 12 | vid).to_be_bytes());
    };
    // A VID of 0 is a priority tag; without a priority there is no tag at all, unless one is inside it.
    if outer != 0 || inner != 0 || priority.is_some() {
        put(outer);
    }
    if inner != 0 || (outer != 0 && priority.is_some()) {
        put(inner);
    }
    bytes
}

/// A frame and the port it comes in on.
pub(super) fn arrival(random: &mut Random) -> (PortId, Vec<u8>) {
    let port = port(random);
    let dst = if random.once_in(24) { MacAddr(random.any()) } else { station_mac(port) };
    let src: [u8; 6] = random.any();
    let tags = tag_bytes(random);
    let (ethertype, packet) = body(random, port);
    let frame = [&dst.0[..], &src, &tags, &ethertype.to_be_bytes(), &packet].concat();
    let frame = if random.once_in(4) { Packets { random, depth: 0 }.damaged(frame) } else { frame };
    (port, frame)
}
