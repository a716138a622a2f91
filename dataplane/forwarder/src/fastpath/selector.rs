//! The hash that chooses among a tunnel's or next hop's members: of the inner 5-tuple, so one flow keeps one path and order.

use super::ilm::{BOTTOM, LABEL};
use super::packet::{First, Packet};
use super::parse::{be16, be32, be64};
use super::{ip, ipv6};
use crate::tables::flow::FlowKey;
use crate::tables::flow_v6::FlowKeyV6;
use crate::tables::hash::Seed;

/// Labels that are looked through.
const DEPTH: usize = 4;

/// Of an IPv4 packet whose header was read.
#[inline]
pub(super) fn of_key(key: FlowKey, seed: Seed) -> u32 {
    half(seed.hash([key.addresses, key.protocol_and_ports()]))
}

/// Of an IPv6 packet whose header was read.
#[inline(never)]
pub(super) fn of_key_v6(key: FlowKeyV6, seed: Seed) -> u32 {
    let [addresses @ .., rest] = key.words();
    half(hash_v6(addresses, rest & 0xff_ffff_ffff, seed))
}

/// Of the packet in a frame, through at most four labels; the same for all where there is none to be seen.
#[inline(never)]
pub(super) fn of_frame(frame: &[u8], packet: &Packet, seed: Seed) -> u32 {
    let hash = inner(frame, packet).and_then(|start| match frame.get(start)? >> 4 {
        4 => of_ipv4(frame, start, seed),
        6 => of_ipv6(frame, start, seed),
        _ => None,
    });
    hash.map_or(0, half)
}

/// Where the packet within the labels begins that are left of those received.
pub(super) fn inner(frame: &[u8], packet: &Packet) -> Option<usize> {
    let mut start = usize::from(packet.start);
    let labels = match packet.first {
        First::Ip => return Some(start),
        First::Label => DEPTH,
        First::LabelBelow => DEPTH - 1,
    };
    for _ in 0..labels {
        let entry = be32(frame, start)?;
        start += LABEL;
        if entry & BOTTOM != 0 {
            return Some(start);
        }
    }
    None
}

fn of_ipv4(frame: &[u8], start: usize, seed: Seed) -> Option<u64> {
    let rest = frame.get(start..)?;
    let header: &[u8; ip::HEADER] = rest.first_chunk()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_length < ip::HEADER || rest.len() < header_length || total_length < header_length {
        return None;
    }
    let l4 = rest.get(header_length..total_length.min(rest.len()))?;
    let ports = if ip::has_ports(header) { be32(l4, 0).unwrap_or(0) } else { 0 };
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let key = FlowKey::new(0, u64::from_be_bytes([s0, s1, s2, s3, d0, d1, d2, d3]), header[9], ports);
    Some(seed.hash([key.addresses, key.protocol_and_ports()]))
}

fn of_ipv6(frame: &[u8], start: usize, seed: Seed) -> Option<u64> {
    let word = |at: usize| be64(frame, start + at);
    let addresses = [word(8)?, word(16)?, word(24)?, word(32)?];
    let rest = frame.get(start + ipv6::HEADER..)?;
    let payload = usize::from(be16(frame, start + 4)?);
    let l4 = rest.get(..payload.min(rest.len()))?;
    let (protocol, ports) = ipv6::protocol_and_ports(*frame.get(start + 6)?, l4);
    Some(hash_v6(addresses, u64::from(protocol) << 32 | u64::from(ports), seed))
}

/// Of addresses, source first, and protocol and ports.
fn hash_v6([source, source_end, destination, destination_end]: [u64; 4], rest: u64, seed: Seed) -> u64 {
    let addresses = seed.hash([seed.hash([source, source_end]) ^ destination, destination_end]);
    seed.hash([addresses, rest])
}

/// The better half of a hash.
#[inline]
fn half(hash: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is left")]
    let half = (hash >> 32) as u32;
    half
}
