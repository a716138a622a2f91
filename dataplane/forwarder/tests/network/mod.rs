//! A small provider edge for tests: a circuit on port 1 in VRF 1, the core on port 2, one session and what it needs.

use std::net::Ipv4Addr;

use svpn_contract::wire::{
    Class, Colour, Dscp, L4Port, Label, MacAddr, Mtu, NextHopId, PortId, Protocol, SessionId, TrafficClass, TtlMode, TunnelId, VlanId,
    VrfId,
};
use svpn_contract::{
    AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, FlowV4Action, FlowV4Entry, FlowV4Key, MarkingAction, MarkingEntry,
    MarkingKey, MeterConfig, NexthopAction, NexthopEntry, NexthopKey, SessionAction, SessionEntry, SessionKey, StationAction, StationEntry,
    StationKey, TunnelAction, TunnelEntry, TunnelKey, Update,
};
use svpn_forwarder::Entries;

/// The session.
pub(crate) const SESSION: u32 = 3;
/// Bytes of [`frame`].
pub(crate) const FRAME: usize = 100;
/// The traffic class of yellow packets; green ones have their service class, 0.
pub(crate) const YELLOW_CLASS: u8 = 5;
/// Its VPN label.
pub(crate) const VPN_LABEL: u32 = 77;
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The customer's port.
pub(crate) fn circuit() -> PortId {
    PortId::new(1).unwrap()
}

/// The provider's.
pub(crate) fn core() -> PortId {
    PortId::new(2).unwrap()
}

/// The session's tunnel, with this transport label.
pub(crate) fn tunnel(label: u32) -> Entry {
    let nexthop = NextHopId::new(1).unwrap();
    let action = TunnelAction::Lsp1 { l1: Label::new(label).unwrap(), nexthop, ttl_mode: TtlMode::UNIFORM };
    TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(9).unwrap() }, action: Choice::only(action) }.into()
}

/// The tunnel's next hop, with this last byte of its address.
pub(crate) fn nexthop(neighbour: u8) -> Entry {
    let action = NexthopAction::Rewrite {
        port: core(),
        src_mac: MacAddr(ROUTER),
        dst_mac: MacAddr([2, 0, 0, 0, 1, neighbour]),
        vlan: VlanId::default(),
        inner_vlan: VlanId::default(),
        mtu: Mtu::new(1500).unwrap(),
    };
    NexthopEntry { key: NexthopKey { nexthop: NextHopId::new(1).unwrap() }, action: Choice::only(action) }.into()
}

/// The session, policed like this.
pub(crate) fn session(meter: Option<MeterConfig>) -> Entry {
    let (tunnel, vpn_label) = (TunnelId::new(9).unwrap(), Label::new(VPN_LABEL).unwrap());
    let action = SessionAction::Carry { tunnel, vpn_label, class: Class::default() };
    SessionEntry { key: SessionKey { session: SessionId::new(SESSION).unwrap() }, action, meter }.into()
}

/// A flow of the session, by its source port.
pub(crate) fn flow(sport: u16) -> Entry {
    let key = FlowV4Key {
        vrf: VrfId::new(1).unwrap(),
        src: Ipv4Addr::new(10, 1, 0, 1),
        dst: Ipv4Addr::new(10, 2, 0, 1),
        proto: Protocol::new(17).unwrap(),
        sport: L4Port::new(sport).unwrap(),
        dport: L4Port::new(4000).unwrap(),
    };
    FlowV4Entry { key, action: FlowV4Action::Assign { session: SessionId::new(SESSION).unwrap() }, idle_timeout: None }.into()
}

/// Writes everything.
pub(crate) fn install(entries: &mut Entries, meter: Option<MeterConfig>) {
    let attachment = AttachmentKey { port: circuit(), vlan: VlanId::default(), inner_vlan: VlanId::default() };
    let station = StationKey { port: circuit(), dst_mac: MacAddr(ROUTER) };
    let yellow = MarkingKey { class: Class::default(), colour: Colour::YELLOW };
    let mark = MarkingAction::Mark { tc: TrafficClass::new(YELLOW_CLASS).unwrap(), dscp: Dscp::default() };
    let all: [Entry; 7] = [
        AttachmentEntry { key: attachment, action: AttachmentAction::ToVrf { vrf: VrfId::new(1).unwrap() } }.into(),
        StationEntry { key: station, action: StationAction::Accept }.into(),
        MarkingEntry { key: yellow, action: mark }.into(),
        flow(1),
        session(meter),
        tunnel(100),
        nexthop(1),
    ];
    for entry in all {
        entries.apply(&Update::Insert(entry)).unwrap();
    }
    entries.publish();
}

/// A packet of the session.
pub(crate) fn frame() -> Vec<u8> {
    let mut frame = [&ROUTER[..], &[2, 0, 0, 0, 2, 2], &[8, 0]].concat();
    let length = u16::try_from(FRAME - 14).unwrap();
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1]);
    let sum: u32 = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    frame.extend(header);
    frame.extend([0, 1, 15, 160]);
    frame.resize(FRAME, 0);
    frame
}
