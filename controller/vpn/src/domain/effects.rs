//! What an operation asks of the gateway.

use svpn_contract::{Entry, EntryKey, Update};

use super::Domain;
use crate::durable::Fact;
use crate::network::RouterId;
use crate::plan::{Planned, Step};

/// What an operation asks of the gateway: first the facts, made durable together, then the steps, written in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "what is not made durable and written did not happen"]
pub struct Effects {
    /// How things are from now on.
    pub facts: Vec<Fact>,
    /// What changes in the routers' tables.
    pub steps: Vec<Step>,
}

impl Effects {
    /// Adds what a later operation asks for.
    pub fn append(&mut self, later: Self) {
        self.facts.extend(later.facts);
        self.steps.extend(later.steps);
    }

    pub(super) fn tell(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Consecutive updates of one router become one step.
    fn write(&mut self, router: RouterId, update: Update) {
        match self.steps.last_mut() {
            Some(step) if step.router == router => step.updates.push(update),
            _ => self.steps.push(Step { router, updates: vec![update] }),
        }
    }
}

impl Domain {
    /// What is to be done where facts and entries of earlier effects could not be written: they are told, and written, as they are to be now,
    /// for others may rest on them, as on a tunnel that they ride. What nobody rests on goes.
    pub fn again(&self, facts: &[Fact], entries: &[(RouterId, EntryKey)]) -> Effects {
        let mut effects = Effects { facts: self.tell_again(facts), steps: Vec::new() };
        let mut gone = Vec::new();
        for &(router, key) in entries {
            match self.tables.get(router, &key).cloned() {
                Some(entry) => effects.write(router, Update::Insert(entry)),
                None => gone.push((router, key)),
            }
        }
        for (router, key) in gone.into_iter().rev() {
            effects.write(router, Update::Delete(key));
        }
        effects
    }

    /// Has routers hold these entries, written in this order.
    pub(super) fn put(&mut self, planned: impl IntoIterator<Item = (RouterId, Entry)>, effects: &mut Effects) {
        for (router, entry) in planned {
            if let Some(update) = self.tables.put(router, entry) {
                effects.write(router, update);
            }
        }
    }

    /// Removes what was written in this order, in reverse.
    pub(super) fn erase(&mut self, keys: &[(RouterId, EntryKey)], effects: &mut Effects) {
        for (router, key) in keys.iter().rev() {
            if let Some(update) = self.tables.remove(*router, key) {
                effects.write(*router, update);
            }
        }
    }
}

/// The keys of entries.
pub(super) fn keys(planned: &Planned) -> Vec<(RouterId, EntryKey)> {
    planned.iter().map(|(router, entry)| (*router, entry.key())).collect()
}
