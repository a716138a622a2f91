//! What the routers' tables shall hold.

use std::collections::BTreeMap;

use svpn_contract::{Entry, EntryKey};

use crate::network::RouterId;

/// The desired entries of every router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables {
    routers: Vec<BTreeMap<EntryKey, Entry>>,
}

impl Tables {
    pub(crate) fn new(routers: usize) -> Self {
        Self { routers: vec![BTreeMap::new(); routers] }
    }

    /// Adds an entry or replaces one.
    pub(crate) fn put(&mut self, router: RouterId, entry: Entry) {
        self.routers[router.index()].insert(entry.key(), entry);
    }

    pub(crate) fn remove(&mut self, router: RouterId, key: &EntryKey) {
        self.routers[router.index()].remove(key);
    }

    pub(crate) fn get(&self, router: RouterId, key: &EntryKey) -> Option<&Entry> {
        self.routers[router.index()].get(key)
    }

    pub(crate) fn of(&self, router: RouterId) -> impl Iterator<Item = &Entry> {
        self.routers[router.index()].values()
    }
}
