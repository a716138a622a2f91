//! Stretches of time, as people see them and as the calendar counts them.

use std::time::{Duration, SystemTime};

/// From an instant on, up to but without another; or for good. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    start: SystemTime,
    stop: Option<SystemTime>,
}

/// An interval that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the interval ends before it begins")]
pub struct EmptyInterval;

impl Interval {
    /// From `start` on, up to but without `stop`; `None` = for good.
    ///
    /// # Errors
    /// [`EmptyInterval`] when nothing lies between.
    pub fn new(start: SystemTime, stop: Option<SystemTime>) -> Result<Self, EmptyInterval> {
        if stop.is_some_and(|stop| stop <= start) { Err(EmptyInterval) } else { Ok(Self { start, stop }) }
    }

    /// The first instant.
    pub fn start(self) -> SystemTime {
        self.start
    }

    /// The first instant after; `None` = it never ends.
    pub fn stop(self) -> Option<SystemTime> {
        self.stop
    }

    /// The shortest interval with both in it.
    #[must_use]
    pub fn cover(self, other: Self) -> Self {
        let stop = self.stop.zip(other.stop).map(|(one, other)| one.max(other));
        Self { start: self.start.min(other.start), stop }
    }

    /// What lies in both.
    pub fn common(self, other: Self) -> Option<Self> {
        let stop = [self.stop, other.stop].into_iter().flatten().min();
        Self::new(self.start.max(other.start), stop).ok()
    }

    /// Whether all of another lies in it.
    pub fn contains(self, other: Self) -> bool {
        self.cover(other) == self
    }
}

/// An instant, in nanoseconds since 1970.
pub(super) type Tick = u64;

/// The first tick that never comes: what ends there does not end.
pub(super) const NEVER: Tick = Tick::MAX;

/// From a tick on, up to but without another; never empty.
///
/// All that is before 1970 is one tick, and all that is after the year 2554 is one tick. There the calendar takes more than was
/// asked for, never less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Tick,
    pub(super) to: Tick,
}

impl Span {
    /// What is left of it from a tick on.
    pub(super) fn after(self, horizon: Tick) -> Option<Self> {
        let from = self.from.max(horizon);
        (from < self.to).then_some(Self { from, to: self.to })
    }

    /// How long it is; `None` = it never ends.
    pub(super) fn length(self) -> Option<u64> {
        (self.to != NEVER).then(|| self.to - self.from)
    }
}

impl From<Interval> for Span {
    fn from(interval: Interval) -> Self {
        let from = tick(interval.start);
        // What stops after the last tick stops never.
        let to = interval.stop.map_or(NEVER, |stop| nanoseconds(stop).max(from + 1));
        Self { from, to }
    }
}

impl From<Span> for Interval {
    fn from(span: Span) -> Self {
        Self { start: instant(span.from), stop: (span.to != NEVER).then(|| instant(span.to)) }
    }
}

/// The tick of an instant; never [`NEVER`].
pub(super) fn tick(instant: SystemTime) -> Tick {
    nanoseconds(instant).min(NEVER - 1)
}

fn nanoseconds(instant: SystemTime) -> Tick {
    instant.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(NEVER))
}

/// The instant of a tick.
pub(super) fn instant(tick: Tick) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(tick)
}
