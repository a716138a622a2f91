//! A small world: few enough ports, labels and addresses that random entries refer to one another and random frames hit them.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use proptest::arbitrary::any;
use proptest::strategy::{BoxedStrategy, Just, Strategy, Union};
use proptest::{collection, option, prop_oneof, sample};

use crate::tables::{
    ArpResponderAction, ArpResponderEntry, ArpResponderKey, AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, EntryKey,
    FlowAclV4Action, FlowAclV4Entry, FlowAclV4Key, FlowV4Action, FlowV4Entry, FlowV4Key, IlmAction, IlmEntry, IlmKey, MarkingAction,
    MarkingEntry, MarkingKey, Member, MeterConfig, NexthopAction, NexthopEntry, NexthopKey, Prefix, Priority, Range, RouteV4Action,
    RouteV4Entry, RouteV4Key, SessionAction, SessionEntry, SessionKey, StationAction, StationEntry, StationKey, Ternary, TunnelAction,
    TunnelEntry, TunnelKey,
};
use crate::update::Update;
use crate::value::{Value, ones};
use crate::wire::{
    Class, Colour, L4Port, Label, MacAddr, Mtu, NextHopId, PortId, Protocol, SessionId, TrafficClass, TtlMode, TunnelId, VlanId, VrfId,
};

/// The ports of the world's router; no entry names another.
pub const PORTS: [u16; 4] = [1, 2, 3, 4];

/// A value by its number.
pub(super) fn value<V: Value>(number: u64) -> V {
    V::from_bits(number.into())
}

/// One of the first so many values.
fn below<V: Value + std::fmt::Debug>(count: u64) -> impl Strategy<Value = V> + Clone {
    (0..count).prop_map(value)
}

pub(super) fn port() -> impl Strategy<Value = PortId> + Clone {
    sample::select(&PORTS[..]).prop_map(|port| value(port.into()))
}

/// The address frames for a port's router are sent to.
pub(super) fn station_mac(port: PortId) -> MacAddr {
    value(0x0200_0000_0000 + u64::from(port.get()))
}

/// Outer and inner VID.
pub(super) fn tags() -> impl Strategy<Value = (VlanId, VlanId)> + Clone {
    sample::select(&[(0, 0), (10, 0), (20, 30), (0, 30), (4095, 4095)][..]).prop_map(|(outer, inner)| (value(outer), value(inner)))
}

fn vrf() -> impl Strategy<Value = VrfId> + Clone {
    below(3)
}

pub(super) fn address() -> impl Strategy<Value = Ipv4Addr> + Clone {
    (0..2_u8, 0..3_u8).prop_map(|(site, host)| Ipv4Addr::new(10, 0, site, host))
}

pub(super) fn protocol() -> impl Strategy<Value = Protocol> + Clone {
    sample::select(&[17, 17, 6, 132, 1][..]).prop_map(value)
}

pub(super) fn l4_port() -> impl Strategy<Value = L4Port> + Clone {
    sample::select(&[0, 80, 5060, 65535][..]).prop_map(value)
}

pub(super) fn label() -> impl Strategy<Value = Label> + Clone {
    (16..26_u64).prop_map(value)
}

fn vpn_label() -> impl Strategy<Value = Label> + Clone {
    prop_oneof![4 => label(), 1 => Just(Label::IMPLICIT_NULL)]
}

fn ttl_mode() -> impl Strategy<Value = TtlMode> + Clone {
    sample::select(&[0, 0, 1, 64, 255][..]).prop_map(value)
}

fn tunnel_id() -> impl Strategy<Value = TunnelId> + Clone {
    below(5)
}

fn nexthop_id() -> impl Strategy<Value = NextHopId> + Clone {
    below(6)
}

fn session_id() -> impl Strategy<Value = SessionId> + Clone {
    below(6)
}

fn attachment() -> impl Strategy<Value = AttachmentEntry> {
    let action = prop_oneof![2 => vrf().prop_map(|vrf| AttachmentAction::ToVrf { vrf }), 1 => Just(AttachmentAction::ToCore)];
    (port(), tags(), action)
        .prop_map(|(port, (vlan, inner_vlan), action)| AttachmentEntry { key: AttachmentKey { port, vlan, inner_vlan }, action })
}

fn station() -> impl Strategy<Value = StationEntry> {
    port().prop_map(|port| StationEntry { key: StationKey { port, dst_mac: station_mac(port) }, action: StationAction::Accept })
}

fn arp_responder() -> impl Strategy<Value = ArpResponderEntry> {
    (port(), tags(), address()).prop_map(|(port, (vlan, _), target)| ArpResponderEntry {
        key: ArpResponderKey { port, vlan, target },
        action: ArpResponderAction::Reply { mac: station_mac(port) },
    })
}

fn flow_v4() -> impl Strategy<Value = FlowV4Entry> {
    let key = (vrf(), address(), address(), protocol(), l4_port(), l4_port()).prop_map(|(vrf, src, dst, proto, sport, dport)| FlowV4Key {
        vrf,
        src,
        dst,
        proto,
        sport,
        dport,
    });
    (key, session_id()).prop_map(|(key, session)| FlowV4Entry { key, action: FlowV4Action::Assign { session }, idle_timeout: None })
}

/// Every combination of these values and masks, once.
fn ternaries<V: Value>(values: &[u64], part: u64) -> Vec<Ternary<V>> {
    let mut all = Vec::new();
    for mask in [0, part.into(), ones(V::BITS)] {
        for number in values {
            let ternary = Ternary { value: V::from_bits(u128::from(*number) & mask), mask: V::from_bits(mask) };
            if !all.contains(&ternary) {
                all.push(ternary);
            }
        }
    }
    all
}

/// One of several, and its number in a count that goes on from `so_far`.
fn pick<T: Copy>(from: &[T], place: sample::Index, so_far: &mut u32) -> T {
    let place = place.index(from.len());
    *so_far = *so_far * u32::try_from(from.len()).unwrap_or(u32::MAX) + u32::try_from(place).unwrap_or(u32::MAX);
    from[place]
}

/// Which of two entries of the same priority wins is not defined, so every key has a priority of its own.
fn flow_acl_v4() -> impl Strategy<Value = FlowAclV4Entry> {
    const RANGES: [(u64, u64); 4] = [(0, 65535), (0, 0), (80, 5060), (5061, 65535)];
    let ranges = RANGES.map(|(low, high)| Range::<L4Port> { low: value(low), high: value(high) });
    let addresses = ternaries::<Ipv4Addr>(&[0x0a00_0000, 0x0a00_0001, 0x0a00_0100, 0x0a00_0101], 0xffff_ff00);
    let vrfs = ternaries::<VrfId>(&[0, 1, 2], 1);
    let protocols = ternaries::<Protocol>(&[17, 6, 1], 4);
    let key = any::<[sample::Index; 6]>().prop_filter_map("a priority is positive", move |places| {
        let mut number = 0;
        let vrf = pick(&vrfs, places[0], &mut number);
        let (src, dst) = (pick(&addresses, places[1], &mut number), pick(&addresses, places[2], &mut number));
        let proto = pick(&protocols, places[3], &mut number);
        let (sport, dport) = (pick(&ranges, places[4], &mut number), pick(&ranges, places[5], &mut number));
        // There are fewer keys than 2 to the 18, and an odd factor shuffles the numbers below that.
        let shuffled = number.wrapping_mul(40_503) % (1 << 18);
        let priority = Priority::new(1 + i32::try_from(shuffled).unwrap_or_default())?;
        Some(FlowAclV4Key { vrf, src, dst, proto, sport, dport, priority })
    });
    (key, session_id()).prop_map(|(key, session)| FlowAclV4Entry { key, action: FlowAclV4Action::Assign { session } })
}

/// Small enough rates and bursts that a few packets see every colour.
fn meter() -> impl Strategy<Value = MeterConfig> {
    // In a bucket of the second kind hardly a packet fits.
    let burst = |largest: u64| prop_oneof![2 => 0..largest, 1 => 0..100_u64];
    (0..20_000_u64, 0..20_000_u64, burst(2_000), burst(4_000)).prop_map(|(one, other, cburst, pburst)| MeterConfig {
        cir: one.min(other),
        pir: one.max(other),
        cburst,
        pburst,
    })
}

fn session() -> impl Strategy<Value = SessionEntry> {
    (session_id(), tunnel_id(), vpn_label(), below::<Class>(4), option::of(meter())).prop_map(
        |(session, tunnel, vpn_label, class, meter)| SessionEntry {
            key: SessionKey { session },
            action: SessionAction::Carry { tunnel, vpn_label, class },
            meter,
        },
    )
}

fn route_v4() -> impl Strategy<Value = RouteV4Entry> {
    let via_tunnel = (tunnel_id(), vpn_label(), below::<Class>(4)).prop_map(|(tunnel, vpn_label, class)| RouteV4Action::ViaTunnel {
        tunnel,
        vpn_label,
        class,
    });
    let action = prop_oneof![
        4 => via_tunnel,
        4 => nexthop_id().prop_map(|nexthop| RouteV4Action::Local { nexthop }),
        1 => Just(RouteV4Action::Receive),
        1 => Just(RouteV4Action::Discard),
    ];
    let dst = (address(), sample::select(&[0_u8, 8, 24, 31, 32][..])).prop_map(|(address, length)| {
        let value = Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0));
        Prefix { value, length }
    });
    (vrf(), dst, action).prop_map(|(vrf, dst, action)| RouteV4Entry { key: RouteV4Key { vrf, dst }, action })
}

fn marking() -> impl Strategy<Value = MarkingEntry> {
    let mark = (below::<TrafficClass>(8), any::<crate::wire::Dscp>()).prop_map(|(tc, dscp)| MarkingAction::Mark { tc, dscp });
    let action = prop_oneof![4 => mark, 1 => Just(MarkingAction::Discard)];
    (below::<Class>(4), below::<Colour>(3), action)
        .prop_map(|(class, colour, action)| MarkingEntry { key: MarkingKey { class, colour }, action })
}

/// One member mostly, so that most frames have one outcome.
fn choice<A: std::fmt::Debug + Clone + 'static>(action: impl Strategy<Value = A> + 'static) -> impl Strategy<Value = Choice<A>> {
    let weight = (1..4_u32).prop_filter_map("positive", NonZeroU32::new);
    let member = (action, weight, option::weighted(0.3, port()));
    let member = member.prop_map(|(action, weight, watch_port)| Member { action, weight, watch_port }).boxed();
    prop_oneof![3 => collection::vec(member.clone(), 1), 1 => collection::vec(member, 2..4)].prop_map(|members| Choice { members })
}

fn tunnel() -> impl Strategy<Value = TunnelEntry> {
    let action = prop_oneof![
        (nexthop_id(), ttl_mode()).prop_map(|(nexthop, ttl_mode)| TunnelAction::Lsp0 { nexthop, ttl_mode }),
        (label(), nexthop_id(), ttl_mode()).prop_map(|(l1, nexthop, ttl_mode)| TunnelAction::Lsp1 { l1, nexthop, ttl_mode }),
    ];
    (tunnel_id(), choice(action)).prop_map(|(tunnel, action)| TunnelEntry { key: TunnelKey { tunnel }, action })
}

fn ilm() -> impl Strategy<Value = IlmEntry> {
    let action = prop_oneof![
        (label(), nexthop_id()).prop_map(|(label, nexthop)| IlmAction::Swap { label, nexthop }),
        (nexthop_id(), ttl_mode()).prop_map(|(nexthop, ttl_mode)| IlmAction::Php { nexthop, ttl_mode }),
        (vrf(), ttl_mode()).prop_map(|(vrf, ttl_mode)| IlmAction::PopVrf { vrf, ttl_mode }),
    ];
    (label(), action).prop_map(|(label, action)| IlmEntry { key: IlmKey { label }, action })
}

fn nexthop() -> impl Strategy<Value = NexthopEntry> {
    let mtu = prop_oneof![6 => Just(1500_u64), 2 => 20..120_u64, 1 => Just(65535), 1 => Just(0)].prop_map(value::<Mtu>);
    let action = (port(), 1..5_u64, tags(), mtu).prop_map(|(port, host, (vlan, inner_vlan), mtu)| NexthopAction::Rewrite {
        port,
        src_mac: station_mac(port),
        dst_mac: value(0x0600_0000_0000 + host),
        vlan,
        inner_vlan,
        mtu,
    });
    (nexthop_id(), choice(action)).prop_map(|(nexthop, action)| NexthopEntry { key: NexthopKey { nexthop }, action })
}

/// An entry of a table chosen by weight: those that every frame needs come more often.
fn entry() -> BoxedStrategy<Entry> {
    Union::new_weighted(vec![
        (14, attachment().prop_map(Entry::from).boxed()),
        (6, station().prop_map(Entry::from).boxed()),
        (4, arp_responder().prop_map(Entry::from).boxed()),
        (10, flow_v4().prop_map(Entry::from).boxed()),
        (2, flow_acl_v4().prop_map(Entry::from).boxed()),
        (6, session().prop_map(Entry::from).boxed()),
        (10, route_v4().prop_map(Entry::from).boxed()),
        (3, marking().prop_map(Entry::from).boxed()),
        (6, tunnel().prop_map(Entry::from).boxed()),
        (8, ilm().prop_map(Entry::from).boxed()),
        (8, nexthop().prop_map(Entry::from).boxed()),
    ])
    .boxed()
}

/// A router's entries, each key once, most of which refer to others that are there.
pub fn network() -> impl Strategy<Value = Vec<Entry>> {
    // What stands between a frame and everything else is always there.
    let stations = PORTS.map(|port| {
        let port = value(port.into());
        Entry::from(StationEntry { key: StationKey { port, dst_mac: station_mac(port) }, action: StationAction::Accept })
    });
    collection::vec(entry(), 120..320).prop_map(move |entries| {
        let mut network: Vec<Entry> = Vec::new();
        for entry in stations.clone().into_iter().chain(entries) {
            if network.iter().all(|other| other.key() != entry.key()) {
                network.push(entry);
            }
        }
        network
    })
}

/// Inserts, modifications and deletions, many of which a router has to refuse.
pub fn changes() -> impl Strategy<Value = Vec<Update>> {
    let change = (entry(), 0..6_u8).prop_map(|(entry, kind)| match kind {
        0..3 => Update::Insert(entry),
        3..5 => Update::Modify(entry),
        _ => Update::Delete(EntryKey::clone(&entry.key())),
    });
    collection::vec(change, 0..40)
}
