//! A router's tables, filled for a scenario.

use std::num::NonZeroU16;
use std::num::NonZeroU64;

use clap::ValueEnum;
use svpn_contract::Update;
use svpn_contract::wire::OutOfRange;
use svpn_dpdk::{Eal, Pool};
use svpn_forwarder::entries::{Clock, EntriesConfig, NewEntriesError, PortState, WorkerEnd};
use svpn_forwarder::fastpath::{FastPath, Outputs};
use svpn_forwarder::{ApplyError, Entries};
use thiserror::Error;

use super::arguments::Count;
use super::check::{Check, CheckError};
use super::lane::Lane;
use super::scenario::{Scenario, egress, ingress};
use super::traffic::{FrameSizes, Share, Traffic};

/// Seeds everything random, so every run has the same packets.
const SEED: u64 = 7;

/// Why a scenario cannot be set up.
#[derive(Debug, Error)]
pub enum BedError {
    /// It has fewer keys.
    #[error("it has 1 to {most} entries")]
    Entries {
        /// Most it can have.
        most: u32,
    },
    /// The tables do not fit.
    #[error(transparent)]
    Tables(#[from] NewEntriesError),
    /// The router refuses an entry.
    #[error("the router refuses an entry: {0}")]
    Apply(#[from] ApplyError),
    /// A number has no room on the wire.
    #[error(transparent)]
    Wire(#[from] OutOfRange),
    /// The oracle does not take the entries, or does not forward.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// Which of several workers see a session's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Seen {
    /// One: a session is one flow, and a device's receive-side scaling or our own distribution keeps a flow at one worker.
    ByOne,
    /// All: a session of many flows, between hosts or sites.
    ByAll,
}

/// A router's tables, filled for a scenario.
#[derive(Debug)]
pub struct Bed {
    scenario: Scenario,
    count: u32,
    ends: Vec<WorkerEnd>,
}

impl Bed {
    /// Tables of `count` entries for so many workers.
    pub fn new(eal: Eal, scenario: Scenario, count: u32, workers: u16) -> Result<Self, BedError> {
        let most = scenario.most_entries();
        let workers = NonZeroU16::new(workers).unwrap_or(NonZeroU16::MIN);
        if count == 0 || count > most {
            return Err(BedError::Entries { most });
        }
        let hertz: NonZeroU64 = eal.tsc_hz();
        let config =
            EntriesConfig { sizes: Scenario::table_sizes(count), workers, seed: SEED, clock: Clock { hertz, now: svpn_dpdk::tsc } };
        let (mut entries, ends) = Entries::new(&config)?;
        for port in [ingress()?, egress()?] {
            entries.set_port_state(port, PortState::Up);
        }
        for entry in scenario.common_entries()? {
            entries.apply(&Update::Insert(entry))?;
        }
        for index in 0..count {
            for entry in scenario.entries(index)? {
                entries.apply(&Update::Insert(entry))?;
            }
        }
        entries.publish();
        // The tables are the workers' from here; nobody writes any more.
        Ok(Self { scenario, count, ends })
    }

    /// What each worker needs, with `keys` random packets of its own.
    pub fn lanes(self, pool: Pool, sizes: FrameSizes, keys: Count, seen: Seen) -> Result<Vec<Lane>, BedError> {
        let (scenario, count) = (self.scenario, self.count);
        let ports = [ingress()?, egress()?];
        let workers = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let lane = |((worker, seed), end): ((u32, u64), WorkerEnd)| {
            let share = if scenario.has_flows() && seen == Seen::ByOne { Share::of(count, worker, workers) } else { Share::all(count) };
            let traffic = Traffic::new(scenario, share, sizes, keys.0 as usize, seed);
            let check = Check::new(scenario, count, &traffic)?;
            Ok(Lane::new(FastPath::new(end), Outputs::new(&ports), traffic, check, pool, ports[0]))
        };
        (0..).zip(SEED..).zip(self.ends).map(lane).collect()
    }
}
