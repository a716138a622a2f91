//! What time it is, and by how much the clock was set.

use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use svpn_vpn::{ClockStep, Domain};

use super::Gateway;
use crate::routers::Firmness;

/// Clocks that differ by less than this are one; more than that was set by somebody.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The system's clock, and one that cannot be set, as they were at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    shown: SystemTime,
    steady: Instant,
}

impl Clock {
    pub(super) fn read() -> Self {
        Self { shown: SystemTime::now(), steady: Instant::now() }
    }

    /// By how much the clock was set since then.
    fn step_until(self, now: Self) -> Option<ClockStep> {
        let expected = self.shown + now.steady.saturating_duration_since(self.steady);
        let step = match now.shown.duration_since(expected) {
            Ok(ahead) => (ahead, ClockStep::Forward(ahead)),
            Err(behind) => (behind.duration(), ClockStep::Back(behind.duration())),
        };
        (step.0 >= TOLERANCE).then_some(step.1)
    }
}

impl Gateway {
    /// The time at which something is decided. Where the clock was set, everything decided before is brought to the clock as it is now.
    pub(super) fn now(&self, domain: &mut Domain) -> SystemTime {
        let now = Clock::read();
        let step = {
            let mut before = self.0.clock.lock().unwrap_or_else(PoisonError::into_inner);
            let step = before.step_until(now);
            if step.is_some() {
                *before = now;
            }
            step
        };
        if let Some(step) = step {
            tracing::warn!(?step, "the clock was set: sessions are charged for no more and no less, and bookings go by it from now on");
            let effects = domain.clock_set(step, now.shown);
            let enacted = self.enact(domain, effects, Vec::new(), Firmness::Surely);
            self.0.tasks.spawn(enacted.surely());
        }
        now.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_told_from_one_that_goes_on() {
        let then = Clock::read();
        let hour = Duration::from_hours(1);
        let passed = Duration::from_secs(10);
        let now = |shown| Clock { shown, steady: then.steady + passed };
        assert_eq!(then.step_until(now(then.shown + passed)), None);
        assert_eq!(then.step_until(now(then.shown + passed + TOLERANCE / 2)), None, "it goes a little wrong");
        assert_eq!(then.step_until(now(then.shown + passed + hour)), Some(ClockStep::Forward(hour)));
        assert_eq!(then.step_until(now(then.shown + passed - hour)), Some(ClockStep::Back(hour)));
    }
}
