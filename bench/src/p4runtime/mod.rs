//! The forwarder's P4Runtime service: entries written per second over a real socket, and what updates cost the packets.
//!
//! The service runs in this process, on the forwarder's own tables and in front of a worker, and one client talks to it over TCP on loopback
//! as a controller would. Nothing is left out between the client's message and the worker's table.

mod arguments;
mod client;
mod measure;
pub mod repair;
mod router;
mod worker;
mod workload;

use std::io::{self, Write};
use std::num::NonZeroUsize;

use serde::Serialize;
use svpn_contract::wire::OutOfRange;
use svpn_dpdk::{Eal, EalError, EalOptions, Memory, PciDevices, PoolConfig, PoolError, PoolExhausted};
use svpn_forwarder::ApplyError;
use svpn_forwarder::entries::NewEntriesError;
use thiserror::Error;

pub use arguments::{Arguments, What};
pub use client::Client;
pub use router::Service;
pub use workload::Kind;

/// Why nothing, or not everything, was measured.
#[derive(Debug, Error)]
pub enum P4RuntimeError {
    /// DPDK does not start.
    #[error("DPDK does not start: {0}")]
    Eal(#[from] EalError),
    /// There is no packet memory.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A packet buffer is missing.
    #[error(transparent)]
    Buffer(#[from] PoolExhausted),
    /// The tables do not fit.
    #[error(transparent)]
    Tables(#[from] NewEntriesError),
    /// The router refuses an entry.
    #[error("the router refuses an entry: {0}")]
    Apply(#[from] ApplyError),
    /// A number has no room on the wire.
    #[error(transparent)]
    Wire(#[from] OutOfRange),
    /// No socket, thread or output.
    #[error(transparent)]
    System(#[from] io::Error),
    /// No connection.
    #[error("the service does not answer: {0}")]
    Connect(#[from] tonic::transport::Error),
    /// The service refuses what it should do.
    #[error("the service refuses: {0}")]
    Refused(Box<tonic::Status>),
    /// The service ended before it was told to.
    #[error("the service has ended")]
    Ended,
    /// The tables cannot be read.
    #[error(transparent)]
    Read(svpn_switch::ReadError),
    /// A read tells another number of entries than were written.
    #[error("{written} entries were written, and {read} are read")]
    ReadBack {
        /// Written.
        written: usize,
        /// Read.
        read: usize,
    },
    /// A thread's code is wrong.
    #[error("a thread panicked")]
    Panicked,
}

impl From<tonic::Status> for P4RuntimeError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `flows insert`, `vpns`, `read`, `loss`.
    pub what: String,
    /// Entries written or read.
    pub entries: usize,
    /// Updates in one request.
    pub batch: NonZeroUsize,
    /// How long it took.
    pub milliseconds: f64,
    /// Entries per second.
    pub entries_per_second: f64,
    /// While all entries were read: the longest that a write of one entry took.
    pub longest_write_milliseconds: Option<f64>,
    /// While entries were written: packets that the worker forwarded.
    pub packets: Option<u64>,
    /// And those it did not.
    pub lost: Option<u64>,
}

/// Measures everything asked for and writes the results.
///
/// # Errors
/// [`P4RuntimeError`]: also where the service refuses an update.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), P4RuntimeError> {
    let eal = start_eal()?;
    let pool = svpn_dpdk::Pool::new(eal, "svpn-bench", PoolConfig { mbufs: 8191, cache: 256, ..PoolConfig::default() })?;
    if !arguments.json {
        writeln!(
            output,
            "{:<18} {:>9} {:>6} {:>12} {:>12} {:>13} {:>12} {:>6}",
            "", "entries", "batch", "ms", "entries/s", "longest write", "packets", "lost"
        )?;
    }
    for what in &arguments.what {
        for row in measure::measure(eal, pool, arguments, *what)? {
            write_row(arguments, &row, output)?;
        }
    }
    Ok(())
}

/// An object of JSON a line.
fn write_json(row: &impl Serialize, output: &mut impl Write) -> Result<(), P4RuntimeError> {
    serde_json::to_writer(&mut *output, row).map_err(io::Error::from)?;
    writeln!(output)?;
    Ok(())
}

fn write_row(arguments: &Arguments, row: &Row, output: &mut impl Write) -> Result<(), P4RuntimeError> {
    if arguments.json {
        return write_json(row, output);
    }
    let or_nothing = |text: Option<String>| text.unwrap_or_default();
    writeln!(
        output,
        "{:<18} {:>9} {:>6} {:>12.2} {:>12.0} {:>13} {:>12} {:>6}",
        row.what,
        row.entries,
        row.batch,
        row.milliseconds,
        row.entries_per_second,
        or_nothing(row.longest_write_milliseconds.map(|time| format!("{time:.2} ms"))),
        or_nothing(row.packets.map(|packets| packets.to_string())),
        or_nothing(row.lost.map(|lost| lost.to_string())),
    )?;
    Ok(())
}

/// Hugepages where there are some, otherwise ordinary memory.
fn start_eal() -> Result<Eal, EalError> {
    let quiet = vec!["--log-level=*:error".to_owned(), "--no-telemetry".to_owned()];
    let options = |memory| EalOptions { memory, pci: PciDevices::Never, arguments: quiet.clone() };
    match Eal::init(&options(Memory::Hugepages)) {
        Err(EalError::NoHugepages) => Eal::init(&options(Memory::Ordinary { mebibytes: 128 })),
        result => result,
    }
}
