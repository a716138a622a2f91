//! `Read`: what a request's entities select, and how it is told.
//!
//! What is read is collected first and told afterwards: writers wait for the collecting alone, however slowly a controller reads. The
//! entries are let go between tables, so that a port that fails meanwhile is noticed.

mod error;
mod found;
mod selection;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use svpn_contract::Entry;
use tonic::Status;

use super::cells::Cells;
use super::facts::{self, Feature};
use super::write::{detail, detailed};
use super::{Books, Plane};
use crate::entries::Entries;
pub(super) use error::ReadError;
pub(super) use found::Found;
use found::{Full, Meter};
use selection::Selection;

/// Everything that a request asks for, and what became of each of its entities.
pub(super) struct Collected {
    pub(super) found: Vec<Found>,
    results: Vec<Result<(), ReadError>>,
}

impl Collected {
    /// Collects what a request's entities select.
    pub(super) fn collect<P: Plane>(plane: &P, books: &Books, wanted: &[proto::Entity]) -> Self {
        let mut reading = Reading { plane, books, found: Vec::new() };
        let mut results = Vec::with_capacity(wanted.len());
        for entity in wanted {
            let before = reading.found.len();
            let result = reading.entity(entity);
            if result.is_err() {
                reading.found.truncate(before);
            }
            results.push(result);
        }
        Self { found: reading.found, results }
    }

    /// How the answer ends: with a `p4.v1.Error` for each entity in the details if one of them failed.
    pub(super) fn status(&self) -> Option<Status> {
        let failed = self.results.iter().filter(|result| result.is_err()).count();
        let (index, error) = self.results.iter().enumerate().find_map(|(index, result)| Some((index, result.as_ref().err()?)))?;
        let text = format!("{failed} of {} entities cannot be read; entity {index}: {error}", self.results.len());
        let errors = self.results.iter().enumerate().map(|(index, result)| match result {
            Ok(()) => proto::Error::default(),
            Err(error) => detail(error.code(), format!("entity {index}: {error}")),
        });
        Some(detailed(text, errors))
    }
}

/// A read in progress.
struct Reading<'a, P> {
    plane: &'a P,
    books: &'a Books,
    found: Vec<Found>,
}

impl<P: Plane> Reading<'_, P> {
    fn entity(&mut self, wanted: &proto::Entity) -> Result<(), ReadError> {
        match wanted.entity.as_ref().ok_or(ReadError::Empty)? {
            Entity::TableEntry(wanted) => self.table_entries(wanted),
            Entity::DirectCounterEntry(wanted) => {
                let wanted = wanted.table_entry.clone().unwrap_or_default();
                self.direct(&wanted, Feature::Counter, "direct counter", |entries, entry| {
                    entries.counter(&entry.key()).map(|count| Found::DirectCounter(entry.key(), count))
                })
            }
            Entity::DirectMeterEntry(wanted) => {
                if wanted.counter_data.is_some() {
                    return Err(ReadError::Unsupported("counters of a meter's colours"));
                }
                let wanted = wanted.table_entry.clone().unwrap_or_default();
                self.direct(&wanted, Feature::Meter, "direct meter", |_, entry| {
                    Some(Found::DirectMeter(entry.key(), entry.encode().meter_config))
                })
            }
            Entity::CounterEntry(wanted) => self.cells(wanted),
            Entity::ActionProfileMember(wanted) => {
                check_selector(wanted.action_profile_id)?;
                let of = |member: &proto::ActionProfileMember| wanted.member_id == 0 || wanted.member_id == member.member_id;
                self.found.extend(self.books.profiles.members(wanted.action_profile_id).filter(of).map(Found::Member));
                Ok(())
            }
            Entity::ActionProfileGroup(wanted) => {
                check_selector(wanted.action_profile_id)?;
                let of = |group: &proto::ActionProfileGroup| wanted.group_id == 0 || wanted.group_id == group.group_id;
                self.found.extend(self.books.profiles.groups(wanted.action_profile_id).filter(of).map(Found::Group));
                Ok(())
            }
            Entity::MeterEntry(_) => Err(ReadError::Unsupported("indexed meters")),
            Entity::PacketReplicationEngineEntry(_) => Err(ReadError::Unsupported("multicast groups and clone sessions")),
            Entity::ValueSetEntry(_) | Entity::RegisterEntry(_) | Entity::DigestEntry(_) | Entity::ExternEntry(_) => {
                Err(ReadError::Unsupported("value sets, registers, digests and externs"))
            }
        }
    }

    fn table_entries(&mut self, wanted: &proto::TableEntry) -> Result<(), ReadError> {
        let selection = Selection::of(wanted)?;
        check_asked_for(wanted)?;
        if wanted.is_default_action {
            self.found.extend(selection.tables.iter().map(|table| Found::Default(*table)));
            return Ok(());
        }
        let meter = if wanted.meter_config.is_some() { Meter::Told } else { Meter::LeftOut };
        let (plane, books) = (self.plane, self.books);
        // One look at the books for all entries, where nothing is in them.
        let plain = books.cookies.is_empty() && books.profiles.is_unused();
        for table in &selection.tables {
            let has = |feature| facts::table(*table).is_some_and(|table| table.has(feature));
            let counts = wanted.counter_data.is_some() && has(Feature::Counter);
            let hits = wanted.time_since_last_hit.is_some() && has(Feature::IdleTimeout);
            let entries = plane.entries();
            if selection.key.is_none() {
                self.found.reserve(entries.len(*table));
            }
            let found = &mut self.found;
            selection.walk(*table, &entries, &books.cookies, |entry| {
                if plain && !counts && !hits {
                    found.push(Found::Entry(entry, meter));
                    return;
                }
                let key = entry.key();
                let count = if counts { entries.counter(&key) } else { None };
                let idle = if hits { entries.idle(&key) } else { None };
                let (cookie, reference) = (books.cookies.get(&key), books.profiles.reference(&key));
                found.push(Found::Full(Box::new(Full { entry, meter, cookie, count, idle, reference })));
            });
        }
        Ok(())
    }

    /// The direct resources of the entries that are selected. One that is named must be there.
    fn direct(
        &mut self,
        wanted: &proto::TableEntry,
        feature: Feature,
        what: &'static str,
        of: impl Fn(&Entries, &Entry) -> Option<Found>,
    ) -> Result<(), ReadError> {
        let has = |table: u32| facts::table(table).is_some_and(|table| table.has(feature));
        let selection = Selection::of(wanted)?;
        if wanted.table_id != 0 && !has(wanted.table_id) {
            return Err(ReadError::NoDirect { table: table_name(wanted.table_id), what });
        }
        let before = self.found.len();
        for table in selection.tables.iter().filter(|table| has(**table)) {
            let entries = self.plane.entries();
            let found = &mut self.found;
            selection.walk(*table, &entries, &self.books.cookies, |entry| found.extend(of(&entries, &entry)));
        }
        match selection.key {
            Some(key) if self.found.len() == before => Err(ReadError::NotFound(Box::new(key))),
            _ => Ok(()),
        }
    }

    fn cells(&mut self, wanted: &proto::CounterEntry) -> Result<(), ReadError> {
        let wanted = if wanted.counter_id == 0 { vec![Cells::AllSessionDiscards, Cells::AllDrops] } else { vec![Cells::of(wanted)?] };
        for cells in wanted {
            let found = &mut self.found;
            cells.read(&self.plane.entries(), |counter, index, count| found.push(Found::Cell(counter, index, count)))?;
        }
        Ok(())
    }
}

/// Fails where a table is asked for what its entries do not have.
fn check_asked_for(wanted: &proto::TableEntry) -> Result<(), ReadError> {
    if wanted.meter_counter_data.is_some() {
        return Err(ReadError::Unsupported("counters of a meter's colours"));
    }
    let Some(table) = facts::table(wanted.table_id) else { return Ok(()) };
    let asked = [
        (wanted.counter_data.is_some(), Feature::Counter, "direct counter"),
        (wanted.meter_config.is_some(), Feature::Meter, "direct meter"),
        (wanted.time_since_last_hit.is_some(), Feature::IdleTimeout, "idle time-out"),
    ];
    if wanted.is_default_action && wanted.time_since_last_hit.is_some() {
        return Err(ReadError::NoDirect { table: table.name.as_str(), what: "idle time-out of its default action" });
    }
    match asked.into_iter().find(|(asked, feature, _)| *asked && !table.has(*feature)) {
        Some((_, _, what)) => Err(ReadError::NoDirect { table: table.name.as_str(), what }),
        None => Ok(()),
    }
}

fn check_selector(id: u32) -> Result<(), ReadError> {
    if id == 0 || facts::selector(id).is_some() { Ok(()) } else { Err(ReadError::UnknownProfile(id)) }
}

fn table_name(id: u32) -> &'static str {
    facts::table(id).map_or("?", |table| table.name.as_str())
}
