//! What the controller wrote: the authoritative entries, and the only writer of the tables.
//!
//! Big tables are their own record: `flow_v4`, `route_v4`, `ilm` and `session` are read back from what workers read, so an entry is kept
//! once. `tunnel` and `nexthop` keep their action sets beside it, the small tables are kept here and rendered when published.
//!
//! An entry may name a tunnel or a next hop that is not there (`names`): it starts to work when that is written.

mod counters;
mod gre;
mod groups;
mod idle;
mod names;
mod policers;
mod read;
mod small;
mod usage;
mod v6;
mod write;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use svpn_contract::wire::PortId;
use svpn_contract::{EntryKey, MeterConfig, NexthopAction, TunnelAction};
use svpn_dpdk::{OutOfMemory, Published, Reader, Reclaimer, TooManyReaders};
use thiserror::Error;

use crate::tables::flow::FlowWriter;
use crate::tables::group::GroupWriter;
use crate::tables::hash::Seed;
use crate::tables::label::LabelWriter;
use crate::tables::meter::{Buckets, Hertz, REFRESH, Sharing, Timebase};
use crate::tables::route::RouteWriter;
use crate::tables::small::SmallTables;
use crate::tables::{TableSizes, Tables, WorkerTables, nexthop, purpose, tunnel};
use counters::{Counters, Departed};
use gre::GreEntries;
use groups::Groups;
pub use idle::IdleClock;
use idle::IdleTimers;
use names::Names;
use policers::PolicerEntries;
use small::SmallEntries;
pub use usage::{SessionCount, TableUsage};
use v6::EntriesV6;

/// A counter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CounterData {
    /// Packets.
    pub packets: u64,
    /// Bytes, destination MAC to end of payload.
    pub bytes: u64,
}

/// Why an update changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// An entry with this key is there.
    #[error("the entry exists already")]
    AlreadyExists,
    /// No entry with this key is there.
    #[error("there is no such entry")]
    NotFound,
    /// The table holds as many entries as it can.
    #[error("the table is full: it holds {size} entries")]
    TableFull {
        /// Entries it holds.
        size: u64,
    },
    /// A key is outside what the router can hold.
    #[error("{field} {value} is not below {limit}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The first value that is too large.
        limit: u64,
    },
    /// An action set has more members than a group can have.
    #[error("a group has up to {most} members, not {members}")]
    Members {
        /// Members given.
        members: usize,
        /// Most members.
        most: usize,
    },
}

/// Whether frames can leave by a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortState {
    /// They can.
    Up,
    /// They cannot.
    Down,
}

/// The clock that workers hand to the fast path.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Ticks per second.
    pub hertz: Hertz,
    /// Ticks since some moment.
    pub now: fn() -> u64,
}

/// What entries are made for.
#[derive(Debug, Clone, Copy)]
pub struct EntriesConfig {
    /// How many entries each table takes.
    pub sizes: TableSizes,
    /// How many workers read the tables.
    pub workers: NonZeroU16,
    /// Seeds every hash.
    pub seed: u64,
    /// The workers' clock.
    pub clock: Clock,
}

/// A worker's way into the tables.
#[derive(Debug)]
pub struct WorkerEnd {
    pub(crate) tables: Arc<Tables>,
    pub(crate) own: WorkerTables,
    pub(crate) small: Published<SmallTables>,
    pub(crate) reader: Reader,
}

/// Why there are no tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NewEntriesError {
    /// They do not fit into memory.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The reclaimer has no place for a worker.
    #[error(transparent)]
    Readers(#[from] TooManyReaders),
}

/// Whether an entry must be there before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// It must not.
    Insert,
    /// It must.
    Modify,
}

/// What the sessions have that workers do not read.
#[derive(Debug, Default)]
struct SessionEntries {
    /// By id, as far as there have been sessions.
    meters: Vec<Option<MeterConfig>>,
    count: usize,
    /// Sessions whose meter got new numbers while workers were using it: filled once more when they no longer have the old ones.
    reconfigured: Vec<(u32, Buckets)>,
}

/// What is known of the labels beside what workers read.
#[derive(Debug)]
struct LabelEntries {
    writer: LabelWriter,
    count: usize,
    /// No label from here on was ever written.
    end: u32,
}

impl LabelEntries {
    fn new(ends: &[WorkerEnd]) -> Self {
        let maps = ends.iter().map(|end| Arc::clone(&end.own.labels)).collect();
        Self { writer: LabelWriter::new(maps), count: 0, end: 0 }
    }
}

/// The entries of every table.
///
/// Updates of big tables take effect at once, those of small ones with [`Entries::publish`]: call it after each batch.
#[derive(Debug)]
pub struct Entries {
    sizes: TableSizes,
    clock: Clock,
    tables: Arc<Tables>,
    workers: Vec<WorkerTables>,
    reclaimer: Reclaimer,
    small: SmallEntries,
    flows: FlowWriter,
    idle: IdleTimers,
    sessions: SessionEntries,
    routes: RouteWriter,
    v6: EntriesV6,
    labels: LabelEntries,
    tunnels: Groups<TunnelAction>,
    nexthops: Groups<NexthopAction>,
    tunnel_names: Names,
    nexthop_names: Names,
    gre: GreEntries,
    vrf_policers: PolicerEntries,
    punt_policers: PolicerEntries,
    /// When meters were last refreshed.
    refreshed: u64,
    counters: Counters,
    departed: Departed,
}

impl Entries {
    /// Empty tables, and a way into them for each worker.
    pub fn new(config: &EntriesConfig) -> Result<(Self, Vec<WorkerEnd>), NewEntriesError> {
        let sizes = config.sizes;
        let sharing = if config.workers == NonZeroU16::MIN { Sharing::OneWorker } else { Sharing::ManyWorkers };
        let tables = Arc::new(Tables::new(&sizes, sharing, Timebase::new(config.clock.hertz), config.seed)?);
        let reclaimer = Reclaimer::new(config.workers);
        let small = SmallEntries::new(&sizes, Seed::derive(config.seed, purpose::SMALL), &reclaimer);
        let mut ends = Vec::new();
        for own in WorkerTables::for_workers(&sizes, config.workers)? {
            ends.push(WorkerEnd { tables: Arc::clone(&tables), own, small: small.subscribe(), reader: reclaimer.reader()? });
        }
        let tunnel_writer = GroupWriter::new(Arc::clone(&tables.tunnel), sizes.tunnel_lines());
        let nexthop_writer = GroupWriter::new(Arc::clone(&tables.nexthop), sizes.nexthop_lines());
        let entries = Self {
            sizes,
            clock: config.clock,
            workers: ends.iter().map(|end| end.own.clone()).collect(),
            small,
            flows: FlowWriter::new(Arc::clone(&tables.flow_v4)),
            idle: IdleTimers::default(),
            sessions: SessionEntries::default(),
            routes: RouteWriter::new(Arc::clone(&tables.route_v4), sizes.route_v4),
            v6: EntriesV6::new(&tables, &sizes),
            labels: LabelEntries::new(&ends),
            tunnels: Groups::new(tunnel_writer, sizes.tunnel, tunnel::member_line),
            nexthops: Groups::new(nexthop_writer, sizes.nexthop, |member, _| nexthop::member_line(member)),
            tunnel_names: Names::new(sizes.tunnel_slots()),
            nexthop_names: Names::new(sizes.nexthop_slots()),
            gre: GreEntries::new(&tables, &sizes),
            vrf_policers: PolicerEntries::new(Arc::clone(&tables.vrf_policer), sizes.vrf_policer),
            punt_policers: PolicerEntries::new(Arc::clone(&tables.punt_policer), sizes.punt_policer),
            refreshed: tables.timebase.moment((config.clock.now)()),
            counters: Counters::default(),
            departed: Departed::default(),
            reclaimer,
            tables,
        };
        Ok((entries, ends))
    }

    /// Makes all updates since the last call effective, and frees what workers no longer read.
    pub fn publish(&mut self) {
        self.small.publish();
        self.publish_meters();
        self.departed.publish(&self.reclaimer);
        self.routes.publish(&self.reclaimer);
        self.v6.publish(&self.reclaimer);
        self.gre.publish(&self.reclaimer);
        self.tunnels.publish(&self.reclaimer);
        self.nexthops.publish(&self.reclaimer);
        self.nexthop_names.publish(&self.reclaimer, |_| {});
        let workers = &self.workers;
        self.tunnel_names.publish(&self.reclaimer, |slot| {
            for worker in workers {
                worker.counters.clear_tunnel(slot);
            }
        });
        self.reclaimer.reclaim();
    }

    /// Makes every worker stand still between two bursts until [`Self::resume`], so that it sees all updates meanwhile at once.
    pub fn pause(&mut self) {
        self.tables.gate.close();
        quiesce(&self.reclaimer);
    }

    /// Lets the workers go on.
    pub fn resume(&mut self) {
        self.tables.gate.open();
    }

    /// Fills the meters that got new numbers, when workers let go of the old ones; and looks after all of them every few days.
    fn publish_meters(&mut self) {
        let policers = [&self.vrf_policers, &self.punt_policers];
        if !self.sessions.reconfigured.is_empty() || policers.into_iter().any(PolicerEntries::awaits_workers) {
            quiesce(&self.reclaimer);
            let now = self.now();
            for (session, buckets) in self.sessions.reconfigured.drain(..) {
                self.tables.session.configure(session, &buckets, now);
            }
            self.vrf_policers.refill(now);
            self.punt_policers.refill(now);
        }
        let now = self.now();
        if now.wrapping_sub(self.refreshed) >= REFRESH {
            self.refreshed = now;
            for session in 0..u32::try_from(self.sessions.meters.len()).unwrap_or(u32::MAX) {
                self.tables.session.refresh(session, now);
            }
            self.vrf_policers.refresh(now);
            self.punt_policers.refresh(now);
        }
    }

    /// The moment it is, for meters.
    fn now(&self) -> u64 {
        self.tables.timebase.moment((self.clock.now)())
    }

    /// A port comes up or goes down: what would leave by one that is down is dropped, and members that watch it are left out of their
    /// groups. A port that was never up does not exist.
    pub fn set_port_state(&mut self, port: PortId, state: PortState) {
        let changed = match state {
            PortState::Up => self.tables.up.insert(port),
            PortState::Down => self.tables.up.remove(port),
        };
        if changed {
            let reclaimer = &self.reclaimer;
            self.tunnels.port_changed(port, &self.tables.up, reclaimer, || quiesce(reclaimer));
            self.nexthops.port_changed(port, &self.tables.up, reclaimer, || quiesce(reclaimer));
        }
    }
}

/// Fails where an entry must not be written: it is there or not, or the table is full.
fn admit(write: Write, present: bool, entries: usize, size: u32) -> Result<(), ApplyError> {
    match (write, present) {
        (Write::Insert, true) => Err(ApplyError::AlreadyExists),
        (Write::Modify, false) => Err(ApplyError::NotFound),
        (Write::Insert, false) if entries as u64 >= u64::from(size) => Err(full(size)),
        _ => Ok(()),
    }
}

fn full(size: u32) -> ApplyError {
    ApplyError::TableFull { size: u64::from(size) }
}

/// Waits until every worker has been quiescent: microseconds while they poll, as long as they sleep while they do not.
fn quiesce(reclaimer: &Reclaimer) {
    let period = reclaimer.start();
    let mut tries = 0_u32;
    while !reclaimer.is_over(period) {
        tries += 1;
        if tries < 1000 {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(Duration::from_micros(10));
        }
    }
}

/// The key of a table that counts, by what its counter belongs to.
type Counted = EntryKey;
