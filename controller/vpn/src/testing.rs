//! A network to test on.
//!
//! ```text
//!  a-east ─┐              ┌─ p1 ─┐ 100M  ┌─ a-west
//!  b-east ─┤ pe1 ── 100M ─┤      ├─ pe2 ─┤
//!  a-lab  ─┘  │           └─ p2 ─┘ 100M  └─ b-west
//!             └── 50M, direct ── pe3 ── a-south      pe3 ── p3 (a spur)
//! ```
//! The way by p2 costs one more than the way by p1. Router p4 is on its own.

use std::time::{Duration, SystemTime};

use svpn_contract::wire::{Class, MacAddr, PortId, TtlMode, VlanId, VrfId};

use crate::agreement::{Options, VpnPolicy};
use crate::durable::TunnelOrigin;
use crate::network::{
    ApplicationSpec, AttachmentSpec, ContractSpec, CrossingSpec, LinkEndSpec, LinkSpec, Network, NetworkSpec, NniSpec, RouterSpec, VpnSpec,
};
use crate::request::{
    ApplicationId, Bandwidth, BitRate, CeName, Direction, Match, MediaEnd, Medium, SessionRequest, Transport, TunnelType, VpnName, Window,
};

pub(crate) const MEGA: u64 = 1_000_000;

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

pub(crate) fn class(number: u8) -> Class {
    Class::new(number).unwrap()
}

pub(crate) fn port(number: u16) -> PortId {
    PortId::new(number).unwrap()
}

pub(crate) fn vlan(number: u16) -> VlanId {
    VlanId::new(number).unwrap()
}

pub(crate) fn router(name: &str) -> RouterSpec {
    RouterSpec { name: name.into(), labels: None, gre: Vec::new() }
}

/// GRE over IPv4 between pe1 and pe2, over IPv6 between pe1 and pe3, and none between pe2 and pe3.
fn with_gre(router: RouterSpec) -> RouterSpec {
    let prefixes: &[&str] = match &*router.name {
        "pe1" => &["2001:db8:1::/64", "192.0.2.16/28"],
        "pe2" => &["192.0.2.32/29"],
        "pe3" => &["2001:db8:3::/125"],
        _ => &[],
    };
    RouterSpec { gre: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(), ..router }
}

fn mac(router: &str, port: u16) -> MacAddr {
    let mut address = [2, 0, 0, 0, 0, u8::try_from(port).unwrap()];
    for (byte, letter) in address[2..5].iter_mut().zip(router.bytes().rev()) {
        *byte = letter;
    }
    MacAddr(address)
}

pub(crate) fn link(a: (&str, u16), b: (&str, u16), capacity: u64, metric: u32) -> LinkSpec {
    let end = |(router, number): (&str, u16)| LinkEndSpec { router: router.into(), port: port(number), mac: mac(router, number) };
    LinkSpec {
        name: None,
        capacity: BitRate(capacity),
        metric: Some(metric),
        mtu: None,
        affinity: Vec::new(),
        risk: Vec::new(),
        pools: Vec::new(),
        a: end(a),
        b: end(b),
    }
}

pub(crate) fn attachment(ce: &str, vpn: &str, place: (&str, u16, u16), prefixes: &[&str]) -> AttachmentSpec {
    let prefixes: Vec<ipnet::IpNet> = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    let addresses = vec![prefixes[0].hosts().next().unwrap()];
    let (router, number, tag) = place;
    let mut ce_mac = mac(ce, number);
    ce_mac.0[1] = 0xce;
    AttachmentSpec {
        ce: CeName(ce.into()),
        vpn: VpnName(vpn.into()),
        router: router.into(),
        port: port(number),
        vlan: vlan(tag),
        inner_vlan: vlan(0),
        mac: mac(router, number),
        addresses,
        ce_mac,
        prefixes,
        mtu: None,
    }
}

/// A link to another provider, at which vpn-a has sites; contract gold pays for what comes from there.
pub(crate) fn nni(name: &str, (router, number): (&str, u16), capacity: u64, prefix: &str) -> NniSpec {
    NniSpec {
        name: name.into(),
        router: router.into(),
        port: port(number),
        mac: mac(router, number),
        peer_mac: mac(name, number),
        capacity: BitRate(capacity),
        metric: None,
        mtu: None,
        contract: "gold".into(),
        vpns: vec![CrossingSpec { vpn: VpnName("vpn-a".into()), prefixes: vec![prefix.parse().unwrap()] }],
    }
}

pub(crate) fn application(name: &str, vpn: &str) -> ApplicationId {
    ApplicationId { name: name.into(), vpn: VpnName(vpn.into()) }
}

pub(crate) fn spec() -> NetworkSpec {
    let vpn = |name: &str, vrf| VpnSpec {
        name: VpnName(name.into()),
        vrf: VrfId::new(vrf).unwrap(),
        policy: VpnPolicy::default(),
        tunnels: TunnelOrigin::OnDemand,
    };
    let contract = |name: &str, vpn: &str, max_rate, max_sessions| ContractSpec {
        name: name.into(),
        vpns: vec![VpnName(vpn.into())],
        classes: vec![class(0), class(5)],
        default_class: class(5),
        max_rate: BitRate(max_rate),
        max_sessions,
        options: Options::default(),
    };
    let paid = |name: &str, vpn: &str, contract: &str| ApplicationSpec {
        id: application(name, vpn),
        contract: contract.into(),
        accepts: Vec::new(),
    };
    NetworkSpec {
        ttl: TtlMode::UNIFORM,
        last_session: Some(50),
        classes: Vec::new(),
        routers: ["pe1", "p1", "p2", "pe2", "pe3", "p3", "p4"].map(router).map(with_gre).into(),
        links: vec![
            link(("pe1", 10), ("p1", 1), 100 * MEGA, 1),
            link(("p1", 2), ("pe2", 10), 100 * MEGA, 1),
            link(("pe1", 11), ("p2", 1), 100 * MEGA, 1),
            link(("p2", 2), ("pe2", 11), 100 * MEGA, 2),
            link(("pe1", 12), ("pe3", 10), 50 * MEGA, 1),
            link(("pe3", 11), ("p3", 1), 50 * MEGA, 1),
        ],
        vpns: vec![vpn("vpn-a", 10), vpn("vpn-b", 20)],
        attachments: vec![
            attachment("a-east", "vpn-a", ("pe1", 1, 0), &["10.1.0.0/24", "10.9.1.0/24"]),
            attachment("a-west", "vpn-a", ("pe2", 1, 0), &["10.2.0.0/24", "10.9.2.0/24"]),
            attachment("a-south", "vpn-a", ("pe3", 1, 0), &["10.3.0.0/24"]),
            attachment("a-lab", "vpn-a", ("pe1", 2, 0), &["10.4.0.0/24"]),
            // The same addresses in another VPN, behind tags.
            attachment("b-east", "vpn-b", ("pe1", 3, 7), &["10.1.0.0/24"]),
            attachment("b-west", "vpn-b", ("pe2", 3, 7), &["10.2.0.0/24"]),
        ],
        contracts: vec![contract("gold", "vpn-a", 1000 * MEGA, 40), contract("bronze", "vpn-b", 5 * MEGA, 2)],
        applications: vec![
            paid("storage", "vpn-a", "gold"),
            paid("backup", "vpn-a", "gold"),
            paid("storage", "vpn-b", "bronze"),
            paid("backup", "vpn-b", "bronze"),
        ],
        groups: Vec::new(),
        nnis: Vec::new(),
    }
}

/// IPv6 besides, in vpn-a: behind its first three attachments, `2001:db8:a1::/64` and so on.
pub(crate) fn with_ipv6(mut spec: NetworkSpec) -> NetworkSpec {
    for (attachment, number) in spec.attachments.iter_mut().zip(1..=3) {
        attachment.prefixes.push(format!("2001:db8:a{number}::/64").parse().unwrap());
        attachment.addresses.push(format!("2001:db8:a{number}::1").parse().unwrap());
    }
    spec
}

pub(crate) fn network() -> Network {
    Network::build(spec()).unwrap()
}

pub(crate) fn end(address: &str, port: u16) -> MediaEnd {
    MediaEnd { address: address.parse().unwrap(), port }
}

/// `rate` bit/s above UDP in 1000-byte payloads, both ways, from storage at one CE of vpn-a to backup at another.
pub(crate) fn request(from_ce: &str, to_ce: &str, rate: u64) -> SessionRequest {
    let address = if from_ce == "a-west" { "10.2.0.5" } else { "10.1.0.5" };
    SessionRequest {
        caller: application("storage", "vpn-a"),
        caller_ce: CeName(from_ce.into()),
        callee: application("backup", "vpn-a"),
        callee_ce: CeName(to_ce.into()),
        media: vec![medium(end(address, 5004), rate, Direction::Both)],
        class: None,
        priority: None,
        matching: Match::Ports,
        tunnel: TunnelType::Mpls,
        window: Window { start: None, stop: None },
    }
}

pub(crate) fn medium(caller: MediaEnd, rate: u64, direction: Direction) -> Medium {
    let bandwidth = Bandwidth::TransportIndependent { rate: BitRate(rate), packets_per_second: Some(rate.div_ceil(8000)) };
    Medium { transport: Transport::Udp, caller, direction, bandwidth }
}
