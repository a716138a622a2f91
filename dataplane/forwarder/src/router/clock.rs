//! The workers' clock: the processor's time stamp counter, and how many ticks a second has.
//!
//! Where the processor does not say it, DPDK rounds what it measures to 10 MHz, which can be a quarter of a percent; meters are to be
//! exact to half a percent. So it is measured once more, against the system's clock.

use std::thread;
use std::time::{Duration, Instant};

use crate::tables::meter::Hertz;

/// How long is measured: readings are exact to well below a microsecond.
const MEASURED: Duration = Duration::from_millis(50);
/// How often the clocks are read together: one of these readings was not interrupted.
const READINGS: usize = 16;
/// A part of the estimate by which a measurement can be off and still be one of the same clock.
const PLAUSIBLE: u64 = 50;

/// Ticks per second. `estimate` is DPDK's.
pub(super) fn hertz(estimate: Hertz) -> Hertz {
    let (first, start) = read();
    thread::sleep(MEASURED);
    let (second, end) = read();
    rate(second.wrapping_sub(first), end.saturating_duration_since(start), estimate)
}

/// Both clocks at the same moment.
fn read() -> (u64, Instant) {
    let reading = |_| {
        let before = svpn_dpdk::tsc();
        let now = Instant::now();
        let took = svpn_dpdk::tsc().wrapping_sub(before);
        (took, before.wrapping_add(took / 2), now)
    };
    let shortest = (0..READINGS).map(reading).min_by_key(|(took, ..)| *took);
    shortest.map_or_else(|| (svpn_dpdk::tsc(), Instant::now()), |(_, ticks, now)| (ticks, now))
}

/// Ticks per second, of as many in some time; the estimate if that cannot be.
fn rate(ticks: u64, time: Duration, estimate: Hertz) -> Hertz {
    let nanoseconds = time.as_nanos().max(1);
    let rate = (u128::from(ticks) * 1_000_000_000 + nanoseconds / 2) / nanoseconds;
    let measured = u64::try_from(rate).ok().and_then(Hertz::new);
    let plausible = |measured: &Hertz| measured.get().abs_diff(estimate.get()) <= estimate.get() / PLAUSIBLE;
    measured.filter(plausible).unwrap_or(estimate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_replaces_an_estimate_that_it_is_near() {
        let estimate = Hertz::new(2_600_000_000).unwrap();
        let rate = |ticks, time| rate(ticks, time, estimate).get();
        assert_eq!(rate(129_756_173, Duration::from_millis(50)), 2_595_123_460);
        assert_eq!(rate(2_595_123_456, Duration::from_secs(1)), 2_595_123_456);
        // A clock that stood still, ran at another pace, or was set.
        for (ticks, time) in [(0, MEASURED), (129_756_173, Duration::ZERO), (129_756_173, Duration::from_millis(45)), (u64::MAX, MEASURED)]
        {
            assert_eq!(rate(ticks, time), estimate.get());
        }
    }
}
