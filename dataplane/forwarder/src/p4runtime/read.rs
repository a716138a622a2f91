//! `Read`: what a request's entities select, and how it is told.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use svpn_contract::wire::SessionId;
use svpn_contract::{Counting, DecodeError, Entry, EntryKey, FlowAclV4Key, MeterConfig, Reason, SessionKey, TABLES, counter, p4info};
use thiserror::Error;
use tonic::{Code, Status};

use super::cookies::{Cookie, Cookies};
use super::operation::{CellError, Cells};
use crate::entries::{CounterData, Entries};

/// Why nothing is read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ReadError {
    /// The key is none of the contract.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The counter cell is not there.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The table has no such thing.
    #[error("table {table} has no {what}")]
    NoDirect {
        /// Its name.
        table: &'static str,
        /// What it does not have.
        what: &'static str,
    },
    /// An entity without content, or a direct resource without a table entry.
    #[error("the entity is empty")]
    Empty,
    /// All tables at once are not filtered.
    #[error("a read of all tables takes no filter")]
    Filtered,
    /// The filter takes an action's id only.
    #[error("entries are filtered by the id of a single action only")]
    ActionFilter,
    /// No entry has this key.
    #[error("there is no entry {0}")]
    NotFound(Box<EntryKey>),
    /// This server has no such thing.
    #[error("{0} are not supported")]
    Unsupported(&'static str),
}

impl From<ReadError> for Status {
    fn from(error: ReadError) -> Self {
        let code = match &error {
            ReadError::Cell(error) => error.code(),
            ReadError::NotFound(_) => Code::NotFound,
            ReadError::Unsupported(_) => Code::Unimplemented,
            ReadError::Decode(_) | ReadError::NoDirect { .. } | ReadError::Empty | ReadError::Filtered | ReadError::ActionFilter => {
                Code::InvalidArgument
            }
        };
        Self::new(code, error.to_string())
    }
}

/// One thing read, small until it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// An entry, with what was asked for of its counter and meter.
    Entry { entry: Box<Entry>, cookie: Cookie, count: Option<CounterData>, meter: Meter },
    /// A table's default action.
    Default(u32),
    /// An entry's direct counter.
    DirectCounter(EntryKey, CounterData),
    /// A session's meter.
    DirectMeter(SessionKey, Option<MeterConfig>),
    /// A cell of an indexed counter.
    Cell(u32, u32, CounterData),
}

/// Whether an entry's meter was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meter {
    /// It was.
    Told,
    /// It was not.
    LeftOut,
}

/// The entries of a read of table entries or their direct resources.
struct Selection {
    /// Ids.
    tables: Vec<u32>,
    /// The one entry that is meant.
    key: Option<EntryKey>,
    /// `flow_acl_v4`: any priority.
    match_only: Option<FlowAclV4Key>,
    priority: i32,
    action: Option<u32>,
    cookie: Cookie,
}

impl Selection {
    fn of(wanted: &proto::TableEntry) -> Result<Self, ReadError> {
        let action = match wanted.action.as_ref().and_then(|action| action.r#type.as_ref()) {
            None => None,
            Some(ActionType::Action(action)) => Some(action.action_id),
            Some(_) => return Err(ReadError::ActionFilter),
        };
        let cookie = Cookie::of(wanted);
        let mut selection = Self { tables: vec![wanted.table_id], key: None, match_only: None, priority: wanted.priority, action, cookie };
        if wanted.table_id == 0 {
            let filtered = !wanted.r#match.is_empty() || wanted.priority != 0 || action.is_some() || selection.cookie != Cookie::default();
            if filtered {
                return Err(ReadError::Filtered);
            }
            selection.tables = TABLES.iter().map(|table| table.id).collect();
            return Ok(selection);
        }
        if !TABLES.iter().any(|table| table.id == wanted.table_id) {
            return Err(DecodeError::UnknownTable { id: wanted.table_id }.into());
        }
        if wanted.r#match.is_empty() {
            return Ok(selection);
        }
        if wanted.table_id == FlowAclV4Key::TABLE_ID && wanted.priority == 0 {
            let EntryKey::FlowAclV4(key) = EntryKey::decode(&proto::TableEntry { priority: 1, ..wanted.clone() })? else {
                return Err(ReadError::Empty);
            };
            selection.match_only = Some(key);
        } else {
            selection.key = Some(EntryKey::decode(wanted)?);
        }
        Ok(selection)
    }

    fn has(&self, entry: &Entry, cookie: &Cookie) -> bool {
        let matched = match (self.match_only, entry.key()) {
            (Some(wanted), EntryKey::FlowAclV4(key)) => FlowAclV4Key { priority: key.priority, ..wanted } == key,
            _ => true,
        };
        let priority = if let EntryKey::FlowAclV4(key) = entry.key() { key.priority.get() } else { 0 };
        matched
            && (self.priority == 0 || self.priority == priority)
            && self.action.is_none_or(|wanted| action_id(entry) == Some(wanted))
            && cookie.answers(&self.cookie)
    }

    /// Calls `each` with every entry that is selected.
    fn walk(&self, entries: &Entries, cookies: &Cookies, mut each: impl FnMut(Entry, Cookie)) {
        let mut visit = |entry: Entry| {
            let cookie = cookies.get(&entry.key());
            if self.has(&entry, &cookie) {
                each(entry, cookie);
            }
        };
        match self.key {
            Some(key) => entries.get(&key).into_iter().for_each(&mut visit),
            None => self.tables.iter().for_each(|table| entries.iter(*table).for_each(&mut visit)),
        }
    }
}

fn action_id(entry: &Entry) -> Option<u32> {
    match entry.encode().action?.r#type? {
        ActionType::Action(action) => Some(action.action_id),
        _ => None,
    }
}

/// The action of a miss.
fn default_action(table_id: u32) -> u32 {
    let tables = p4info().tables;
    let table = tables.iter().find(|table| table.preamble.as_ref().is_some_and(|preamble| preamble.id == table_id));
    table.map_or(0, |table| table.const_default_action_id)
}

fn counting(table: u32) -> bool {
    TABLES.iter().any(|facts| facts.id == table && facts.counting == Counting::Direct)
}

fn table_name(id: u32) -> &'static str {
    TABLES.iter().find(|table| table.id == id).map_or("?", |table| table.name)
}

/// Collects what an entity of a request selects.
///
/// # Errors
/// [`ReadError`]: the whole request fails.
pub(super) fn collect(entries: &Entries, cookies: &Cookies, wanted: &proto::Entity, found: &mut Vec<Found>) -> Result<(), ReadError> {
    match wanted.entity.as_ref().ok_or(ReadError::Empty)? {
        Entity::TableEntry(wanted) => table_entries(entries, cookies, wanted, found),
        Entity::DirectCounterEntry(wanted) => {
            let wanted = wanted.table_entry.clone().unwrap_or_default();
            direct(entries, cookies, &wanted, counting, "direct counter", |entry| {
                entries.counter(&entry.key()).map(|count| Found::DirectCounter(entry.key(), count))
            })
            .map(|more| found.extend(more))
        }
        Entity::DirectMeterEntry(wanted) => {
            if wanted.counter_data.is_some() {
                return Err(ReadError::Unsupported("counters of a meter's colours"));
            }
            let wanted = wanted.table_entry.clone().unwrap_or_default();
            let metered = |table| table == SessionKey::TABLE_ID;
            direct(entries, cookies, &wanted, metered, "direct meter", |entry| match entry {
                Entry::Session(entry) => Some(Found::DirectMeter(entry.key, entry.meter)),
                _ => None,
            })
            .map(|more| found.extend(more))
        }
        Entity::CounterEntry(wanted) => cells(entries, wanted, found),
        Entity::ActionProfileMember(_) | Entity::ActionProfileGroup(_) => Err(ReadError::Unsupported(
            "members and groups of action profiles (the entries of tunnel and nexthop have one-shot action sets)",
        )),
        Entity::MeterEntry(_) => Err(ReadError::Unsupported("indexed meters")),
        Entity::PacketReplicationEngineEntry(_) => Err(ReadError::Unsupported("multicast groups and clone sessions")),
        Entity::ValueSetEntry(_) | Entity::RegisterEntry(_) | Entity::DigestEntry(_) | Entity::ExternEntry(_) => {
            Err(ReadError::Unsupported("value sets, registers, digests and externs"))
        }
    }
}

fn table_entries(entries: &Entries, cookies: &Cookies, wanted: &proto::TableEntry, found: &mut Vec<Found>) -> Result<(), ReadError> {
    let selection = Selection::of(wanted)?;
    if let &[table] = &selection.tables[..] {
        let no = |what| Err(ReadError::NoDirect { table: table_name(table), what });
        if wanted.counter_data.is_some() && !counting(table) {
            return no("direct counter");
        }
        if wanted.meter_config.is_some() && table != SessionKey::TABLE_ID {
            return no("direct meter");
        }
    }
    if wanted.meter_counter_data.is_some() {
        return Err(ReadError::Unsupported("counters of a meter's colours"));
    }
    if wanted.time_since_last_hit.is_some() {
        return Err(ReadError::Unsupported("idle times"));
    }
    if wanted.is_default_action {
        found.extend(selection.tables.iter().map(|table| Found::Default(*table)));
        return Ok(());
    }
    let meter = if wanted.meter_config.is_some() { Meter::Told } else { Meter::LeftOut };
    selection.walk(entries, cookies, |entry, cookie| {
        let count = wanted.counter_data.as_ref().and_then(|_| entries.counter(&entry.key()));
        found.push(Found::Entry { entry: Box::new(entry), cookie, count, meter });
    });
    Ok(())
}

/// The direct resources of the entries that are selected. One that is named must be there.
fn direct(
    entries: &Entries,
    cookies: &Cookies,
    wanted: &proto::TableEntry,
    has: impl Fn(u32) -> bool,
    what: &'static str,
    of: impl Fn(&Entry) -> Option<Found>,
) -> Result<Vec<Found>, ReadError> {
    let mut selection = Selection::of(wanted)?;
    if wanted.table_id != 0 && !has(wanted.table_id) {
        return Err(ReadError::NoDirect { table: table_name(wanted.table_id), what });
    }
    selection.tables.retain(|table| has(*table));
    let mut found = Vec::new();
    selection.walk(entries, cookies, |entry, _| found.extend(of(&entry)));
    match selection.key {
        Some(key) if found.is_empty() => Err(ReadError::NotFound(Box::new(key))),
        _ => Ok(found),
    }
}

fn cells(entries: &Entries, wanted: &proto::CounterEntry, found: &mut Vec<Found>) -> Result<(), ReadError> {
    if wanted.counter_id == 0 {
        for counter_id in [counter::SESSION_DISCARDS, counter::DROPS] {
            cells(entries, &proto::CounterEntry { counter_id, index: None, data: None }, found)?;
        }
        return Ok(());
    }
    let drops = |reason: Option<Reason>| reason.map_or_else(CounterData::default, |reason| entries.drops(reason));
    match Cells::of(wanted)? {
        Cells::SessionDiscards(session) => {
            let limit = svpn_contract::SESSION_DISCARDS_SIZE;
            let out_of_range = CellError::OutOfRange { counter: "session_discards", index: session.get().into(), limit };
            let count = entries.session_discards(session).ok_or(out_of_range)?;
            found.push(Found::Cell(counter::SESSION_DISCARDS, session.get(), count));
        }
        Cells::AllSessionDiscards => {
            let all = (0..=u32::MAX).map_while(|index| Some((index, entries.session_discards(SessionId::new(index).ok()?)?)));
            found.extend(all.map(|(index, count)| Found::Cell(counter::SESSION_DISCARDS, index, count)));
        }
        Cells::Drops(reason, number) => found.push(Found::Cell(counter::DROPS, number.into(), drops(reason))),
        Cells::AllDrops => {
            let of = |number| Found::Cell(counter::DROPS, u32::from(number), drops(Reason::from_number(number)));
            found.extend((0..=u8::MAX).map(of));
        }
    }
    Ok(())
}

fn counter_data(count: CounterData) -> proto::CounterData {
    let saturate = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    proto::CounterData { byte_count: saturate(count.bytes), packet_count: saturate(count.packets) }
}

impl Found {
    /// As a P4Runtime message.
    pub(super) fn encode(self) -> proto::Entity {
        let entity = match self {
            Self::Entry { entry, cookie, count, meter } => {
                let mut wire = entry.encode();
                wire.counter_data = count.map(counter_data);
                if meter == Meter::LeftOut {
                    wire.meter_config = None;
                }
                cookie.fill(&mut wire);
                Entity::TableEntry(wire)
            }
            Self::Default(table_id) => {
                let action_id = default_action(table_id);
                let action = proto::TableAction { r#type: Some(ActionType::Action(proto::Action { action_id, params: Vec::new() })) };
                Entity::TableEntry(proto::TableEntry { table_id, is_default_action: true, action: Some(action), ..Default::default() })
            }
            Self::DirectCounter(key, count) => {
                Entity::DirectCounterEntry(proto::DirectCounterEntry { table_entry: Some(key.encode()), data: Some(counter_data(count)) })
            }
            Self::DirectMeter(key, meter) => Entity::DirectMeterEntry(proto::DirectMeterEntry {
                table_entry: Some(EntryKey::from(key).encode()),
                config: meter.map(MeterConfig::encode),
                counter_data: None,
            }),
            Self::Cell(counter_id, index, count) => Entity::CounterEntry(proto::CounterEntry {
                counter_id,
                index: Some(proto::Index { index: index.into() }),
                data: Some(counter_data(count)),
            }),
        };
        proto::Entity { entity: Some(entity) }
    }
}
