//! Entries as a gateway makes them.

use svpn_contract::wire::{Class, L4Port, Label, MacAddr, Mtu, NextHopId, PortId, Protocol, SessionId, TtlMode, TunnelId, VlanId, VrfId};
use svpn_contract::{
    Choice, Entry, FlowV4Action, FlowV4Entry, FlowV4Key, MeterConfig, NexthopAction, NexthopEntry, NexthopKey, SessionAction, SessionEntry,
    SessionKey, TunnelAction, TunnelEntry, TunnelKey, Update,
};

pub(crate) fn nexthop(id: u32) -> Entry {
    let action = NexthopAction::Rewrite {
        port: PortId::new(3).unwrap(),
        src_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        dst_mac: MacAddr([2, 0, 0, 0, 0, 2]),
        vlan: VlanId::default(),
        inner_vlan: VlanId::default(),
        mtu: Mtu::new(1500).unwrap(),
    };
    NexthopEntry { key: NexthopKey { nexthop: NextHopId::new(id).unwrap() }, action: Choice::only(action) }.into()
}

pub(crate) fn tunnel(id: u32, nexthop: u32) -> Entry {
    let nexthop = NextHopId::new(nexthop).unwrap();
    let action = TunnelAction::Lsp1 { l1: Label::new(1000 + id).unwrap(), nexthop, ttl_mode: TtlMode::UNIFORM };
    TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(id).unwrap() }, action: Choice::only(action) }.into()
}

pub(crate) fn session_id(id: u32) -> SessionId {
    SessionId::new(id).unwrap()
}

/// A session at a rate in bytes per second.
pub(crate) fn session(id: u32, rate: u64) -> Entry {
    let action =
        SessionAction::Carry { tunnel: TunnelId::new(1).unwrap(), vpn_label: Label::new(77).unwrap(), class: Class::new(5).unwrap() };
    let meter = Some(MeterConfig { cir: rate, cburst: 3000, pir: rate, pburst: 3000 });
    SessionEntry { key: SessionKey { session: session_id(id) }, action, meter }.into()
}

pub(crate) fn flow(session: u32) -> Entry {
    let [.., high, low] = session.to_be_bytes();
    let key = FlowV4Key {
        vrf: VrfId::new(1).unwrap(),
        src: [10, 1, high, low].into(),
        dst: [10, 2, 0, 1].into(),
        proto: Protocol::new(17).unwrap(),
        sport: L4Port::new(5000).unwrap(),
        dport: L4Port::new(6000).unwrap(),
    };
    FlowV4Entry { key, action: FlowV4Action::Assign { session: session_id(session) }, idle_timeout: None }.into()
}

/// One tunnel and nothing in it.
pub(crate) fn network() -> Vec<Entry> {
    vec![nexthop(1), tunnel(1, 1)]
}

/// What sets a session up.
pub(crate) fn set_up(session: u32) -> Vec<Update> {
    inserts([self::session(session, 1_000_000), flow(session)])
}

pub(crate) fn inserts(entries: impl IntoIterator<Item = Entry>) -> Vec<Update> {
    entries.into_iter().map(Update::Insert).collect()
}
