//! The forwarder's fast path: bursts of real, distinct packets through real tables.

mod arguments;
mod bed;
mod check;
mod lane;
mod report;
pub mod scaling;
mod scenario;
mod stopwatch;
mod testpmd;
#[cfg(test)]
mod tests;
mod traffic;

use std::io::{self, Write};
use std::time::Duration;

use svpn_dpdk::{Eal, EalError, EalOptions, Memory, PciDevices, Pool, PoolConfig, PoolError};
use thiserror::Error;

pub use arguments::{Arguments, Count, Ports};
pub use bed::{Bed, BedError, Seen};
pub use check::{Check, CheckError};
pub(crate) use lane::RelayOrders;
pub use lane::{Lane, LaneError, Stage};
pub use report::{Peers, Row};
pub use scenario::Scenario;
pub use testpmd::{Testpmd, TestpmdError, Tuning};
pub use traffic::{FrameSizes, Share, Traffic};
pub(crate) use traffic::{LONGEST_FRAME, SHORTEST_FRAME};

/// Why nothing, or not everything, was measured.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// DPDK does not start.
    #[error("DPDK does not start: {0}")]
    Eal(#[from] EalError),
    /// There is no packet memory.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A scenario cannot be set up.
    #[error("{scenario} with {entries} entries cannot be set up: {source}")]
    Bed {
        /// The scenario.
        scenario: Scenario,
        /// Its entries.
        entries: u32,
        /// Why.
        source: BedError,
    },
    /// A worker did not do what it should.
    #[error("{scenario} with {entries} entries: {source}")]
    Lane {
        /// The scenario.
        scenario: Scenario,
        /// Its entries.
        entries: u32,
        /// Why.
        source: LaneError,
    },
    /// There is nothing to compare with.
    #[error("the peer dpdk-testpmd: {0}")]
    Testpmd(#[from] TestpmdError),
    /// There are not so many processors.
    #[error("{asked} cores were asked for, and this process may use {there}; --processors names them")]
    Processors {
        /// Cores asked for.
        asked: usize,
        /// Processors there are.
        there: usize,
    },
    /// The output is closed.
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}

/// What all measurements of a run have in common.
#[derive(Debug, Clone, Copy)]
struct Common<'a> {
    eal: Eal,
    pool: Pool,
    arguments: &'a Arguments,
    processors: &'a [usize],
}

/// Measures everything asked for and writes the results.
///
/// # Errors
/// [`PipelineError`]: also where a packet was not forwarded, or came out other than the oracle says. There is no result then.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), PipelineError> {
    let cores = arguments.cores.iter().copied().max().unwrap_or(1);
    let there = arguments.processors();
    let processors = there.get(..usize::from(cores)).ok_or(PipelineError::Processors { asked: usize::from(cores), there: there.len() })?;
    let eal = start_eal()?;
    let pool = Pool::new(eal, "svpn-bench", PoolConfig { mbufs: 8191, cache: 256, ..PoolConfig::default() })?;
    let common = Common { eal, pool, arguments, processors };
    let mut report = report::Report::new(arguments, eal, output);
    report.head()?;
    for scenario in &arguments.scenario {
        for entries in &arguments.entries {
            for sizes in scenario.frame_sizes(&arguments.frame) {
                for cores in &arguments.cores {
                    report.row(&measure(common, *scenario, entries.0, sizes, *cores)?)?;
                }
            }
        }
    }
    Ok(())
}

/// Hugepages where there are some, otherwise ordinary memory.
pub(crate) fn start_eal() -> Result<Eal, EalError> {
    // DPDK's own log of what it found belongs to no result.
    let quiet = vec!["--log-level=*:error".to_owned(), "--no-telemetry".to_owned()];
    let options = |memory| EalOptions { memory, pci: PciDevices::Never, arguments: quiet.clone() };
    match Eal::init(&options(Memory::Hugepages)) {
        Err(EalError::NoHugepages) => Eal::init(&options(Memory::Ordinary { mebibytes: 128 })),
        result => result,
    }
}

/// Measures one scenario with one size of tables and frames on so many cores.
fn measure(common: Common<'_>, scenario: Scenario, entries: u32, sizes: FrameSizes, cores: u16) -> Result<Row, PipelineError> {
    let Common { eal, pool, arguments, processors } = common;
    let at_bed = |source| PipelineError::Bed { scenario, entries, source };
    let at_lane = |source| PipelineError::Lane { scenario, entries, source };
    let bed = Bed::new(eal, scenario, entries, cores).map_err(at_bed)?;
    let processors = processors.get(..usize::from(cores)).unwrap_or_default();
    let mut lanes = bed.lanes(pool, sizes, arguments.keys, Seen::ByOne).map_err(at_bed)?;
    let time = Duration::from_secs_f64(arguments.seconds);
    let mut row = Row::new(scenario, entries, sizes, cores);
    match arguments.ports {
        None => {
            for _ in 0..arguments.rounds {
                let clocks = lane::in_memory(eal, &mut lanes, processors, time).map_err(at_lane)?;
                row.add_memory(eal, &clocks);
            }
        }
        Some(Ports::NetNull) => {
            let queues = lane::null_ports(eal, pool, sizes, &mut lanes).map_err(at_lane)?;
            let start = |tuning| Testpmd::start(eal, sizes.longest(), processors, tuning);
            let (mut tuned, mut plain) = (start(Tuning::AsWeAre)?, start(Tuning::AsItIs)?);
            for _ in 0..arguments.rounds {
                let full = lane::through_ports(eal, &mut lanes, processors, Stage::Whole, time).map_err(at_lane)?;
                let peers = Peers { tuned: tuned.round(time)?, plain: plain.round(time)? };
                let bare = lane::through_ports(eal, &mut lanes, processors, Stage::Bare, time).map_err(at_lane)?;
                row.add_ports(full, bare, peers);
            }
            tuned.stop();
            plain.stop();
            drop(lanes);
            drop(queues);
        }
    }
    Ok(row)
}
