//! What is known of routers and links at run time.

use super::{DirectedLinkId, LinkId, Topology};
use crate::network::RouterId;
use crate::request::BitRate;

/// Whether something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Operation {
    /// It works.
    #[default]
    Up,
    /// It does not.
    Down,
}

/// Whether something is meant to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Administration {
    /// It is.
    #[default]
    InService,
    /// It is to be emptied: nothing new comes in, and what is there moves away.
    Drained,
}

/// A link at run time, both directions alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkState {
    /// Whether it works.
    pub operation: Operation,
    /// Whether it is meant to be used.
    pub administration: Administration,
    /// What each direction carries while it works.
    pub capacity: BitRate,
}

impl LinkState {
    pub(super) fn new(capacity: BitRate) -> Self {
        Self { operation: Operation::Up, administration: Administration::InService, capacity }
    }
}

impl Topology {
    /// A link at run time.
    ///
    /// # Panics
    /// If the identifier belongs to another topology.
    pub fn state(&self, link: LinkId) -> LinkState {
        self.states[link.index()]
    }

    /// A link changes. The calendar has to be told: [`crate::admission::Calendar::follow`].
    ///
    /// # Panics
    /// If the identifier belongs to another topology.
    pub fn set_state(&mut self, link: LinkId, state: LinkState) {
        let before = std::mem::replace(&mut self.states[link.index()], state);
        if (before.operation, before.administration) != (state.operation, state.administration) {
            self.version += 1;
        }
    }

    /// Whether a router works.
    ///
    /// # Panics
    /// If the identifier belongs to another topology.
    pub fn router(&self, router: RouterId) -> Operation {
        self.routers[router.index()]
    }

    /// A router comes or goes, and all its links with it. The calendar has to be told: [`crate::admission::Calendar::follow`].
    ///
    /// # Panics
    /// If the identifier belongs to another topology.
    pub fn set_router(&mut self, router: RouterId, operation: Operation) {
        let before = std::mem::replace(&mut self.routers[router.index()], operation);
        if before != operation {
            self.version += 1;
        }
    }

    /// Whether a directed link works and is meant to be used: it, and the routers at its ends.
    ///
    /// # Panics
    /// If the identifier belongs to another topology.
    pub fn in_service(&self, link: DirectedLinkId) -> bool {
        let state = self.state(link.link());
        let ends = [self.link(link).from, self.link(link).to];
        state.operation == Operation::Up
            && state.administration == Administration::InService
            && ends.iter().all(|&router| self.router(router) == Operation::Up)
    }

    /// What may be reserved on a directed link: nothing while it is not in service.
    ///
    /// # Panics
    /// If the identifier belongs to another topology.
    pub fn offers(&self, link: DirectedLinkId) -> BitRate {
        if self.in_service(link) { self.state(link.link()).capacity } else { BitRate(0) }
    }
}
