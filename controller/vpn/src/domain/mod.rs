//! The façade: everything a gateway asks the domain.
//!
//! A session goes [`Domain::request`] → carry out the effects → [`Domain::programmed`] → ring → [`Domain::ringing`] →
//! [`Domain::answered`] → carry out the effects → … → [`Domain::released`] → carry out the effects, read the counters →
//! [`Domain::settled`] → carry out the effects. Whatever goes wrong in between, and whenever, [`Domain::released`] or
//! [`Domain::programming_failed`] returns what undoes it. One that starts later is booked when it is answered, and [`Domain::start`]
//! makes it run.
//!
//! Effects are facts, to be made durable first, and steps, to be written to routers then. What the domain returns counts as done: the
//! next answer builds on it. So steps must be written in the order they were returned, those of one call before those of the next.
//! Where a write failed, write the undo too, and then bring the router to [`Domain::expected_entries`]; an entry to be deleted that is
//! not there is as good as deleted.

mod admit;
mod answer;
mod booked;
mod border;
mod change;
mod claims;
mod clock;
mod effects;
mod ending;
mod examine;
mod failure;
mod mobility;
mod premade;
mod records;
mod reroute;
mod resources;
mod restore;
mod session;
mod sessions;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::SystemTime;

use svpn_contract::Entry;
use svpn_contract::wire::TunnelId;

use crate::admission::Calendar;
use crate::agreement::{Account, Usage};
use crate::durable::{Fact, TunnelName};
use crate::ids::Pool;
use crate::network::{InvalidNetwork, Network, RouterId};
use crate::paths::Paths;
use crate::plan::{self, Base, Numbers, Step, Tables, Tunnels};
use crate::price::{Bill, Carried};
use crate::request::{Direction, Refusal, SessionNumber, Terms};
use crate::session::{self as life, Event, OutOfTurn, State};

pub use admit::Admission;
pub use answer::Answered;
pub use booked::{Begun, Due};
pub use change::{Mover, Proposal, Proposed};
pub use clock::ClockStep;
pub use effects::Effects;
pub use ending::Release;
pub use failure::Rerouted;
pub use mobility::{LeftBehind, MoveError};
pub use restore::{Lost, RestoreError, Restored, WhyLost};
use session::Session;
use sessions::Sessions;
pub use summary::Summary;

/// The two ways a session's packets can go; the index of everything that is kept for each.
const WAYS: [Direction; 2] = [Direction::FromCaller, Direction::FromCallee];

/// All sessions, and all they have of the network.
#[derive(Debug)]
pub struct Domain {
    network: Network,
    base: Base,
    numbers: Numbers,
    session_numbers: Pool,
    calendar: Calendar,
    paths: Paths,
    accounts: Vec<Account>,
    /// Of each contract: what it used this month.
    usages: Vec<Usage>,
    tunnels: Tunnels,
    tables: Tables,
    /// Whose packets are whose.
    claims: claims::Claims,
    sessions: Sessions,
    /// Booked sessions, the next to start first.
    starts: BTreeSet<(SystemTime, SessionNumber)>,
    /// Sessions with a stop time, soonest first.
    stops: BTreeSet<(SystemTime, SessionNumber)>,
}

/// A session that is not there, or not at a point where this can happen to it. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// There is no such session, or not any more.
    #[error("there is no session {}", .0.0)]
    Unknown(SessionNumber),
    /// It is too early or too late.
    #[error(transparent)]
    OutOfTurn(#[from] OutOfTurn),
    /// Its start has not come.
    #[error("the session starts later")]
    TooEarly {
        /// When it starts.
        start: SystemTime,
    },
    /// A session whose time is over still has its packets: it is to be released first.
    #[error("session {} still has the same packets", .0.0)]
    Occupied(SessionNumber),
    /// A session within this network, for which no peer has a label.
    #[error("session {} does not cross to another provider", .0.0)]
    NoPeer(SessionNumber),
    /// The peer has not mapped a label to the session yet, so what goes there cannot be carried.
    #[error("the other provider has mapped no label to session {} yet", .0.0)]
    Unmapped(SessionNumber),
    /// Another change waits to be confirmed or withdrawn.
    #[error("another change of the session is proposed")]
    Proposed,
    /// Nothing was proposed, or the proposal was withdrawn because a link failed.
    #[error("no change of the session is proposed")]
    NoProposal,
}

/// Why an answer was not taken. Nothing changed: the session still waits to be answered or released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// What the callee answered cannot be served.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody waits for an answer.
    #[error(transparent)]
    NotNow(#[from] NotNow),
}

impl Domain {
    /// A network without sessions; the same as [`Domain::restore`] without facts, whose effects it leaves to be found again.
    ///
    /// # Errors
    /// [`InvalidNetwork::TooFewNumbers`] when a router has fewer labels or next hops than what is configured takes.
    pub fn new(network: Network) -> Result<Self, InvalidNetwork> {
        match Self::restore(network, [], SystemTime::UNIX_EPOCH) {
            Ok((domain, _)) => Ok(domain),
            Err(RestoreError::Network(error)) => Err(*error),
        }
    }

    /// The network it was made of, as it is now.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What is reserved.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// What every router holds without any session, one step for each router; what lets packets in comes last.
    pub fn base_plan(&self) -> Vec<Step> {
        plan::insert(&self.base.entries(&self.network))
    }

    /// What a router's tables shall hold, now that everything returned so far is written.
    ///
    /// # Panics
    /// If the identifier belongs to another network.
    pub fn expected_entries(&self, router: RouterId) -> impl Iterator<Item = &Entry> {
        self.tables.of(router)
    }

    /// The steps of [`Domain::request`] are written: the callee may ring.
    ///
    /// # Errors
    /// [`NotNow`]
    pub fn programmed(&mut self, session: SessionNumber) -> Result<Effects, NotNow> {
        self.moved_on(session, Event::Written)
    }

    /// The INVITE left for the callee.
    ///
    /// # Errors
    /// [`NotNow`]
    pub fn ringing(&mut self, session: SessionNumber) -> Result<Effects, NotNow> {
        self.moved_on(session, Event::Rang)
    }

    /// The sessions that are not settled, in no order.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (SessionNumber, State)> {
        self.sessions.iter().map(|(&number, session)| (number, session.state))
    }

    /// What a session has.
    ///
    /// # Errors
    /// [`NotNow::Unknown`]
    pub fn terms(&self, session: SessionNumber) -> Result<Terms, NotNow> {
        self.sessions.get(session).map(|session| self.terms_of(session)).ok_or(NotNow::Unknown(session))
    }

    /// What a session that ended costs, if its contract has a price.
    pub fn bill(&self, summary: &Summary, carried: Carried) -> Option<Bill> {
        let contract = self.network.contracts().iter().find(|contract| contract.name == summary.contract)?;
        Some(contract.options.price.as_ref()?.bill(&summary.periods, summary.ended, carried))
    }

    fn terms_of(&self, session: &Session) -> Terms {
        let price = self.network.contract(session.contract).options.price.as_ref();
        let cost = price.map(|price| price.anticipated(session.class, session.rates(), session.interval));
        Terms { cost, ..session.terms(&self.network, |circuit| self.base.vpn_label(circuit)) }
    }

    fn moved_on(&mut self, number: SessionNumber, event: Event) -> Result<Effects, NotNow> {
        self.with(number, |_, session| {
            session.state = life::next(session.state, event)?.0;
            Ok::<_, NotNow>(())
        })?;
        let mut effects = Effects::default();
        self.tell_session(number, &mut effects);
        Ok(effects)
    }

    /// Does something to a session while the domain is at hand, too; it stays where it was whatever comes of it.
    fn with<T, E: From<NotNow>>(
        &mut self,
        number: SessionNumber,
        change: impl FnOnce(&mut Self, &mut Session) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut session = self.sessions.take(number).ok_or(NotNow::Unknown(number))?;
        let changed = change(self, &mut session);
        self.hand_back(session);
        changed
    }

    fn tell_session(&self, number: SessionNumber, effects: &mut Effects) {
        if let Some(session) = self.sessions.get(number) {
            effects.tell(Fact::Session(Box::new(self.record(session))));
        }
    }

    fn tell_tunnel(&self, ingress: RouterId, id: TunnelId, effects: &mut Effects) {
        if let Some(tunnel) = self.tunnels.get(ingress, id) {
            effects.tell(Fact::Tunnel(self.tunnel_record(ingress, id, tunnel)));
        }
    }

    fn tunnel_name(&self, ingress: RouterId, id: TunnelId) -> TunnelName {
        TunnelName { ingress: self.network.router(ingress).name.clone(), tunnel: id.get() }
    }
}
