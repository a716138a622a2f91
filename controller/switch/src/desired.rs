//! The entries a router should have, and the way there from those it has. No I/O.

use std::collections::{HashMap, HashSet};

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::{Entry, EntryKey, Update};

use crate::batch::Encode;
use crate::read::{Foreign, Snapshot};

/// The entries a router should have.
#[derive(Debug, Default)]
pub(crate) struct Desired {
    entries: HashMap<EntryKey, Entry>,
}

/// One change on the way to the desired entries.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Update(Update),
    /// Deletes what is none of the contract's.
    Remove(Box<Foreign>),
}

impl FromIterator<Entry> for Desired {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self { entries: entries.into_iter().map(|entry| (entry.key(), entry)).collect() }
    }
}

impl Desired {
    /// The updates were carried out, or will be.
    pub(crate) fn apply(&mut self, updates: &[Update]) {
        for update in updates {
            match update {
                Update::Insert(entry) | Update::Modify(entry) => drop(self.entries.insert(entry.key(), entry.clone())),
                Update::Delete(key) => drop(self.entries.remove(key)),
            }
        }
    }

    /// What undoes updates that were carried out but not applied here, last first.
    pub(crate) fn inverse<'a>(&self, carried_out: impl DoubleEndedIterator<Item = &'a Update>) -> Vec<Update> {
        let mut undone = HashSet::new();
        let mut inverse = Vec::new();
        for update in carried_out.rev() {
            let key = update.key();
            // Of several updates of one entry, the last says whether it is there now.
            if !undone.insert(key) {
                continue;
            }
            match (self.entries.get(&key), update) {
                (Some(entry), Update::Delete(_)) => inverse.push(Update::Insert(entry.clone())),
                (Some(entry), _) => inverse.push(Update::Modify(entry.clone())),
                (None, Update::Delete(_)) => {}
                (None, _) => inverse.push(Update::Delete(key)),
            }
        }
        inverse
    }

    /// The way from what a router has to what it should have, in steps. Within a step the order does not matter, as a router may choose
    /// it; from step to step no entry refers to one that is not there. Nothing is taken away before what replaces it is there.
    pub(crate) fn plan(&self, actual: Snapshot) -> Vec<Vec<Change>> {
        let mut steps = Steps::default();
        let mut found = HashSet::with_capacity(actual.entries.len());
        for entry in actual.entries {
            let key = entry.key();
            match self.entries.get(&key) {
                Some(desired) if *desired == entry => {}
                Some(desired) => steps.modify[rank(&key)].push(Change::Update(Update::Modify(desired.clone()))),
                None => steps.delete[rank(&key)].push(Change::Update(Update::Delete(key))),
            }
            found.insert(key);
        }
        for (key, entry) in &self.entries {
            if !found.contains(key) {
                steps.insert[rank(key)].push(Change::Update(Update::Insert(entry.clone())));
            }
        }
        // What the source declares `const` can be deleted by nobody.
        let removable = actual.foreign.into_iter().filter(|foreign| !foreign.entry.is_const);
        let foreign = removable.map(|foreign| Change::Remove(Box::new(foreign))).collect();
        steps.in_order(foreign)
    }
}

/// How many places there are in the order of tables.
const RANKS: usize = 6;

/// A table's place: an entry refers only to entries of lower rank.
fn rank(key: &EntryKey) -> usize {
    match key {
        EntryKey::Nexthop(_) => 0,
        EntryKey::Tunnel(_) | EntryKey::Marking(_) | EntryKey::VrfPolicer(_) | EntryKey::PuntPolicer(_) => 1,
        EntryKey::Session(_) => 2,
        EntryKey::Ilm(_) | EntryKey::RouteV4(_) | EntryKey::RouteV6(_) => 3,
        EntryKey::Attachment(_)
        | EntryKey::Station(_)
        | EntryKey::ArpResponder(_)
        | EntryKey::GreIngressV4(_)
        | EntryKey::GreIngressV6(_) => 4,
        EntryKey::FlowV4(_) | EntryKey::FlowAclV4(_) | EntryKey::FlowV6(_) | EntryKey::FlowAclV6(_) => 5,
    }
}

#[derive(Default)]
struct Steps {
    insert: [Vec<Change>; RANKS],
    modify: [Vec<Change>; RANKS],
    delete: [Vec<Change>; RANKS],
}

impl Steps {
    /// New entries first, so that modified ones may refer to them; then nothing refers to what goes.
    fn in_order(self, foreign: Vec<Change>) -> Vec<Vec<Change>> {
        let going = std::iter::once(foreign).chain(self.delete.into_iter().rev());
        self.insert.into_iter().chain(self.modify).chain(going).filter(|step| !step.is_empty()).collect()
    }
}

impl Encode for Change {
    fn encode(&self) -> proto::Update {
        match self {
            Self::Update(update) => update.encode(),
            Self::Remove(foreign) => {
                // Only the key counts, and some servers refuse what else a read brings.
                let proto::TableEntry { table_id, r#match, priority, .. } = foreign.entry.clone();
                let entry = proto::TableEntry { table_id, r#match, priority, ..Default::default() };
                proto::Update { r#type: Type::Delete.into(), entity: Some(proto::Entity { entity: Some(Entity::TableEntry(entry)) }) }
            }
        }
    }

    fn deletes(&self) -> Option<EntryKey> {
        match self {
            Self::Update(update) => update.deletes(),
            Self::Remove(_) => None,
        }
    }
}

impl Change {
    /// Whether it takes something away.
    pub(crate) fn removes(&self) -> bool {
        matches!(self, Self::Remove(_) | Self::Update(Update::Delete(_)))
    }
}

#[cfg(test)]
mod tests;
