//! What has been seen of a load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::{CreationError, Histogram};

/// Beyond this a time is counted as this: longer than any transaction tries.
const LONGEST: Duration = Duration::from_secs(100);

/// How something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// A final answer that is no 200.
    Refused(u16),
    /// No final answer within 32 seconds.
    Silence,
    /// A 200 to an INVITE that was never acknowledged.
    NoAck,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "{status}"),
            Self::Silence => f.write_str("silence"),
            Self::NoAck => f.write_str("no ACK"),
        }
    }
}

/// Times of one kind, and from when to when they happened.
#[derive(Debug)]
pub(super) struct Times {
    micros: Histogram<u64>,
    span: Option<(Instant, Instant)>,
}

impl Times {
    fn new() -> Result<Self, CreationError> {
        let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
        Ok(Self { micros: Histogram::new_with_bounds(1, longest, 3)?, span: None })
    }

    /// Something took from then until now.
    pub(super) fn add(&mut self, from: Instant, now: Instant) {
        self.micros.saturating_record(u64::try_from((now - from).as_micros()).unwrap_or(u64::MAX).max(1));
        let first = self.span.map_or(from, |(first, _)| first.min(from));
        self.span = Some((first, now));
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.micros.len()
    }

    /// So many a second, from the beginning of the first to the end of the last.
    #[allow(clippy::cast_precision_loss, reason = "nobody places 2^52 calls")]
    pub(super) fn per_second(&self) -> f64 {
        self.span.map_or(0.0, |(first, last)| self.count() as f64 / (last - first).as_secs_f64().max(1e-6))
    }

    /// So long took this share of them at most, in milliseconds.
    #[allow(clippy::cast_precision_loss, reason = "a hundred seconds are far fewer than 2^52 microseconds")]
    pub(super) fn milliseconds(&self, quantile: f64) -> f64 {
        self.micros.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// What has been seen.
#[derive(Debug)]
pub(super) struct Tally {
    /// From the first INVITE of a call to its 200.
    pub(super) set_ups: Times,
    /// From BYE to its 200.
    pub(super) tear_downs: Times,
    /// From the first REGISTER to its 200.
    pub(super) registrations: Times,
    /// Datagrams sent again because no answer came in time.
    pub(super) sent_again: u64,
    /// Requests and answers that the gateway sent again without having been asked again.
    pub(super) seen_again: u64,
    /// What failed.
    pub(super) failures: BTreeMap<Failure, u64>,
    /// What the last refusal's Warning says.
    pub(super) warning: Option<String>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new() -> Result<Self, CreationError> {
        let times = Times::new;
        Ok(Self {
            set_ups: times()?,
            tear_downs: times()?,
            registrations: times()?,
            sent_again: 0,
            seen_again: 0,
            failures: BTreeMap::new(),
            warning: None,
        })
    }

    /// Something failed.
    pub(super) fn failed(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }

    /// How much failed.
    pub(super) fn failed_in_all(&self) -> u64 {
        self.failures.values().sum()
    }
}
