//! What to measure.

use std::fmt;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use thiserror::Error;

use super::scenario::Scenario;
use super::traffic::{LONGEST_FRAME, SHORTEST_FRAME};

/// The forwarder's fast path: bursts of real, distinct packets through real tables, beside dpdk-testpmd.
///
/// Every packet carries a key chosen at random from all entries; the sequence of keys is longer than the processor's caches. Before and after
/// every measurement a sample goes through the same pipeline and is compared, byte for byte, with what the contract's oracle says, and
/// every packet of the measurement itself must come out: a figure is printed only for a router that forwards.
///
/// Without --ports the pipeline alone is timed, over packets in memory: clocks per packet, median over many short stretches. What it costs to
/// make the packets is printed beside it and not part of it.
///
/// With --ports net_null the packets go through receive and transmit queues, as in service. DPDK's net_null delivers empty frames without
/// end, which the worker fills before the pipeline sees them, and takes what is sent. On the same kind of ports, on the same core, turn by turn:
/// dpdk-testpmd with --forward-mode=macswap (the ceiling), and our own loop without the pipeline (bare: receive, fill,
/// send). RATIO is our rate with everything counted, filling too, over testpmd's: once with our number of buffers and our bursts, which
/// keeps all of it in the caches, and once as it is when nobody tunes it (AS IT IS). Rates are per second of processor time of the polling
/// threads.
///
/// Hugepages: used if some are reserved and free, and then by testpmd as well. To reserve 1 GiB:
///
///   echo 512 > /proc/sys/vm/nr_hugepages
///
/// Without, packets are in ordinary memory (--no-huge), and the output says so. Tables are in transparent large pages in either case, if
/// /sys/kernel/mm/transparent_hugepage/enabled is madvise or always.
#[allow(clippy::doc_markdown, reason = "the text of --help, where backticks are only noise")]
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// What happens to the packets.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::ALL)]
    pub scenario: Vec<Scenario>,
    /// How many labels, sessions or prefixes: 1k, 100k, 1M.
    #[arg(long, value_delimiter = ',', default_value = "1k,100k,1M")]
    pub entries: Vec<Count>,
    /// Bytes of a frame, destination MAC to end of payload without FCS, the same for testpmd. The scenario imix has its own: 64, 570
    /// and 1400 bytes, 7 to 4 to 1.
    #[arg(long, value_delimiter = ',', default_value = "64", value_parser = clap::value_parser!(u16).range(frame_range()))]
    pub frame: Vec<u16>,
    /// Cores that work at the same time.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub cores: Vec<u16>,
    /// Send and receive through such ports, and compare with testpmd; without it, packets stay in memory.
    #[arg(long, value_enum)]
    pub ports: Option<Ports>,
    /// Print one JSON object per measurement: `scenario, entries, frame, cores, mpps, cycles_per_packet, bare_mpps, ceiling_mpps, ratio`. What was
    /// not measured is null.
    #[arg(long)]
    pub json: bool,
    /// Turns of each measurement; medians are printed, of RATIO the median of each turn's own.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// How long each turn lasts: short turns have a clock rate in common, where a host changes it every few seconds.
    #[arg(long, default_value_t = 0.1, value_parser = seconds)]
    pub seconds: f64,
    /// How many packets until the sequence of keys starts again, eight bytes each.
    #[arg(long, default_value = "4M")]
    pub keys: Count,
    /// Processors to work on, by the kernel's numbers; without it the last ones this process may use.
    #[arg(long, value_delimiter = ',')]
    pub processors: Vec<usize>,
}

/// What packets go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ports {
    /// DPDK's null ports: packets from nowhere to nowhere, no wire, no copy.
    #[value(name = "net_null")]
    NetNull,
}

/// A number with a thousand or a million behind it: `64`, `1k`, `1M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

/// Text that is no count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no count from 1 to 2^32 - 1: expected 1000, 1k or 1M")]
pub struct NotACount(String);

impl FromStr for Count {
    type Err = NotACount;

    fn from_str(text: &str) -> Result<Self, NotACount> {
        let (digits, factor) = match text.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1_000),
            None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1_000_000)),
        };
        let number = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(factor)).filter(|number| *number > 0);
        number.map(Self).ok_or_else(|| NotACount(text.to_owned()))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, suffix) = match self.0 {
            number if number % 1_000_000 == 0 => (number / 1_000_000, "M"),
            number if number % 1_000 == 0 => (number / 1_000, "k"),
            number => (number, ""),
        };
        write!(formatter, "{number}{suffix}")
    }
}

fn frame_range() -> std::ops::RangeInclusive<i64> {
    i64::from(SHORTEST_FRAME)..=i64::from(LONGEST_FRAME)
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected 0.001 to 3600 seconds".to_owned()),
    }
}

impl Arguments {
    /// The processors to work on, in the order they are to be taken.
    pub(super) fn processors(&self) -> Vec<usize> {
        if !self.processors.is_empty() {
            return self.processors.clone();
        }
        // The first processor has most of the system's other work. Unknown affinity reads as no processor.
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        (0..CpuSet::count()).rev().filter(|processor| allowed.is_set(*processor).unwrap_or(false)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_written_alike() {
        for (text, number) in [("1", 1), ("1k", 1000), ("100k", 100_000), ("4M", 4_000_000), ("1024", 1024)] {
            assert_eq!(text.parse(), Ok(Count(number)));
            assert_eq!(Count(number).to_string(), text);
        }
        assert_eq!("2K".parse(), Ok(Count(2000)));
        for text in ["", "0", "k", "-1", "5000M", "1G", "1.5k"] {
            assert_eq!(text.parse::<Count>(), Err(NotACount(text.to_owned())));
        }
    }
}
