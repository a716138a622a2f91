//! A large provider edge: all tables of a forwarder as full as they are meant to be.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU16, NonZeroU64};

use svpn_contract::wire::{
    Class, L4Port, Label, MacAddr, Mtu, NextHopId, OutOfRange, PortId, Protocol, SessionId, TtlMode, TunnelId, VlanId, VrfId,
};
use svpn_contract::{
    AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, FlowV4Action, FlowV4Entry, FlowV4Key, FlowV6Action, FlowV6Entry,
    FlowV6Key, IlmAction, IlmEntry, IlmKey, MeterConfig, NexthopAction, NexthopEntry, NexthopKey, Prefix, RouteV4Action, RouteV4Entry,
    RouteV4Key, RouteV6Action, RouteV6Entry, RouteV6Key, SessionAction, SessionEntry, SessionKey, StationAction, StationEntry, StationKey,
    TunnelAction, TunnelEntry, TunnelKey, Update,
};
use svpn_forwarder::entries::{Clock, EntriesConfig, NewEntriesError, PortState, WorkerEnd};
use svpn_forwarder::{ApplyError, Entries, TableSizes};
use thiserror::Error;

/// The customer's port, in VRF 1.
pub const CIRCUIT: u16 = 1;
/// The provider's.
pub const CORE: u16 = 2;
/// Its address on both.
pub const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// Destination port of all flows.
pub const DESTINATION_PORT: u16 = 5004;
const UDP: u8 = 17;

/// Entries of each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Of `flow_v4`.
    pub flows_v4: u32,
    /// Of `flow_v6`.
    pub flows_v6: u32,
    /// Of `session`; flow `n` is of session `n` modulo their number.
    pub sessions: u32,
    /// Of `ilm`.
    pub labels: u32,
    /// Of `route_v4`.
    pub routes_v4: u32,
    /// Of `route_v6`.
    pub routes_v6: u32,
    /// VRFs over which routes are spread evenly.
    pub vrfs: u16,
    /// Of `tunnel`.
    pub tunnels: u32,
    /// Of `nexthop`.
    pub nexthops: u32,
}

/// Why tables cannot be filled.
#[derive(Debug, Error)]
pub enum FillError {
    /// They do not fit.
    #[error(transparent)]
    Tables(#[from] NewEntriesError),
    /// The forwarder refuses an entry.
    #[error("entry {index}: {source}")]
    Apply {
        /// Which, in the order of [`Counts::entries`].
        index: u32,
        /// Why.
        source: ApplyError,
    },
    /// A number has no room on the wire.
    #[error(transparent)]
    Wire(#[from] OutOfRange),
}

impl Counts {
    /// A large edge.
    pub const LARGE: Self = Self {
        flows_v4: 1_000_000,
        flows_v6: 1_000_000,
        sessions: 1_000_000,
        labels: 1_000_000,
        routes_v4: 1_000_000,
        routes_v6: 200_000,
        vrfs: 4_000,
        tunnels: 65_536,
        nexthops: 16_384,
    };

    /// Tables that hold as many, to the next power of two; tables that get none are small.
    pub fn sizes(&self) -> TableSizes {
        let size = |entries: u32| entries.max(1).next_power_of_two();
        TableSizes {
            flow_v4: size(self.flows_v4),
            flow_v6: size(self.flows_v6),
            session: size(self.sessions),
            ilm: size(self.labels),
            route_v4: size(self.routes_v4),
            route_v6: size(self.routes_v6),
            tunnel: size(self.tunnels),
            nexthop: size(self.nexthops),
            gre_ingress_v4: 1,
            gre_ingress_v6: 1,
            ..TableSizes::default()
        }
    }

    /// Empty tables for so many workers, with both ports up.
    pub fn tables(&self, workers: NonZeroU16) -> Result<(Entries, Vec<WorkerEnd>), FillError> {
        let hertz = NonZeroU64::MIN.saturating_add(999_999_999);
        let config = EntriesConfig { sizes: self.sizes(), workers, seed: 7, clock: Clock { hertz, now: || 0 } };
        let (mut entries, ends) = Entries::new(&config)?;
        for port in [CIRCUIT, CORE] {
            entries.set_port_state(PortId::new(port)?, PortState::Up);
        }
        Ok((entries, ends))
    }

    /// Writes all entries, in batches as a controller does.
    pub fn fill(&self, entries: &mut Entries) -> Result<(), FillError> {
        const BATCH: u32 = 10_000;
        for (index, entry) in (0..).zip(self.entries()) {
            entries.apply(&Update::Insert(entry?)).map_err(|source| FillError::Apply { index, source })?;
            if index % BATCH == 0 {
                entries.publish();
            }
        }
        entries.publish();
        Ok(())
    }

    /// All entries: next hops, tunnels, sessions, flows, labels, routes.
    pub fn entries(self) -> impl Iterator<Item = Result<Entry, OutOfRange>> {
        let nexthops = (0..self.nexthops).map(nexthop);
        let tunnels = (0..self.tunnels).map(move |number| tunnel(number, number % self.nexthops.max(1)));
        let sessions = (0..self.sessions).map(move |number| session(number, number % self.tunnels.max(1)));
        let flows_v4 = (0..self.flows_v4).map(move |number| flow_v4(number, number % self.sessions.max(1)));
        let flows_v6 = (0..self.flows_v6).map(move |number| flow_v6(number, number % self.sessions.max(1)));
        let labels = (0..self.labels).map(move |number| label(number, number % self.nexthops.max(1)));
        let routes_v4 = (0..self.routes_v4).map(move |number| route_v4(number, self.vrfs, number % self.tunnels.max(1)));
        let routes_v6 = (0..self.routes_v6).map(move |number| route_v6(number, self.vrfs, number % self.tunnels.max(1)));
        let first = nexthops.chain(tunnels).chain(sessions).chain(flows_v4).chain(flows_v6);
        first.chain(labels).chain(routes_v4).chain(routes_v6)
    }
}

/// What a packet of a customer needs to get as far as its flow: the circuit in VRF 1, and the router's address there.
pub fn circuit() -> Result<[Entry; 2], OutOfRange> {
    let (port, untagged) = (PortId::new(CIRCUIT)?, VlanId::default());
    let attachment = AttachmentKey { port, vlan: untagged, inner_vlan: untagged };
    let action = AttachmentAction::ToVrf { vrf: VrfId::new(1)? };
    Ok([
        AttachmentEntry { key: attachment, action }.into(),
        StationEntry { key: StationKey { port, dst_mac: ROUTER }, action: StationAction::Accept }.into(),
    ])
}

/// Source and destination of flow `number`, in 10.0.0.0/8 both, and its source port.
pub fn flow_addresses(number: u32) -> (u32, u32, u16) {
    let source = 0x0a00_0000 | number & 0x00ff_ffff;
    (source, source ^ 0x00ff_ffff, 5000)
}

/// Next hop `number`.
pub fn nexthop(number: u32) -> Result<Entry, OutOfRange> {
    let [_, _, high, low] = number.to_be_bytes();
    let action = NexthopAction::Rewrite {
        port: PortId::new(CORE)?,
        src_mac: ROUTER,
        dst_mac: MacAddr([2, 0, 0, 1, high, low]),
        vlan: VlanId::default(),
        inner_vlan: VlanId::default(),
        mtu: Mtu::new(1600)?,
    };
    Ok(NexthopEntry { key: NexthopKey { nexthop: NextHopId::new(number)? }, action: Choice::only(action) }.into())
}

/// Tunnel `number`, of one transport label.
pub fn tunnel(number: u32, nexthop: u32) -> Result<Entry, OutOfRange> {
    let l1 = Label::new(Label::FIRST_UNRESERVED.get() + number)?;
    let action = TunnelAction::Lsp1 { l1, nexthop: NextHopId::new(nexthop)?, ttl_mode: TtlMode::UNIFORM };
    Ok(TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(number)? }, action: Choice::only(action) }.into())
}

/// Session `number`; rates differ.
pub fn session(number: u32, tunnel: u32) -> Result<Entry, OutOfRange> {
    let rate = 1_000_000 + u64::from(number);
    let meter = MeterConfig { cir: rate, cburst: 100_000, pir: 2 * rate, pburst: 200_000 };
    metered_session(number, tunnel, Some(meter))
}

/// Session `number`, policed like this.
pub fn metered_session(number: u32, tunnel: u32, meter: Option<MeterConfig>) -> Result<Entry, OutOfRange> {
    let [.., low] = number.to_be_bytes();
    let (tunnel, vpn_label) = (TunnelId::new(tunnel)?, Label::new(Label::FIRST_UNRESERVED.get() + number % 4096)?);
    let action = SessionAction::Carry { tunnel, vpn_label, class: Class::new(low % 8)? };
    Ok(SessionEntry { key: SessionKey { session: SessionId::new(number)? }, action, meter }.into())
}

/// Flow `number`, in VRF 1.
pub fn flow_v4(number: u32, session: u32) -> Result<Entry, OutOfRange> {
    let (src, dst, sport) = flow_addresses(number);
    let key = FlowV4Key {
        vrf: VrfId::new(1)?,
        src: src.into(),
        dst: dst.into(),
        proto: Protocol::new(UDP)?,
        sport: L4Port::new(sport)?,
        dport: L4Port::new(DESTINATION_PORT)?,
    };
    Ok(FlowV4Entry { key, action: FlowV4Action::Assign { session: SessionId::new(session)? }, idle_timeout: None }.into())
}

/// IPv6 flow `number`, in VRF 1.
pub fn flow_v6(number: u32, session: u32) -> Result<Entry, OutOfRange> {
    let (src, dst, sport) = flow_addresses(number);
    let address = |host: u32| Ipv6Addr::from_bits(SITES | u128::from(host >> 8) << 64 | u128::from(host));
    let key = FlowV6Key {
        vrf: VrfId::new(1)?,
        src: address(src),
        dst: address(dst),
        proto: Protocol::new(UDP)?,
        sport: L4Port::new(sport)?,
        dport: L4Port::new(DESTINATION_PORT)?,
    };
    Ok(FlowV6Entry { key, action: FlowV6Action::Assign { session: SessionId::new(session)? }, idle_timeout: None }.into())
}

/// `2001:db8::/32`, for documentation.
const SITES: u128 = 0x2001_0db8 << 96;

/// A label that is swapped for its neighbour.
pub fn label(number: u32, nexthop: u32) -> Result<Entry, OutOfRange> {
    let label = Label::new(Label::FIRST_UNRESERVED.get() + number)?;
    let action = IlmAction::Swap { label: Label::new(label.get() ^ 1)?, nexthop: NextHopId::new(nexthop)? };
    Ok(IlmEntry { key: IlmKey { label }, action }.into())
}

/// VRF of route `number`, from 1 on, and its number there, scattered over 16 bits.
fn place(number: u32, vrfs: u16) -> Result<(VrfId, u32), OutOfRange> {
    // Odd, so all 65,536 differ.
    const SCATTER: u32 = 0x9e37;
    let vrfs = u32::from(vrfs.max(1));
    Ok((VrfId::try_from(u64::from(1 + number % vrfs))?, (number / vrfs).wrapping_mul(SCATTER) & 0xffff))
}

/// Route `number`: a /24 of 10.0.0.0/8 in one of the VRFs.
pub fn route_v4(number: u32, vrfs: u16, tunnel: u32) -> Result<Entry, OutOfRange> {
    let (vrf, place) = place(number, vrfs)?;
    let dst = Prefix { value: Ipv4Addr::from(0x0a00_0000 | place << 8), length: 24 };
    let (tunnel, vpn_label) = (TunnelId::new(tunnel)?, Label::new(Label::FIRST_UNRESERVED.get() + number % 4096)?);
    let action = RouteV4Action::ViaTunnel { tunnel, vpn_label, class: Class::default() };
    Ok(RouteV4Entry { key: RouteV4Key { vrf, dst }, action }.into())
}

/// IPv6 route `number`: a /64 of the VRF's /48.
pub fn route_v6(number: u32, vrfs: u16, tunnel: u32) -> Result<Entry, OutOfRange> {
    let (vrf, place) = place(number, vrfs)?;
    let dst = Prefix { value: Ipv6Addr::from_bits(SITES | u128::from(vrf.get()) << 80 | u128::from(place) << 64), length: 64 };
    let (tunnel, vpn_label) = (TunnelId::new(tunnel)?, Label::new(Label::FIRST_UNRESERVED.get() + number % 4096)?);
    let action = RouteV6Action::ViaTunnel { tunnel, vpn_label, class: Class::default() };
    Ok(RouteV6Entry { key: RouteV6Key { vrf, dst }, action }.into())
}
