//! What the routers' tables shall hold.

use std::collections::BTreeMap;

use svpn_contract::wire::SessionId;
use svpn_contract::{Entry, EntryKey, FlowAclV4Action, FlowAclV6Action, FlowV4Action, FlowV6Action, Update};

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

    /// Adds an entry or replaces one: how the router is told, if there is anything to tell.
    pub(crate) fn put(&mut self, router: RouterId, entry: Entry) -> Option<Update> {
        match self.routers[router.index()].insert(entry.key(), entry.clone()) {
            None => Some(Update::Insert(entry)),
            Some(before) if before == entry => None,
            Some(_) => Some(Update::Modify(entry)),
        }
    }

    /// Removes an entry: how the router is told, if there is anything to tell.
    pub(crate) fn remove(&mut self, router: RouterId, key: &EntryKey) -> Option<Update> {
        self.routers[router.index()].remove(key).map(|_| Update::Delete(*key))
    }

    /// Which session already has one of these packets in a router.
    pub(crate) fn owner(&self, planned: &[(RouterId, Entry)]) -> Option<SessionId> {
        planned.iter().find_map(|(router, entry)| match self.routers[router.index()].get(&entry.key())? {
            Entry::FlowV4(flow) => {
                let FlowV4Action::Assign { session } = flow.action;
                Some(session)
            }
            Entry::FlowAclV4(flow) => {
                let FlowAclV4Action::Assign { session } = flow.action;
                Some(session)
            }
            Entry::FlowV6(flow) => {
                let FlowV6Action::Assign { session } = flow.action;
                Some(session)
            }
            Entry::FlowAclV6(flow) => {
                let FlowAclV6Action::Assign { session } = flow.action;
                Some(session)
            }
            _ => None,
        })
    }

    pub(crate) fn get(&self, router: RouterId, key: &EntryKey) -> Option<&Entry> {
        self.routers[router.index()].get(key)
    }

    pub(crate) fn of(&self, router: RouterId) -> impl Iterator<Item = &Entry> {
        self.routers[router.index()].values()
    }
}
