//! What the fast path reads.
//!
//! Big tables have one writer, which is `Entries`, and readers that take no lock: [`flow`], [`flow_v6`], [`session`],
//! [`label`], [`route`], [`route_v6`], [`group`] (with [`tunnel`] and [`nexthop`]). Small ones are immutable and replaced whole: [`small`] (with [`acl`]).
//! Everything that does not depend on the packet is in them ready to use, and what a packet needs of one table is in one cache line.
//!
//! References between entries are by slot: a tunnel or next hop that is named somewhere has a slot, there or not, so an entry can be
//! replaced without a look at who names it.

pub(crate) mod acl;
pub(crate) mod blocks;
pub(crate) mod carry;
pub(crate) mod chained;
pub(crate) mod counters;
pub(crate) mod cuckoo;
pub(crate) mod delivery;
pub(crate) mod exact;
pub(crate) mod flow;
pub(crate) mod flow_v6;
pub(crate) mod gate;
pub(crate) mod gre_ingress;
pub(crate) mod group;
pub(crate) mod hash;
pub(crate) mod label;
pub(crate) mod meter;
pub(crate) mod nexthop;
pub(crate) mod packed;
pub(crate) mod police;
pub(crate) mod policer;
pub(crate) mod ports;
pub(crate) mod route;
pub(crate) mod route_v6;
pub(crate) mod session;
mod sizes;
pub(crate) mod small;
pub(crate) mod ticks;
pub(crate) mod tunnel;
pub(crate) mod words;

use std::num::NonZeroU16;
use std::sync::Arc;

use svpn_contract::TABLES;
use svpn_dpdk::OutOfMemory;

use counters::WorkerCounters;
use flow::FlowTable;
use flow_v6::FlowTableV6;
use gate::Gate;
use gre_ingress::{GreIngressV4, GreIngressV6};
use group::GroupTable;
use hash::Seed;
use label::LabelMap;
use meter::{Sharing, Timebase};
use policer::PolicerTable;
use ports::PortSet;
use route::RouteTable;
use route_v6::RouteTableV6;
use session::SessionTable;

/// The big tables, which all workers share.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) flow_v4: Arc<FlowTable>,
    pub(crate) flow_v6: FlowTableV6,
    pub(crate) session: SessionTable,
    pub(crate) route_v4: Arc<RouteTable>,
    pub(crate) route_v6: Arc<RouteTableV6>,
    pub(crate) tunnel: Arc<GroupTable>,
    pub(crate) nexthop: Arc<GroupTable>,
    pub(crate) gre_ingress_v4: Arc<GreIngressV4>,
    pub(crate) gre_ingress_v6: Arc<GreIngressV6>,
    /// By VRF, in bytes.
    pub(crate) vrf_policer: Arc<PolicerTable>,
    /// By reason, in packets.
    pub(crate) punt_policer: Arc<PolicerTable>,
    /// Of all meters.
    pub(crate) timebase: Timebase,
    /// The ports that exist and whose link is up.
    pub(crate) up: PortSet,
    /// Closed while workers are to stand still.
    pub(crate) gate: Gate,
    /// Of the choice among a tunnel's members.
    pub(crate) tunnel_seed: Seed,
    /// Of the choice among a next hop's members: independent of the tunnel's.
    pub(crate) nexthop_seed: Seed,
}

/// What one worker has for itself: labels with their counters, and the other counters.
#[derive(Debug, Clone)]
pub(crate) struct WorkerTables {
    pub(crate) labels: Arc<LabelMap>,
    pub(crate) counters: Arc<WorkerCounters>,
}

/// What the hashes of one purpose are seeded with, beside the router's seed.
pub(crate) mod purpose {
    pub(crate) const FLOWS: u64 = 1;
    pub(crate) const SMALL: u64 = 2;
    pub(crate) const TUNNEL: u64 = 3;
    pub(crate) const NEXTHOP: u64 = 4;
    pub(crate) const WORKERS: u64 = 64;
    pub(crate) const FLOWS_V6: u64 = 6;
    pub(crate) const GRE: u64 = 5;
}

impl Tables {
    pub(crate) fn new(sizes: &TableSizes, sharing: Sharing, timebase: Timebase, seed: u64) -> Result<Self, OutOfMemory> {
        Ok(Self {
            flow_v4: Arc::new(FlowTable::new(sizes.flow_v4, Seed::derive(seed, purpose::FLOWS))?),
            flow_v6: FlowTableV6::new(sizes.flow_v6, Seed::derive(seed, purpose::FLOWS_V6))?,
            session: SessionTable::new(sizes.session, sharing)?,
            route_v4: Arc::new(RouteTable::new(sizes.route_v4)?),
            route_v6: Arc::new(RouteTableV6::new(sizes.route_v6)?),
            tunnel: Arc::new(GroupTable::new(sizes.tunnel_slots(), sizes.tunnel_lines())?),
            nexthop: Arc::new(GroupTable::new(sizes.nexthop_slots(), sizes.nexthop_lines())?),
            gre_ingress_v4: Arc::new(GreIngressV4::new(sizes.gre_ingress_v4, Seed::derive(seed, purpose::GRE))?),
            gre_ingress_v6: Arc::new(GreIngressV6::new(sizes.gre_ingress_v6, Seed::derive(seed, purpose::GRE))?),
            vrf_policer: Arc::new(PolicerTable::new(PolicerTable::VRFS, sharing)?),
            punt_policer: Arc::new(PolicerTable::new(PolicerTable::REASONS, sharing)?),
            timebase,
            up: PortSet::default(),
            gate: Gate::default(),
            tunnel_seed: Seed::derive(seed, purpose::TUNNEL),
            nexthop_seed: Seed::derive(seed, purpose::NEXTHOP),
        })
    }
}

impl WorkerTables {
    /// Those of so many workers.
    pub(crate) fn for_workers(sizes: &TableSizes, workers: NonZeroU16) -> Result<Vec<Self>, OutOfMemory> {
        let maps = LabelMap::for_workers(LabelMap::LABELS, workers)?;
        let with_counters = |labels| Ok(Self { labels, counters: Arc::new(WorkerCounters::new(sizes.session, sizes.tunnel_slots())?) });
        maps.into_iter().map(with_counters).collect()
    }
}

/// How many entries each table takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSizes {
    /// `attachment`.
    pub attachment: u32,
    /// `station`.
    pub station: u32,
    /// `arp_responder`.
    pub arp_responder: u32,
    /// `flow_v4`.
    pub flow_v4: u32,
    /// `flow_acl_v4`.
    pub flow_acl_v4: u32,
    /// `flow_v6`.
    pub flow_v6: u32,
    /// `flow_acl_v6`.
    pub flow_acl_v6: u32,
    /// `session`: ids are below it.
    pub session: u32,
    /// `route_v4`.
    pub route_v4: u32,
    /// `route_v6`.
    pub route_v6: u32,
    /// `tunnel`.
    pub tunnel: u32,
    /// `ilm`.
    pub ilm: u32,
    /// `nexthop`.
    pub nexthop: u32,
    /// `gre_ingress_v4`.
    pub gre_ingress_v4: u32,
    /// `gre_ingress_v6`.
    pub gre_ingress_v6: u32,
    /// `vrf_policer`.
    pub vrf_policer: u32,
    /// `punt_policer`.
    pub punt_policer: u32,
}

impl TableSizes {
    /// Slots of tunnels: one for each there can be, and one for each that can be named without being there.
    pub(crate) fn tunnel_slots(&self) -> u32 {
        let routes = self.route_v4.saturating_add(self.route_v6);
        self.tunnel.saturating_add(self.session).saturating_add(routes).saturating_add(Self::AWAITED)
    }

    /// Lines of tunnel members.
    pub(crate) fn tunnel_lines(&self) -> u32 {
        self.tunnel.saturating_mul(8).saturating_add(Self::AWAITED)
    }

    /// Slots of next hops, in the same way.
    pub(crate) fn nexthop_slots(&self) -> u32 {
        self.nexthop
            .saturating_add(self.tunnel_lines())
            .saturating_add(self.ilm)
            .saturating_add(self.route_v4)
            .saturating_add(self.route_v6)
            .saturating_add(Self::AWAITED)
    }

    /// Lines of next hop members.
    pub(crate) fn nexthop_lines(&self) -> u32 {
        self.nexthop.saturating_mul(8).saturating_add(Self::AWAITED)
    }

    /// Slots and lines that were given up and wait until no worker reads them.
    const AWAITED: u32 = 1 << 16;
}

impl Default for TableSizes {
    /// The contract's.
    fn default() -> Self {
        let size = |name: &str| {
            let table = TABLES.iter().find(|table| table.name == name);
            table.map_or(0, |table| u32::try_from(table.size).unwrap_or(u32::MAX))
        };
        Self {
            attachment: size("attachment"),
            station: size("station"),
            arp_responder: size("arp_responder"),
            flow_v4: size("flow_v4"),
            flow_acl_v4: size("flow_acl_v4"),
            flow_v6: size("flow_v6"),
            flow_acl_v6: size("flow_acl_v6"),
            session: size("session"),
            route_v4: size("route_v4"),
            route_v6: size("route_v6"),
            tunnel: size("tunnel"),
            ilm: size("ilm"),
            nexthop: size("nexthop"),
            gre_ingress_v4: size("gre_ingress_v4"),
            gre_ingress_v6: size("gre_ingress_v6"),
            vrf_policer: size("vrf_policer"),
            punt_policer: size("punt_policer"),
        }
    }
}
