//! How exact the marker is: rates, packet sizes, arrivals, clocks and numbers of workers, against the buckets of RFC 2698 in exact
//! arithmetic. The clock is the test's own.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::*;

/// What is metered.
#[derive(Debug, Clone, Copy)]
enum Sizes {
    /// Packets of as many bytes; or packets themselves, of 1.
    Of(u64),
    /// Packets of 64 to 9,000 bytes, one after the other of another size.
    Mixed,
}

/// When packets come, at the same mean rate.
#[derive(Debug, Clone, Copy)]
enum Arrivals {
    /// At equal distances.
    Smooth,
    /// Sixty-four with one reading of the clock, as the fast path has them.
    Bursts,
    /// At distances from none to twice the mean.
    Random,
    /// Five hundred at four times the pace, then none for as long as it takes.
    OnAndOff,
}

/// Who meters.
#[derive(Debug, Clone, Copy)]
enum Workers {
    One,
    /// In turns, the second with readings this many ticks old.
    Two {
        behind: u64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Case {
    hertz: u64,
    /// Bytes, or packets, per second.
    cir: u64,
    pir: u64,
    sizes: Sizes,
    arrivals: Arrivals,
    /// Of the peak rate, in percent.
    load: u64,
    workers: Workers,
}

const CLOCK: u64 = 2_595_123_456;
/// 8 kbit/s to 400 Gbit/s in bytes per second.
const RATES: [u64; 9] = [1_000, 8_000, 125_000, 1_234_567, 12_500_000, 125_000_000, 1_250_000_000, 12_500_000_000, 50_000_000_000];
const SIZES: [Sizes; 8] =
    [Sizes::Of(64), Sizes::Of(65), Sizes::Of(128), Sizes::Of(511), Sizes::Of(1_518), Sizes::Of(4_096), Sizes::Of(9_000), Sizes::Mixed];
const ARRIVALS: [Arrivals; 4] = [Arrivals::Smooth, Arrivals::Bursts, Arrivals::Random, Arrivals::OnAndOff];
const LOADS: [u64; 3] = [50, 100, 150];
/// Packets of a case, and how many of them buckets hold.
const PACKETS: u64 = 6_000;
const DEEP: u64 = 600;

/// The buckets of RFC 2698. Tokens are counted in parts of which a byte has as many as the clock has ticks per second, so a tick brings
/// a whole number of them.
struct Exact {
    hertz: u128,
    config: MeterConfig,
    peak: u128,
    committed: u128,
    last: u64,
}

impl Exact {
    fn new(hertz: u64, config: MeterConfig, now: u64) -> Self {
        let hertz = u128::from(hertz);
        Self { hertz, config, peak: u128::from(config.pburst) * hertz, committed: u128::from(config.cburst) * hertz, last: now }
    }

    fn colour(&mut self, bytes: u64, now: u64) -> Colour {
        let ticks = u128::from(now.saturating_sub(self.last));
        self.last = self.last.max(now);
        let fill = |tokens: u128, rate: u64, burst: u64| (tokens + ticks * u128::from(rate)).min(u128::from(burst) * self.hertz);
        self.peak = fill(self.peak, self.config.pir, self.config.pburst);
        self.committed = fill(self.committed, self.config.cir, self.config.cburst);
        let needed = u128::from(bytes) * self.hertz;
        if self.peak < needed {
            return Colour::RED;
        }
        self.peak -= needed;
        if self.committed < needed {
            return Colour::YELLOW;
        }
        self.committed -= needed;
        Colour::GREEN
    }
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

impl Case {
    fn mean_size(&self) -> u64 {
        match self.sizes {
            Sizes::Of(size) => size,
            Sizes::Mixed => 4_532,
        }
    }

    fn largest(&self) -> u64 {
        if let Sizes::Of(size) = self.sizes { size } else { 9_000 }
    }

    /// What the second worker's readings are behind, in bytes of the peak rate.
    fn skew(&self) -> u64 {
        match self.workers {
            Workers::One => 0,
            Workers::Two { behind } => u64::try_from(u128::from(behind) * u128::from(self.pir) / u128::from(self.hertz)).unwrap() + 1,
        }
    }

    fn config(&self) -> MeterConfig {
        let burst = DEEP * self.largest() + 4 * self.skew();
        MeterConfig { cir: self.cir, cburst: burst, pir: self.pir, pburst: burst }
    }

    /// Size and time of every packet, and which burst it is of.
    fn packets(&self) -> Vec<(u64, u64, u64)> {
        let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
        // Of which a tick has a million.
        let gap = u128::from(self.mean_size()) * u128::from(self.hertz) * 100_000_000 / (u128::from(self.pir) * u128::from(self.load));
        let mut random = 0;
        let packet = |number: u64| {
            let size = match self.sizes {
                Sizes::Of(size) => size,
                Sizes::Mixed => 64 + numbers.below(8_937),
            };
            random += gap * u128::from(numbers.below(2_001)) / 1_000;
            let (at, burst) = match self.arrivals {
                Arrivals::Smooth => (gap * u128::from(number), number),
                Arrivals::Bursts => (gap * u128::from(number / 64 * 64), number / 64),
                Arrivals::Random => (random, number),
                Arrivals::OnAndOff => {
                    let (period, place) = (number / 500 * 500, number % 500);
                    (gap * u128::from(period) + gap * u128::from(place) / 4, number)
                }
            };
            (size, self.hertz + u64::try_from(at / 1_000_000).unwrap(), burst)
        };
        (0..PACKETS).map(packet).collect()
    }

    /// Meters all packets, and compares at each what was green and what was not red so far.
    fn check(&self) {
        let timebase = Timebase::new(Hertz::new(self.hertz).unwrap());
        let buckets = Buckets::new(self.config(), timebase);
        // Full long before the first packet.
        let start = self.hertz / 2;
        let words = [AtomicU64::new(timebase.moment(start)), AtomicU64::new(timebase.moment(start))];
        let mut exact = Exact::new(self.hertz, self.config(), start);
        let (mut seen, mut expected) = ([0_u64; 3], [0_u64; 3]);
        for (size, now, burst) in self.packets() {
            let (reading, sharing) = match self.workers {
                Workers::One => (now, Sharing::OneWorker),
                Workers::Two { behind } => (now - burst % 2 * behind, Sharing::ManyWorkers),
            };
            let reading = timebase.moment(reading);
            let colour = colour(spend(&words[0], &buckets.peak, size, reading, sharing), || {
                spend(&words[1], &buckets.committed, size, reading, sharing)
            });
            seen[usize::from(colour.get())] += size;
            expected[usize::from(exact.colour(size, now).get())] += size;
            for (rate, seen, expected) in [(self.cir, seen[0], expected[0]), (self.pir, seen[0] + seen[1], expected[0] + expected[1])] {
                // A twentieth of a percent of what the rate brings, and what a packet, or a reading, more or less makes.
                let brought = u128::from(now - self.hertz) * u128::from(rate) / u128::from(self.hertz);
                let allowed = u64::try_from(brought / 2_000).unwrap() + self.largest() + self.skew();
                assert!(seen.abs_diff(expected) <= allowed, "{self:?}: {seen} of {expected} bytes after {brought}");
            }
        }
        self.check_rates(&seen);
    }

    /// Where more comes than the rate takes, what passes is the rate's: a statement on the model too.
    fn check_rates(&self, seen: &[u64; 3]) {
        if self.load <= 100 || !matches!(self.arrivals, Arrivals::Smooth) {
            return;
        }
        let packets = self.packets();
        let (offered, last) = packets.iter().fold((0, 0), |(offered, _), (size, now, _)| (offered + size, *now));
        for (rate, seen) in [(self.cir, seen[0]), (self.pir, seen[0] + seen[1])] {
            // What comes before the first packet does not fit into a full bucket.
            let brought = u64::try_from(u128::from(last - self.hertz) * u128::from(rate) / u128::from(self.hertz)).unwrap();
            let expected = offered.min(self.config().cburst + brought);
            let allowed = expected / 200 + self.largest() + self.skew();
            assert!(seen.abs_diff(expected) <= allowed, "{self:?}: {seen} of {expected} bytes");
        }
    }
}

/// Every size, arrival and load at some rates.
fn check_all(hertz: u64, rates: &[u64], sizes: &[Sizes], workers: Workers) {
    for pir in rates {
        for sizes in sizes {
            for arrivals in ARRIVALS {
                for load in LOADS {
                    for cir in [*pir, pir - pir / 3] {
                        Case { hertz, cir, pir: *pir, sizes: *sizes, arrivals, load, workers }.check();
                    }
                }
            }
        }
    }
}

#[test]
fn one_worker_is_exact_from_8_kbit_to_400_gbit_at_any_size_and_arrival() {
    check_all(CLOCK, &RATES, &SIZES, Workers::One);
}

#[test]
fn two_workers_are_as_exact_with_the_same_clock_and_with_clocks_apart() {
    for behind in [0, 50, 2_600] {
        check_all(
            CLOCK,
            &[1_000, 1_234_567, 1_250_000_000, 50_000_000_000],
            &[Sizes::Of(64), Sizes::Of(9_000), Sizes::Mixed],
            Workers::Two { behind },
        );
    }
}

/// Clocks of other processors: 25 MHz to 5 GHz.
#[test]
fn it_is_exact_with_any_clock() {
    for hertz in [25_000_000, 121_875_000, 1_000_000_000, 5_000_000_000] {
        check_all(hertz, &[1_000, 125_000_000, 50_000_000_000], &[Sizes::Of(64), Sizes::Of(1_518)], Workers::One);
        check_all(hertz, &[50_000_000_000], &[Sizes::Of(64)], Workers::Two { behind: hertz / 1_000_000 });
    }
}

#[test]
fn packets_are_metered_as_exactly() {
    let rates = [1, 3, 10, 1_000, 123_456, 10_000_000, 600_000_000];
    check_all(CLOCK, &rates, &[Sizes::Of(1)], Workers::One);
    check_all(CLOCK, &rates, &[Sizes::Of(1)], Workers::Two { behind: 50 });
}

/// Two threads that take packets from one stream, each at its own pace: they let through what one would.
#[test]
fn two_threads_let_through_what_one_would() {
    const RATE: u64 = 50_000_000_000;
    const OFFERED: usize = 300_000;
    let timebase = Timebase::new(Hertz::new(CLOCK).unwrap());
    for size in [64, 1_518] {
        let bucket = Bucket::new(RATE, 2_000 * size, timebase);
        let word = AtomicU64::new(timebase.moment(CLOCK));
        let next = AtomicUsize::new(0);
        // At twice the rate.
        let at = |packet: usize| CLOCK + u64::try_from(packet as u128 * u128::from(size * CLOCK) / u128::from(2 * RATE)).unwrap();
        let work = || {
            let mut passed = 0;
            loop {
                let packet = next.fetch_add(1, Ordering::Relaxed);
                if packet >= OFFERED {
                    return passed;
                }
                let now = timebase.moment(at(packet));
                passed += u64::from(spend(&word, &bucket, size, now, Sharing::ManyWorkers) == Conformance::Conforming) * size;
            }
        };
        let passed: u64 = std::thread::scope(|scope| {
            let workers = [scope.spawn(work), scope.spawn(work)];
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        let most = 2_000 * size + size * OFFERED as u64 / 2;
        assert!(passed <= most + most / 2_000 + size && passed >= most - most / 200, "{passed} of {most}");
    }
}
