//! Idle time-outs: which entries no packet has hit for as long as their controller allows.
//!
//! Workers note a hit by a clock of one-second ticks, so an entry is found idle up to some two seconds late, and never early.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use svpn_contract::EntryKey;

use super::write::flow_key;
use super::{Clock, Entries};
use crate::tables::Tables;

/// An entry's time-out.
#[derive(Debug, Clone, Copy)]
struct Timer {
    timeout: Duration,
    /// The tick in which it began to run, apart from hits.
    started: u32,
    /// The tick in which it is looked at next; where it is listed under another, that is forgotten.
    due: u32,
}

/// The time-outs of all entries that have one.
#[derive(Debug, Default)]
pub(super) struct IdleTimers {
    timers: HashMap<EntryKey, Timer>,
    /// By the tick in which they are looked at.
    due: BTreeMap<u32, Vec<EntryKey>>,
}

/// Moves the clock on that workers note hits by. It needs no lock, so hits are noted in time whatever else is going on.
#[derive(Debug, Clone)]
pub struct IdleClock {
    tables: Arc<Tables>,
    clock: Clock,
}

impl IdleClock {
    /// Sets the workers' clock. Call it several times a second.
    pub fn tick(&self) {
        let now = tick(self.clock);
        self.tables.flow_v4.ticker.set(now);
        self.tables.flow_v6.ticker().set(now);
    }
}

/// The tick it is.
fn tick(clock: Clock) -> u32 {
    u32::try_from(((clock.now)() / clock.hertz.get()) & u64::from(u32::MAX)).unwrap_or_default()
}

/// Ticks for which an entry is idle at the least that was hit in one tick, now that it is another.
fn idle_ticks(last: u32, now: u32) -> u32 {
    // It may have been hit at the end of that tick.
    now.wrapping_sub(last).saturating_sub(1)
}

/// The first number of whole ticks that is no shorter.
fn whole_ticks(timeout: Duration) -> u32 {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    // Longer than a router runs.
    u32::try_from(seconds).unwrap_or(u32::MAX).min(u32::MAX / 4)
}

impl IdleTimers {
    /// Gives an entry a time-out, from now on, or none.
    pub(super) fn set(&mut self, key: EntryKey, timeout: Option<Duration>, now: u32) {
        match timeout {
            Some(timeout) => {
                let due = now.wrapping_add(whole_ticks(timeout) + 1);
                self.timers.insert(key, Timer { timeout, started: now, due });
                self.due.entry(due).or_default().push(key);
            }
            None if self.timers.is_empty() => {}
            None => drop(self.timers.remove(&key)),
        }
    }

    pub(super) fn get(&self, key: &EntryKey) -> Option<Duration> {
        if self.timers.is_empty() { None } else { self.timers.get(key).map(|timer| timer.timeout) }
    }

    /// Entries whose time is up, with their time-outs, which begin again. `hit` is when an entry was hit last.
    fn expired(&mut self, now: u32, hit: impl Fn(&EntryKey) -> Option<u32>) -> Vec<(EntryKey, Duration)> {
        let mut expired = Vec::new();
        while let Some(first) = self.due.first_entry()
            && *first.key() <= now
        {
            let (listed, keys) = first.remove_entry();
            for key in keys {
                let Some(timer) = self.timers.get_mut(&key).filter(|timer| timer.due == listed) else { continue };
                let last = hit(&key).unwrap_or(timer.started).max(timer.started);
                let ticks = whole_ticks(timer.timeout);
                let begin = if idle_ticks(last, now) >= ticks {
                    expired.push((key, timer.timeout));
                    timer.started = now;
                    now
                } else {
                    last
                };
                timer.due = begin.wrapping_add(ticks + 1).max(now + 1);
                self.due.entry(timer.due).or_default().push(key);
            }
        }
        expired
    }
}

impl Entries {
    /// What workers note hits by; somebody has to move it on.
    pub fn idle_clock(&self) -> IdleClock {
        IdleClock { tables: Arc::clone(&self.tables), clock: self.clock }
    }

    /// For how long no packet has hit an entry, at the least, since it was inserted; `None` if there is no such entry, or its table does not
    /// know.
    pub fn idle(&self, key: &EntryKey) -> Option<Duration> {
        let last = self.last_hit(key)?;
        Some(Duration::from_secs(idle_ticks(last, tick(self.clock)).into()))
    }

    /// Entries that have been idle for their time-outs, which begin again.
    pub fn expired(&mut self) -> Vec<(EntryKey, Duration)> {
        let mut timers = std::mem::take(&mut self.idle);
        let expired = timers.expired(tick(self.clock), |key| self.last_hit(key));
        self.idle = timers;
        expired
    }

    fn last_hit(&self, key: &EntryKey) -> Option<u32> {
        match key {
            EntryKey::FlowV4(key) => self.flows.last_hit(flow_key(key)),
            EntryKey::FlowV6(key) => self.last_hit_v6(key),
            _ => None,
        }
    }

    pub(super) fn set_idle_timeout(&mut self, key: EntryKey, timeout: Option<Duration>) {
        let now = tick(self.clock);
        self.idle.set(key, timeout, now);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use svpn_contract::SessionKey;
    use svpn_contract::wire::SessionId;

    use super::*;

    fn key(number: u32) -> EntryKey {
        SessionKey { session: SessionId::new(number).unwrap() }.into()
    }

    #[test]
    fn an_entry_expires_after_its_time_without_a_hit_and_again_after_another() {
        let mut timers = IdleTimers::default();
        let last = Cell::new(100);
        let at = |timers: &mut IdleTimers, now| timers.expired(now, |_| Some(last.get())).len();
        timers.set(key(1), Some(Duration::from_millis(9_500)), 100);
        assert_eq!(at(&mut timers, 110), 0, "it may have been inserted at the end of its tick");
        assert_eq!(at(&mut timers, 111), 1);
        assert_eq!(at(&mut timers, 121), 0);
        assert_eq!(at(&mut timers, 122), 1, "the timer begins again");
        // A hit begins it again, too.
        last.set(130);
        assert_eq!((at(&mut timers, 133), at(&mut timers, 140), at(&mut timers, 141)), (0, 0, 1));
        timers.set(key(1), Some(Duration::from_secs(100)), 145);
        assert_eq!(at(&mut timers, 200), 0, "it has a longer one");
        assert_eq!(timers.get(&key(1)), Some(Duration::from_secs(100)));
        timers.set(key(1), None, 201);
        assert_eq!((at(&mut timers, 10_000), timers.get(&key(1))), (0, None));
    }

    #[test]
    fn each_entry_has_its_own_time() {
        let mut timers = IdleTimers::default();
        for number in 0..50 {
            timers.set(key(number), Some(Duration::from_secs(u64::from(number))), 0);
        }
        for now in 1..=50 {
            let expired = timers.expired(now, |_| Some(0));
            assert!(expired.contains(&(key(now - 1), Duration::from_secs(u64::from(now - 1)))), "{now}: {expired:?}");
            assert!(expired.iter().all(|(_, timeout)| timeout.as_secs() < u64::from(now)));
        }
    }
}
