//! What a worker counts of itself: written by that worker alone, without atomic read-modify-write, and read by anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use svpn_contract::Reason;

/// Reasons below it are punts.
const PUNTS: usize = 32;

/// A worker's numbers, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Load {
    polls: AtomicU64,
    bursts: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    originated: AtomicU64,
    busy: AtomicU64,
    punted: [AtomicU64; PUNTS],
}

/// A reading of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadReading {
    /// Times a receive queue was asked for packets.
    pub polls: u64,
    /// Times it had some.
    pub bursts: u64,
    /// Packets received.
    pub received: u64,
    /// Packets sent, the controller's among them.
    pub sent: u64,
    /// Packets the controller had sent, also those that were dropped then.
    pub originated: u64,
    /// Ticks of the clock spent on packets, polls that found nothing left out.
    pub busy: u64,
}

impl Load {
    pub(crate) fn read(&self) -> LoadReading {
        let value = |word: &AtomicU64| word.load(Ordering::Relaxed);
        LoadReading {
            polls: value(&self.polls),
            bursts: value(&self.bursts),
            received: value(&self.received),
            sent: value(&self.sent),
            originated: value(&self.originated),
            busy: value(&self.busy),
        }
    }

    /// Packets handed to the controller for a reason.
    pub(crate) fn punted(&self, reason: Reason) -> u64 {
        self.punted.get(reason as usize).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

/// The right to count: the one worker has it whose numbers these are.
#[derive(Debug)]
pub(crate) struct LoadWriter {
    load: Arc<Load>,
    clock: fn() -> u64,
    /// Since when there was a packet at every poll.
    busy_since: Option<u64>,
}

impl LoadWriter {
    pub(crate) fn new(load: Arc<Load>, clock: fn() -> u64) -> Self {
        Self { load, clock, busy_since: None }
    }

    /// A poll found packets at this time. The time until the next poll belongs to them, so a busy worker reads the clock once a burst.
    #[inline]
    pub(crate) fn burst(&mut self, packets: usize, now: u64) {
        add(&self.load.polls, 1);
        add(&self.load.bursts, 1);
        add(&self.load.received, packets as u64);
        if let Some(since) = self.busy_since.replace(now) {
            add(&self.load.busy, now.wrapping_sub(since));
        }
    }

    /// A poll found nothing.
    #[inline]
    pub(crate) fn nothing(&mut self) {
        add(&self.load.polls, 1);
        if let Some(since) = self.busy_since.take() {
            add(&self.load.busy, (self.clock)().wrapping_sub(since));
        }
    }

    #[inline]
    pub(crate) fn sent(&mut self, packets: usize) {
        add(&self.load.sent, packets as u64);
    }

    /// Takes so many packets of the controller's.
    pub(crate) fn originated(&mut self, packets: usize) {
        add(&self.load.originated, packets as u64);
    }

    #[inline]
    pub(crate) fn punted(&mut self, reason: Reason) {
        if let Some(word) = self.load.punted.get(reason as usize) {
            add(word, 1);
        }
    }
}

/// Adds to a word that nobody else writes.
#[inline]
fn add(word: &AtomicU64, number: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_is_from_a_burst_to_the_next_poll() {
        let load = Arc::new(Load::default());
        let mut writer = LoadWriter::new(Arc::clone(&load), || 1000);
        writer.nothing();
        writer.burst(3, 100);
        writer.burst(64, 150);
        assert_eq!(load.read(), LoadReading { polls: 3, bursts: 2, received: 67, sent: 0, originated: 0, busy: 50 });
        writer.nothing();
        writer.nothing();
        writer.sent(60);
        writer.originated(7);
        writer.burst(1, 5000);
        assert_eq!(load.read(), LoadReading { polls: 6, bursts: 3, received: 68, sent: 60, originated: 7, busy: 50 + 850 });
    }

    #[test]
    fn punts_are_counted_by_reason() {
        let load = Arc::new(Load::default());
        let mut writer = LoadWriter::new(Arc::clone(&load), || 0);
        writer.punted(Reason::Lldp);
        writer.punted(Reason::TtlExpired);
        writer.punted(Reason::TtlExpired);
        assert_eq!((load.punted(Reason::Lldp), load.punted(Reason::TtlExpired), load.punted(Reason::NoRoute)), (1, 2, 0));
        assert!(Reason::ALL.iter().filter(|reason| (**reason as u8) < 32).all(|reason| load.punted.get(*reason as usize).is_some()));
    }
}
