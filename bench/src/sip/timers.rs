//! Timers: what is due, and how long a sender waits before it sends again (RFC 3261 section 17.1).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// T1, the round trip that is assumed.
const T1: Duration = Duration::from_millis(500);
/// T2, the longest wait between two repetitions of anything but an INVITE.
const T2: Duration = Duration::from_secs(4);
/// 64 * T1: how long a transaction tries (timers B, F, H), and how long its remains are kept (D, J).
pub(super) const GIVE_UP: Duration = Duration::from_secs(32);

/// The waits of a sender that hears nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    wait: Duration,
    longest: Duration,
    end: Instant,
}

impl Backoff {
    /// Timers A and B: an INVITE. The waits double.
    pub(super) fn invite(now: Instant) -> Self {
        Self { wait: T1, longest: GIVE_UP, end: now + GIVE_UP }
    }

    /// Timers E and F of other requests, G and H of a 200 that waits for its ACK: the waits double up to T2.
    pub(super) fn other(now: Instant) -> Self {
        Self { wait: T1, longest: T2, end: now + GIVE_UP }
    }

    /// When something is to be done next.
    pub(super) fn next(&self, now: Instant) -> Instant {
        (now + self.wait).min(self.end)
    }

    /// What is to be done then: sending again, until it has been tried for too long.
    pub(super) fn again(&mut self, now: Instant) -> bool {
        self.wait = (self.wait * 2).min(self.longest);
        now < self.end
    }
}

/// What is due when. An entry that is not wanted any more is told by its owner, which knows when its own is due.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, u64)>>);

impl Timers {
    /// Something is due then.
    pub(super) fn set(&mut self, at: Instant, what: u64) {
        self.0.push(Reverse((at, what)));
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// The next that is due by now, with its time.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, u64)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(mut backoff: Backoff, start: Instant) -> Vec<u128> {
        let mut now = start;
        let mut waits = Vec::new();
        loop {
            let next = backoff.next(now);
            waits.push((next - now).as_millis());
            now = next;
            if !backoff.again(now) {
                return waits;
            }
        }
    }

    #[test]
    fn waits_are_those_of_rfc_3261() {
        let now = Instant::now();
        assert_eq!(waits(Backoff::invite(now), now), [500, 1000, 2000, 4000, 8000, 16000, 500]);
        let mut expected = vec![500, 1000, 2000];
        expected.extend([4000; 7]);
        expected.push(500);
        assert_eq!(waits(Backoff::other(now), now), expected);
    }

    #[test]
    fn what_is_due_comes_in_order_and_not_before() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.set(now + T2, 2);
        timers.set(now + T1, 1);
        assert_eq!((timers.next(), timers.due(now)), (Some(now + T1), None));
        assert_eq!(timers.due(now + T2), Some((now + T1, 1)));
        assert_eq!(timers.due(now + T2), Some((now + T2, 2)));
        assert_eq!(timers.due(now + T2), None);
    }
}
