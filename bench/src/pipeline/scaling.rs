//! What a second core adds, on a machine whose clock rate is not its own.
//!
//! Short slices take turns: one worker on the first processor, two workers on both, one worker on the second, and then the same with
//! `dpdk-testpmd`. A slice of two is held against the mean of the two slices of one around it, so what changes slower than a slice lasts is in both;
//! what changes faster is in some of many ratios, of which the median is told. Where both processors are threads of one core, or the host slows
//! one while the other works, testpmd's ratio, which shares nothing between its cores, shows how much of two there is to be had.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use svpn_dpdk::{Eal, Pool, PoolConfig};

use super::arguments::Count;
use super::bed::{Bed, Seen};
use super::lane::{self, Lane, Stage};
use super::scenario::Scenario;
use super::stopwatch::median;
use super::testpmd::{Testpmd, Tuning};
use super::traffic::FrameSizes;
use super::{PipelineError, start_eal};

/// Two cores over one, by short slices that take turns, beside dpdk-testpmd's two over one.
///
/// Through net_null ports, with 64-byte frames. All rates are per second of processor time of the polling threads.
#[allow(clippy::doc_markdown, reason = "the text of --help, where backticks are only noise")]
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// What happens to the packets.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Scenario::Swap, Scenario::Session])]
    pub scenario: Vec<Scenario>,
    /// How many labels, sessions or prefixes.
    #[arg(long, value_delimiter = ',', default_value = "1k")]
    pub entries: Vec<Count>,
    /// Turns of one, two and one.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub turns: u32,
    /// Milliseconds of a slice.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub slice: u64,
    /// How many packets until the sequence of keys starts again, eight bytes each.
    #[arg(long, default_value = "1M")]
    pub keys: Count,
    /// The two processors, by the kernel's numbers.
    #[arg(long, num_args = 2, value_delimiter = ',', default_values_t = [0, 1])]
    pub processors: Vec<usize>,
    /// Which workers see a session's packets.
    #[arg(long, value_enum, default_value_t = Seen::ByOne)]
    pub seen: Seen,
    /// Print one JSON object per row: `scenario, entries, one_mpps, two_mpps, ratio, ratio_low, ratio_high, peer_ratio, peer_low, peer_high`. Low and
    /// high are the quarters of the turns.
    #[arg(long)]
    pub json: bool,
}

/// Packets per second of one turn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Turn {
    /// One worker, on each processor.
    one: [f64; 2],
    /// Two workers together.
    two: f64,
}

/// What all turns say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Gain {
    ratio: f64,
    low: f64,
    high: f64,
}

impl Turn {
    fn ratio(&self) -> f64 {
        2.0 * self.two / (self.one[0] + self.one[1])
    }
}

impl Gain {
    fn of(turns: &[Turn]) -> Self {
        let mut ratios: Vec<f64> = turns.iter().map(Turn::ratio).collect();
        let ratio = median(&mut ratios);
        // In order since the median was looked for.
        let quarter =
            |quarters: usize| ratios.get((ratios.len() * quarters / 4).min(ratios.len().saturating_sub(1))).copied().unwrap_or(0.0);
        Self { ratio, low: quarter(1), high: quarter(3) }
    }
}

/// One scenario's results.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    scenario: String,
    entries: u32,
    one_mpps: f64,
    two_mpps: f64,
    ratio: f64,
    ratio_low: f64,
    ratio_high: f64,
    peer_ratio: f64,
    peer_low: f64,
    peer_high: f64,
}

/// Measures and writes the results.
///
/// # Errors
/// As [`super::run`].
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), PipelineError> {
    let [first, second] = arguments.processors[..] else {
        return Err(PipelineError::Processors { asked: 2, there: arguments.processors.len() });
    };
    let eal = start_eal()?;
    let pool = Pool::new(eal, "svpn-bench", PoolConfig { mbufs: 16383, cache: 256, ..PoolConfig::default() })?;
    if !arguments.json {
        writeln!(output, "{:<16}{:>9}{:>10}{:>10}  {:<24}{:<24}", "SCENARIO", "ENTRIES", "ONE Mpps", "TWO Mpps", "TWO/ONE", "testpmd")?;
    }
    for scenario in &arguments.scenario {
        for entries in &arguments.entries {
            let bench = Bench { eal, pool, arguments, processors: [first, second] };
            write_row(&bench.measure(*scenario, entries.0)?, arguments.json, output)?;
        }
    }
    Ok(())
}

/// What all rows have in common.
#[derive(Debug, Clone, Copy)]
struct Bench<'a> {
    eal: Eal,
    pool: Pool,
    arguments: &'a Arguments,
    processors: [usize; 2],
}

impl Bench<'_> {
    fn measure(&self, scenario: Scenario, entries: u32) -> Result<Row, PipelineError> {
        let sizes = FrameSizes::One(64);
        let at_lane = |source| PipelineError::Lane { scenario, entries, source };
        // A router of one worker has tables that are made for one.
        let (mut alone, mut both) = (self.lanes(scenario, entries, 1)?, self.lanes(scenario, entries, 2)?);
        let ports = [&mut alone, &mut both].map(|lanes| lane::null_ports(self.eal, self.pool, sizes, lanes));
        let ports: Vec<_> = ports.into_iter().collect::<Result<_, _>>().map_err(at_lane)?;
        let processors = &self.processors;
        let mut peers = [&processors[..1], &processors[1..], &processors[..]]
            .map(|processors| Testpmd::start(self.eal, sizes.longest(), processors, Tuning::AsWeAre))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let time = Duration::from_millis(self.arguments.slice);
        let (mut own, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.turns {
            let slice = |lanes: &mut Vec<Lane>, processors: &[usize]| {
                lane::through_ports(self.eal, lanes, processors, Stage::Whole, time).map_err(at_lane)
            };
            let first = slice(&mut alone, &processors[..1])?;
            let two = slice(&mut both, processors)?;
            own.push(Turn { one: [first, slice(&mut alone, &processors[1..])?], two });
            let first = peers[0].round(time)?;
            let two = peers[2].round(time)?;
            theirs.push(Turn { one: [first, peers[1].round(time)?], two });
        }
        peers.into_iter().for_each(Testpmd::stop);
        drop((alone, both));
        drop(ports);
        Ok(row(scenario, entries, &own, &theirs))
    }

    fn lanes(&self, scenario: Scenario, entries: u32, workers: u16) -> Result<Vec<Lane>, PipelineError> {
        let at_bed = |source| PipelineError::Bed { scenario, entries, source };
        let bed = Bed::new(self.eal, scenario, entries, workers).map_err(at_bed)?;
        bed.lanes(self.pool, FrameSizes::One(64), self.arguments.keys, self.arguments.seen).map_err(at_bed)
    }
}

fn row(scenario: Scenario, entries: u32, own: &[Turn], theirs: &[Turn]) -> Row {
    let mpps = |rate: fn(&Turn) -> f64| median(&mut own.iter().map(rate).collect::<Vec<_>>()) / 1e6;
    let (gain, peer) = (Gain::of(own), Gain::of(theirs));
    Row {
        scenario: scenario.to_string(),
        entries,
        one_mpps: mpps(|turn| f64::midpoint(turn.one[0], turn.one[1])),
        two_mpps: mpps(|turn| turn.two),
        ratio: gain.ratio,
        ratio_low: gain.low,
        ratio_high: gain.high,
        peer_ratio: peer.ratio,
        peer_low: peer.low,
        peer_high: peer.high,
    }
}

fn write_row(row: &Row, json: bool, output: &mut impl Write) -> Result<(), PipelineError> {
    if json {
        writeln!(output, "{}", serde_json::to_string(row).map_err(io::Error::other)?)?;
    } else {
        let span = |ratio: f64, low: f64, high: f64| format!("{ratio:.2} ({low:.2} to {high:.2})");
        let own = span(row.ratio, row.ratio_low, row.ratio_high);
        let peer = span(row.peer_ratio, row.peer_low, row.peer_high);
        let Row { scenario, entries, one_mpps, two_mpps, .. } = row;
        writeln!(output, "{scenario:<16}{entries:>9}{one_mpps:>10.1}{two_mpps:>10.1}  {own:<24}{peer:<24}")?;
    }
    output.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_held_against_the_mean_of_both_ones_turn_by_turn() {
        let turn = |clock: f64, gain: f64| Turn { one: [clock * 9.0, clock * 11.0], two: clock * 10.0 * gain };
        // The clock rate changes from turn to turn, and one turn was disturbed.
        let turns = [turn(1.0, 1.9), turn(3.0, 1.9), turn(0.5, 1.0), turn(2.0, 2.0), turn(1.0, 1.95)];
        let gain = Gain::of(&turns);
        assert!((gain.ratio - 1.9).abs() < 1e-9, "{gain:?}");
        assert!((gain.low - 1.9).abs() < 1e-9 && (gain.high - 1.95).abs() < 1e-9, "{gain:?}");
        assert!(Gain::of(&[]).ratio.abs() < f64::EPSILON);
    }
}
