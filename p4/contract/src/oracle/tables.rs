//! The tables: a list of entries, searched from the beginning.

use std::net::Ipv4Addr;

use super::FiveTuple;
use crate::tables::{Entry, EntryKey, FlowAclV4Entry, RouteV4Entry};
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

#[derive(Debug, Clone, Default)]
pub(super) struct Tables(Vec<Entry>);

impl Tables {
    pub(super) fn apply(&mut self, update: &Update) -> Result<(), ApplyError> {
        let key = update.key();
        let place = self.0.iter().position(|entry| entry.key() == key);
        match (update, place) {
            (Update::Insert(entry), None) => self.0.push(entry.clone()),
            (Update::Insert(_), Some(_)) => return Err(ApplyError::AlreadyExists(key)),
            (Update::Modify(entry), Some(place)) => self.0[place] = entry.clone(),
            (Update::Delete(_), Some(place)) => drop(self.0.remove(place)),
            (Update::Modify(_) | Update::Delete(_), None) => return Err(ApplyError::NotFound(key)),
        }
        Ok(())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    pub(super) fn find(&self, key: &EntryKey) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key() == *key)
    }

    /// The entry of highest priority that matches.
    pub(super) fn flow_acl_v4(&self, vrf: VrfId, tuple: &FiveTuple) -> Option<&FlowAclV4Entry> {
        let (FiveTuple { proto, sport, dport, .. }, Some((src, dst))) = (tuple, tuple.ipv4()) else { return None };
        let matches = |entry: &&FlowAclV4Entry| {
            let key = &entry.key;
            key.vrf.matches(vrf)
                && key.src.matches(src)
                && key.dst.matches(dst)
                && key.proto.matches(*proto)
                && key.sport.matches(*sport)
                && key.dport.matches(*dport)
        };
        let entries = self.0.iter().filter_map(|entry| if let Entry::FlowAclV4(entry) = entry { Some(entry) } else { None });
        // `max_by_key` takes the last of equals, so look from the end.
        entries.filter(matches).rev().max_by_key(|entry| entry.key.priority)
    }

    /// The entry with the longest prefix that matches.
    pub(super) fn route_v4(&self, vrf: VrfId, dst: Ipv4Addr) -> Option<&RouteV4Entry> {
        let routes = self.0.iter().filter_map(|entry| if let Entry::RouteV4(entry) = entry { Some(entry) } else { None });
        let matches = |entry: &&RouteV4Entry| entry.key.vrf == vrf && entry.key.dst.matches(dst);
        routes.filter(matches).max_by_key(|entry| entry.key.dst.length)
    }
}
