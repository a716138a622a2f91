//! `gre_ingress_v4` and `gre_ingress_v6`: GRE tunnels that end here (RFC 2784, RFC 2890, RFC 4023).
//!
//! ```text
//! 0 C 1, R 1, K 1, S 1, 9, version 3   2 protocol type   4 checksum and 2 bytes, if C or R   key, if K   sequence number, if S
//! ```
//!
//! Checksum and sequence number are skipped. The delivery header was judged as any IP header; its TTL is of no more interest.

use svpn_contract::Reason;
use svpn_dpdk::{Burst, Mbuf};

use super::ip::{self, Version};
use super::packet::{Batch, List, Packet};
use super::parse::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, be16, be32};
use super::{BURST, View, ilm, ipv6};
use crate::tables::flow_v6::FlowKeyV6;
use crate::tables::gre_ingress::{Decapsulation, key_v4, key_v6};

const CHECKSUM: u16 = 1 << 15;
const ROUTING: u16 = 1 << 14;
const KEY: u16 = 1 << 13;
const SEQUENCE: u16 = 1 << 12;
const VERSION: u16 = 7;
/// Bytes of flags and protocol type, and of each of what may follow.
const BASE: usize = 4;
const FIELD: usize = 4;
/// More fragments, or an offset; and the offset alone.
const V4_FRAGMENT: u16 = 0x3fff;
const V4_OFFSET: u16 = 0x1fff;
const V6_OFFSET: u16 = 0xfff8;

/// What the GRE header behind a delivery header says.
pub(super) struct Header {
    /// 0 without one that can be read.
    pub(super) key: u32,
    /// Where the payload begins in the frame, and of which protocol it is; `None` in a packet that cannot be taken.
    pub(super) payload: Option<(u16, u16)>,
}

/// An IP packet of the provider's own: it is routed in VRF 0, unless it is GRE that may end here.
#[inline]
pub(super) fn classify(index: usize, mbuf: &Mbuf, batch: &mut Batch, version: Version, view: &View<'_>) {
    let packet = &mut batch.packets[index % BURST];
    let key = &batch.keys_v6[index % BURST];
    let rest = if version == Version::V4 { packet.key.rest } else { key.rest() };
    if rest >> 32 & 0xff != u64::from(ip::GRE) {
        route(index, packet, version, &mut batch.routes, &mut batch.routes_v6, view);
        return;
    }
    packet.subject = read(mbuf.data(), packet, version).key;
    let hash = match version {
        Version::V4 => {
            let hash = view.tables.gre_ingress_v4.hash(&key_v4(packet.key.addresses, packet.subject));
            view.tables.gre_ingress_v4.prefetch(hash);
            hash
        }
        Version::V6 => {
            let hash = view.tables.gre_ingress_v6.hash(&key_v6(addresses(key), packet.subject));
            view.tables.gre_ingress_v6.prefetch(hash);
            hash
        }
    };
    batch.hashes[index % BURST] = hash;
    batch.gre.push(index);
}

/// Takes packets out of the tunnels that end here. GRE of others is routed in VRF 0 as any packet.
#[inline]
pub(super) fn terminate(batch: &mut Batch, burst: &Burst<BURST>, view: &View<'_>) {
    let Batch { packets, keys_v6, hashes, gre, ilm, routes, routes_v6, .. } = batch;
    for index in gre.iter() {
        match version(&packets[index]) {
            Version::V4 => view.tables.gre_ingress_v4.prefetch_entry(hashes[index]),
            Version::V6 => view.tables.gre_ingress_v6.prefetch_entry(hashes[index]),
        }
    }
    for index in gre.iter() {
        let (packet, key) = (&mut packets[index], &mut keys_v6[index]);
        let Some(mbuf) = burst.get(index) else { continue };
        let delivery = version(packet);
        let found = match delivery {
            Version::V4 => view.tables.gre_ingress_v4.find(&key_v4(packet.key.addresses, packet.subject), hashes[index]),
            Version::V6 => view.tables.gre_ingress_v6.find(&key_v6(addresses(key), packet.subject), hashes[index]),
        };
        let next = match found.map(Decapsulation::from_bits) {
            Some(action) => decapsulate(mbuf, packet, key, delivery, action, view),
            None => Ok(Next::Route(delivery)),
        };
        match next {
            Ok(Next::Route(version)) => route(index, packet, version, routes, routes_v6, view),
            Ok(Next::Label) => ilm.push(index),
            Err(reason) => packet.stop(reason),
        }
    }
}

/// Source and destination of a key.
#[inline]
fn addresses(key: &FlowKeyV6) -> [u64; 4] {
    let [addresses @ .., _] = key.words();
    addresses
}

/// Of a packet whose IP header was read and which got nothing in front.
#[inline]
fn version(packet: &Packet) -> Version {
    if packet.ethertype == ETHERTYPE_IPV6 { Version::V6 } else { Version::V4 }
}

#[inline]
fn route(index: usize, packet: &Packet, version: Version, routes: &mut List, routes_v6: &mut List, view: &View<'_>) {
    match version {
        Version::V4 => {
            view.tables.route_v4.prefetch(packet.vrf, packet.key.destination());
            routes.push(index);
        }
        Version::V6 => {
            view.tables.route_v6.prefetch(packet.vrf);
            routes_v6.push(index);
        }
    }
}

/// What comes after a tunnel's end.
enum Next {
    Route(Version),
    Label,
}

/// Takes a packet out of its tunnel.
#[inline]
fn decapsulate(
    mbuf: &Mbuf,
    packet: &mut Packet,
    key: &mut FlowKeyV6,
    delivery: Version,
    action: Decapsulation,
    view: &View<'_>,
) -> Result<Next, Reason> {
    let (start, protocol) = read(mbuf.data(), packet, delivery).payload.ok_or(Reason::BadGre)?;
    packet.start = start;
    match (action, protocol) {
        (Decapsulation::Vrf(vrf), ETHERTYPE_IPV4) => {
            packet.vrf = vrf;
            let window = mbuf.window(usize::from(start)).ok_or(Reason::IpTruncated)?;
            ip::check(mbuf, window, packet, u8::MAX)?;
            Ok(Next::Route(Version::V4))
        }
        (Decapsulation::Vrf(vrf), ETHERTYPE_IPV6) => {
            packet.vrf = vrf;
            *key = ipv6::check(mbuf, packet, u8::MAX)?;
            Ok(Next::Route(Version::V6))
        }
        (Decapsulation::Mpls, ETHERTYPE_MPLS) => {
            let window = mbuf.window(usize::from(start)).ok_or(Reason::FrameTruncated)?;
            ilm::begin(mbuf, *window, start, packet, view)?;
            Ok(Next::Label)
        }
        _ => Err(Reason::UnknownPayload),
    }
}

/// Reads the GRE header of a packet whose delivery header begins at `packet.start`.
#[inline]
pub(super) fn read(frame: &[u8], packet: &Packet, delivery: Version) -> Header {
    let start = usize::from(packet.start);
    let (at, fragment, offset) = if delivery == Version::V4 {
        let words = frame.get(start).map_or(0, |first| first & 0x0f);
        let flags = be16(frame, start + 6).unwrap_or(0);
        (start + usize::from(words) * 4, flags & V4_FRAGMENT, flags & V4_OFFSET)
    } else if frame.get(start + 6) == Some(&ipv6::FRAGMENT) {
        (start + ipv6::HEADER + ipv6::FRAGMENT_HEADER, 1, be16(frame, start + ipv6::HEADER + 2).unwrap_or(0) & V6_OFFSET)
    } else {
        (start + ipv6::HEADER, 0, 0)
    };
    let nothing = Header { key: 0, payload: None };
    let (0, Some(flags)) = (offset, be16(frame, at)) else { return nothing };
    let field = |bit: u16| if flags & bit == 0 { 0 } else { FIELD };
    let key_at = at + BASE + field(CHECKSUM);
    let key = if flags & KEY == 0 { 0 } else { be32(frame, key_at).unwrap_or(0) };
    let payload = key_at + field(KEY) + field(SEQUENCE);
    let taken = fragment == 0 && flags & (ROUTING | VERSION) == 0 && payload <= (start + usize::from(packet.bytes)).min(frame.len());
    let payload = if taken { u16::try_from(payload).ok().zip(be16(frame, at + 2)) } else { None };
    Header { key, payload }
}
