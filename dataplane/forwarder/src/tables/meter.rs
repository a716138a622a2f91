//! The two rate three colour marker of RFC 2698, colour-blind, without a lock.
//!
//! A token bucket of rate `r` and size `B` is kept as one number: the moment at which it would be full again. A packet of `n` bytes
//! moves that moment `n / r` later, from now at the earliest, and conforms if it is then no more than `B / r` away. That is the
//! bucket of the RFC exactly (it is the same as I.371's virtual scheduling), and because it is one word, one compare-exchange
//! is enough to share it between workers. Each of the marker's two buckets is such a word. The committed bucket is asked only by
//! what the peak bucket let through, so two separate exchanges count the same tokens as one would.
//!
//! Moments are in units of which a second has 2⁴¹ to 2⁴², whatever the clock: at 400 Gbit/s a byte is at least 43 units, and a packet's
//! duration, computed with 20 more bits and rounded once, is off by less than 0.02 % for the shortest frame. Words wrap after 48 to 97
//! days. A bucket that nobody used for so long would look as if it were to be full in the future, so buckets are [`refresh`]ed before.
//!
//! A clock reading that is older than another worker's, by less than a second, finds the bucket as much emptier, and takes nothing from
//! it twice. One that is older by more than that and the bucket's depth is of a clock that was set back: the bucket counts as full.

use svpn_contract::MeterConfig;
use svpn_contract::wire::Colour;

use crate::sync::{AtomicU64, Ordering};

/// log2 of the fewest units per second.
const FEWEST_UNITS: u32 = 41;
/// Fraction bits of a byte's duration.
const FRACTION: u32 = 20;
/// Amounts below this have durations that always fit a word.
pub(crate) const SHORT: u32 = 1 << FRACTION;
/// The longest time to fill a bucket, in units: a larger bucket is cut to it.
const LONGEST: u64 = 1 << 62;
/// What is added to a bucket's depth, so that roundings do not refuse a packet that needs exactly what is there: about a byte at
/// 400 Gbit/s.
const ROUNDING: u64 = 64;
/// How far workers' clock readings may be apart, in units: a second or two.
const SKEW: u64 = 1 << (FEWEST_UNITS + 1);
/// Buckets that were full this long ago are refreshed; far from both the wrap and the longest time to fill one.
const LONG_AGO: u64 = 1 << 60;
/// How often buckets are to be refreshed, in units: 3 to 6 days.
pub(crate) const REFRESH: u64 = 1 << 60;

/// Who uses a router's meters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// One worker: plain loads and stores do.
    OneWorker,
    /// Several.
    ManyWorkers,
}

/// Clock ticks per second.
pub(crate) type Hertz = std::num::NonZeroU64;

/// How a clock's ticks become the meters' units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timebase {
    hertz: Hertz,
    /// log2 of units per tick.
    shift: u32,
}

impl Timebase {
    /// That of a clock with so many ticks per second.
    pub(crate) fn new(hertz: Hertz) -> Self {
        Self { hertz, shift: FEWEST_UNITS.saturating_sub(hertz.ilog2()) }
    }

    /// The moment of a clock reading.
    #[inline]
    pub(crate) fn moment(self, ticks: u64) -> u64 {
        ticks << self.shift
    }

    /// Units per second.
    fn units(self) -> u128 {
        u128::from(self.hertz.get()) << self.shift
    }
}

/// A bucket's numbers, computed when it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Units in which a byte's tokens arrive, with [`FRACTION`] fraction bits.
    pub(crate) cost: u64,
    /// Units in which an empty bucket fills.
    pub(crate) burst: u64,
    /// No tokens arrive: the clock of this bucket stands still.
    pub(crate) frozen: bool,
}

impl Bucket {
    /// A bucket of `rate` bytes per second and `burst` bytes; or packets, where packets are metered.
    pub(crate) fn new(rate: u64, burst: u64, timebase: Timebase) -> Self {
        if rate == 0 {
            // More than the roundings' allowance, so that it adds no byte.
            let cost = 1 << (FRACTION + 10);
            return Self { cost, burst: depth(burst, cost), frozen: true };
        }
        let cost = ((timebase.units() << FRACTION) + u128::from(rate / 2)) / u128::from(rate);
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        Self { cost, burst: depth(burst, cost), frozen: false }
    }
}

/// A meter's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buckets {
    pub(crate) peak: Bucket,
    pub(crate) committed: Bucket,
}

impl Buckets {
    pub(crate) fn new(config: MeterConfig, timebase: Timebase) -> Self {
        Self { peak: Bucket::new(config.pir, config.pburst, timebase), committed: Bucket::new(config.cir, config.cburst, timebase) }
    }

    /// Both buckets always hold the same, so one is enough: nothing is ever yellow.
    pub(crate) fn are_one(&self) -> bool {
        self.peak == self.committed
    }
}

/// Units in which the tokens of so many bytes arrive.
fn duration(bytes: u64, cost: u64) -> u64 {
    let exact = u128::from(bytes) * u128::from(cost) + (1 << (FRACTION - 1));
    u64::try_from(exact >> FRACTION).unwrap_or(u64::MAX)
}

/// A bucket's depth in units.
fn depth(burst: u64, cost: u64) -> u64 {
    duration(burst, cost).saturating_add(ROUNDING).min(LONGEST)
}

/// Whether a bucket had the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conformance {
    /// It had, and they are spent.
    Conforming,
    /// It had not, and nothing has changed.
    Exceeding,
}

/// [`spend`], of a bucket whose clock goes: `bytes` are fewer than [`SHORT`].
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "less than 20 bits and 64 bits are 84 at most, of which 20 are shifted out")]
#[allow(clippy::inline_always, reason = "half of what a session's packet costs: a call would cost a third of it")]
pub(crate) fn spend_plainly(full_at: &AtomicU64, (cost, burst): (u64, u64), bytes: u64, now: u64, sharing: Sharing) -> Conformance {
    let needed = ((u128::from(bytes) * u128::from(cost) + (1 << (FRACTION - 1))) >> FRACTION) as u64;
    let mut before = full_at.load(Ordering::Relaxed);
    loop {
        let ahead = before.wrapping_sub(now);
        let ahead = if ahead > burst + SKEW { 0 } else { ahead };
        if burst.checked_sub(ahead).is_none_or(|room| needed > room) {
            return Conformance::Exceeding;
        }
        match replace(full_at, before, now.wrapping_add(ahead + needed), sharing) {
            Ok(()) => return Conformance::Conforming,
            Err(changed) => before = changed,
        }
    }
}

/// Stores a bucket's new word, unless another worker has changed it since it was read: then what it is now.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
fn replace(full_at: &AtomicU64, before: u64, after: u64, sharing: Sharing) -> Result<(), u64> {
    match sharing {
        Sharing::OneWorker => {
            full_at.store(after, Ordering::Relaxed);
            Ok(())
        }
        Sharing::ManyWorkers => full_at.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed).map(drop),
    }
}

/// Spends `bytes` tokens of a bucket whose word is `full_at`.
#[inline]
pub(crate) fn spend(full_at: &AtomicU64, bucket: &Bucket, bytes: u64, now: u64, sharing: Sharing) -> Conformance {
    let now = if bucket.frozen { 0 } else { now };
    let needed = duration(bytes, bucket.cost);
    let mut before = full_at.load(Ordering::Relaxed);
    loop {
        let ahead = before.wrapping_sub(now);
        // A moment that has passed, or lies further ahead than it can where a worker's `now` is a little old: full.
        let ahead = if ahead > bucket.burst + SKEW { 0 } else { ahead };
        if bucket.burst.checked_sub(ahead).is_none_or(|room| needed > room) {
            return Conformance::Exceeding;
        }
        match replace(full_at, before, now.wrapping_add(ahead + needed), sharing) {
            Ok(()) => return Conformance::Conforming,
            Err(changed) => before = changed,
        }
    }
}

/// Keeps a bucket that was full long ago from looking, when words wrap, as if it were to be full in the future. To be done every
/// [`REFRESH`] units to each bucket whose clock does not stand still.
pub(crate) fn refresh(full_at: &AtomicU64, now: u64) {
    let before = full_at.load(Ordering::Relaxed);
    if (LONG_AGO..1 << 63).contains(&now.wrapping_sub(before)) {
        // A worker that uses the bucket at the same time finds it full as well, and what it writes is newer.
        let _ = full_at.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The colour of a packet, from what each bucket says; the committed one is asked only if the peak one conforms.
#[inline]
pub(crate) fn colour(peak: Conformance, committed: impl FnOnce() -> Conformance) -> Colour {
    match peak {
        Conformance::Exceeding => Colour::RED,
        Conformance::Conforming => match committed() {
            Conformance::Exceeding => Colour::YELLOW,
            Conformance::Conforming => Colour::GREEN,
        },
    }
}

#[cfg(test)]
mod accuracy;
#[cfg(test)]
mod tests;
