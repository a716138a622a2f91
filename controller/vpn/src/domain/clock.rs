//! Clocks are set. What is over happened as long ago as before, so nobody is charged for a step of the clock; what is promised for a time to
//! come stays promised for that time.

use std::time::{Duration, SystemTime};

use super::effects::Effects;
use super::session::Session;
use super::{Domain, claims};
use crate::admission::{Calendar, Interval};
use crate::agreement::Account;
use crate::request::SessionNumber;
use crate::session::State;

/// By how much a clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockStep {
    /// It was slow, or is fast now.
    Forward(Duration),
    /// It was fast, or is slow now.
    Back(Duration),
}

impl ClockStep {
    /// The same moment by the clock as it is now.
    pub fn apply(self, instant: SystemTime) -> SystemTime {
        let moved = match self {
            Self::Forward(by) => instant.checked_add(by),
            Self::Back(by) => instant.checked_sub(by),
        };
        // Beyond what can be told there is nothing to be right about.
        moved.unwrap_or(instant)
    }
}

impl Domain {
    /// The clock was set, and now shows this. Everything is accounted for anew: from now on by the clock as it is.
    pub fn clock_set(&mut self, step: ClockStep, now: SystemTime) -> Effects {
        self.calendar = Calendar::new(self.network.topology());
        self.calendar.advance(now);
        self.accounts = vec![Account::default(); self.network.contracts().len()];
        self.claims = claims::Claims::default();
        let mut numbers: Vec<SessionNumber> = self.sessions.numbers().copied().collect();
        numbers.sort_unstable();
        let mut effects = Effects::default();
        for number in numbers {
            let Some(mut session) = self.sessions.take(number) else { continue };
            // What is over and only waits for its counters has its length already.
            if session.state.is_live() {
                session.clock_set(step, now);
                self.account(&mut session);
            }
            self.hand_back(session);
            self.tell_session(number, &mut effects);
        }
        effects
    }

    /// Takes for a live session what calendar, account and claims have to hold for it, whether it still fits or not.
    pub(super) fn account(&mut self, session: &mut Session) {
        for way in 0..session.legs.len() {
            let claim = session.held_claim(way);
            if let (Some(leg), Some(claim)) = (session.legs[way].as_mut(), claim) {
                leg.booking = self.calendar.restore(claim).ok();
            }
        }
        let (rates, interval) = session.accounted();
        self.accounts[session.contract.index()].restore(rates, interval);
        self.claims.add(&session.classification(&self.network), session.number, session.interval);
    }
}

impl Session {
    fn clock_set(&mut self, step: ClockStep, now: SystemTime) {
        self.requested = step.apply(self.requested);
        self.established = self.established.map(|at| step.apply(at));
        for period in &mut self.periods {
            period.since = step.apply(period.since);
        }
        if self.state == State::Booked {
            return;
        }
        // What runs has begun, by whatever clock; what begins later is asked for at that time.
        let moved = |interval: Interval| {
            let start = step.apply(interval.start());
            // Where its stop has come meanwhile, it is about to be stopped.
            if start <= now { Interval::new(start, interval.stop()).unwrap_or(interval) } else { interval }
        };
        self.interval = moved(self.interval);
        if let Some(change) = &mut self.change {
            change.interval = moved(change.interval);
        }
    }
}
