//! `gre_ingress_v4`, `gre_ingress_v6`: GRE (RFC 2784, RFC 2890) and MPLS in GRE (RFC 4023) that ends here, and the delivery header of a
//! tunnel that begins here.
//!
//! ```text
//! 0 C R K S, reserved bits, version (3 bits)   2 protocol type   4 checksum and offset, if C   then key, if K   then sequence, if S
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attachment::Side;
use super::frame::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, be16};
use super::ip::{Family, Fragment, IPV4_HEADER, Ip, write_checksum};
use super::nexthop::Packet;
use super::{Sent, Stop, Walk};
use crate::tables::{Entry, GreIngressV4Action, GreIngressV4Key, GreIngressV6Action, GreIngressV6Key, Reason};
use crate::wire::{Dscp, GreKey, VrfId};

/// The protocol number of GRE.
const GRE: u8 = 47;
/// Bytes before the optional fields.
const BASE: usize = 4;
const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;

/// What to do with what a tunnel brought.
#[derive(Debug, Clone, Copy)]
pub(super) enum Decapsulation {
    /// It is routed in this VRF.
    Vrf(VrfId),
    /// It goes on by its labels.
    Labels,
}

/// Bytes of optional fields that these flags announce; each has four.
fn optional(flags: u16, of: u16) -> usize {
    usize::try_from((flags & of).count_ones()).unwrap_or_default() * 4
}

/// The key of a packet's GRE header, 0 where there is none to be read.
fn key(ip: &Ip<'_>) -> GreKey {
    let gre = ip.bytes.get(ip.payload..).unwrap_or_default();
    let flags = be16(gre, 0);
    let read = || gre.get(BASE + optional(flags, CHECKSUM)..)?.first_chunk().copied();
    let key = match ip.fragment {
        Fragment::Whole | Fragment::First if flags & KEY != 0 => read(),
        _ => None,
    };
    GreKey::new(key.map_or(0, u32::from_be_bytes)).unwrap_or_default()
}

impl Walk<'_> {
    /// The tunnel that ends here and brought this packet; `None` for what is no GRE or nobody's here.
    pub(super) fn gre_ingress(&self, ip: &Ip<'_>) -> Option<Decapsulation> {
        if ip.tuple.proto.get() != GRE {
            return None;
        }
        let key = key(ip);
        let table_key = match (ip.tuple.src, ip.tuple.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => GreIngressV4Key { src, dst, key }.into(),
            (IpAddr::V6(src), IpAddr::V6(dst)) => GreIngressV6Key { src, dst, key }.into(),
            _ => return None,
        };
        match self.oracle.tables.find(&table_key)? {
            Entry::GreIngressV4(entry) => Some(match entry.action {
                GreIngressV4Action::DecapVrf { vrf } => Decapsulation::Vrf(vrf),
                GreIngressV4Action::DecapMpls => Decapsulation::Labels,
            }),
            Entry::GreIngressV6(entry) => Some(match entry.action {
                GreIngressV6Action::DecapVrf { vrf } => Decapsulation::Vrf(vrf),
                GreIngressV6Action::DecapMpls => Decapsulation::Labels,
            }),
            _ => None,
        }
    }

    /// Takes the delivery header and GRE away, and goes on with what they brought.
    pub(super) fn decapsulate(&mut self, ip: &Ip<'_>, decapsulation: Decapsulation) -> Result<Sent, Stop> {
        let gre = &ip.bytes[ip.payload..];
        let flags = be16(gre, 0);
        let header = BASE + optional(flags, CHECKSUM | KEY | SEQUENCE);
        let within = ip.payload + header <= ip.length;
        if ip.fragment != Fragment::Whole || !within || flags & (ROUTING | VERSION) != 0 {
            return Err(Stop::Drop(Reason::BadGre));
        }
        let payload = &gre[header..];
        match (decapsulation, be16(gre, 2)) {
            (Decapsulation::Vrf(vrf), ETHERTYPE_IPV4) => self.delivered(Family::V4, payload, vrf),
            (Decapsulation::Vrf(vrf), ETHERTYPE_IPV6) => self.delivered(Family::V6, payload, vrf),
            (Decapsulation::Labels, ETHERTYPE_MPLS) => self.labels(payload),
            _ => Err(Stop::Drop(Reason::UnknownPayload)),
        }
    }

    fn delivered(&mut self, family: Family, packet: &[u8], vrf: VrfId) -> Result<Sent, Stop> {
        let ip = Ip::checked(family, packet, u8::MAX)?;
        self.vrf = vrf;
        self.tuple = Some(ip.tuple);
        self.route(&ip, Side::Core)
    }
}

/// Between which addresses a tunnel runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ends {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// What goes before the packets of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    pub(super) ends: Ends,
    /// 0 for no key field.
    pub(super) key: GreKey,
    pub(super) dscp: Dscp,
    pub(super) ttl: u8,
}

/// The number in a 16-bit length field. What does not fit is larger than every MTU, and is never sent.
fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

impl Delivery {
    /// Puts GRE and the delivery header before a packet, whose first `length` bytes they cover; what follows those stays behind.
    pub(super) fn encapsulate(&self, packet: &Packet, length: usize) -> Packet {
        let mut gre = Vec::new();
        gre.extend(if self.key.get() == 0 { [0; 2] } else { KEY.to_be_bytes() });
        gre.extend(packet.ethertype.to_be_bytes());
        if self.key.get() != 0 {
            gre.extend(self.key.get().to_be_bytes());
        }
        let covered = gre.len() + length;
        let (ethertype, header) = match self.ends {
            Ends::V4(src, dst) => (ETHERTYPE_IPV4, self.ipv4(src, dst, covered)),
            Ends::V6(src, dst) => (ETHERTYPE_IPV6, self.ipv6(src, dst, covered)),
        };
        Packet { ethertype, bytes: [&*header, &gre, &packet.bytes].concat() }
    }

    /// Identification 0, don't fragment, ECN 0.
    fn ipv4(&self, src: Ipv4Addr, dst: Ipv4Addr, covered: usize) -> Vec<u8> {
        let mut header = [0; IPV4_HEADER];
        header[..2].copy_from_slice(&[0x45, self.dscp.get() << 2]);
        header[2..4].copy_from_slice(&length_field(IPV4_HEADER + covered));
        header[6..10].copy_from_slice(&[0x40, 0, self.ttl, GRE]);
        header[12..16].copy_from_slice(&src.octets());
        header[16..].copy_from_slice(&dst.octets());
        write_checksum(&mut header);
        header.to_vec()
    }

    /// ECN 0, flow label 0.
    fn ipv6(&self, src: Ipv6Addr, dst: Ipv6Addr, covered: usize) -> Vec<u8> {
        let traffic_class = u32::from(self.dscp.get() << 2);
        let mut header = (6 << 28 | traffic_class << 20).to_be_bytes().to_vec();
        header.extend(length_field(covered));
        header.extend([GRE, self.ttl]);
        header.extend(src.octets());
        header.extend(dst.octets());
        header
    }
}
