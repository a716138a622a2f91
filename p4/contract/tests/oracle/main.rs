//! The oracle against frames written by hand, and what must hold for every frame.

mod derived;
mod edge;
mod frames;
mod gre;
mod ipv6;
mod labels;
mod policers;
mod properties;
mod routing;
mod selectors;
mod sessions;
mod stacks;
mod tunnels;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use svpn_contract::oracle::{Oracle, Outcome};
use svpn_contract::packet::PacketIn;
use svpn_contract::wire::*;
use svpn_contract::*;

/// The router's own address on every port, in these tests.
const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const NEIGHBOUR: MacAddr = MacAddr([6, 0, 0, 0, 0, 9]);
const CUSTOMER: MacAddr = MacAddr([0xee, 0, 0, 0, 0, 2]);
/// Port 1 is a customer's, of VRF 7; port 2 is the core's.
const CUSTOMER_PORT: u16 = 1;
const CORE_PORT: u16 = 2;
const NOW: Duration = Duration::ZERO;

fn port(number: u16) -> PortId {
    PortId::new(number).expect("a port has 9 bits")
}

fn vlan(number: u16) -> VlanId {
    VlanId::new(number).expect("a VLAN has 12 bits")
}

fn vrf(number: u16) -> VrfId {
    VrfId::new(number).expect("a VRF has 16 bits")
}

fn label(number: u32) -> Label {
    Label::new(number).expect("a label has 20 bits")
}

fn nexthop(number: u32) -> NextHopId {
    NextHopId::new(number).expect("a next hop has 32 bits")
}

fn tunnel(number: u32) -> TunnelId {
    TunnelId::new(number).expect("a tunnel has 32 bits")
}

fn session(number: u32) -> SessionId {
    SessionId::new(number).expect("a session has 32 bits")
}

fn ttl_mode(number: u8) -> TtlMode {
    TtlMode::new(number).expect("a TTL has 8 bits")
}

fn l4_port(number: u16) -> L4Port {
    L4Port::new(number).expect("a port has 16 bits")
}

fn protocol(number: u8) -> Protocol {
    Protocol::new(number).expect("a protocol has 8 bits")
}

fn gre_key(number: u32) -> GreKey {
    GreKey::new(number).expect("a key has 32 bits")
}

fn address_v6(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

fn class(number: u8) -> Class {
    Class::new(number).expect("a class has 3 bits")
}

fn insert(oracle: &mut Oracle, entry: impl Into<Entry>) {
    oracle.apply(&Update::Insert(entry.into())).expect("the entry is new");
}

/// How a frame leaves for the neighbour.
fn rewrite(out: u16, outer: u16, inner: u16, mtu: u16) -> NexthopAction {
    NexthopAction::Rewrite {
        port: port(out),
        src_mac: ROUTER,
        dst_mac: NEIGHBOUR,
        vlan: vlan(outer),
        inner_vlan: vlan(inner),
        mtu: Mtu::new(mtu).expect("an MTU has 16 bits"),
    }
}

fn member<A>(action: A, watch: Option<u16>) -> Member<A> {
    Member { action, weight: NonZeroU32::MIN, watch_port: watch.map(port) }
}

/// A router with a customer's port in VRF 7, a core port, next hop 1 over the core and next hop 2 to the customer.
fn router() -> Oracle {
    let mut oracle = Oracle::new([1, 2, 3].map(port));
    let key = |number| AttachmentKey { port: port(number), vlan: vlan(0), inner_vlan: vlan(0) };
    insert(&mut oracle, AttachmentEntry { key: key(CUSTOMER_PORT), action: AttachmentAction::ToVrf { vrf: vrf(7) } });
    insert(&mut oracle, AttachmentEntry { key: key(CORE_PORT), action: AttachmentAction::ToCore });
    for number in [CUSTOMER_PORT, CORE_PORT] {
        let key = StationKey { port: port(number), dst_mac: ROUTER };
        insert(&mut oracle, StationEntry { key, action: StationAction::Accept });
    }
    add_nexthop(&mut oracle, 1, rewrite(CORE_PORT, 0, 0, 1500));
    add_nexthop(&mut oracle, 2, rewrite(CUSTOMER_PORT, 0, 0, 1500));
    oracle
}

fn add_nexthop(oracle: &mut Oracle, number: u32, action: NexthopAction) {
    insert(oracle, NexthopEntry { key: NexthopKey { nexthop: nexthop(number) }, action: Choice::only(action) });
}

fn add_tunnel(oracle: &mut Oracle, number: u32, action: TunnelAction) {
    insert(oracle, TunnelEntry { key: TunnelKey { tunnel: tunnel(number) }, action: Choice::only(action) });
}

fn add_route(oracle: &mut Oracle, of: u16, dst: [u8; 4], length: u8, action: RouteV4Action) {
    let dst = Prefix { value: Ipv4Addr::from(dst), length };
    insert(oracle, RouteV4Entry { key: RouteV4Key { vrf: vrf(of), dst }, action });
}

fn add_route_v6(oracle: &mut Oracle, of: u16, dst: &str, length: u8, action: RouteV6Action) {
    let dst = Prefix { value: address_v6(dst), length };
    insert(oracle, RouteV6Entry { key: RouteV6Key { vrf: vrf(of), dst }, action });
}

fn add_label(oracle: &mut Oracle, number: u32, action: IlmAction) {
    insert(oracle, IlmEntry { key: IlmKey { label: label(number) }, action });
}

fn sent(out: u16, frame: Vec<u8>) -> Outcome {
    Outcome::Sent { port: port(out), frame }
}

fn punted(from: u16, reason: Reason, of: u16, frame: &[u8]) -> Outcome {
    Outcome::Punt(PacketIn { ingress_port: port(from), reason, vrf: vrf(of), frame: frame.to_vec() })
}

fn process(oracle: &mut Oracle, from: u16, frame: &[u8]) -> Outcome {
    oracle.process(port(from), frame, NOW)
}
