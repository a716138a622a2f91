//! How many updates a second the tables take while workers forward, and that no packet is lost for it.

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use svpn_contract::wire::{OutOfRange, PortId};
use svpn_contract::{Entry, MeterConfig, Update};
use svpn_dpdk::{AllocWithError, Burst, EalError, Pool, PoolConfig, PoolError};
use svpn_forwarder::entries::WorkerEnd;
use svpn_forwarder::fastpath::{BURST, FastPath, Outputs};
use svpn_forwarder::{ApplyError, Entries};
use thiserror::Error;

use crate::large::{self, CIRCUIT, CORE, Counts, FillError};
use crate::pipeline::start_eal;

/// Updates of the tables a second while workers forward: inserts, changes and deletions of flows, sessions, labels and routes, in equal
/// parts, in batches of 1,000, in tables that hold a million flows and sessions besides.
///
/// Workers take packets of 1,000 sessions that nobody changes through the pipeline, in memory, as fast as they can. Every packet must come out,
/// in order, with the labels and the traffic class it has without updates: one that does not ends the run, and there is no figure.
#[allow(clippy::doc_markdown, reason = "the text of --help, where backticks are only noise")]
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Workers that forward at the same time.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    pub workers: Vec<NonZeroU16>,
    /// How many updates to make.
    #[arg(long, default_value_t = 3_000_000)]
    pub updates: u64,
    /// Print one JSON object per row: `workers, updates, updates_per_second, packets, lost, mpps`.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no figure.
#[derive(Debug, Error)]
pub enum UpdatesError {
    /// DPDK does not start.
    #[error("DPDK does not start: {0}")]
    Eal(#[from] EalError),
    /// There is no packet memory.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// There is no packet buffer.
    #[error(transparent)]
    Buffer(#[from] AllocWithError),
    /// The tables do not take the entries they are to hold.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// An update is refused.
    #[error("update {index}: {source}")]
    Apply {
        /// Which.
        index: u64,
        /// Why.
        source: ApplyError,
    },
    /// A number has no room on the wire.
    #[error(transparent)]
    Wire(#[from] OutOfRange),
    /// A packet did not come out as without updates.
    #[error("after {packets} packets a burst of {sent} came out as {out}, or otherwise than without updates")]
    Disturbed {
        /// Packets before.
        packets: u64,
        /// Packets in.
        sent: usize,
        /// Packets out.
        out: usize,
    },
    /// A worker panicked.
    #[error("a worker panicked")]
    Panicked,
    /// The output is closed.
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    workers: u16,
    updates: u64,
    updates_per_second: f64,
    packets: u64,
    lost: u64,
    /// Millions of packets per second over all workers, on the wall's clock.
    mpps: f64,
}

/// What is there all the time.
const STAYING: Counts = Counts {
    flows_v4: 1_000_000,
    flows_v6: 100_000,
    sessions: 1_000_000,
    labels: 900_000,
    routes_v4: 900_000,
    routes_v6: 150_000,
    vrfs: 4_000,
    tunnels: 1_000,
    nexthops: 100,
};
/// What comes and goes at a time, of each kind.
const ALIVE: u32 = 10_000;
/// Numbers they take in turn: one that was just deleted is not at once there again, for which the tables would have to wait for the workers.
const NUMBERS: u32 = 2 * ALIVE;
/// Updates between two publications.
const BATCH: u64 = 1_000;
/// Sessions of the packets.
const WATCHED: u32 = 1_000;
/// What they never exceed, so every packet is green.
const METER: MeterConfig = MeterConfig { cir: 50_000_000_000, cburst: 1_000_000_000, pir: 50_000_000_000, pburst: 2_000_000_000 };

/// Measures and writes the results.
///
/// # Errors
/// [`UpdatesError`]: also where a packet was lost or came out otherwise.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), UpdatesError> {
    let eal = start_eal()?;
    let pool = Pool::new(eal, "svpn-bench", PoolConfig { mbufs: 4095, cache: 256, ..PoolConfig::default() })?;
    if !arguments.json {
        writeln!(output, "{:<8}{:>10}{:>12}{:>12}{:>6}{:>8}", "WORKERS", "UPDATES", "UPDATES/S", "PACKETS", "LOST", "MPPS")?;
    }
    for workers in &arguments.workers {
        let row = measure(pool, STAYING, *workers, arguments.updates)?;
        if arguments.json {
            writeln!(output, "{}", serde_json::to_string(&row).map_err(io::Error::other)?)?;
        } else {
            let Row { workers, updates, updates_per_second, packets, lost, mpps } = row;
            writeln!(output, "{workers:<8}{updates:>10}{updates_per_second:>12.0}{packets:>12}{lost:>6}{mpps:>8.2}")?;
        }
        output.flush()?;
    }
    Ok(())
}

/// Updates the tables while workers forward.
fn measure(pool: Pool, staying: Counts, workers: NonZeroU16, updates: u64) -> Result<Row, UpdatesError> {
    let room = |entries: u32| entries + NUMBERS;
    let sizes = Counts {
        flows_v4: room(staying.flows_v4),
        sessions: room(staying.sessions),
        labels: room(staying.labels),
        routes_v4: room(staying.routes_v4),
        ..staying
    };
    let (mut entries, ends) = sizes.tables(workers)?;
    staying.fill(&mut entries)?;
    let watched = WATCHED.min(staying.flows_v4);
    let unmarked = (0..watched).map(|number| large::metered_session(number, number % staying.tunnels, Some(METER)));
    for (index, entry) in (0..).zip(unmarked) {
        entries.apply(&Update::Modify(entry?)).map_err(|source| UpdatesError::Apply { index, source })?;
    }
    for (index, entry) in (0..).zip(large::circuit()?) {
        entries.apply(&Update::Insert(entry)).map_err(|source| UpdatesError::Apply { index, source })?;
    }
    entries.publish();
    let frames: Vec<Vec<u8>> = (0..watched).map(frame).collect();
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let (taken, packets) = thread::scope(|scope| {
        let start_one = |end| scope.spawn(|| forward(end, pool, &frames, &stop));
        let working: Vec<_> = ends.into_iter().map(start_one).collect();
        let taken = update(&mut entries, staying, updates);
        stop.store(true, Ordering::Release);
        let mut packets = 0;
        for worker in working {
            packets += worker.join().map_err(|_| UpdatesError::Panicked)??;
        }
        Ok::<_, UpdatesError>((taken?, packets))
    })?;
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let per_second = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
    let mpps = per_second(packets, start.elapsed()) / 1e6;
    Ok(Row { workers: workers.get(), updates, updates_per_second: per_second(updates, taken), packets, lost: 0, mpps })
}

/// Makes so many updates, and returns how long it took.
fn update(entries: &mut Entries, staying: Counts, updates: u64) -> Result<Duration, UpdatesError> {
    let start = Instant::now();
    let mut index = 0;
    let mut number = 0_u32;
    while index < updates {
        let mut changes = Vec::with_capacity(12);
        if let Some(gone) = number.checked_sub(ALIVE) {
            changes.extend(passing(staying, gone % NUMBERS, 0)?.map(|entry| Update::Delete(entry.key())));
        }
        changes.extend(passing(staying, number % NUMBERS, 0)?.map(Update::Insert));
        changes.extend(passing(staying, number % NUMBERS, 1)?.map(Update::Modify));
        for change in changes {
            entries.apply(&change).map_err(|source| UpdatesError::Apply { index, source })?;
            index += 1;
            if index % BATCH == 0 {
                entries.publish();
            }
        }
        number += 1;
    }
    entries.publish();
    Ok(start.elapsed())
}

/// A session with its flow, a label and a route beside those that stay, in one of two variants.
fn passing(staying: Counts, number: u32, variant: u32) -> Result<[Entry; 4], OutOfRange> {
    Ok([
        large::session(staying.sessions + number, variant)?,
        large::flow_v4(staying.flows_v4 + number, staying.sessions + variant)?,
        large::label(staying.labels + number, variant)?,
        large::route_v4(staying.routes_v4 + number, staying.vrfs, variant)?,
    ])
}

/// A packet of flow `number`, 64 bytes.
fn frame(number: u32) -> Vec<u8> {
    let (source, destination, port) = large::flow_addresses(number);
    let mut frame = [&large::ROUTER.0[..], &[2, 0, 0, 0, 9, 9], &[8, 0]].concat();
    let mut header = vec![0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0];
    header.extend(source.to_be_bytes());
    header.extend(destination.to_be_bytes());
    let sum: u32 = header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let [.., high, low] = (!((sum & 0xffff) + (sum >> 16))).to_be_bytes();
    header[10..12].copy_from_slice(&[high, low]);
    frame.extend(header);
    frame.extend(port.to_be_bytes());
    frame.extend(large::DESTINATION_PORT.to_be_bytes());
    frame.resize(64, 0);
    frame
}

/// Forwards until told to stop, and returns how many packets that were.
fn forward(end: WorkerEnd, pool: Pool, frames: &[Vec<u8>], stop: &AtomicBool) -> Result<u64, UpdatesError> {
    let (mut fastpath, mut reader) = FastPath::new(end);
    let (circuit, mut out) = (PortId::new(CIRCUIT)?, Outputs::new(&[PortId::new(CORE)?]));
    let mut online = reader.online();
    let bursts: Vec<&[Vec<u8>]> = frames.chunks(BURST).collect();
    let mut expected: Vec<Vec<u8>> = Vec::new();
    let mut packets = 0;
    while !stop.load(Ordering::Acquire) {
        for (place, frames) in bursts.iter().enumerate() {
            let mut burst: Burst<BURST> = Burst::new();
            for frame in *frames {
                // A burst has room for a chunk.
                drop(burst.push(pool.alloc_with(frame)?));
            }
            fastpath.process(&online, &mut burst, circuit, 0, &mut out);
            let mut sent = Vec::with_capacity(frames.len() * 80);
            let mut count = 0;
            for outlet in out.outlets() {
                for mbuf in outlet.burst.drain() {
                    sent.extend_from_slice(mbuf.data());
                    count += 1;
                }
                outlet.clear();
            }
            online.quiescent();
            // The first time says what is right: all came out, with two labels each.
            let first = expected.len() == place;
            let bytes: usize = frames.iter().map(|frame| frame.len() + 8).sum();
            let whole = count == frames.len() && sent.len() == bytes;
            if !whole || !first && expected[place] != sent {
                return Err(UpdatesError::Disturbed { packets, sent: frames.len(), out: count });
            }
            if first {
                expected.push(sent);
            }
            packets += count as u64;
        }
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_everything_is_counted() {
        let small = Counts { flows_v4: 500, sessions: 500, labels: 500, routes_v4: 500, vrfs: 5, tunnels: 50, nexthops: 5, ..STAYING };
        let small = Counts { flows_v6: 50, routes_v6: 50, ..small };
        let pool = Pool::new(start_eal().unwrap(), "frames", PoolConfig { mbufs: 1023, cache: 0, ..PoolConfig::default() }).unwrap();
        let row = measure(pool, small, NonZeroU16::MIN, 50_000).unwrap();
        assert_eq!((row.workers, row.updates, row.lost), (1, 50_000, 0));
        assert!(row.packets > 0 && row.updates_per_second > 0.0);
        assert_eq!(pool.available(), 1023);
    }
}
