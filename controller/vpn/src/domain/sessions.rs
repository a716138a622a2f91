//! The sessions, and which of them have to do with a link or a tunnel, or lack something: what happens there asks nobody else.

use std::collections::hash_map::{Entry, Keys};
use std::collections::{BTreeSet, HashMap};

use svpn_contract::wire::TunnelId;

use super::Domain;
use super::session::Session;
use crate::agreement::Protection;
use crate::network::RouterId;
use crate::request::SessionNumber;
use crate::topology::DirectedLinkId;

/// By what sessions are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Mark {
    /// They hold room on this link, or could.
    Link(DirectedLinkId),
    /// They ride this tunnel, which begins there.
    Tunnel(RouterId, TunnelId),
    /// They were to have two paths, and have one.
    Unprotected,
}

/// Sessions by number, and by their marks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sessions {
    /// Each lies by itself: a table of them would keep room for twice as many.
    all: HashMap<SessionNumber, Box<Session>>,
    /// The marks of each, in order; of one that is taken out, those it had.
    marks: HashMap<SessionNumber, Vec<Mark>>,
    marked: HashMap<Mark, BTreeSet<SessionNumber>>,
}

impl Sessions {
    pub(super) fn get(&self, number: SessionNumber) -> Option<&Session> {
        self.all.get(&number).map(Box::as_ref)
    }

    pub(super) fn numbers(&self) -> Keys<'_, SessionNumber, Box<Session>> {
        self.all.keys()
    }

    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &Session> {
        self.all.values().map(Box::as_ref)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&SessionNumber, &Session)> {
        self.all.iter().map(|(number, session)| (number, session.as_ref()))
    }

    /// Those with a mark, in the order of their numbers.
    pub(super) fn marked(&self, mark: Mark) -> impl Iterator<Item = SessionNumber> {
        self.marked.get(&mark).into_iter().flatten().copied()
    }

    /// Takes a session out to change it; [`Domain::hand_back`] puts it in again.
    pub(super) fn take(&mut self, number: SessionNumber) -> Option<Session> {
        self.all.remove(&number).map(|session| *session)
    }

    /// A session is there no more.
    pub(super) fn forget(&mut self, number: SessionNumber) {
        self.all.remove(&number);
        for mark in self.marks.remove(&number).unwrap_or_default() {
            self.unmark(number, mark);
        }
    }

    fn insert(&mut self, session: Session, marks: Vec<Mark>) {
        let number = session.number;
        self.all.insert(number, Box::new(session));
        if self.marks.get(&number) == Some(&marks) {
            return;
        }
        let before = self.marks.insert(number, marks.clone()).unwrap_or_default();
        for &mark in before.iter().filter(|mark| marks.binary_search(mark).is_err()) {
            self.unmark(number, mark);
        }
        for mark in marks.into_iter().filter(|mark| before.binary_search(mark).is_err()) {
            self.marked.entry(mark).or_default().insert(number);
        }
    }

    fn unmark(&mut self, number: SessionNumber, mark: Mark) {
        let Entry::Occupied(mut found) = self.marked.entry(mark) else { return };
        found.get_mut().remove(&number);
        if found.get().is_empty() {
            found.remove();
        }
    }
}

impl Domain {
    /// Puts a session where it is found, as it is now.
    pub(super) fn hand_back(&mut self, session: Session) {
        let marks = self.marks(&session);
        self.sessions.insert(session, marks);
    }

    /// The marks of a session, in order.
    fn marks(&self, session: &Session) -> Vec<Mark> {
        let mut marks = Vec::new();
        for leg in session.legs.iter().flatten() {
            let links = leg.booking.iter().flat_map(|booking| booking.claim().demands());
            marks.extend(links.map(|&(link, _)| Mark::Link(link)));
            marks.extend(leg.tunnel.map(|id| Mark::Tunnel(leg.route.ingress(&self.network), id)));
        }
        marks.extend(self.lacks_protection(session).then_some(Mark::Unprotected));
        marks.sort_unstable();
        marks.dedup();
        marks
    }

    fn lacks_protection(&self, session: &Session) -> bool {
        let wanted = self.network.contract(session.contract).options.protection == Protection::Disjoint;
        wanted && session.state.is_live() && session.legs.iter().flatten().any(|leg| leg.demand.is_some() && leg.route.backup.is_none())
    }
}

#[cfg(test)]
impl Domain {
    /// Compares what is found by marks with what a walk over all sessions finds.
    pub(super) fn check_marks(&self) {
        let mut walked: HashMap<Mark, BTreeSet<SessionNumber>> = HashMap::new();
        for session in self.sessions.values() {
            for mark in self.marks(session) {
                walked.entry(mark).or_default().insert(session.number);
            }
        }
        assert_eq!(self.sessions.marked, walked);
        assert_eq!(self.sessions.marks.keys().collect::<BTreeSet<_>>(), self.sessions.all.keys().collect(), "who is gone has no marks");
    }
}

#[cfg(test)]
impl std::ops::Index<&SessionNumber> for Sessions {
    type Output = Session;

    fn index(&self, number: &SessionNumber) -> &Session {
        &self.all[number]
    }
}
