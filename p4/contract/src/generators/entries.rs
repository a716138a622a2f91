//! Entries of the small world.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use super::random::Random;
use super::rules::{flow_acl_v4, flow_acl_v6};
use super::world::{
    CLASSES, PORTS, TAGS, any_flow, class, gre_ends, host, host_v4, host_v6, label, nexthop, port, session, station_mac, tags, ttl_mode,
    tunnel, value, vpn_label, vrf,
};
use crate::tables::{
    ArpResponderAction, ArpResponderEntry, ArpResponderKey, AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, FlowV4Action,
    FlowV4Entry, FlowV4Key, FlowV6Action, FlowV6Entry, FlowV6Key, GreIngressV4Action, GreIngressV4Entry, GreIngressV4Key,
    GreIngressV6Action, GreIngressV6Entry, GreIngressV6Key, IlmAction, IlmEntry, IlmKey, MarkingAction, MarkingEntry, MarkingKey, Member,
    MeterConfig, NexthopAction, NexthopEntry, NexthopKey, Prefix, PuntPolicerAction, PuntPolicerEntry, PuntPolicerKey, Reason,
    RouteV4Action, RouteV4Entry, RouteV4Key, RouteV6Action, RouteV6Entry, RouteV6Key, SessionAction, SessionEntry, SessionKey,
    StationAction, StationEntry, StationKey, TunnelAction, TunnelEntry, TunnelKey, VrfPolicerAction, VrfPolicerEntry, VrfPolicerKey,
};
use crate::update::Update;
use crate::wire::{MacAddr, PortId, VlanId};

/// Makes a random entry of one table.
type Make = fn(&mut Random) -> Entry;

/// Every table, with how many times at most a network draws an entry of it: enough that most of what entries name is there, and less
/// than that would take for all of it.
const DRAWS: [(u32, Make); 18] = [
    (40, |random| attachment(random).into()),
    (1, |random| station(port(random)).into()),
    (8, |random| arp_responder(random).into()),
    (24, |random| flow_v4(random).into()),
    (24, |random| flow_v6(random).into()),
    (6, |random| flow_acl_v4(random).into()),
    (6, |random| flow_acl_v6(random).into()),
    (16, |random| session_entry(random).into()),
    (28, |random| route_v4(random).into()),
    (28, |random| route_v6(random).into()),
    (4, |random| vrf_policer(random).into()),
    (8, |random| marking(random).into()),
    (18, |random| tunnel_entry(random).into()),
    (40, |random| ilm(random).into()),
    (12, |random| gre_ingress_v4(random).into()),
    (12, |random| gre_ingress_v6(random).into()),
    (22, |random| nexthop_entry(random).into()),
    (6, |random| punt_policer(random).into()),
];

/// An entry of any table; of those that can hold many, more often.
pub(super) fn any_entry(random: &mut Random) -> Entry {
    random.weighted(&DRAWS)(random)
}

/// A router's entries, each key once, most of which refer to others that are there.
pub(super) fn network(random: &mut Random) -> Vec<Entry> {
    let mut entries = Vec::new();
    // What stands between a frame and everything else is always there.
    for number in PORTS {
        let port = value(number.into());
        entries.push(station(port).into());
        entries.push(circuit(random, port, (VlanId::default(), VlanId::default())).into());
    }
    for (most, make) in DRAWS {
        let least = if random.once_in(12) { 0 } else { most / 2 };
        for _ in 0..random.within(least..=most) {
            entries.push(make(random));
        }
    }
    let mut network: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut keys = std::collections::BTreeSet::new();
    network.extend(entries.into_iter().filter(|entry| keys.insert(entry.key())));
    network
}

/// Inserts, modifications and deletions, many of which a router has to refuse.
pub(super) fn changes(random: &mut Random) -> Vec<Update> {
    (0..random.within(0..40))
        .map(|_| {
            let entry = any_entry(random);
            match random.within(0..6_u8) {
                0..3 => Update::Insert(entry),
                3..5 => Update::Modify(entry),
                _ => Update::Delete(entry.key()),
            }
        })
        .collect()
}

/// Customers are behind the first ports more often than the core is, and the core is behind the others.
fn circuit(random: &mut Random, port: PortId, (vlan, inner_vlan): (VlanId, VlanId)) -> AttachmentEntry {
    let customers = port.get() <= PORTS[1];
    let action = if customers == random.once_in(8) { AttachmentAction::ToCore } else { AttachmentAction::ToVrf { vrf: vrf(random) } };
    AttachmentEntry { key: AttachmentKey { port, vlan, inner_vlan }, action }
}

fn attachment(random: &mut Random) -> AttachmentEntry {
    let (port, (outer, inner)) = (port(random), random.pick(&TAGS));
    circuit(random, port, (value(outer.into()), value(inner.into())))
}

fn station(port: PortId) -> StationEntry {
    StationEntry { key: StationKey { port, dst_mac: station_mac(port) }, action: StationAction::Accept }
}

fn arp_responder(random: &mut Random) -> ArpResponderEntry {
    let (port, (vlan, _), target) = (port(random), tags(random), host_v4(host(random)));
    ArpResponderEntry { key: ArpResponderKey { port, vlan, target }, action: ArpResponderAction::Reply { mac: station_mac(port) } }
}

/// Long enough that none passes in a test.
fn idle_timeout(random: &mut Random) -> Option<Duration> {
    random.once_in(4).then_some(Duration::from_hours(1))
}

fn flow_v4(random: &mut Random) -> FlowV4Entry {
    let flow = any_flow(random);
    let key = FlowV4Key {
        vrf: vrf(random),
        src: host_v4(flow.src),
        dst: host_v4(flow.dst),
        proto: flow.protocol(),
        sport: flow.source_port(),
        dport: flow.destination_port(),
    };
    FlowV4Entry { key, action: FlowV4Action::Assign { session: session(random) }, idle_timeout: idle_timeout(random) }
}

fn flow_v6(random: &mut Random) -> FlowV6Entry {
    let flow = any_flow(random);
    let key = FlowV6Key {
        vrf: vrf(random),
        src: host_v6(flow.src),
        dst: host_v6(flow.dst),
        proto: flow.protocol(),
        sport: flow.source_port(),
        dport: flow.destination_port(),
    };
    FlowV6Entry { key, action: FlowV6Action::Assign { session: session(random) }, idle_timeout: idle_timeout(random) }
}

/// Small enough rates and bursts that a few packets of so many bytes see every colour. In every third bucket hardly one fits.
fn meter(random: &mut Random, packet: u64) -> MeterConfig {
    let rates = (random.within(0..packet * 100), random.within(0..packet * 100));
    let mut burst = |packets: u64| if random.once_in(3) { random.within(0..=packet) } else { random.within(0..packet * packets) };
    let (cburst, pburst) = (burst(10), burst(20));
    MeterConfig { cir: rates.0.min(rates.1), pir: rates.0.max(rates.1), cburst, pburst }
}

fn maybe_meter(random: &mut Random, packet: u64) -> Option<MeterConfig> {
    (!random.once_in(3)).then(|| meter(random, packet))
}

fn session_entry(random: &mut Random) -> SessionEntry {
    SessionEntry {
        key: SessionKey { session: session(random) },
        action: SessionAction::Carry { tunnel: tunnel(random), vpn_label: vpn_label(random), class: class(random) },
        meter: maybe_meter(random, 200),
    }
}

fn vrf_policer(random: &mut Random) -> VrfPolicerEntry {
    VrfPolicerEntry { key: VrfPolicerKey { vrf: vrf(random) }, action: VrfPolicerAction::Police, meter: maybe_meter(random, 200) }
}

fn punt_policer(random: &mut Random) -> PuntPolicerEntry {
    // Some of these are no punts, and police nothing.
    let reason = random.pick(&Reason::ALL[..10]);
    PuntPolicerEntry { key: PuntPolicerKey { reason }, action: PuntPolicerAction::Police, meter: maybe_meter(random, 1) }
}

/// Bits of a prefix: everything, a site's, a host's, and some between.
fn prefix_length(random: &mut Random, lengths: &[u8]) -> u8 {
    random.pick(lengths)
}

fn route_v4(random: &mut Random) -> RouteV4Entry {
    let length = prefix_length(random, &[0, 8, 23, 24, 24, 31, 32, 32]);
    let address = host_v4(host(random)).to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    let dst = Prefix { value: Ipv4Addr::from_bits(address), length };
    let action = match random.within(0..10) {
        0..4 => RouteV4Action::ViaTunnel { tunnel: tunnel(random), vpn_label: vpn_label(random), class: class(random) },
        4..8 => RouteV4Action::Local { nexthop: nexthop(random) },
        8 => RouteV4Action::Receive,
        _ => RouteV4Action::Discard,
    };
    RouteV4Entry { key: RouteV4Key { vrf: vrf(random), dst }, action }
}

fn route_v6(random: &mut Random) -> RouteV6Entry {
    let length = prefix_length(random, &[0, 32, 63, 64, 64, 65, 127, 128, 128]);
    let address = host_v6(host(random)).to_bits() & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    let dst = Prefix { value: Ipv6Addr::from_bits(address), length };
    let action = match random.within(0..10) {
        0..4 => RouteV6Action::ViaTunnel { tunnel: tunnel(random), vpn_label: vpn_label(random), class: class(random) },
        4..8 => RouteV6Action::Local { nexthop: nexthop(random) },
        8 => RouteV6Action::Receive,
        _ => RouteV6Action::Discard,
    };
    RouteV6Entry { key: RouteV6Key { vrf: vrf(random), dst }, action }
}

fn marking(random: &mut Random) -> MarkingEntry {
    let action = if random.once_in(5) {
        MarkingAction::Discard
    } else {
        MarkingAction::Mark { tc: value(random.within(0..8)), dscp: value(random.within(0..64)) }
    };
    MarkingEntry { key: MarkingKey { class: value(random.within(0..CLASSES)), colour: value(random.within(0..3)) }, action }
}

/// One member mostly, so that most frames have one outcome.
fn choice<A>(random: &mut Random, action: fn(&mut Random) -> A) -> Choice<A> {
    let members = if random.once_in(6) { random.within(2..=4) } else { 1 };
    let member = |random: &mut Random| Member {
        action: action(random),
        weight: NonZeroU32::MIN.saturating_add(random.within(0..3)),
        watch_port: random.once_in(3).then(|| port(random)),
    };
    Choice { members: (0..members).map(|_| member(random)).collect() }
}

fn tunnel_action(random: &mut Random) -> TunnelAction {
    let (l1, l2, l3) = (label(random), label(random), label(random));
    let (nexthop, ttl_mode) = (nexthop(random), ttl_mode(random));
    let (src, dst, key) = (host(random), host(random), value(random.pick(&[0, 0, 7, u32::MAX.into()])));
    match random.within(0..8) {
        0 => TunnelAction::Lsp0 { nexthop, ttl_mode },
        1 | 2 => TunnelAction::Lsp1 { l1, nexthop, ttl_mode },
        3 => TunnelAction::Lsp2 { l1, l2, nexthop, ttl_mode },
        4 => TunnelAction::Lsp3 { l1, l2, l3, nexthop, ttl_mode },
        5 | 6 => TunnelAction::GreV4 { src: host_v4(src), dst: host_v4(dst), key, nexthop, ttl_mode },
        _ => TunnelAction::GreV6 { src: host_v6(src), dst: host_v6(dst), key, nexthop, ttl_mode },
    }
}

fn tunnel_entry(random: &mut Random) -> TunnelEntry {
    TunnelEntry { key: TunnelKey { tunnel: tunnel(random) }, action: choice(random, tunnel_action) }
}

fn ilm(random: &mut Random) -> IlmEntry {
    let (vrf, nexthop, ttl_mode) = (vrf(random), nexthop(random), ttl_mode(random));
    let action = match random.within(0..8) {
        0 => IlmAction::Swap { label: label(random), nexthop },
        1 => IlmAction::SwapPush { label: label(random), l2: label(random), nexthop },
        2 => IlmAction::Php { nexthop, ttl_mode },
        3 | 4 => IlmAction::PopVrf { vrf, ttl_mode },
        5 => IlmAction::PopLocal { nexthop, ttl_mode },
        _ => IlmAction::PopNext { ttl_mode },
    };
    IlmEntry { key: IlmKey { label: label(random) }, action }
}

fn gre_ingress_v4(random: &mut Random) -> GreIngressV4Entry {
    let ends = gre_ends(random);
    let key = GreIngressV4Key { src: host_v4(ends.src), dst: host_v4(ends.dst), key: ends.gre_key() };
    let vrf = vrf(random);
    let action = if random.once_in(2) { GreIngressV4Action::DecapVrf { vrf } } else { GreIngressV4Action::DecapMpls };
    GreIngressV4Entry { key, action }
}

fn gre_ingress_v6(random: &mut Random) -> GreIngressV6Entry {
    let ends = gre_ends(random);
    let key = GreIngressV6Key { src: host_v6(ends.src), dst: host_v6(ends.dst), key: ends.gre_key() };
    let vrf = vrf(random);
    let action = if random.once_in(2) { GreIngressV6Action::DecapVrf { vrf } } else { GreIngressV6Action::DecapMpls };
    GreIngressV6Entry { key, action }
}

fn rewrite(random: &mut Random) -> NexthopAction {
    let mtu = match random.within(0..10) {
        0..6 => 1500,
        6 | 7 => random.within(20..160),
        8 => 65535,
        _ => random.pick(&[0, 1280, 9000]),
    };
    let port = port(random);
    let (vlan, inner_vlan) = tags(random);
    let dst_mac = MacAddr([6, 0, 0, 0, 0, random.within(1..5)]);
    NexthopAction::Rewrite { port, src_mac: station_mac(port), dst_mac, vlan, inner_vlan, mtu: value(mtu) }
}

fn nexthop_entry(random: &mut Random) -> NexthopEntry {
    NexthopEntry { key: NexthopKey { nexthop: nexthop(random) }, action: choice(random, rewrite) }
}
