//! One update of a batch: from the wire, to what is to be done, and how to undo it.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::wire::PortId;
use svpn_contract::{DecodeError, DecodeUpdateError, Entry, EntryKey, MeterConfig, Update};

use super::Books;
use super::cells::Cells;
use super::cookies::Cookie;
use super::error::UpdateError;
use super::facts::{self, Feature};
use super::profiles::{self, Definition, ProfileError, Reference};
use crate::entries::{ApplyError, CounterData, Entries};

/// What an update asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    /// To write or delete an entry, with the controller's cookie, and to set its direct counter.
    Entry { update: Update, cookie: Cookie, count: Option<CounterData> },
    /// To write an entry that refers to a member or group.
    Referring { kind: Type, key: EntryKey, reference: Reference, cookie: Cookie, count: Option<CounterData> },
    /// To write a member or group, or to delete it.
    Part { kind: Type, reference: Reference, definition: Option<Definition> },
    /// To set an entry's direct counter.
    DirectCounter { key: EntryKey, count: CounterData },
    /// To configure an entry's meter.
    DirectMeter { key: EntryKey, meter: Option<MeterConfig> },
    /// To set counter cells.
    Counter { cells: Cells, count: CounterData },
    /// To do nothing, as the specification asks for where the data is left out.
    Nothing,
}

/// What an operation leaves behind that outlives the pipeline it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Written {
    Entry(EntryKey),
    Part(Reference),
}

/// What takes an operation back: what was there before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undo {
    /// An entry, or that there was none.
    Entry { key: EntryKey, before: Option<Box<Before>> },
    /// A member or group, or that there was none.
    Part { reference: Reference, before: Option<Definition> },
    /// Of an entry.
    DirectCounter { key: EntryKey, count: CounterData },
    /// Of counters.
    Cells(Vec<(Cells, CounterData)>),
    /// Nothing was changed.
    Nothing,
}

/// An entry as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before {
    entry: Entry,
    cookie: Cookie,
    reference: Option<Reference>,
    /// Where the operation changes it; otherwise it goes on counting.
    count: Option<CounterData>,
}

fn count(data: &proto::CounterData) -> Result<CounterData, UpdateError> {
    let number = |value: i64| u64::try_from(value).map_err(|_| UpdateError::NegativeCount(value));
    Ok(CounterData { packets: number(data.packet_count)?, bytes: number(data.byte_count)? })
}

fn unsupported<T>(what: &'static str, instead: &'static str) -> Result<T, UpdateError> {
    Err(UpdateError::Unsupported { what, instead })
}

impl Operation {
    /// From the wire.
    pub(super) fn decode(update: &proto::Update) -> Result<Self, UpdateError> {
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
                let key = EntryKey::decode(entry.table_entry.as_ref().ok_or(UpdateError::NoEntry)?)?;
                require(&key, Feature::Counter, "direct counter")?;
                let Some(data) = &entry.data else { return Ok(Self::Nothing) };
                Ok(Self::DirectCounter { key, count: count(data)? })
            }
            Entity::DirectMeterEntry(entry) => {
                modify_only("a direct meter")?;
                if entry.counter_data.is_some() {
                    return unsupported("counters of a meter's colours", "count by session");
                }
                let key = EntryKey::decode(entry.table_entry.as_ref().ok_or(UpdateError::NoEntry)?)?;
                let table = require(&key, Feature::Meter, "direct meter")?;
                let meter = entry.config.as_ref().map(|config| MeterConfig::decode(&table.name, config)).transpose()?;
                Ok(Self::DirectMeter { key, meter })
            }
            Entity::CounterEntry(entry) => {
                modify_only("a counter cell")?;
                let cells = Cells::of(entry)?;
                let Some(data) = &entry.data else { return Ok(Self::Nothing) };
                Ok(Self::Counter { cells, count: count(data)? })
            }
            Entity::ActionProfileMember(member) => {
                let definition = if kind == Type::Delete { None } else { Some(Definition::member(member)) };
                Ok(Self::Part { kind, reference: Reference::member(member)?, definition: definition.transpose()? })
            }
            Entity::ActionProfileGroup(group) => {
                let definition = if kind == Type::Delete { None } else { Some(Definition::group(group)) };
                Ok(Self::Part { kind, reference: Reference::group(group)?, definition: definition.transpose()? })
            }
            Entity::MeterEntry(_) => unsupported("indexed meters", "sessions and policers have direct meters"),
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
            return Err(UpdateError::ReadOnly("is_const"));
        }
        if kind == Type::Delete {
            return Ok(Self::Entry { update: Update::Delete(EntryKey::decode(entry)?), cookie: Cookie::default(), count: None });
        }
        if entry.time_since_last_hit.is_some() {
            return Err(UpdateError::ReadOnly("time_since_last_hit"));
        }
        if entry.meter_counter_data.is_some() {
            return unsupported("counters of a meter's colours", "count by session");
        }
        let count = entry.counter_data.as_ref().map(count).transpose()?;
        let cookie = Cookie::of(entry);
        if let Some(reference) = Reference::of(entry)? {
            let key = decode_referring(entry)?;
            if count.is_some() {
                require(&key, Feature::Counter, "direct counter")?;
            }
            return Ok(Self::Referring { kind, key, reference, cookie, count });
        }
        let update = Update::decode(update)?;
        if count.is_some() {
            require(&update.key(), Feature::Counter, "direct counter")?;
        }
        Ok(Self::Entry { update, cookie, count })
    }

    /// Fails where a port is to be watched that is not there.
    pub(super) fn check_ports(&self, exists: impl Fn(PortId) -> bool) -> Result<(), UpdateError> {
        let missing = match self {
            Self::Entry { update: Update::Insert(entry) | Update::Modify(entry), .. } => {
                profiles::watched(entry).find(|port| !exists(*port))
            }
            Self::Part { definition: Some(definition), .. } => definition.watched().find(|port| !exists(*port)),
            _ => None,
        };
        missing.map_or(Ok(()), |port| Err(ProfileError::NoSuchPort(port).into()))
    }

    /// What it writes.
    pub(super) fn written(&self) -> Option<Written> {
        match self {
            Self::Entry { update: Update::Insert(entry) | Update::Modify(entry), .. } => Some(Written::Entry(entry.key())),
            Self::Referring { key, .. } | Self::DirectMeter { key, .. } => Some(Written::Entry(*key)),
            Self::Part { kind: Type::Insert | Type::Modify, reference, .. } => Some(Written::Part(*reference)),
            _ => None,
        }
    }

    /// What would take it back, if it were performed now.
    pub(super) fn undo(&self, entries: &Entries, books: &Books) -> Result<Undo, UpdateError> {
        Ok(match self {
            Self::Entry { update, count, .. } => {
                let recount = count.is_some() || matches!(update, Update::Delete(_));
                Undo::entry(update.key(), entries, books, recount)
            }
            Self::Referring { key, count, .. } => Undo::entry(*key, entries, books, count.is_some()),
            Self::DirectMeter { key, .. } => Undo::entry(*key, entries, books, false),
            Self::Part { reference, .. } => Undo::Part { reference: *reference, before: books.profiles.get(*reference) },
            Self::DirectCounter { key, .. } => {
                let count = entries.counter(key).ok_or_else(|| UpdateError::apply(*key)(ApplyError::NotFound))?;
                Undo::DirectCounter { key: *key, count }
            }
            Self::Counter { cells, count } => Undo::Cells(cells.differing(entries, *count)?),
            Self::Nothing => Undo::Nothing,
        })
    }

    /// Does it.
    ///
    /// # Errors
    /// [`UpdateError`]: nothing has changed.
    pub(super) fn perform(self, entries: &mut Entries, books: &mut Books) -> Result<(), UpdateError> {
        match self {
            Self::Entry { update, cookie, count } => {
                if !matches!(update, Update::Delete(_)) {
                    books.profiles.check_one_shot(update.key().table_id())?;
                }
                write(entries, books, &update, None, cookie, count)
            }
            Self::Referring { kind, key, reference, cookie, count } => {
                // Whether the entry is there is what a mistake in it is judged by first.
                match (kind, entries.get(&key).is_some()) {
                    (Type::Insert, true) => return Err(UpdateError::apply(key)(ApplyError::AlreadyExists)),
                    (Type::Modify, false) => return Err(UpdateError::apply(key)(ApplyError::NotFound)),
                    _ => {}
                }
                let entry = books.profiles.resolve(key, reference)?;
                let update = if kind == Type::Insert { Update::Insert(entry) } else { Update::Modify(entry) };
                write(entries, books, &update, Some(reference), cookie, count)
            }
            Self::Part { kind, reference, definition } => write_part(entries, books, kind, reference, definition),
            Self::DirectCounter { key, count } => entries.set_counter(&key, count).map_err(UpdateError::apply(key)),
            Self::DirectMeter { key, meter } => {
                let before = entries.get(&key).ok_or_else(|| UpdateError::apply(key)(ApplyError::NotFound))?;
                let wire = proto::TableEntry { meter_config: meter.map(MeterConfig::encode), ..before.encode() };
                entries.apply(&Update::Modify(Entry::decode(&wire)?)).map_err(UpdateError::apply(key))
            }
            Self::Counter { cells, count } => Ok(cells.set(entries, count)?),
            Self::Nothing => Ok(()),
        }
    }
}

impl Undo {
    fn entry(key: EntryKey, entries: &Entries, books: &Books, recount: bool) -> Self {
        let before = entries.get(&key).map(|entry| {
            let count = if recount { entries.counter(&key) } else { None };
            Box::new(Before { entry, cookie: books.cookies.get(&key), reference: books.profiles.reference(&key), count })
        });
        Self::Entry { key, before }
    }

    /// Takes the operation back. Nothing else was written since, so it succeeds.
    pub(super) fn perform(self, entries: &mut Entries, books: &mut Books) -> Result<(), UpdateError> {
        match self {
            Self::Entry { key, before: None } => write(entries, books, &Update::Delete(key), None, Cookie::default(), None),
            Self::Entry { key, before: Some(before) } => {
                let Before { entry, cookie, reference, count } = *before;
                let update = if entries.get(&key).is_some() { Update::Modify(entry) } else { Update::Insert(entry) };
                write(entries, books, &update, reference, cookie, count)
            }
            Self::Part { reference, before: None } => write_part(entries, books, Type::Delete, reference, None),
            Self::Part { reference, before } => {
                let kind = if books.profiles.get(reference).is_some() { Type::Modify } else { Type::Insert };
                write_part(entries, books, kind, reference, before)
            }
            Self::DirectCounter { key, count } => entries.set_counter(&key, count).map_err(UpdateError::apply(key)),
            Self::Cells(before) => Ok(before.into_iter().try_for_each(|(cells, count)| cells.set(entries, count))?),
            Self::Nothing => Ok(()),
        }
    }
}

/// Writes or deletes an entry; what the update says must be possible with its direct counter has been checked.
fn write(
    entries: &mut Entries,
    books: &mut Books,
    update: &Update,
    reference: Option<Reference>,
    cookie: Cookie,
    count: Option<CounterData>,
) -> Result<(), UpdateError> {
    let key = update.key();
    entries.apply(update).map_err(UpdateError::apply(key))?;
    if let Some(count) = count {
        entries.set_counter(&key, count).map_err(UpdateError::apply(key))?;
    }
    books.cookies.set(key, cookie);
    books.profiles.refer(key, reference);
    Ok(())
}

/// Writes or deletes a member or group, and writes the entries again that it stands behind.
fn write_part(
    entries: &mut Entries,
    books: &mut Books,
    kind: Type,
    reference: Reference,
    definition: Option<Definition>,
) -> Result<(), UpdateError> {
    let profiles = &mut books.profiles;
    match (kind, definition) {
        (Type::Insert, Some(definition)) => Ok(profiles.insert(reference, definition, |table| entries.len(table))?),
        (Type::Modify, Some(definition)) => {
            let before = profiles.modify(reference, definition)?;
            let dependants = profiles.dependants(reference);
            let Err(error) = rewrite(entries, books, &dependants) else { return Ok(()) };
            books.profiles.modify(reference, before)?;
            rewrite(entries, books, &dependants)?;
            Err(error)
        }
        _ => Ok(profiles.delete(reference)?),
    }
}

/// Writes entries that refer to a member or group as it is now.
fn rewrite(entries: &mut Entries, books: &Books, keys: &[EntryKey]) -> Result<(), UpdateError> {
    for key in keys {
        let Some(reference) = books.profiles.reference(key) else { continue };
        let entry = books.profiles.resolve(*key, reference)?;
        entries.apply(&Update::Modify(entry)).map_err(UpdateError::apply(*key))?;
    }
    Ok(())
}

/// The key of an entry that refers to a member or group; such an entry has nothing that its table does not.
fn decode_referring(entry: &proto::TableEntry) -> Result<EntryKey, UpdateError> {
    let table = facts::table(entry.table_id).map_or("?", |table| table.name.as_str());
    if entry.meter_config.is_some() {
        return Err(DecodeError::MeterForbidden { table }.into());
    }
    if entry.idle_timeout_ns != 0 {
        return Err(DecodeError::IdleTimeoutForbidden { table, nanoseconds: entry.idle_timeout_ns }.into());
    }
    Ok(EntryKey::decode(entry)?)
}

/// Fails where a key's table does not have something.
fn require(key: &EntryKey, feature: Feature, what: &'static str) -> Result<&'static facts::Table, UpdateError> {
    let table = facts::table(key.table_id()).filter(|table| table.has(feature));
    table.ok_or_else(|| UpdateError::NoDirect { key: Box::new(*key), what })
}

/// Why a default action is not written.
fn default_action(kind: Type, entry: &proto::TableEntry) -> UpdateError {
    if facts::table(entry.table_id).is_none() {
        return DecodeError::UnknownTable { id: entry.table_id }.into();
    }
    let plain = entry.r#match.is_empty() && entry.priority == 0 && entry.idle_timeout_ns == 0 && entry.time_since_last_hit.is_none();
    if kind == Type::Modify && plain { UpdateError::ConstantDefault } else { UpdateError::DefaultAction }
}
