//! How much memory entries take, as the kernel counts it.
//!
//! Tables of one kind at a time are made as large as they are to be filled, and filled; what the process has grown by, less what tables without
//! entries take, is divided by the entries. Nothing is left out: what workers read, the workers' own counters, of all of them, and
//! what the control thread keeps. What tables without entries take is counted with the labels: most of it is theirs.

use std::fs;
use std::io::{self, Write};
use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use svpn_contract::wire::Label;
use svpn_forwarder::Entries;
use svpn_forwarder::entries::WorkerEnd;
use thiserror::Error;

use crate::large::{Counts, FillError};

/// Memory of the forwarder's tables, by what the kernel counts: bytes for each entry, of each kind.
///
/// A session over IPv4 is its flow, its line with both token buckets, its counters in every worker, and the meter as the controller wrote it.
/// `all` is everything at once in one forwarder: 1 M flows over IPv4 and over IPv6, 1 M sessions and labels, 1 M IPv4 and 200 k IPv6 prefixes
/// over 4,000 VRFs, 64 k tunnels, 16 k next hops.
#[allow(clippy::doc_markdown, reason = "the text of --help, where backticks are only noise")]
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Workers that count for themselves.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    pub workers: Vec<NonZeroU16>,
    /// Print one JSON object per row: `workers, kind, entries, bytes, bytes_each, seconds`.
    #[arg(long)]
    pub json: bool,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// The tables do not take the entries.
    #[error("{kind}: {source}")]
    Fill {
        /// Entries of what kind.
        kind: &'static str,
        /// Why not.
        source: FillError,
    },
    /// The kernel does not say what the process has.
    #[error("cannot read /proc/self/status: {0}")]
    Status(#[source] io::Error),
    /// It says it in other words.
    #[error("/proc/self/status has no VmRSS in kB")]
    NoSize,
    /// The output is closed.
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    workers: u16,
    kind: &'static str,
    /// What the bytes are divided by.
    entries: u32,
    bytes: u64,
    bytes_each: f64,
    /// To write the entries.
    seconds: f64,
}

/// All labels there are: each has its place, used or not.
const LABELS: u32 = Label::MAX.get() - Label::FIRST_UNRESERVED.get() + 1;

/// A kind of entries: how many of what, and what they are divided by.
type Kind = (&'static str, Counts, u32);

/// What is measured, of an edge of this size. A session has a flow.
fn kinds(all: Counts) -> [Kind; 8] {
    let some = Counts { vrfs: all.vrfs, ..Counts::default() };
    let sessions = Counts { sessions: all.sessions, tunnels: all.tunnels.min(1000), nexthops: 1, ..some };
    [
        ("label", Counts { labels: all.labels, nexthops: 1, ..some }, all.labels),
        ("session, IPv4", Counts { flows_v4: all.flows_v4, ..sessions }, all.sessions),
        ("session, IPv6", Counts { flows_v6: all.flows_v6, ..sessions }, all.sessions),
        ("flow, IPv4", Counts { flows_v4: all.flows_v4, ..some }, all.flows_v4),
        ("flow, IPv6", Counts { flows_v6: all.flows_v6, ..some }, all.flows_v6),
        ("route, IPv4", Counts { routes_v4: all.routes_v4, tunnels: 1, nexthops: 1, ..some }, all.routes_v4),
        ("route, IPv6", Counts { routes_v6: all.routes_v6, tunnels: 1, nexthops: 1, ..some }, all.routes_v6),
        ("tunnel", Counts { tunnels: all.tunnels, nexthops: all.nexthops, ..some }, all.tunnels),
    ]
}

/// Measures and writes the results.
///
/// # Errors
/// [`MemoryError`].
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), MemoryError> {
    if !arguments.json {
        writeln!(output, "{:<8}{:<15}{:>10}{:>8}{:>9}{:>11}", "WORKERS", "KIND", "ENTRIES", "MiB", "SECONDS", "BYTES EACH")?;
    }
    for workers in &arguments.workers {
        measure(Counts { labels: LABELS, ..Counts::LARGE }, *workers, |row| write_row(&row, arguments.json, output))?;
    }
    Ok(())
}

/// Measures each kind, and all at once.
fn measure(all: Counts, workers: NonZeroU16, mut each: impl FnMut(Row) -> io::Result<()>) -> Result<(), MemoryError> {
    // Kept to the end, so that none is measured in memory that another has given back.
    let mut kept = Vec::new();
    let (nothing, _) = filled("nothing", Counts::default(), workers, &mut kept)?;
    for (kind, counts, entries) in kinds(all) {
        let (grown, seconds) = filled(kind, counts, workers, &mut kept)?;
        let bytes = if kind == "label" { grown } else { grown.saturating_sub(nothing) };
        each(Row { workers: workers.get(), kind, entries, bytes, bytes_each: share(bytes, entries), seconds })?;
    }
    kept.clear();
    let (bytes, seconds) = filled("all", all, workers, &mut kept)?;
    let sum = [all.flows_v4, all.flows_v6, all.sessions, all.labels, all.routes_v4, all.routes_v6, all.tunnels, all.nexthops];
    let entries = sum.into_iter().sum();
    each(Row { workers: workers.get(), kind: "all", entries, bytes, bytes_each: share(bytes, entries), seconds })?;
    Ok(())
}

/// What the process has grown by, and how long the entries took to write.
fn filled(
    kind: &'static str,
    counts: Counts,
    workers: NonZeroU16,
    kept: &mut Vec<(Entries, Vec<WorkerEnd>)>,
) -> Result<(u64, f64), MemoryError> {
    let at = |source| MemoryError::Fill { kind, source };
    let before = resident()?;
    let (mut entries, ends) = counts.tables(workers).map_err(at)?;
    let start = Instant::now();
    counts.fill(&mut entries).map_err(at)?;
    let seconds = start.elapsed().as_secs_f64();
    kept.push((entries, ends));
    Ok((resident()?.saturating_sub(before), seconds))
}

/// Bytes of memory the process has.
fn resident() -> Result<u64, MemoryError> {
    let text = fs::read_to_string("/proc/self/status").map_err(MemoryError::Status)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse::<u64>().ok());
    kibibytes.map(|kibibytes| kibibytes << 10).ok_or(MemoryError::NoSize)
}

#[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
fn share(bytes: u64, entries: u32) -> f64 {
    bytes as f64 / NonZeroUsize::new(entries as usize).map_or(1.0, |entries| entries.get() as f64)
}

fn write_row(row: &Row, json: bool, output: &mut impl Write) -> io::Result<()> {
    if json {
        writeln!(output, "{}", serde_json::to_string(row).map_err(io::Error::other)?)?;
    } else {
        let Row { workers, kind, entries, bytes, bytes_each, seconds } = row;
        let mebibytes = bytes >> 20;
        writeln!(output, "{workers:<8}{kind:<15}{entries:>10}{mebibytes:>8}{seconds:>9.2}{bytes_each:>11.1}")?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_counted() {
        let before = resident().unwrap();
        let memory = vec![1_u8; 64 << 20];
        let grown = resident().unwrap() - before;
        assert!((60 << 20..80 << 20).contains(&grown), "{grown}");
        assert_eq!(memory[1 << 20], 1);
    }

    #[test]
    fn every_kind_has_its_row() {
        let small = Counts {
            flows_v4: 20_000,
            flows_v6: 20_000,
            sessions: 20_000,
            labels: 20_000,
            routes_v4: 20_000,
            routes_v6: 20_000,
            vrfs: 10,
            tunnels: 1000,
            nexthops: 10,
        };
        let mut rows = Vec::new();
        measure(small, NonZeroU16::MIN, |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
        let kinds: Vec<_> = rows.iter().map(|row| row.kind).collect();
        assert_eq!(kinds.len(), 9);
        assert_eq!((kinds[0], kinds[8]), ("label", "all"));
        // A session has a line, a flow and counters.
        let session = rows.iter().find(|row| row.kind == "session, IPv4").unwrap();
        assert!(session.bytes_each > 128.0, "{session:?}");
    }
}
