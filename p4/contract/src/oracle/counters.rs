//! What is counted: packets, and bytes of the frame as received, from destination MAC to the end of the payload.

use std::collections::BTreeMap;

use super::Outcome;
use crate::tables::{Counting, EntryKey, Reason, TABLES};
use crate::wire::SessionId;

/// What a counter cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, frame: &[u8]) {
        self.packets += 1;
        self.bytes += frame.len() as u64;
    }
}

/// Frames so far: `inputs` is always the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Received.
    pub inputs: u64,
    /// Sent.
    pub outputs: u64,
    /// Handed to the controller.
    pub punts: u64,
    /// Dropped.
    pub drops: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    direct: BTreeMap<EntryKey, Count>,
    session_discards: BTreeMap<SessionId, Count>,
    drops: BTreeMap<Reason, Count>,
    totals: Totals,
}

impl Counters {
    /// An entry was inserted.
    pub(super) fn start(&mut self, key: EntryKey) {
        if TABLES.iter().any(|table| table.id == key.table_id() && table.counting == Counting::Direct) {
            self.direct.insert(key, Count::default());
        }
    }

    /// An entry was deleted.
    pub(super) fn stop(&mut self, key: &EntryKey) {
        self.direct.remove(key);
    }

    pub(super) fn settle(&mut self, frame: &[u8], counted: &[EntryKey], session: Option<SessionId>, outcome: &Outcome) {
        for key in counted {
            self.direct.entry(*key).or_default().add(frame);
        }
        self.totals.inputs += 1;
        match outcome {
            Outcome::Sent { .. } => self.totals.outputs += 1,
            Outcome::Punt(_) => self.totals.punts += 1,
            Outcome::Dropped(reason) => {
                self.totals.drops += 1;
                self.drops.entry(*reason).or_default().add(frame);
            }
        }
        if let Some(session) = session
            && !matches!(outcome, Outcome::Sent { .. })
        {
            self.session_discards.entry(session).or_default().add(frame);
        }
    }

    pub(super) fn direct(&self, key: &EntryKey) -> Option<Count> {
        self.direct.get(key).copied()
    }

    pub(super) fn session_discards(&self, session: SessionId) -> Count {
        self.session_discards.get(&session).copied().unwrap_or_default()
    }

    pub(super) fn set_session_discards(&mut self, session: SessionId, count: Count) {
        self.session_discards.insert(session, count);
    }

    pub(super) fn drops(&self, reason: Reason) -> Count {
        self.drops.get(&reason).copied().unwrap_or_default()
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }
}
