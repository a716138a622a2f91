//! How long a packet is under way through a worker, below the rate at which it begins to lose packets.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use hdrhistogram::{AdditionError, CreationError, Histogram};
use serde::Serialize;
use svpn_dpdk::{
    Burst, Eal, Placement, Pool, PoolConfig, PoolError, RingReceiver, RingSender, Worker, WorkerError, WorkerHandle, ring, tsc,
};
use svpn_forwarder::fastpath::BURST;
use thiserror::Error;

use crate::pipeline::{
    Bed, BedError, Count, FrameSizes, LONGEST_FRAME, LaneError, RelayOrders, SHORTEST_FRAME, Scenario, Seen, Traffic, start_eal,
};

/// How long packets are under way through a worker at a share of its no-drop rate (RFC 2544 sections 26.1 and 26.2): from the moment one thread
/// puts a packet into a ring to the moment it comes back out of another one, both in memory, with the pipeline on a core of its own between them.
///
/// Every packet carries the clock's reading and is counted. The no-drop rate is found by halving the interval between none and
/// what gets through when as much as possible is offered; at each rate three tries are made, since a machine that is shared
/// takes processors away now and then. How much of the highest percentiles is the machine's is told by a second row: the same packets at the same
/// rate through the same rings and the same loop without the pipeline, in slices that take turns with the first.
#[allow(clippy::doc_markdown, reason = "the text of --help, where backticks are only noise")]
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// What happens to the packets.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Scenario::Swap, Scenario::Session])]
    pub scenario: Vec<Scenario>,
    /// How many labels, sessions or prefixes: 1k, 100k, 1M.
    #[arg(long, default_value = "100k")]
    pub entries: Count,
    /// Bytes of a frame, destination MAC to end of payload without FCS.
    #[arg(long, default_value_t = SHORTEST_FRAME, value_parser = clap::value_parser!(u16).range(i64::from(SHORTEST_FRAME)..=i64::from(LONGEST_FRAME)))]
    pub frame: u16,
    /// The share of the no-drop rate that is offered, in percent.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub load: u8,
    /// How long the measurement lasts, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Two processors, by the kernel's numbers: the sender's and the worker's.
    #[arg(long, value_delimiter = ',', num_args = 2, default_values_t = [0, 1])]
    pub processors: Vec<usize>,
    /// Print one JSON object per row: `scenario, path` (`pipeline` or `bare`)`, entries, frame, no_drop_mpps, offered_mpps, packets, lost, p50_us,
    /// p99_us, p99_9_us, p99_99_us, longest_us`.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no figure.
#[derive(Debug, Error)]
pub enum LatencyError {
    /// DPDK does not start.
    #[error("DPDK does not start: {0}")]
    Eal(#[from] svpn_dpdk::EalError),
    /// There is no packet memory.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The scenario cannot be set up.
    #[error(transparent)]
    Bed(#[from] BedError),
    /// The worker did not do what it should.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// There is no thread, or no such processor.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A thread panicked.
    #[error("a thread panicked")]
    Panicked,
    /// Nothing comes back at any rate.
    #[error("no rate was found at which no packet is lost: too much else runs on these processors")]
    NoRate,
    /// There is no memory to count latencies.
    #[error(transparent)]
    Histogram(#[from] CreationError),
    /// Two counts of latencies cannot be added.
    #[error(transparent)]
    Sum(#[from] AdditionError),
    /// The output is closed.
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}

/// Packets that a ring holds: what a receive queue of a NIC usually has.
const RING: std::num::NonZeroU16 = std::num::NonZeroU16::new(2048).unwrap();
/// Packets sent at once.
const AT_ONCE: usize = 32;
/// How often the interval is halved.
const HALVINGS: u32 = 7;
/// Tries at each rate.
const TRIES: u32 = 3;
/// How long a try lasts.
const TRY: Duration = Duration::from_millis(200);
/// How long the pipeline and the bare loop are measured in turns.
const SLICE: Duration = Duration::from_millis(100);
/// How long to wait for the last packets.
const GRACE: Duration = Duration::from_millis(20);
/// Beyond this a latency is counted as this, in nanoseconds.
const LONGEST: u64 = 10_000_000_000;

/// What became of the packets of one try.
#[derive(Debug)]
struct Outcome {
    sent: u64,
    lost: u64,
    /// Packets per second that came back.
    rate: f64,
    /// In clocks.
    latency: Histogram<u64>,
}

impl Outcome {
    fn new() -> Result<Self, LatencyError> {
        Ok(Self { sent: 0, lost: 0, rate: 0.0, latency: Histogram::new_with_bounds(1, LONGEST, 3)? })
    }

    /// Adds another try's; rates too.
    fn add(&mut self, other: &Self) -> Result<(), LatencyError> {
        self.sent += other.sent;
        self.lost += other.lost;
        self.rate += other.rate;
        self.latency.add(&other.latency)?;
        Ok(())
    }
}

/// What is between the two rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Path {
    /// The worker's loop with the pipeline.
    Pipeline,
    /// The loop alone.
    Bare,
}

impl Path {
    const ALL: [Self; 2] = [Self::Pipeline, Self::Bare];
}

/// Sends, receives and looks at the clock.
#[derive(Debug)]
struct Sender {
    orders: Arc<RelayOrders>,
    pool: Pool,
    traffic: Traffic,
    longest: usize,
    to: RingSender,
    from: RingReceiver,
    hertz: f64,
}

/// One scenario's figures.
#[derive(Debug, Serialize)]
struct Row {
    scenario: String,
    path: Path,
    entries: u32,
    frame: u16,
    no_drop_mpps: f64,
    offered_mpps: f64,
    packets: u64,
    lost: u64,
    p50_us: f64,
    p99_us: f64,
    p99_9_us: f64,
    p99_99_us: f64,
    longest_us: f64,
}

/// Measures every scenario asked for and writes the results.
///
/// # Errors
/// [`LatencyError`]: also where a packet came out other than the oracle says. There is no result then.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), LatencyError> {
    let eal = start_eal()?;
    let pool = Pool::new(eal, "svpn-latency", PoolConfig { mbufs: 16_383, cache: 256, ..PoolConfig::default() })?;
    if !arguments.json {
        writeln!(
            output,
            "scenario   path      entries  frame  no-drop Mpps  offered Mpps        packets  lost  p50 µs  p99 µs  p99.9 µs  p99.99 µs  longest µs"
        )?;
    }
    for scenario in &arguments.scenario {
        for row in measure(eal, pool, *scenario, arguments)? {
            write_row(&row, arguments.json, output)?;
        }
    }
    Ok(())
}

fn write_row(row: &Row, json: bool, output: &mut impl Write) -> Result<(), LatencyError> {
    if json {
        writeln!(output, "{}", serde_json::to_string(row).map_err(io::Error::from)?)?;
        return Ok(());
    }
    let Row {
        scenario, entries, frame, no_drop_mpps, offered_mpps, packets, lost, p50_us, p99_us, p99_9_us, p99_99_us, longest_us, ..
    } = row;
    let path = match row.path {
        Path::Pipeline => "pipeline",
        Path::Bare => "bare",
    };
    writeln!(
        output,
        "{scenario:<10} {path:<8} {entries:>8} {frame:>6} {no_drop_mpps:>13.2} {offered_mpps:>13.2} {packets:>14} {lost:>5} {p50_us:>7.1} {p99_us:>7.1} {p99_9_us:>9.1} {p99_99_us:>10.1} {longest_us:>11.1}"
    )?;
    Ok(())
}

fn measure(eal: Eal, pool: Pool, scenario: Scenario, arguments: &Arguments) -> Result<[Row; 2], LatencyError> {
    let sizes = FrameSizes::One(arguments.frame);
    let mut lanes = Bed::new(eal, scenario, arguments.entries.0, 1)?.lanes(pool, sizes, arguments.entries, Seen::ByOne)?;
    let Some(mut lane) = lanes.pop() else { return Err(LatencyError::Panicked) };
    let (to, mut input) = ring(RING);
    let (mut output, from) = ring(RING);
    #[allow(clippy::cast_precision_loss, reason = "a clock has fewer than 2^52 ticks a second")]
    let hertz = eal.tsc_hz().get() as f64;
    let orders = Arc::new(RelayOrders::default());
    let sender =
        Sender { orders: Arc::clone(&orders), pool, traffic: lane.traffic(), longest: usize::from(sizes.longest()), to, from, hertz };
    let (told, place) =
        (Arc::clone(&orders), |index: usize| Placement::Processor(arguments.processors.get(index).copied().unwrap_or(index)));
    let worker = Worker::spawn(eal, "svpn-relay", place(1), move |_: &Worker| lane.relay(&mut input, &mut output, &told).map(|_| ()))?;
    let asked = (f64::from(arguments.load) / 100.0, Duration::from_secs(arguments.seconds));
    let found = Worker::spawn(eal, "svpn-sender", place(0), move |_: &Worker| sender.search(asked)).map(join);
    orders.stop.store(true, Ordering::Relaxed);
    join::<Result<(), LaneError>>(worker)??;
    let (no_drop, outcomes) = found???;
    let row = |path, outcome: &Outcome| {
        let microseconds = |quantile: f64| to_microseconds(outcome.latency.value_at_quantile(quantile), hertz);
        Row {
            scenario: scenario.to_string(),
            path,
            entries: arguments.entries.0,
            frame: arguments.frame,
            no_drop_mpps: no_drop / 1e6,
            offered_mpps: outcome.rate / 1e6,
            packets: outcome.sent,
            lost: outcome.lost,
            p50_us: microseconds(0.5),
            p99_us: microseconds(0.99),
            p99_9_us: microseconds(0.999),
            p99_99_us: microseconds(0.9999),
            longest_us: to_microseconds(outcome.latency.max(), hertz),
        }
    };
    let [pipeline, bare] = &outcomes;
    Ok([row(Path::Pipeline, pipeline), row(Path::Bare, bare)])
}

fn join<T>(handle: WorkerHandle<T>) -> Result<T, LatencyError> {
    handle.join().map_err(|_| LatencyError::Panicked)
}

#[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn to_microseconds(clocks: u64, hertz: f64) -> f64 {
    clocks as f64 / hertz * 1e6
}

impl Sender {
    /// Finds the no-drop rate, and measures at a share of it for some time each, by slices in turns, the pipeline and the bare loop.
    fn search(mut self, (share, time): (f64, Duration)) -> Result<(f64, [Outcome; 2]), LatencyError> {
        // As much as gets through, and more.
        let most = self.attempt(f64::INFINITY, TRY)?.rate;
        let (mut low, mut high) = (0.0, most);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if self.holds(middle)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        if low <= 0.0 {
            return Err(LatencyError::NoRate);
        }
        let mut outcomes = [Outcome::new()?, Outcome::new()?];
        let mut slices: u32 = 0;
        while SLICE * slices < time {
            for (path, outcome) in Path::ALL.into_iter().zip(&mut outcomes) {
                self.orders.bare.store(path == Path::Bare, Ordering::Relaxed);
                let slice = self.attempt(low * share, SLICE)?;
                outcome.add(&slice)?;
            }
            slices += 1;
        }
        for outcome in &mut outcomes {
            outcome.rate /= f64::from(slices.max(1));
        }
        Ok((low, outcomes))
    }

    /// Whether no packet is lost at a rate.
    fn holds(&mut self, rate: f64) -> Result<bool, LatencyError> {
        for _ in 0..TRIES {
            if self.attempt(rate, TRY)?.lost == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends so many packets a second for some time. A sender that was held up does not make up for it: what it offers is never more.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clocks of hours")]
    fn attempt(&mut self, rate: f64, time: Duration) -> Result<Outcome, LatencyError> {
        let mut outcome = Outcome::new()?;
        let clocks = |time: Duration| (time.as_secs_f64() * self.hertz) as u64;
        let interval = (AT_ONCE as f64 / rate * self.hertz) as u64;
        let start = tsc();
        let (end, last) = (start + clocks(time), start + clocks(time + GRACE));
        let mut due = start;
        let mut back = 0;
        loop {
            let now = tsc();
            if now >= due && now < end {
                let sent = self.send();
                outcome.sent += AT_ONCE as u64;
                outcome.lost += (AT_ONCE - sent) as u64;
                due = (due + interval).max(now.saturating_sub(interval));
            }
            back += self.receive(&mut outcome.latency);
            if now >= end && (back + outcome.lost >= outcome.sent || now >= last) {
                break;
            }
        }
        outcome.lost = outcome.sent - back;
        outcome.rate = back as f64 / time.as_secs_f64();
        Ok(outcome)
    }

    /// Sends some packets; returns how many there was room for.
    fn send(&mut self) -> usize {
        let mut burst: Burst<BURST> = Burst::new();
        if self.pool.alloc_bulk(&mut burst, AT_ONCE).is_err() {
            return 0;
        }
        for mbuf in &mut burst {
            // A buffer of the pool has room for the longest frame.
            let _ = mbuf.append(self.longest);
        }
        self.traffic.fill(&mut burst);
        let now = tsc();
        for mbuf in &mut burst {
            mbuf.set_tag(now);
        }
        self.to.send(&mut burst)
    }

    /// Takes what has come back; returns how many packets.
    fn receive(&mut self, latency: &mut Histogram<u64>) -> u64 {
        let mut burst: Burst<BURST> = Burst::new();
        let received = self.from.recv(&mut burst);
        let now = tsc();
        for mbuf in &burst {
            latency.saturating_record(now.saturating_sub(mbuf.tag()));
        }
        received as u64
    }
}
