//! The tables: entries by their keys, and searched one by one where a key does not name just one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::FiveTuple;
use crate::tables::{
    Entry, EntryKey, FlowAclV4Entry, FlowAclV4Key, FlowAclV6Entry, FlowAclV6Key, Priority, RouteV4Entry, RouteV4Key, RouteV6Entry,
    RouteV6Key,
};
use crate::update::Update;
use crate::wire::VrfId;

/// Why an update changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The entry to insert is there.
    #[error("the entry exists: {0:?}")]
    AlreadyExists(EntryKey),
    /// The entry to modify or delete is not there.
    #[error("there is no entry {0:?}")]
    NotFound(EntryKey),
}

/// An entry, and how many were inserted before it.
#[derive(Debug, Clone)]
struct Numbered {
    number: u64,
    entry: Entry,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    /// By table and key.
    tables: BTreeMap<u32, BTreeMap<EntryKey, Numbered>>,
    inserted: u64,
}

/// The entry of highest priority; of several of the same, the one that was inserted first.
fn first<E>(matching: impl Iterator<Item = (Priority, u64, E)>) -> Option<E> {
    matching.max_by_key(|(priority, number, _)| (*priority, Reverse(*number))).map(|(_, _, entry)| entry)
}

impl Tables {
    pub(super) fn apply(&mut self, update: &Update) -> Result<(), ApplyError> {
        let key = update.key();
        let table = self.tables.entry(key.table_id()).or_default();
        match (update, table.get_mut(&key)) {
            (Update::Insert(entry), None) => {
                table.insert(key, Numbered { number: self.inserted, entry: entry.clone() });
                self.inserted += 1;
            }
            (Update::Insert(_), Some(_)) => return Err(ApplyError::AlreadyExists(key)),
            (Update::Modify(entry), Some(there)) => there.entry = entry.clone(),
            (Update::Delete(_), Some(_)) => drop(table.remove(&key)),
            (Update::Modify(_) | Update::Delete(_), None) => return Err(ApplyError::NotFound(key)),
        }
        Ok(())
    }

    /// In the order they were inserted.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let mut entries: Vec<&Numbered> = self.tables.values().flat_map(BTreeMap::values).collect();
        entries.sort_by_key(|there| there.number);
        entries.into_iter().map(|there| &there.entry)
    }

    pub(super) fn find(&self, key: &EntryKey) -> Option<&Entry> {
        Some(&self.tables.get(&key.table_id())?.get(key)?.entry)
    }

    /// The entries of one table.
    fn of(&self, table: u32) -> impl Iterator<Item = &Numbered> {
        self.tables.get(&table).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn flow_acl_v4(&self, vrf: VrfId, src: Ipv4Addr, dst: Ipv4Addr, tuple: &FiveTuple) -> Option<&FlowAclV4Entry> {
        first(self.of(FlowAclV4Key::TABLE_ID).filter_map(|there| {
            let Entry::FlowAclV4(entry) = &there.entry else { return None };
            let FlowAclV4Key { priority, .. } = entry.key;
            let addresses = entry.key.src.matches(src) && entry.key.dst.matches(dst);
            let ports = entry.key.sport.matches(tuple.sport) && entry.key.dport.matches(tuple.dport);
            let matches = entry.key.vrf.matches(vrf) && addresses && entry.key.proto.matches(tuple.proto) && ports;
            matches.then_some((priority, there.number, entry))
        }))
    }

    pub(super) fn flow_acl_v6(&self, vrf: VrfId, src: Ipv6Addr, dst: Ipv6Addr, tuple: &FiveTuple) -> Option<&FlowAclV6Entry> {
        first(self.of(FlowAclV6Key::TABLE_ID).filter_map(|there| {
            let Entry::FlowAclV6(entry) = &there.entry else { return None };
            let FlowAclV6Key { priority, .. } = entry.key;
            let addresses = entry.key.src.matches(src) && entry.key.dst.matches(dst);
            let ports = entry.key.sport.matches(tuple.sport) && entry.key.dport.matches(tuple.dport);
            let matches = entry.key.vrf.matches(vrf) && addresses && entry.key.proto.matches(tuple.proto) && ports;
            matches.then_some((priority, there.number, entry))
        }))
    }

    /// The entry with the longest prefix that matches.
    pub(super) fn route_v4(&self, vrf: VrfId, dst: Ipv4Addr) -> Option<&RouteV4Entry> {
        let routes = self.of(RouteV4Key::TABLE_ID);
        let routes = routes.filter_map(|there| if let Entry::RouteV4(entry) = &there.entry { Some(entry) } else { None });
        let matches = |entry: &&RouteV4Entry| entry.key.vrf == vrf && entry.key.dst.matches(dst);
        routes.filter(matches).max_by_key(|entry| entry.key.dst.length)
    }

    /// The entry with the longest prefix that matches.
    pub(super) fn route_v6(&self, vrf: VrfId, dst: Ipv6Addr) -> Option<&RouteV6Entry> {
        let routes = self.of(RouteV6Key::TABLE_ID);
        let routes = routes.filter_map(|there| if let Entry::RouteV6(entry) = &there.entry { Some(entry) } else { None });
        let matches = |entry: &&RouteV6Entry| entry.key.vrf == vrf && entry.key.dst.matches(dst);
        routes.filter(matches).max_by_key(|entry| entry.key.dst.length)
    }
}
