//! The entries that are written.

use std::net::Ipv4Addr;

use svpn_contract::wire::{
    Class, L4Port, Label, MacAddr, Mtu, NextHopId, OutOfRange, PortId, Protocol, SessionId, TtlMode, TunnelId, VlanId, VrfId,
};
use svpn_contract::{
    ArpResponderAction, ArpResponderEntry, ArpResponderKey, AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, FlowV4Action,
    FlowV4Entry, FlowV4Key, IlmAction, IlmEntry, IlmKey, MeterConfig, NexthopAction, NexthopEntry, NexthopKey, Prefix, RouteV4Action,
    RouteV4Entry, RouteV4Key, SessionAction, SessionEntry, SessionKey, StationAction, StationEntry, StationKey, TunnelAction, TunnelEntry,
    TunnelKey,
};

/// A kind of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `flow_v4`.
    Flows,
    /// `session`.
    Sessions,
    /// `ilm`.
    Labels,
    /// `route_v4`.
    Routes,
}

/// Whether an entry is as it is first, or as it is changed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    First,
    Changed,
}

/// Tunnels and next hops that entries name.
pub(super) const NAMED: u32 = 64;
/// Remote prefixes of a VPN.
const REMOTE: u32 = 16;
/// Where the customers are, and where the core is.
const CUSTOMERS: u16 = 1;
const CORE: u16 = 2;
const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// Rates a session may have.
const METER: MeterConfig = MeterConfig { cir: 1_000_000, cburst: 10_000, pir: 2_000_000, pburst: 20_000 };

impl Kind {
    /// Its name in results.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Sessions => "sessions",
            Self::Labels => "labels",
            Self::Routes => "routes",
        }
    }

    /// The entry of an index.
    pub(super) fn entry(self, index: u32, version: Version) -> Result<Entry, OutOfRange> {
        let other = index.wrapping_add(u32::from(version == Version::Changed)) % NAMED;
        Ok(match self {
            Self::Flows => flow(index, SessionId::new(other)?)?,
            Self::Sessions => session(index, other)?,
            Self::Labels => {
                let action = IlmAction::Swap { label: Label::new(100 + other)?, nexthop: NextHopId::new(other)? };
                IlmEntry { key: IlmKey { label: Label::new(16 + index)? }, action }.into()
            }
            Self::Routes => {
                // Prefixes of 24 bits, 64 k to a VRF.
                let dst = Prefix { value: Ipv4Addr::from(10 << 24 | (index & 0xffff) << 8), length: 24 };
                let key = RouteV4Key { vrf: VrfId::try_from(u64::from(1 + (index >> 16)))?, dst };
                via_tunnel(key, other)?
            }
        })
    }
}

fn flow(index: u32, session: SessionId) -> Result<Entry, OutOfRange> {
    let key = FlowV4Key {
        vrf: VrfId::new(1)?,
        src: Ipv4Addr::from(10 << 24 | index),
        dst: Ipv4Addr::from(11 << 24 | index),
        proto: Protocol::new(17)?,
        sport: L4Port::new(5000)?,
        dport: L4Port::new(5004)?,
    };
    Ok(FlowV4Entry { key, action: FlowV4Action::Assign { session }, idle_timeout: None }.into())
}

fn session(index: u32, tunnel: u32) -> Result<Entry, OutOfRange> {
    let action = SessionAction::Carry { tunnel: TunnelId::new(tunnel)?, vpn_label: Label::new(16)?, class: Class::new(5)? };
    Ok(SessionEntry { key: SessionKey { session: SessionId::new(index)? }, action, meter: Some(METER) }.into())
}

fn via_tunnel(key: RouteV4Key, tunnel: u32) -> Result<Entry, OutOfRange> {
    let action = RouteV4Action::ViaTunnel { tunnel: TunnelId::new(tunnel)?, vpn_label: Label::new(16)?, class: Class::default() };
    Ok(RouteV4Entry { key, action }.into())
}

fn nexthop(number: u32, port: u16) -> Result<Entry, OutOfRange> {
    let action = NexthopAction::Rewrite {
        port: PortId::new(port)?,
        src_mac: ROUTER,
        dst_mac: MacAddr([2, 0, 1, 0, 0, 1]),
        vlan: VlanId::default(),
        inner_vlan: VlanId::default(),
        mtu: Mtu::new(9000)?,
    };
    Ok(NexthopEntry { key: NexthopKey { nexthop: NextHopId::new(number)? }, action: Choice::only(action) }.into())
}

fn tunnel(number: u32) -> Result<Entry, OutOfRange> {
    let action = TunnelAction::Lsp1 { l1: Label::new(1000 + number)?, nexthop: NextHopId::new(number)?, ttl_mode: TtlMode::UNIFORM };
    Ok(TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(number)? }, action: Choice::only(action) }.into())
}

/// The tunnels and next hops that other entries name.
pub(super) fn named() -> Result<Vec<Entry>, OutOfRange> {
    (0..NAMED).map(tunnel).chain((0..NAMED).map(|number| nexthop(number, CORE))).collect()
}

/// What one customer of the provider needs on this router.
pub(super) fn vpn(index: u32) -> Result<Vec<Entry>, OutOfRange> {
    let (vrf, port) = (VrfId::try_from(u64::from(1 + index))?, PortId::new(CUSTOMERS)?);
    // VIDs begin at 1, and there are 4095 of each tag.
    let (vlan, inner_vlan) = (VlanId::try_from(u64::from(1 + index % 4000))?, VlanId::try_from(u64::from(1 + index / 4000))?);
    let [_, _, high, low] = index.to_be_bytes();
    let gateway = Ipv4Addr::new(10, 0, 0, 1);
    let customer = NAMED + index;
    let prefix = |number: u32| Prefix { value: Ipv4Addr::from(10 << 24 | number << 8), length: 24 };
    let mac = MacAddr([2, 0, 0, 1, high, low]);
    let mut entries: Vec<Entry> = vec![
        AttachmentEntry { key: AttachmentKey { port, vlan, inner_vlan }, action: AttachmentAction::ToVrf { vrf } }.into(),
        StationEntry { key: StationKey { port, dst_mac: mac }, action: StationAction::Accept }.into(),
        ArpResponderEntry {
            key: ArpResponderKey { port, vlan, target: Ipv4Addr::from(u32::from(gateway) + (index / 4000)) },
            action: ArpResponderAction::Reply { mac },
        }
        .into(),
        nexthop(customer, CUSTOMERS)?,
        IlmEntry { key: IlmKey { label: Label::new(16 + index)? }, action: IlmAction::PopVrf { vrf, ttl_mode: TtlMode::UNIFORM } }.into(),
        RouteV4Entry { key: RouteV4Key { vrf, dst: prefix(0) }, action: RouteV4Action::Local { nexthop: NextHopId::new(customer)? } }
            .into(),
    ];
    for number in 1..=REMOTE {
        entries.push(via_tunnel(RouteV4Key { vrf, dst: prefix(number) }, number % NAMED)?);
    }
    Ok(entries)
}

/// What the worker's packets need: a circuit, and the flow, session, tunnel and next hop of one session.
pub(super) fn carried(flow_index: u32, session_index: u32) -> Result<Vec<Entry>, OutOfRange> {
    let attachment = AttachmentKey { port: PortId::new(CUSTOMERS)?, vlan: VlanId::default(), inner_vlan: VlanId::default() };
    let station = StationKey { port: PortId::new(CUSTOMERS)?, dst_mac: ROUTER };
    let unlimited = match session(session_index, 1)? {
        Entry::Session(entry) => SessionEntry { meter: None, ..entry }.into(),
        other => other,
    };
    Ok(vec![
        AttachmentEntry { key: attachment, action: AttachmentAction::ToVrf { vrf: VrfId::new(1)? } }.into(),
        StationEntry { key: station, action: StationAction::Accept }.into(),
        flow(flow_index, SessionId::new(session_index)?)?,
        unlimited,
    ])
}

/// A packet of that flow.
pub(super) fn frame(flow_index: u32) -> Vec<u8> {
    const FRAME: u16 = 64;
    let mut header = vec![0x45, 0];
    header.extend((FRAME - 14).to_be_bytes());
    header.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    header.extend((10 << 24 | flow_index).to_be_bytes());
    header.extend((11 << 24 | flow_index).to_be_bytes());
    let sum: u32 = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from(sum).unwrap_or_default();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = [&ROUTER.0[..], &[2, 0, 0, 0, 2, 2], &[8, 0], &header].concat();
    frame.extend(5000_u16.to_be_bytes());
    frame.extend(5004_u16.to_be_bytes());
    frame.resize(usize::from(FRAME), 0);
    frame
}

/// Ports there are.
pub(super) fn ports() -> Result<[PortId; 2], OutOfRange> {
    Ok([PortId::new(CUSTOMERS)?, PortId::new(CORE)?])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_differ_and_a_change_keeps_them() {
        for kind in [Kind::Flows, Kind::Sessions, Kind::Labels, Kind::Routes] {
            let mut keys = HashSet::new();
            for index in 0..100_000 {
                let (first, changed) = (kind.entry(index, Version::First).unwrap(), kind.entry(index, Version::Changed).unwrap());
                assert!(first.key() == changed.key() && first != changed);
                assert!(keys.insert(first.key()), "{first}");
            }
        }
        let vpns: Vec<Entry> = (0..5000).flat_map(|index| vpn(index).unwrap()).collect();
        let keys: HashSet<_> = vpns.iter().map(Entry::key).collect();
        assert_eq!((keys.len(), vpns.len()), (5000 * 22, 5000 * 22));
    }
}
