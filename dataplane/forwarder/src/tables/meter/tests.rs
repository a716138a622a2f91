//! What a bucket does at its edges. How exact it is over time is in `accuracy`.

use std::time::Duration;

use proptest::prelude::*;
use svpn_contract::oracle::Meter;

use super::*;

const GIGA: u64 = 1_000_000_000;

fn base(ticks: u64) -> Timebase {
    Timebase::new(Hertz::new(ticks).unwrap())
}

/// A full bucket at any moment.
fn full(bucket: &Bucket, now: u64) -> AtomicU64 {
    AtomicU64::new(if bucket.frozen { 0 } else { now })
}

#[test]
fn every_clock_has_units_enough_and_months_to_the_wrap() {
    for ticks in [1, 1_000, 25_000_000, 121_875_000, GIGA, 2_595_123_456, 5_000_000_000, 1 << 40] {
        let timebase = base(ticks);
        assert_eq!(u128::from(timebase.moment(ticks)), timebase.units());
        assert!((1 << 41..1 << 42).contains(&timebase.units()), "{ticks}");
    }
}

#[test]
fn a_bucket_is_full_after_any_silence_if_it_is_refreshed() {
    let timebase = base(GIGA);
    // A minute of tokens.
    let bucket = Bucket::new(1_000, 60_000, timebase);
    let start = u64::MAX - 12_345;
    // Around every quarter of the wrap, and in between.
    for silence in (0..=64).map(|part: u64| (u64::MAX / 32).wrapping_mul(part).wrapping_add(timebase.moment(part * GIGA))) {
        for sharing in [Sharing::OneWorker, Sharing::ManyWorkers] {
            let word = full(&bucket, start);
            assert_eq!(spend(&word, &bucket, 60_000, start, sharing), Conformance::Conforming);
            assert_eq!(spend(&word, &bucket, 10, start, sharing), Conformance::Exceeding);
            let mut now = start.wrapping_add(timebase.moment(60 * GIGA));
            for _ in 0..silence / REFRESH {
                now = now.wrapping_add(REFRESH);
                refresh(&word, now);
            }
            now = now.wrapping_add(silence % REFRESH);
            assert_eq!(spend(&word, &bucket, 60_000, now, sharing), Conformance::Conforming, "{silence:#x}");
            assert_eq!(spend(&word, &bucket, 10, now, sharing), Conformance::Exceeding, "{silence:#x}");
        }
    }
}

#[test]
fn a_refresh_gives_nothing_to_a_bucket_in_use() {
    let timebase = base(GIGA);
    // The deepest there is.
    let bucket = Bucket::new(1, u64::MAX, timebase);
    let word = full(&bucket, 77);
    let capacity = LONGEST / timebase.moment(GIGA);
    assert_eq!(spend(&word, &bucket, capacity, 77, Sharing::OneWorker), Conformance::Conforming);
    for seconds in 1..50 {
        refresh(&word, 77 + timebase.moment(seconds * GIGA));
        assert_eq!(spend(&word, &bucket, 2, 77 + timebase.moment(seconds * GIGA), Sharing::OneWorker), Conformance::Exceeding);
        assert_eq!(spend(&word, &bucket, 1, 77 + timebase.moment(seconds * GIGA), Sharing::OneWorker), Conformance::Conforming);
    }
}

#[test]
fn an_older_reading_takes_nothing_twice_and_a_clock_set_back_stops_nobody() {
    let timebase = base(GIGA);
    let bucket = Bucket::new(1_000_000, 10_000, timebase);
    let at = |ticks: u64| timebase.moment(1 << 52).wrapping_add(timebase.moment(ticks));
    for sharing in [Sharing::OneWorker, Sharing::ManyWorkers] {
        let word = full(&bucket, at(5 * GIGA));
        assert_eq!(spend(&word, &bucket, 10_000, at(5 * GIGA), sharing), Conformance::Conforming);
        for older in [0, 1_000, GIGA / 2, GIGA] {
            assert_eq!(spend(&word, &bucket, 1, at(5 * GIGA - older), sharing), Conformance::Exceeding, "{older}");
        }
        // A millisecond brings a thousand bytes. Who reads a microsecond less finds one byte less, and what is left is there for all.
        let later = 5 * GIGA + 1_000_000;
        assert_eq!(spend(&word, &bucket, 1_000, at(later - 1_000), sharing), Conformance::Exceeding);
        assert_eq!(spend(&word, &bucket, 999, at(later - 1_000), sharing), Conformance::Conforming);
        assert_eq!(spend(&word, &bucket, 1, at(later), sharing), Conformance::Conforming);
        assert_eq!(spend(&word, &bucket, 1, at(later), sharing), Conformance::Exceeding);
        // A machine that was moved: its clock starts again.
        assert_eq!(spend(&word, &bucket, 10_000, at(0), sharing), Conformance::Conforming);
        assert_eq!(spend(&word, &bucket, 1, at(0), sharing), Conformance::Exceeding);
    }
}

#[test]
fn a_rate_of_zero_gives_the_burst_once() {
    let bucket = Bucket::new(0, 100, base(GIGA));
    let word = full(&bucket, 77);
    assert_eq!(spend(&word, &bucket, 60, 77, Sharing::ManyWorkers), Conformance::Conforming);
    assert_eq!(spend(&word, &bucket, 41, base(GIGA).moment(GIGA), Sharing::ManyWorkers), Conformance::Exceeding);
    assert_eq!(spend(&word, &bucket, 40, base(GIGA).moment(GIGA), Sharing::ManyWorkers), Conformance::Conforming);
    assert_eq!(spend(&word, &bucket, 1, base(GIGA).moment(GIGA * 100), Sharing::ManyWorkers), Conformance::Exceeding);
}

#[test]
fn workers_share_a_bucket_exactly() {
    let bucket = Bucket::new(1, 1_000_000, base(GIGA));
    let word = full(&bucket, base(GIGA).moment(5));
    let spent: u64 = std::thread::scope(|scope| {
        let worker = |size: u64| {
            let (word, bucket) = (&word, &bucket);
            scope.spawn(move || {
                let one = || spend(word, bucket, size, base(GIGA).moment(5), Sharing::ManyWorkers) == Conformance::Conforming;
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
        let buckets = Buckets::new(config, base(GIGA));
        let mut now = 12_345;
        let peak = full(&buckets.peak, base(GIGA).moment(now));
        let committed = full(&buckets.committed, base(GIGA).moment(now));
        let mut model = Meter::new(config);
        for (wait, bytes) in packets {
            now += wait;
            let (expected, next) = model.metered(bytes, Duration::from_nanos(now));
            model = next;
            let sharing = if wait % 2 == 0 { Sharing::OneWorker } else { Sharing::ManyWorkers };
            let seen = colour(
                spend(&peak, &buckets.peak, bytes, base(GIGA).moment(now), sharing),
                || spend(&committed, &buckets.committed, bytes, base(GIGA).moment(now), sharing),
            );
            prop_assert_eq!(seen, expected);
        }
    }
}
