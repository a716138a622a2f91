//! How long admission takes: to find a path with room throughout a window, and to take it.

mod check;
mod load;
mod network;

use std::io::{self, Write};
use std::time::Instant;

use clap::Args;
use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;
use svpn_vpn::InvalidNetwork;
use svpn_vpn::admission::{Booking, Calendar, Claim};
use svpn_vpn::demand::ImpossibleDemand;
use svpn_vpn::paths::{Journey, NoPath, Paths};
use svpn_vpn::topology::Topology;
use thiserror::Error;

use crate::pipeline::Count;
pub use check::Broken;
use load::Sessions;

/// How long the gateway takes to admit a session: to choose a path with room throughout its window and to reserve it, with so many
/// bookings in the calendar, spread over a year.
///
/// Networks are grids of links of 100 Gbit/s with metrics from 10 to 19 and two pools of classes each, and sessions go between routers whose
/// cheapest path has --hops links. First the calendar is filled with bookings, found and reserved in the same way, until they take --load percent of
/// all links on average, which leaves many links full for a time. Then sessions are admitted, each alone timed, and released again. At the
/// end a walk over all bookings of some links says that no pool was ever exceeded, and that the calendar knows what is free.
#[allow(clippy::doc_markdown, reason = "the text of --help, where backticks are only noise")]
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// How many routers.
    #[arg(long, value_delimiter = ',', default_values = ["10", "100", "1000"])]
    pub routers: Vec<Count>,
    /// How many bookings are in the calendar.
    #[arg(long, value_delimiter = ',', default_values = ["1k", "10k", "100k", "1M"])]
    pub bookings: Vec<Count>,
    /// Links of the paths; where no two routers are so far apart, as many as there are.
    #[arg(long, default_value = "6")]
    pub hops: Count,
    /// What is reserved of all links on average, in percent.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=90))]
    pub load: u8,
    /// How many admissions are timed.
    #[arg(long, default_value = "20k")]
    pub samples: Count,
    /// Another seed, other sessions.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object per scenario: `routers, links, bookings, hops, admitted, median_us, p99_us, p999_us, longest_us, denied, denied_median_us,
    /// denied_p999_us, fill_seconds`.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no figure.
#[derive(Debug, Error)]
pub enum AdmissionError {
    /// The network is none.
    #[error(transparent)]
    Network(Box<InvalidNetwork>),
    /// No two routers are connected.
    #[error("there are no two routers with a path between them")]
    NoPairs,
    /// A rate no policer can be set to.
    #[error(transparent)]
    Demand(#[from] ImpossibleDemand),
    /// There is no path, and not because links are full.
    #[error("a path is denied: {0}")]
    NoPath(NoPath),
    /// Nothing more gets in, so there are never as many bookings.
    #[error("{bookings} bookings leave no room for more: ask for less --load")]
    Full {
        /// Those there are.
        bookings: usize,
    },
    /// What was promised is more than there is, or not what the calendar says.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// There is no memory to count times.
    #[error(transparent)]
    Histogram(#[from] CreationError),
    /// The output is closed.
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}

impl From<InvalidNetwork> for AdmissionError {
    fn from(invalid: InvalidNetwork) -> Self {
        Self::Network(Box::new(invalid))
    }
}

/// One scenario's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    routers: u32,
    links: usize,
    bookings: usize,
    hops: usize,
    admitted: u64,
    median_us: f64,
    p99_us: f64,
    p999_us: f64,
    longest_us: f64,
    denied: u64,
    denied_median_us: f64,
    denied_p999_us: f64,
    fill_seconds: f64,
}

/// Beyond this a time is counted as this, in nanoseconds.
const LONGEST: u64 = 10_000_000_000;
/// So many denials one after the other, and the network is full.
const FULL: usize = 100_000;

/// Measures every scenario asked for and writes the results.
///
/// # Errors
/// [`AdmissionError`]: also where more was promised than there is. There is no result then.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), AdmissionError> {
    if !arguments.json {
        writeln!(
            output,
            "{:>7} {:>6} {:>9} {:>5} {:>9} {:>10} {:>8} {:>10} {:>11} {:>7} {:>10} {:>10}",
            "ROUTERS",
            "LINKS",
            "BOOKINGS",
            "HOPS",
            "ADMITTED",
            "MEDIAN µs",
            "P99 µs",
            "P99.9 µs",
            "LONGEST µs",
            "DENIED",
            "MEDIAN µs",
            "P99.9 µs"
        )?;
    }
    for routers in &arguments.routers {
        for bookings in &arguments.bookings {
            write_row(&measure(arguments, routers.0, bookings.0)?, arguments.json, output)?;
        }
    }
    Ok(())
}

fn write_row(row: &Row, json: bool, output: &mut impl Write) -> Result<(), AdmissionError> {
    if json {
        writeln!(output, "{}", serde_json::to_string(row).map_err(io::Error::from)?)?;
        return Ok(());
    }
    writeln!(
        output,
        "{:>7} {:>6} {:>9} {:>5} {:>9} {:>10.1} {:>8.1} {:>10.1} {:>11.1} {:>7} {:>10.1} {:>10.1}",
        row.routers,
        row.links,
        row.bookings,
        row.hops,
        row.admitted,
        row.median_us,
        row.p99_us,
        row.p999_us,
        row.longest_us,
        row.denied,
        row.denied_median_us,
        row.denied_p999_us
    )?;
    Ok(())
}

/// What admission works on.
struct Desk<'a> {
    topology: &'a Topology,
    calendar: Calendar,
    paths: Paths,
}

impl Desk<'_> {
    /// What is measured; `None` where it is denied.
    fn admit(&mut self, journey: &Journey<'_>) -> Result<Option<Booking>, AdmissionError> {
        match self.paths.find(self.topology, &self.calendar, journey) {
            // What has been found has room.
            Ok(path) => self.calendar.reserve(journey.claim(&path)).map(Some).map_err(|denial| AdmissionError::NoPath(denial.into())),
            Err(NoPath::Full(_)) => Ok(None),
            Err(why) => Err(AdmissionError::NoPath(why)),
        }
    }
}

fn measure(arguments: &Arguments, routers: u32, bookings: u32) -> Result<Row, AdmissionError> {
    let network = network::grid(routers)?;
    let topology = network.topology();
    let mut desk = Desk { topology, calendar: Calendar::new(topology), paths: Paths::default() };
    let (hops, pairs) = network::pairs(topology, &mut desk.paths, routers, arguments.hops.0 as usize, arguments.seed)?;
    let mut sessions = Sessions::new(topology, pairs, (hops, bookings, arguments.load), arguments.seed);
    desk.calendar.advance(load::START);
    let start = Instant::now();
    let held = fill(&mut desk, &mut sessions, bookings as usize)?;
    let fill_seconds = start.elapsed().as_secs_f64();
    let (mut admitted, mut denied) = (Histogram::new_with_bounds(1, LONGEST, 3)?, Histogram::new_with_bounds(1, LONGEST, 3)?);
    for _ in 0..arguments.samples.0 {
        let journey = sessions.next()?;
        let start = Instant::now();
        let booking = desk.admit(&journey)?;
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(LONGEST);
        let times: &mut Histogram<u64> = if booking.is_some() { &mut admitted } else { &mut denied };
        times.saturating_record(took.max(1));
        if let Some(booking) = booking {
            desk.calendar.cancel(booking);
        }
    }
    let claims: Vec<&Claim> = held.iter().map(Booking::claim).collect();
    check::walk(topology, &desk.calendar, &claims, arguments.seed)?;
    let us = |times: &Histogram<u64>, quantile: f64| microseconds(times.value_at_quantile(quantile));
    Ok(Row {
        routers,
        links: topology.links().count() / 2,
        bookings: held.len(),
        hops,
        admitted: admitted.len(),
        median_us: us(&admitted, 0.5),
        p99_us: us(&admitted, 0.99),
        p999_us: us(&admitted, 0.999),
        longest_us: microseconds(admitted.max()),
        denied: denied.len(),
        denied_median_us: us(&denied, 0.5),
        denied_p999_us: us(&denied, 0.999),
        fill_seconds,
    })
}

fn fill(desk: &mut Desk<'_>, sessions: &mut Sessions, bookings: usize) -> Result<Vec<Booking>, AdmissionError> {
    let mut held = Vec::with_capacity(bookings);
    let mut refused = 0;
    while held.len() < bookings {
        match desk.admit(&sessions.next()?)? {
            Some(booking) => {
                held.push(booking);
                refused = 0;
            }
            None => refused += 1,
        }
        if refused == FULL {
            return Err(AdmissionError::Full { bookings: held.len() });
        }
    }
    Ok(held)
}

#[allow(clippy::cast_precision_loss, reason = "ten seconds are far fewer than 2^52 nanoseconds")]
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_what_was_asked_for_and_checked() {
        let count = |text: &str| text.parse().unwrap();
        let arguments = Arguments {
            routers: vec![count("12")],
            bookings: vec![count("2k")],
            hops: count("4"),
            load: 40,
            samples: count("500"),
            seed: 7,
            json: true,
        };
        let mut output = Vec::new();
        run(&arguments, &mut output).unwrap();
        let row: serde_json::Value = serde_json::from_slice(&output).unwrap();
        assert_eq!((row["routers"].as_u64(), row["bookings"].as_u64(), row["hops"].as_u64()), (Some(12), Some(2_000), Some(4)));
        assert_eq!(row["admitted"].as_u64().unwrap() + row["denied"].as_u64().unwrap(), 500);
        assert!(row["median_us"].as_f64().unwrap() > 0.0 && row["p999_us"].as_f64() >= row["median_us"].as_f64());
    }
}
