//! The results, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;
use svpn_dpdk::Eal;

use super::arguments::{Arguments, Ports};
use super::lane::Clocks;
use super::scenario::Scenario;
use super::stopwatch::median;
use super::traffic::FrameSizes;

/// The rounds of one measurement.
#[derive(Debug, Clone)]
pub struct Row {
    scenario: Scenario,
    entries: u32,
    sizes: FrameSizes,
    cores: u16,
    /// Millions of packets per second over all cores.
    rates: Vec<f64>,
    /// To make a packet, in memory.
    fill: Vec<f64>,
    bare: Vec<f64>,
    ceiling: Vec<f64>,
    plain: Vec<f64>,
    /// Of each round by itself: what disturbed one of the two likely disturbed both.
    ratios: Vec<f64>,
    plain_ratios: Vec<f64>,
}

/// What `dpdk-testpmd` did in a round: packets per second.
#[derive(Debug, Clone, Copy)]
pub struct Peers {
    /// With our buffers and bursts.
    pub tuned: f64,
    /// As it starts by itself.
    pub plain: f64,
}

/// What `--json` prints of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Figures {
    scenario: String,
    entries: u32,
    frame: u16,
    cores: u16,
    mpps: f64,
    cycles_per_packet: f64,
    fill_cycles_per_packet: Option<f64>,
    bare_mpps: Option<f64>,
    ceiling_mpps: Option<f64>,
    ratio: Option<f64>,
    plain_mpps: Option<f64>,
    plain_ratio: Option<f64>,
}

impl Row {
    pub(super) fn new(scenario: Scenario, entries: u32, sizes: FrameSizes, cores: u16) -> Self {
        let none = Vec::new;
        let (rates, fill, bare, ceiling, plain, ratios, plain_ratios) = (none(), none(), none(), none(), none(), none(), none());
        Self { scenario, entries, sizes, cores, rates, fill, bare, ceiling, plain, ratios, plain_ratios }
    }

    /// A round in memory: one worker's clocks each.
    pub(super) fn add_memory(&mut self, eal: Eal, clocks: &[Clocks]) {
        self.rates.push(clocks.iter().map(|clocks| hertz(eal) / clocks.process / 1e6).sum());
        self.fill.extend(clocks.iter().map(|clocks| clocks.fill));
    }

    /// A round through ports: packets per second.
    pub(super) fn add_ports(&mut self, whole: f64, bare: f64, peers: Peers) {
        self.rates.push(whole / 1e6);
        self.bare.push(bare / 1e6);
        self.ceiling.push(peers.tuned / 1e6);
        self.plain.push(peers.plain / 1e6);
        self.ratios.push(whole / peers.tuned);
        self.plain_ratios.push(whole / peers.plain);
    }

    fn figures(&self, eal: Eal) -> Figures {
        let middle = |numbers: &[f64]| median(&mut numbers.to_vec());
        let some = |numbers: &[f64]| (!numbers.is_empty()).then(|| middle(numbers));
        let mpps = middle(&self.rates);
        Figures {
            scenario: self.scenario.to_string(),
            entries: self.entries,
            frame: self.sizes.mean(),
            cores: self.cores,
            mpps,
            cycles_per_packet: hertz(eal) * f64::from(self.cores) / mpps / 1e6,
            fill_cycles_per_packet: some(&self.fill),
            bare_mpps: some(&self.bare),
            ceiling_mpps: some(&self.ceiling),
            ratio: some(&self.ratios),
            plain_mpps: some(&self.plain),
            plain_ratio: some(&self.plain_ratios),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 clocks per second")]
fn hertz(eal: Eal) -> f64 {
    eal.tsc_hz().get() as f64
}

/// Where results go.
#[derive(Debug)]
pub(super) struct Report<'a, W> {
    arguments: &'a Arguments,
    eal: Eal,
    output: &'a mut W,
}

impl<'a, W: Write> Report<'a, W> {
    pub(super) fn new(arguments: &'a Arguments, eal: Eal, output: &'a mut W) -> Self {
        Self { arguments, eal, output }
    }

    /// Says what the figures are of.
    pub(super) fn head(&mut self) -> io::Result<()> {
        if self.arguments.json {
            return Ok(());
        }
        let memory = if self.eal.has_hugepages() { "hugepages" } else { "ordinary memory (no free hugepages; see --help)" };
        let gigahertz = hertz(self.eal) / 1e9;
        writeln!(self.output, "Packets in {memory}; {gigahertz:.2} GHz clock; medians of {} rounds.", self.arguments.rounds)?;
        let columns = match self.arguments.ports {
            None => "CLOCKS/PKT   MPPS  FILL CLOCKS",
            Some(Ports::NetNull) => "CLOCKS/PKT   MPPS   BARE  TESTPMD  RATIO  AS IT IS  RATIO",
        };
        writeln!(self.output, "{:<9}{:>8}{:>7}{:>7}  {columns}", "SCENARIO", "ENTRIES", "FRAME", "CORES")
    }

    /// Writes a result at once: the next takes a while.
    pub(super) fn row(&mut self, row: &Row) -> io::Result<()> {
        let figures = row.figures(self.eal);
        if self.arguments.json {
            let line = serde_json::to_string(&figures).map_err(io::Error::other)?;
            writeln!(self.output, "{line}")?;
            return self.output.flush();
        }
        let Figures { mpps, cycles_per_packet: clocks, .. } = figures;
        write!(self.output, "{:<9}{:>8}{:>7}{:>7}  ", row.scenario, super::Count(row.entries).to_string(), row.sizes, row.cores)?;
        write!(self.output, "{clocks:>10.1}{mpps:>7.2}")?;
        match (figures.fill_cycles_per_packet, figures.bare_mpps, figures.ceiling_mpps, figures.ratio) {
            (Some(fill), ..) => write!(self.output, "{fill:>13.1}")?,
            (_, Some(bare), Some(ceiling), Some(ratio)) => write!(self.output, "{bare:>7.2}{ceiling:>9.2}{ratio:>7.2}")?,
            _ => {}
        }
        match (figures.plain_mpps, figures.plain_ratio) {
            (Some(plain), Some(ratio)) => writeln!(self.output, "{plain:>10.2}{ratio:>7.2}")?,
            _ => writeln!(self.output)?,
        }
        self.output.flush()
    }
}
