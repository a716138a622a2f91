//! How full the tables are, and what the sessions counted.

use std::ops::Range;

use svpn_contract::wire::SessionId;
use svpn_contract::{EntryKey, SessionKey, TABLES};

use super::{CounterData, Entries};

/// How full a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableUsage {
    /// The table's name.
    pub table: &'static str,
    /// Entries in it.
    pub entries: u64,
    /// Entries it can have.
    pub capacity: u64,
}

/// What sessions counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionCount {
    /// Sessions.
    pub sessions: u64,
    /// What reached them.
    pub counted: CounterData,
    /// What of that did not leave by a port.
    pub discarded: CounterData,
}

impl SessionCount {
    /// The sum of two.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            sessions: self.sessions + other.sessions,
            counted: self.counted.plus(other.counted),
            discarded: self.discarded.plus(other.discarded),
        }
    }
}

impl Entries {
    /// How full each table is.
    pub fn usage(&self) -> Vec<TableUsage> {
        let mut sizes = self.sizes;
        let usage = |table: &'static svpn_contract::TableFacts| TableUsage {
            table: table.name,
            entries: self.len(table.id) as u64,
            capacity: sizes.get_mut(table.name).map_or(table.size, |size| u64::from(*size)),
        };
        TABLES.iter().map(usage).collect()
    }

    /// What a session counted; `None` if there is no such session.
    pub fn session_count(&self, session: SessionId) -> Option<SessionCount> {
        let counted = self.counter(&EntryKey::Session(SessionKey { session }))?;
        Some(SessionCount { sessions: 1, counted, discarded: self.session_discards(session)? })
    }

    /// No session ever had this id or a larger one.
    pub fn session_end(&self) -> u32 {
        u32::try_from(self.sessions.meters.len()).unwrap_or(u32::MAX)
    }

    /// The ids of sessions in a range.
    pub fn session_ids(&self, range: Range<u32>) -> impl Iterator<Item = SessionId> + '_ {
        let there = |id: &u32| self.tables.session.carry(*id).is_some();
        (range.start..range.end.min(self.session_end())).filter(there).filter_map(|id| SessionId::new(id).ok())
    }
}
