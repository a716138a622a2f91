//! Cells of the indexed counters.

use p4runtime_proto::p4::v1 as proto;
use svpn_contract::wire::SessionId;
use svpn_contract::{DROPS_SIZE, Reason, SESSION_DISCARDS_SIZE, counter};

use super::error::CellError;
use crate::entries::{CounterData, Entries};

/// Cells of an indexed counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cells {
    /// One of `session_discards`.
    SessionDiscards(SessionId),
    /// All of `session_discards`.
    AllSessionDiscards,
    /// One of `drops`; `None` for a number that is no reason.
    Drops(Option<Reason>, u8),
    /// All of `drops`.
    AllDrops,
}

impl Cells {
    /// What a counter entry names.
    pub(super) fn of(entry: &proto::CounterEntry) -> Result<Self, CellError> {
        let index = entry.index.as_ref().map(|index| index.index);
        if let Some(index) = index.filter(|index| *index < 0) {
            return Err(CellError::NegativeIndex(index));
        }
        let out_of_range = |counter, index, limit| CellError::OutOfRange { counter, index, limit };
        match (entry.counter_id, index) {
            (counter::SESSION_DISCARDS, None) => Ok(Self::AllSessionDiscards),
            (counter::DROPS, None) => Ok(Self::AllDrops),
            (counter::SESSION_DISCARDS, Some(index)) => u32::try_from(index)
                .ok()
                .and_then(|session| SessionId::new(session).ok())
                .map(Self::SessionDiscards)
                .ok_or_else(|| out_of_range("session_discards", index, SESSION_DISCARDS_SIZE)),
            (counter::DROPS, Some(index)) => match u8::try_from(index) {
                Ok(number) => Ok(Self::Drops(Reason::from_number(number), number)),
                Err(_) => Err(out_of_range("drops", index, DROPS_SIZE)),
            },
            (id, _) => Err(CellError::UnknownCounter(id)),
        }
    }

    /// The cells one by one that have another value, and what it is.
    pub(super) fn differing(self, entries: &Entries, from: CounterData) -> Result<Vec<(Self, CounterData)>, CellError> {
        let differs = |(_, count): &(Self, CounterData)| *count != from;
        let found: Vec<(Self, CounterData)> = match self {
            Self::SessionDiscards(session) => vec![(self, discards(entries, session)?)],
            Self::AllSessionDiscards => sessions(entries).map(|(session, count)| (Self::SessionDiscards(session), count)).collect(),
            Self::Drops(None, _) => Vec::new(),
            Self::Drops(Some(reason), _) => vec![(self, entries.drops(reason))],
            Self::AllDrops => {
                Reason::ALL.iter().map(|reason| (Self::Drops(Some(*reason), *reason as u8), entries.drops(*reason))).collect()
            }
        };
        Ok(found.into_iter().filter(differs).collect())
    }

    /// Sets them all.
    pub(super) fn set(self, entries: &mut Entries, count: CounterData) -> Result<(), CellError> {
        match self {
            Self::SessionDiscards(session) => {
                discards(entries, session)?;
                entries.set_session_discards(session, count).map_err(|_| no_session(session))
            }
            Self::Drops(None, _) if count == CounterData::default() => Ok(()),
            Self::Drops(None, number) => Err(CellError::NoReason(number.into())),
            Self::Drops(Some(reason), _) => {
                entries.set_drops(reason, count);
                Ok(())
            }
            // There are cells that nothing counts.
            Self::AllDrops if count != CounterData::default() => Err(CellError::NoReason(u64::from(u8::MAX))),
            Self::AllSessionDiscards | Self::AllDrops => {
                self.differing(entries, count)?.into_iter().try_for_each(|(cell, _)| cell.set(entries, count))
            }
        }
    }

    /// Calls `each` with counter, index and value of every one.
    pub(super) fn read(self, entries: &Entries, mut each: impl FnMut(u32, u32, CounterData)) -> Result<(), CellError> {
        let drops = |number: u8| Reason::from_number(number).map_or_else(CounterData::default, |reason| entries.drops(reason));
        match self {
            Self::SessionDiscards(session) => each(counter::SESSION_DISCARDS, session.get(), discards(entries, session)?),
            Self::AllSessionDiscards => {
                sessions(entries).for_each(|(session, count)| each(counter::SESSION_DISCARDS, session.get(), count));
            }
            Self::Drops(_, number) => each(counter::DROPS, number.into(), drops(number)),
            Self::AllDrops => (0..=u8::MAX).for_each(|number| each(counter::DROPS, number.into(), drops(number))),
        }
        Ok(())
    }
}

fn no_session(session: SessionId) -> CellError {
    CellError::OutOfRange { counter: "session_discards", index: session.get().into(), limit: SESSION_DISCARDS_SIZE }
}

fn discards(entries: &Entries, session: SessionId) -> Result<CounterData, CellError> {
    entries.session_discards(session).ok_or_else(|| no_session(session))
}

fn sessions(entries: &Entries) -> impl Iterator<Item = (SessionId, CounterData)> + '_ {
    (0..=u32::MAX).map_while(|number| {
        let session = SessionId::new(number).ok()?;
        Some((session, entries.session_discards(session)?))
    })
}
