//! One update of a batch: from the wire, to what is to be done, and how to undo it.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::wire::SessionId;
use svpn_contract::{
    DROPS_SIZE, DecodeError, DecodeUpdateError, Entry, EntryKey, MeterConfig, Reason, SESSION_DISCARDS_SIZE, SessionEntry, SessionKey,
    TABLES, Update, counter,
};
use thiserror::Error;
use tonic::Code;

use super::cookies::{Cookie, Cookies};
use crate::entries::{ApplyError, CounterData, Entries};

/// Why an update changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum UpdateError {
    /// It is none of the contract.
    #[error(transparent)]
    Decode(#[from] DecodeUpdateError),
    /// The tables do not take it.
    #[error("{key}: {source}")]
    Apply {
        /// The entry.
        key: Box<EntryKey>,
        /// Why.
        source: ApplyError,
    },
    /// A counter cell does not take it.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// This server has no such thing.
    #[error("{what} are not supported: {instead}")]
    Unsupported {
        /// What.
        what: &'static str,
        /// What to use.
        instead: &'static str,
    },
    /// The tables' default actions are constant.
    #[error("every table's default action is constant")]
    ConstantDefault,
    /// A default action is only ever modified.
    #[error("a default action cannot be inserted or deleted, and has neither match nor priority")]
    DefaultAction,
    /// `is_const` is for reading.
    #[error("is_const must not be set")]
    Const,
    /// Only MODIFY makes sense.
    #[error("{0} can only be modified")]
    ModifyOnly(&'static str),
    /// The table has no direct counter or meter.
    #[error("{key}: the table has no {what}")]
    NoDirect {
        /// The entry.
        key: Box<EntryKey>,
        /// `direct counter` or `direct meter`.
        what: &'static str,
    },
    /// The update names no entry.
    #[error("the update names no table entry")]
    NoEntry,
    /// A count below zero.
    #[error("a counter cannot be {0}")]
    NegativeCount(i64),
    /// Given up because another update of the batch failed.
    #[error("not done, because another update of the batch failed")]
    Aborted,
}

/// Why a counter cell is not there or not set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum CellError {
    /// No such counter.
    #[error("there is no counter {0:#010x}")]
    UnknownCounter(u32),
    /// An index below zero.
    #[error("a counter index cannot be {0}")]
    NegativeIndex(i64),
    /// An index that is too large.
    #[error("counter {counter} has indices below {limit}, not {index}")]
    OutOfRange {
        /// Its name.
        counter: &'static str,
        /// What was given.
        index: i64,
        /// How many cells there are.
        limit: u64,
    },
    /// A cell of `drops` that no reason belongs to can only be zero.
    #[error("no reason has the number {0}, so nothing can be counted for it")]
    NoReason(u64),
}

impl CellError {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::OutOfRange { .. } => Code::OutOfRange,
            Self::UnknownCounter(_) | Self::NegativeIndex(_) | Self::NoReason(_) => Code::InvalidArgument,
        }
    }
}

impl UpdateError {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Apply { source, .. } => match source {
                ApplyError::AlreadyExists => Code::AlreadyExists,
                ApplyError::NotFound => Code::NotFound,
                ApplyError::TableFull { .. } => Code::ResourceExhausted,
                ApplyError::OutOfRange { .. } => Code::OutOfRange,
                ApplyError::Members { .. } => Code::InvalidArgument,
                ApplyError::NotSupported => Code::Unimplemented,
            },
            Self::Cell(error) => error.code(),
            Self::Unsupported { .. } => Code::Unimplemented,
            Self::ConstantDefault => Code::PermissionDenied,
            Self::Aborted => Code::Aborted,
            Self::Decode(_)
            | Self::DefaultAction
            | Self::Const
            | Self::ModifyOnly(_)
            | Self::NoDirect { .. }
            | Self::NoEntry
            | Self::NegativeCount(_) => Code::InvalidArgument,
        }
    }

    fn apply(key: EntryKey) -> impl Fn(ApplyError) -> Self {
        move |source| Self::Apply { key: Box::new(key), source }
    }
}

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
}

/// What an update asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    /// To write or delete an entry, with the controller's cookie, and to set its direct counter.
    Entry { update: Update, cookie: Cookie, count: Option<CounterData> },
    /// To set an entry's direct counter.
    DirectCounter { key: EntryKey, count: CounterData },
    /// To configure a session's meter.
    DirectMeter { key: SessionKey, meter: Option<MeterConfig> },
    /// To set counter cells.
    Counter { cells: Cells, count: CounterData },
    /// To do nothing, as the specification asks for where the data is left out.
    Nothing,
}

/// What takes an operation back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undo {
    Entry { update: Update, cookie: Cookie, count: Option<CounterData> },
    DirectCounter { key: EntryKey, count: CounterData },
    Cells(Vec<(Cells, CounterData)>),
    Nothing,
}

fn count(data: &proto::CounterData) -> Result<CounterData, UpdateError> {
    let number = |value: i64| u64::try_from(value).map_err(|_| UpdateError::NegativeCount(value));
    Ok(CounterData { packets: number(data.packet_count)?, bytes: number(data.byte_count)? })
}

impl Operation {
    /// From the wire.
    pub(super) fn decode(update: &proto::Update) -> Result<Self, UpdateError> {
        let unsupported = |what, instead| Err(UpdateError::Unsupported { what, instead });
        let kind = update.r#type();
        let entity = update.entity.as_ref().and_then(|entity| entity.entity.as_ref()).ok_or(UpdateError::NoEntry)?;
        if kind == Type::Unspecified {
            return Err(DecodeUpdateError::Type(update.r#type).into());
        }
        let modify_only = |what| if kind == Type::Modify { Ok(()) } else { Err(UpdateError::ModifyOnly(what)) };
        match entity {
            Entity::TableEntry(entry) => Self::decode_entry(update, kind, entry),
            Entity::DirectCounterEntry(entry) => {
                modify_only("a direct counter")?;
                let key = EntryKey::decode(entry.table_entry.as_ref().ok_or(UpdateError::NoEntry)?).map_err(DecodeUpdateError::from)?;
                counts(&key)?;
                let Some(data) = &entry.data else { return Ok(Self::Nothing) };
                Ok(Self::DirectCounter { key, count: count(data)? })
            }
            Entity::DirectMeterEntry(entry) => {
                modify_only("a direct meter")?;
                if entry.counter_data.is_some() {
                    return unsupported("counters of a meter's colours", "count by session");
                }
                let key = EntryKey::decode(entry.table_entry.as_ref().ok_or(UpdateError::NoEntry)?).map_err(DecodeUpdateError::from)?;
                let EntryKey::Session(key) = key else {
                    return Err(UpdateError::NoDirect { key: Box::new(key), what: "direct meter" });
                };
                let decode = |config| MeterConfig::decode("session", config).map_err(DecodeUpdateError::from);
                Ok(Self::DirectMeter { key, meter: entry.config.as_ref().map(decode).transpose()? })
            }
            Entity::CounterEntry(entry) => {
                modify_only("a counter cell")?;
                let cells = Cells::of(entry)?;
                let Some(data) = &entry.data else { return Ok(Self::Nothing) };
                Ok(Self::Counter { cells, count: count(data)? })
            }
            Entity::ActionProfileMember(_) | Entity::ActionProfileGroup(_) => {
                unsupported("members and groups of action profiles", "write one-shot action sets with the entries of tunnel and nexthop")
            }
            Entity::MeterEntry(_) => unsupported("indexed meters", "sessions have direct meters"),
            Entity::PacketReplicationEngineEntry(_) => unsupported("multicast groups and clone sessions", "nothing is replicated"),
            Entity::ValueSetEntry(_) | Entity::RegisterEntry(_) | Entity::DigestEntry(_) | Entity::ExternEntry(_) => {
                unsupported("value sets, registers, digests and externs", "the pipeline has none")
            }
        }
    }

    fn decode_entry(update: &proto::Update, kind: Type, entry: &proto::TableEntry) -> Result<Self, UpdateError> {
        if entry.is_default_action {
            return Err(default_action(kind, entry));
        }
        if entry.is_const {
            return Err(UpdateError::Const);
        }
        let update = Update::decode(update)?;
        if kind == Type::Delete {
            return Ok(Self::Entry { update, cookie: Cookie::default(), count: None });
        }
        if entry.idle_timeout_ns != 0 {
            return Err(UpdateError::Unsupported { what: "idle time-outs", instead: "leave idle_timeout_ns 0 and read the counters" });
        }
        if entry.meter_counter_data.is_some() {
            return Err(UpdateError::Unsupported { what: "counters of a meter's colours", instead: "count by session" });
        }
        let count = entry.counter_data.as_ref().map(count).transpose()?;
        if count.is_some() {
            counts(&update.key())?;
        }
        Ok(Self::Entry { update, cookie: Cookie::of(entry), count })
    }

    /// The entry it writes.
    pub(super) fn written(&self) -> Option<EntryKey> {
        match self {
            Self::Entry { update: Update::Insert(entry) | Update::Modify(entry), .. } => Some(entry.key()),
            Self::DirectMeter { key, .. } => Some((*key).into()),
            _ => None,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`UpdateError`]: nothing has changed.
    pub(super) fn perform(self, entries: &mut Entries, cookies: &mut Cookies) -> Result<Undo, UpdateError> {
        match self {
            Self::Entry { update, cookie, count } => write(entries, cookies, &update, cookie, count),
            Self::DirectCounter { key, count } => {
                let before = entries.counter(&key).ok_or_else(|| UpdateError::apply(key)(ApplyError::NotFound))?;
                entries.set_counter(&key, count).map_err(UpdateError::apply(key))?;
                Ok(Undo::DirectCounter { key, count: before })
            }
            Self::DirectMeter { key, meter } => {
                let Some(Entry::Session(before)) = entries.get(&key.into()) else {
                    return Err(UpdateError::apply(key.into())(ApplyError::NotFound));
                };
                let cookie = cookies.get(&key.into());
                write(entries, cookies, &Update::Modify(SessionEntry { meter, ..before }.into()), cookie, None)
            }
            Self::Counter { cells, count } => set_cells(entries, cells, count).map(Undo::Cells),
            Self::Nothing => Ok(Undo::Nothing),
        }
    }
}

impl Undo {
    /// Takes the operation back. Nothing else was written since, so it succeeds.
    pub(super) fn perform(self, entries: &mut Entries, cookies: &mut Cookies) -> Result<(), UpdateError> {
        match self {
            Self::Entry { update, cookie, count } => write(entries, cookies, &update, cookie, count).map(drop),
            Self::DirectCounter { key, count } => entries.set_counter(&key, count).map_err(UpdateError::apply(key)),
            Self::Cells(before) => before.into_iter().try_for_each(|(cells, count)| set_cells(entries, cells, count).map(drop)),
            Self::Nothing => Ok(()),
        }
    }
}

/// Writes or deletes an entry; what the update says must be possible with its direct counter has been checked.
fn write(
    entries: &mut Entries,
    cookies: &mut Cookies,
    update: &Update,
    cookie: Cookie,
    count: Option<CounterData>,
) -> Result<Undo, UpdateError> {
    let key = update.key();
    let before = entries.get(&key);
    let count_before = entries.counter(&key);
    entries.apply(update).map_err(UpdateError::apply(key))?;
    if let Some(count) = count {
        entries.set_counter(&key, count).map_err(UpdateError::apply(key))?;
    }
    let cookie_before = cookies.set(key, cookie);
    let update = match (update, before) {
        (Update::Insert(_), _) | (_, None) => {
            return Ok(Undo::Entry { update: Update::Delete(key), cookie: Cookie::default(), count: None });
        }
        (Update::Modify(_), Some(before)) => Update::Modify(before),
        (Update::Delete(_), Some(before)) => Update::Insert(before),
    };
    let count = if count.is_some() || matches!(update, Update::Insert(_)) { count_before } else { None };
    Ok(Undo::Entry { update, cookie: cookie_before, count })
}

/// Sets cells, and tells what they were.
fn set_cells(entries: &mut Entries, cells: Cells, count: CounterData) -> Result<Vec<(Cells, CounterData)>, UpdateError> {
    match cells {
        Cells::SessionDiscards(session) => {
            let out_of_range =
                || CellError::OutOfRange { counter: "session_discards", index: session.get().into(), limit: SESSION_DISCARDS_SIZE };
            let before = entries.session_discards(session).ok_or_else(out_of_range)?;
            entries.set_session_discards(session, count).map_err(|_| out_of_range())?;
            Ok(vec![(cells, before)])
        }
        Cells::AllSessionDiscards => {
            let mut before = Vec::new();
            for session in (0..=u32::MAX).filter_map(|number| SessionId::new(number).ok()) {
                match entries.session_discards(session) {
                    None => break,
                    Some(same) if same == count => {}
                    Some(_) => before.extend(set_cells(entries, Cells::SessionDiscards(session), count)?),
                }
            }
            Ok(before)
        }
        Cells::Drops(Some(reason), _) => {
            let before = entries.drops(reason);
            entries.set_drops(reason, count);
            Ok(vec![(cells, before)])
        }
        Cells::Drops(None, _) if count == CounterData::default() => Ok(Vec::new()),
        Cells::Drops(None, number) => Err(CellError::NoReason(number.into()).into()),
        Cells::AllDrops => {
            if count != CounterData::default() {
                // There are cells that nothing counts.
                return Err(CellError::NoReason(u64::from(u8::MAX)).into());
            }
            let all = Reason::ALL.iter().map(|reason| Cells::Drops(Some(*reason), *reason as u8));
            let before: Result<Vec<_>, _> = all.map(|cell| set_cells(entries, cell, count)).collect();
            Ok(before?.concat())
        }
    }
}

/// Fails where a key's table does not count.
pub(super) fn counts(key: &EntryKey) -> Result<(), UpdateError> {
    let direct = TABLES.iter().any(|table| table.id == key.table_id() && table.counting == svpn_contract::Counting::Direct);
    if direct { Ok(()) } else { Err(UpdateError::NoDirect { key: Box::new(*key), what: "direct counter" }) }
}

/// Why a default action is not written.
fn default_action(kind: Type, entry: &proto::TableEntry) -> UpdateError {
    if !TABLES.iter().any(|table| table.id == entry.table_id) {
        return DecodeUpdateError::from(DecodeError::UnknownTable { id: entry.table_id }).into();
    }
    if kind == Type::Modify && entry.r#match.is_empty() && entry.priority == 0 {
        UpdateError::ConstantDefault
    } else {
        UpdateError::DefaultAction
    }
}
