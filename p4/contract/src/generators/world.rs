//! A small world: few enough ports, labels, addresses and flows that random entries refer to one another and random frames hit them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::random::Random;
use crate::wire::{Class, GreKey, L4Port, Label, MacAddr, NextHopId, PortId, Protocol, SessionId, TtlMode, TunnelId, VlanId, VrfId};

/// The ports of the world's router; no entry names another. Customers are behind the first two more often than the core is.
pub const PORTS: [u16; 4] = [1, 2, 3, 4];
/// How many sessions, tunnels and next hops there can be.
const SESSIONS: u64 = 8;
const TUNNELS: u64 = 6;
const NEXTHOPS: u64 = 6;
/// How many classes are used.
pub(super) const CLASSES: u64 = 4;
/// How many VRFs there are; VRF 0 is one of them.
const VRFS: u64 = 3;
/// Labels that are used.
const LABELS: std::ops::Range<u64> = 16..32;
/// How many hosts there are, at two sites.
const HOSTS: u8 = 6;

/// A quantity by its number, which fits.
pub(super) fn value<V: TryFrom<u64> + Default>(number: u64) -> V {
    V::try_from(number).unwrap_or_default()
}

pub(super) fn port(random: &mut Random) -> PortId {
    value(random.pick(&PORTS).into())
}

/// The address that frames for a port's router are sent to.
pub(super) fn station_mac(port: PortId) -> MacAddr {
    let [high, low] = port.get().to_be_bytes();
    MacAddr([2, 0, 0, 0, high, low])
}

/// Outer and inner VID.
pub(super) const TAGS: [(u16, u16); 5] = [(0, 0), (10, 0), (20, 30), (0, 30), (4095, 4095)];

pub(super) fn tags(random: &mut Random) -> (VlanId, VlanId) {
    let (outer, inner) = if random.once_in(3) { random.pick(&TAGS) } else { TAGS[0] };
    (value(outer.into()), value(inner.into()))
}

pub(super) fn vrf(random: &mut Random) -> VrfId {
    value(random.within(0..VRFS))
}

pub(super) fn label(random: &mut Random) -> Label {
    value(random.within(LABELS))
}

/// A label of a VPN; one in five is the implicit null, which is none.
pub(super) fn vpn_label(random: &mut Random) -> Label {
    if random.once_in(5) { Label::IMPLICIT_NULL } else { label(random) }
}

pub(super) fn ttl_mode(random: &mut Random) -> TtlMode {
    value(random.pick(&[0, 0, 0, 1, 64, 255]))
}

pub(super) fn session(random: &mut Random) -> SessionId {
    value(random.within(0..SESSIONS))
}

pub(super) fn tunnel(random: &mut Random) -> TunnelId {
    value(random.within(0..TUNNELS))
}

pub(super) fn nexthop(random: &mut Random) -> NextHopId {
    value(random.within(0..NEXTHOPS))
}

pub(super) fn class(random: &mut Random) -> Class {
    value(random.within(0..CLASSES))
}

/// A host's IPv4 address by its number: 10.0.0.0 to 10.0.0.2 and 10.0.1.0 to 10.0.1.2.
pub(super) fn host_v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, host / 3, host % 3)
}

/// A host's IPv6 address by its number, the same way under `2001:db8::/32`.
pub(super) fn host_v6(host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, (host / 3).into(), 0, 0, 0, (host % 3).into())
}

pub(super) fn host(random: &mut Random) -> u8 {
    random.within(0..HOSTS)
}

/// Who talks to whom, by the hosts' numbers: the same in IPv4 and in IPv6.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) src: u8,
    pub(super) dst: u8,
    pub(super) proto: u8,
    pub(super) sport: u16,
    pub(super) dport: u16,
}

const fn flow(src: u8, dst: u8, proto: u8, sport: u16, dport: u16) -> Flow {
    Flow { src, dst, proto, sport, dport }
}

/// The flows that are seen more often than others. Those without ports stand for fragments and for other protocols too.
const USUAL: [Flow; 10] = [
    flow(0, 3, 17, 5060, 80),
    flow(0, 3, 17, 0, 0),
    flow(1, 4, 6, 80, 5060),
    flow(1, 4, 6, 0, 0),
    flow(2, 5, 132, 65535, 80),
    flow(3, 0, 17, 80, 5060),
    flow(4, 1, 1, 0, 0),
    flow(4, 1, 58, 0, 0),
    flow(5, 2, 47, 0, 0),
    flow(0, 5, 44, 0, 0),
];
const PROTOCOLS: [u8; 8] = [17, 17, 6, 132, 1, 58, 47, 44];
const L4_PORTS: [u16; 4] = [0, 80, 5060, 65535];

/// A flow; three in four are of the usual ones.
pub(super) fn any_flow(random: &mut Random) -> Flow {
    if random.once_in(4) {
        let (sport, dport) = (random.pick(&L4_PORTS), random.pick(&L4_PORTS));
        Flow { src: host(random), dst: host(random), proto: random.pick(&PROTOCOLS), sport, dport }
    } else {
        random.pick(&USUAL)
    }
}

impl Flow {
    pub(super) fn protocol(self) -> Protocol {
        value(self.proto.into())
    }

    pub(super) fn source_port(self) -> L4Port {
        value(self.sport.into())
    }

    pub(super) fn destination_port(self) -> L4Port {
        value(self.dport.into())
    }
}

/// Where a GRE tunnel runs: host numbers of its two ends, and its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct GreEnds {
    pub(super) src: u8,
    pub(super) dst: u8,
    pub(super) key: u32,
}

const GRE_ENDS: [GreEnds; 6] = [
    GreEnds { src: 0, dst: 3, key: 0 },
    GreEnds { src: 0, dst: 3, key: 7 },
    GreEnds { src: 1, dst: 3, key: 0 },
    GreEnds { src: 1, dst: 4, key: u32::MAX },
    GreEnds { src: 5, dst: 2, key: 0 },
    GreEnds { src: 5, dst: 2, key: 1 << 31 },
];

pub(super) fn gre_ends(random: &mut Random) -> GreEnds {
    random.pick(&GRE_ENDS)
}

impl GreEnds {
    pub(super) fn gre_key(self) -> GreKey {
        value(self.key.into())
    }
}
