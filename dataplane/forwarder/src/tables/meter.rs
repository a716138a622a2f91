//! The two rate three colour marker of RFC 2698, colour-blind, without a lock.
//!
//! A token bucket of rate `r` and size `B` is kept as one number: the moment at which it would be full again. A packet of `n` bytes
//! moves that moment `n / r` later, from now at the earliest, and conforms if it is then no more than `B / r` away. That is the
//! bucket of the RFC exactly (it is the same as I.371's virtual scheduling), and because it is one word, one compare-exchange
//! is enough to share it between workers. Each of the marker's two buckets is such a word. The committed bucket is asked only by
//! what the peak bucket let through, so two separate exchanges count the same tokens as one would.
//!
//! Moments are in 1/1024 of the clock's ticks: at 2.6 GHz and 400 Gbit/s a byte is 53 units, and a packet's duration, computed with
//! 20 more bits and rounded once, is off by less than 0.07 % for the shortest frame. Words wrap after 2⁵⁴ ticks, some 80 days; a
//! bucket that nobody used for so long reads as full, which it is.

use std::sync::atomic::{AtomicU64, Ordering};

use svpn_contract::MeterConfig;
use svpn_contract::wire::Colour;

/// log2 of units per tick.
const UNITS_SHIFT: u32 = 10;
/// Fraction bits of a byte's duration.
const FRACTION: u32 = 20;
/// The longest time to fill a bucket, in units: a larger bucket is cut to it.
const LONGEST: u64 = 1 << 62;
/// What is added to a bucket's depth, so that roundings do not refuse a packet that needs exactly what is there: about a byte at
/// 400 Gbit/s.
const ROUNDING: u64 = 64;
/// How far workers' clock readings may be apart, in units: 2³² ticks.
const SKEW: u64 = 1 << (32 + UNITS_SHIFT);

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
    /// A bucket of `rate` bytes per second and `burst` bytes.
    pub(crate) fn new(rate: u64, burst: u64, clock: Hertz) -> Self {
        if rate == 0 {
            let cost = 1 << (UNITS_SHIFT + FRACTION);
            return Self { cost, burst: depth(burst, cost), frozen: true };
        }
        let cost = ((u128::from(clock.get()) << (UNITS_SHIFT + FRACTION)) + u128::from(rate / 2)) / u128::from(rate);
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
    pub(crate) fn new(config: MeterConfig, clock: Hertz) -> Self {
        Self { peak: Bucket::new(config.pir, config.pburst, clock), committed: Bucket::new(config.cir, config.cburst, clock) }
    }

    /// Both buckets always hold the same, so one is enough: nothing is ever yellow.
    pub(crate) fn are_one(&self) -> bool {
        self.peak == self.committed
    }
}

/// A moment in units.
#[inline]
pub(crate) fn moment(ticks: u64) -> u64 {
    ticks << UNITS_SHIFT
}

/// Units in which the tokens of so many bytes arrive.
#[inline]
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

/// Spends `bytes` tokens of a bucket whose word is `full_at`.
#[inline]
pub(crate) fn spend(full_at: &AtomicU64, bucket: &Bucket, bytes: u64, now: u64, sharing: Sharing) -> Conformance {
    let now = if bucket.frozen { 0 } else { now };
    let needed = duration(bytes, bucket.cost);
    let mut before = full_at.load(Ordering::Relaxed);
    loop {
        let ahead = before.wrapping_sub(now);
        // A moment that has passed, or lies further ahead than a bucket is deep: full. A worker's `now` may be a little old.
        let ahead = if ahead > bucket.burst + SKEW { 0 } else { ahead };
        let Some(after) = ahead.checked_add(needed).filter(|after| *after <= bucket.burst) else {
            return Conformance::Exceeding;
        };
        let after = now.wrapping_add(after);
        match sharing {
            Sharing::OneWorker => {
                full_at.store(after, Ordering::Relaxed);
                return Conformance::Conforming;
            }
            Sharing::ManyWorkers => match full_at.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Conformance::Conforming,
                Err(changed) => before = changed,
            },
        }
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
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use svpn_contract::oracle::Meter;

    use super::*;

    const GIGA: u64 = 1_000_000_000;

    fn hertz(ticks: u64) -> Hertz {
        Hertz::new(ticks).unwrap()
    }

    /// A full bucket at any moment.
    fn full(bucket: &Bucket, now: u64) -> AtomicU64 {
        AtomicU64::new(if bucket.frozen { 0 } else { now })
    }

    /// Bytes a bucket lets through when packets of one size come at twice its rate for `seconds`.
    fn passed(rate: u64, burst: u64, size: u64, seconds: u64, clock: Hertz) -> u64 {
        let bucket = Bucket::new(rate, burst, clock);
        let word = full(&bucket, moment(0));
        let packets = (u128::from(rate) * u128::from(seconds) * 2 / u128::from(size)).max(1);
        let end = u128::from(clock.get()) * u128::from(seconds);
        // At most so many packets are tried, in the last part of the time, after the burst was spent.
        let tried = packets.min(400_000);
        let first = packets - tried;
        let at = |packet: u128| moment(u64::try_from(end * packet / packets).unwrap());
        let mut sum = 0;
        while spend(&word, &bucket, size, at(first), Sharing::OneWorker) == Conformance::Conforming {}
        for packet in first..packets {
            if spend(&word, &bucket, size, at(packet), Sharing::OneWorker) == Conformance::Conforming {
                sum += size;
            }
        }
        sum
    }

    #[test]
    fn the_rate_is_exact_from_8_kbit_to_400_gbit_at_any_size() {
        let clock = hertz(2_595_123_456);
        for rate in [1_000, 8_000, 125_000, 12_345_678, 125_000_000, 1_250_000_000, 50_000_000_000_u64] {
            for size in [14, 60, 64, 65, 511, 1518, 9018_u64] {
                // Long enough for the granularity of one packet to be small against the sum.
                let seconds = 1 + 2_000 * size / rate;
                let tried = (u128::from(rate) * u128::from(seconds) * 2 / u128::from(size)).min(400_000);
                let expected = u64::try_from(tried).unwrap() * size / 2;
                let sum = passed(rate, size * 4, size, seconds, clock);
                let error = sum.abs_diff(expected);
                assert!(error * 200 <= expected + 400 * size, "rate {rate} size {size}: {sum} for {expected}");
            }
        }
    }

    #[test]
    fn a_bucket_survives_eighty_days_of_silence_and_the_wrap() {
        let bucket = Bucket::new(1_000_000, 10_000, hertz(GIGA));
        for idle in [1_u64 << 50, (1 << 53) - 1, 1 << 53, (1 << 54) - 1, 1 << 54, 1 << 60] {
            let start = u64::MAX - 5;
            let word = full(&bucket, moment(start));
            assert_eq!(spend(&word, &bucket, 10_000, moment(start), Sharing::OneWorker), Conformance::Conforming);
            assert_eq!(spend(&word, &bucket, 1, moment(start), Sharing::OneWorker), Conformance::Exceeding);
            // A worker whose clock reading is older sees an empty bucket too.
            assert_eq!(spend(&word, &bucket, 1, moment(start - 1000), Sharing::OneWorker), Conformance::Exceeding);
            let later = moment(start.wrapping_add(idle).wrapping_add(GIGA));
            assert_eq!(spend(&word, &bucket, 10_000, later, Sharing::OneWorker), Conformance::Conforming, "{idle}");
        }
    }

    #[test]
    fn a_rate_of_zero_gives_the_burst_once() {
        let bucket = Bucket::new(0, 100, hertz(GIGA));
        let word = full(&bucket, 77);
        assert_eq!(spend(&word, &bucket, 60, 77, Sharing::ManyWorkers), Conformance::Conforming);
        assert_eq!(spend(&word, &bucket, 41, moment(GIGA), Sharing::ManyWorkers), Conformance::Exceeding);
        assert_eq!(spend(&word, &bucket, 40, moment(GIGA), Sharing::ManyWorkers), Conformance::Conforming);
        assert_eq!(spend(&word, &bucket, 1, moment(GIGA * 100), Sharing::ManyWorkers), Conformance::Exceeding);
    }

    #[test]
    fn workers_share_a_bucket_exactly() {
        let bucket = Bucket::new(1, 1_000_000, hertz(GIGA));
        let word = full(&bucket, moment(5));
        let spent: u64 = std::thread::scope(|scope| {
            let worker = |size: u64| {
                let (word, bucket) = (&word, &bucket);
                scope.spawn(move || {
                    let one = || spend(word, bucket, size, moment(5), Sharing::ManyWorkers) == Conformance::Conforming;
                    (0..100_000).filter(|_| one()).count() as u64 * size
                })
            };
            let workers = [worker(10), worker(10), worker(20)];
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(spent, 1_000_000);
    }

    proptest! {
        /// Rates that divide the clock are exact, so every colour is the one of the exact model.
        #[test]
        fn colours_are_those_of_the_exact_model(
            cir in prop::sample::select(vec![0_u64, 1_000, 8_000, 125_000, 1_000_000, 1_000_000_000]),
            faster in prop::sample::select(vec![1_u64, 2, 8]),
            bursts in (0..4_000_u64, 0..6_000_u64),
            packets in prop::collection::vec((0..5_000_000_u64, 14..2_000_u64), 1..80),
        ) {
            let config = MeterConfig { cir, cburst: bursts.0, pir: cir * faster, pburst: bursts.1 };
            let buckets = Buckets::new(config, hertz(GIGA));
            let mut now = 12_345;
            let peak = full(&buckets.peak, moment(now));
            let committed = full(&buckets.committed, moment(now));
            let mut model = Meter::new(config);
            for (wait, bytes) in packets {
                now += wait;
                let (expected, next) = model.metered(bytes, Duration::from_nanos(now));
                model = next;
                let sharing = if wait % 2 == 0 { Sharing::OneWorker } else { Sharing::ManyWorkers };
                let seen = colour(
                    spend(&peak, &buckets.peak, bytes, moment(now), sharing),
                    || spend(&committed, &buckets.committed, bytes, moment(now), sharing),
                );
                prop_assert_eq!(seen, expected);
            }
        }
    }
}
