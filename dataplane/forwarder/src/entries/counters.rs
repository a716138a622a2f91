//! Reading and setting counters.
//!
//! Workers only ever add. Setting a counter remembers what has to be added to the workers' sum, and an entry's cells are
//! zeroed when it is inserted, after every worker that counted the one before it was quiescent.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use svpn_contract::wire::SessionId;
use svpn_contract::{EntryKey, Reason, SessionKey};
use svpn_dpdk::{GracePeriod, Reclaimer};

use super::{ApplyError, Counted, CounterData, Entries, SessionCount, quiesce};
use crate::tables::WorkerTables;

/// What is to be added to the workers' sums.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) direct: HashMap<Counted, CounterData>,
    session_discards: HashMap<SessionId, CounterData>,
    drops: HashMap<Reason, CounterData>,
}

/// Entries deleted so recently that a worker may still count them.
#[derive(Debug, Default)]
pub(super) struct Departed {
    now: HashSet<Counted>,
    before: Option<(GracePeriod, HashSet<Counted>)>,
}

impl Departed {
    pub(super) fn add(&mut self, key: Counted) {
        self.now.insert(key);
    }

    /// Returns when no worker counts an earlier entry of this key any more.
    pub(super) fn wait_for(&mut self, key: &Counted, reclaimer: &Reclaimer) {
        if self.now.contains(key) || self.before.as_ref().is_some_and(|(_, keys)| keys.contains(key)) {
            quiesce(reclaimer);
            *self = Self::default();
        }
    }

    pub(super) fn publish(&mut self, reclaimer: &Reclaimer) {
        if self.before.as_ref().is_some_and(|(period, _)| reclaimer.is_over(*period)) {
            self.before = None;
        }
        if self.before.is_none() && !self.now.is_empty() {
            self.before = Some((reclaimer.start(), std::mem::take(&mut self.now)));
        }
    }
}

impl Entries {
    /// The direct counter of an entry; `None` if there is no such entry, or its table does not count.
    pub fn counter(&self, key: &EntryKey) -> Option<CounterData> {
        let sum = self.counted(key)?;
        Some(self.counters.direct.get(key).map_or(sum, |offset| sum.plus(*offset)))
    }

    /// Sets the direct counter of an entry.
    ///
    /// # Errors
    /// [`ApplyError::NotFound`] if there is no such entry, or its table does not count.
    pub fn set_counter(&mut self, key: &EntryKey, value: CounterData) -> Result<(), ApplyError> {
        let sum = self.counted(key).ok_or(ApplyError::NotFound)?;
        self.counters.direct.insert(*key, value.minus(sum));
        Ok(())
    }

    /// A session's packets that did not leave by a port. `None` if the index is not below the table's size.
    pub fn session_discards(&self, session: SessionId) -> Option<CounterData> {
        let sum = self.discarded(session)?;
        Some(self.counters.session_discards.get(&session).map_or(sum, |offset| sum.plus(*offset)))
    }

    /// Sets `session_discards` of a session.
    ///
    /// # Errors
    /// [`ApplyError::OutOfRange`] if the index is not below the table's size.
    pub fn set_session_discards(&mut self, session: SessionId, value: CounterData) -> Result<(), ApplyError> {
        let sum = self.discarded(session).ok_or_else(|| self.out_of_range(session))?;
        self.counters.session_discards.insert(session, value.minus(sum));
        Ok(())
    }

    /// What the sessions of a range of ids counted together.
    pub fn sum_sessions(&self, ids: Range<u32>) -> SessionCount {
        // Hardly any counter was ever set.
        let offset = |session: SessionId| {
            let key = EntryKey::Session(SessionKey { session });
            let counted = self.counters.direct.get(&key).copied().unwrap_or_default();
            (counted, self.counters.session_discards.get(&session).copied().unwrap_or_default())
        };
        let none = self.counters.direct.is_empty() && self.counters.session_discards.is_empty();
        let count = |session: SessionId| {
            let (counted, discarded) = if none { Default::default() } else { offset(session) };
            SessionCount {
                sessions: 1,
                counted: counted.plus(self.sum(|worker| worker.counters.session(session.get()))),
                discarded: discarded.plus(self.sum(|worker| worker.counters.session_discards(session.get()))),
            }
        };
        self.session_ids(ids).map(count).fold(SessionCount::default(), SessionCount::plus)
    }

    /// Packets dropped for a reason.
    pub fn drops(&self, reason: Reason) -> CounterData {
        let sum = self.sum(|worker| worker.counters.drops(reason));
        self.counters.drops.get(&reason).map_or(sum, |offset| sum.plus(*offset))
    }

    /// Sets `drops` of a reason.
    pub fn set_drops(&mut self, reason: Reason, value: CounterData) {
        let sum = self.sum(|worker| worker.counters.drops(reason));
        self.counters.drops.insert(reason, value.minus(sum));
    }

    pub(super) fn out_of_range(&self, session: SessionId) -> ApplyError {
        ApplyError::OutOfRange { field: "session", value: session.into(), limit: u64::from(self.sizes.session) }
    }

    /// What workers counted for an entry.
    fn counted(&self, key: &EntryKey) -> Option<CounterData> {
        match key {
            EntryKey::Session(key) => {
                let session = key.session.get();
                self.tables.session.carry(session)?;
                Some(self.sum(|worker| worker.counters.session(session)))
            }
            EntryKey::Tunnel(key) => {
                let slot = self.tunnels.get(key.tunnel.get())?.slot;
                Some(self.sum(|worker| worker.counters.tunnel(slot)))
            }
            EntryKey::Ilm(key) => {
                let label = key.label.get();
                self.labels.writer.get(label)?;
                Some(self.sum(|worker| worker.labels.counter(label)))
            }
            _ => None,
        }
    }

    fn discarded(&self, session: SessionId) -> Option<CounterData> {
        let counters = |worker: &WorkerTables| worker.counters.session_discards(session.get());
        (session.get() < self.sizes.session).then(|| self.sum(counters))
    }

    fn sum(&self, counter: impl Fn(&WorkerTables) -> CounterData) -> CounterData {
        self.workers.iter().map(counter).fold(CounterData::default(), CounterData::plus)
    }
}
