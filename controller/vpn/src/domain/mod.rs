//! The façade: everything a gateway asks the domain.
//!
//! A session goes [`Domain::request`] → write the steps → [`Domain::programmed`] → ring → [`Domain::ringing`] →
//! [`Domain::answered`] → write the steps → … → [`Domain::released`] → write the steps. Whatever goes wrong in between, and whenever,
//! [`Domain::released`] or [`Domain::programming_failed`] returns what undoes it.
//!
//! What the domain returns counts as done: the next answer builds on it. So steps must be written in the order they were returned,
//! those of one call before those of the next. Where a write failed, write the undo too, and then bring the router to
//! [`Domain::expected_entries`]; an entry to be deleted that is not there is as good as deleted.

mod answer;
mod examine;
mod record;
mod resources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use svpn_contract::wire::{Class, Label, SessionId, TunnelId};
use svpn_contract::{Entry, EntryKey};

use crate::admission::{Booking, Calendar, Interval};
use crate::agreement::{Account, Rates};
use crate::demand::Demand;
use crate::ids::Pool;
use crate::network::{ContractId, InvalidNetwork, Item, Network, RouterId};
use crate::plan::{self, Base, Numbers, Planned, Step, Tables, Tunnels};
use crate::request::{Answer, BitRate, Cause, Direction, Refusal, SessionNumber, SessionRequest, Terms};
use crate::session::{self, Action, Event, OutOfTurn, State};
use crate::topology::Path;

pub use record::{Release, Summary};

/// The two ways a session's packets can go; the index of everything that is kept for each.
const WAYS: [Direction; 2] = [Direction::FromCaller, Direction::FromCallee];

/// What was done, in order, each with the steps it takes.
type Changes = Vec<(Action, Vec<Step>)>;

/// All sessions, and all they have of the network.
#[derive(Debug)]
pub struct Domain {
    network: Network,
    base: Base,
    numbers: Numbers,
    session_numbers: Pool,
    calendar: Calendar,
    accounts: Vec<Account>,
    tunnels: Tunnels,
    tables: Tables,
    sessions: HashMap<SessionNumber, Session>,
    /// Sessions with a stop time, soonest first.
    stops: BTreeSet<(SystemTime, SessionNumber)>,
}

/// A session that is not released.
#[derive(Debug)]
struct Session {
    number: SessionNumber,
    state: State,
    request: SessionRequest,
    contract: ContractId,
    class: Class,
    /// Caller's, callee's: places in [`Network::circuits`].
    circuits: [usize; 2],
    /// What each way needs; `None` where nothing flows.
    demands: [Option<Demand>; 2],
    legs: [Option<Leg>; 2],
    /// Entries that the next write brings.
    planned: Planned,
    /// What tells the session's packets from others, in the order it was written.
    classified: Vec<(RouterId, EntryKey)>,
    requested: SystemTime,
    established: Option<SystemTime>,
}

/// One way of a session through the network.
#[derive(Debug)]
struct Leg {
    path: Path,
    booking: Booking,
    tunnel: TunnelId,
    vpn_label: Label,
}

/// A session that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Its number.
    pub session: SessionNumber,
    /// What it gets.
    pub terms: Terms,
    /// What to write before the callee rings: tunnels and the session itself. Its packets are told from others only when the callee
    /// has answered.
    pub steps: Vec<Step>,
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
    /// A network without sessions.
    ///
    /// # Errors
    /// [`InvalidNetwork::TooFewNumbers`] when a router has fewer labels or next hops than what is configured takes.
    pub fn new(network: Network) -> Result<Self, InvalidNetwork> {
        let mut numbers = Numbers::new(&network);
        let base = Base::new(&network, &mut numbers).map_err(|none| InvalidNetwork::TooFewNumbers {
            item: Item::Router(network.router(none.router).name.clone()),
            kind: none.kind,
        })?;
        let mut tables = Tables::new(network.routers().count());
        for (router, entry) in base.entries(&network) {
            tables.put(router, entry);
        }
        Ok(Self {
            base,
            numbers,
            session_numbers: Pool::new(1..=network.last_session()),
            calendar: Calendar::new(network.topology()),
            accounts: vec![Account::default(); network.contracts().len()],
            tunnels: Tunnels::default(),
            tables,
            sessions: HashMap::new(),
            stops: BTreeSet::new(),
            network,
        })
    }

    /// The network it was made of.
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

    /// Lets a session in: contract, paths, bandwidth, numbers, plan.
    ///
    /// # Errors
    /// [`Refusal`] says why not; nothing changed.
    pub fn request(&mut self, request: SessionRequest, now: SystemTime) -> Result<Admission, Refusal> {
        self.calendar.advance(now);
        let wanted = examine::examine(&self.network, &request, now)?;
        let number = self.session_numbers.take().map_err(|none| Refusal::Unavailable(format!("sessions: {none}")))?;
        let mut session = Session {
            number: SessionNumber(number),
            state: State::Requested,
            request,
            contract: wanted.contract,
            class: wanted.class,
            circuits: wanted.circuits,
            demands: wanted.demands,
            legs: [None, None],
            planned: Planned::new(),
            classified: Vec::new(),
            requested: now,
            established: None,
        };
        match self.admit(&mut session, wanted.interval) {
            Ok(steps) => {
                let admission = Admission { session: session.number, terms: session.terms(), steps };
                if let Some(stop) = wanted.interval.stop() {
                    self.stops.insert((stop, session.number));
                }
                self.sessions.insert(session.number, session);
                Ok(admission)
            }
            Err(refusal) => {
                // Nothing of it was returned, so nothing of the undo needs to be written.
                let _unwritten = self.happen(&mut session, Event::Ended);
                self.session_numbers.give_back(number);
                Err(refusal)
            }
        }
    }

    /// The steps of [`Domain::request`] are written: the callee may ring.
    ///
    /// # Errors
    /// [`NotNow`]
    pub fn programmed(&mut self, session: SessionNumber) -> Result<(), NotNow> {
        self.with(session, |domain, session| domain.happen(session, Event::Written)).map(drop)
    }

    /// The INVITE left for the callee.
    ///
    /// # Errors
    /// [`NotNow`]
    pub fn ringing(&mut self, session: SessionNumber) -> Result<(), NotNow> {
        self.with(session, |domain, session| domain.happen(session, Event::Rang)).map(drop)
    }

    /// The callee accepted: what its session gets now, and what to write before the caller is told. A medium it refused gives its
    /// bandwidth back.
    ///
    /// # Errors
    /// [`AnswerError`]; the session still waits, and [`Domain::released`] ends it.
    pub fn answered(&mut self, session: SessionNumber, answer: &Answer, now: SystemTime) -> Result<(Terms, Vec<Step>), AnswerError> {
        self.calendar.advance(now);
        let mut found = self.sessions.remove(&session).ok_or(NotNow::Unknown(session))?;
        let outcome = self.accept(&mut found, answer, now).map(|steps| (found.terms(), steps));
        self.sessions.insert(session, found);
        outcome
    }

    /// Routers could not be written to: what undoes the session, also where it was written in part.
    ///
    /// # Errors
    /// [`NotNow::Unknown`]
    pub fn programming_failed(&mut self, session: SessionNumber) -> Result<Vec<Step>, NotNow> {
        let (_, changes) = self.end(session)?;
        Ok(changes.into_iter().flat_map(|(_, steps)| steps).collect())
    }

    /// The session is over, however far it came.
    ///
    /// # Errors
    /// [`NotNow::Unknown`]
    pub fn released(&mut self, session: SessionNumber, cause: Cause, now: SystemTime) -> Result<Release, NotNow> {
        self.calendar.advance(now);
        let (session, changes) = self.end(session)?;
        let (mut stop, mut clear) = (Vec::new(), Vec::new());
        for (action, steps) in changes {
            if action == Action::Unclassify { &mut stop } else { &mut clear }.extend(steps);
        }
        Ok(Release { stop, clear, summary: session.summary(&self.network, cause, now) })
    }

    /// The sessions whose stop time has come: each is to be released, before anything new is requested.
    pub fn expired(&self, now: SystemTime) -> impl Iterator<Item = SessionNumber> {
        self.stops.iter().take_while(move |(stop, _)| *stop <= now).map(|&(_, session)| session)
    }

    /// When the next session's stop time comes.
    pub fn next_stop(&self) -> Option<SystemTime> {
        self.stops.first().map(|&(stop, _)| stop)
    }

    /// The sessions that are not released, in no order.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (SessionNumber, State)> {
        self.sessions.iter().map(|(&number, session)| (number, session.state))
    }

    fn admit(&mut self, session: &mut Session, interval: Interval) -> Result<Vec<Step>, Refusal> {
        let contract = self.network.contract(session.contract);
        self.accounts[session.contract.index()].enter(contract, session.rates())?;
        // Each of these belongs to the state the one before left, so none is ever out of turn.
        let out_of_turn = |error: OutOfTurn| Refusal::Unavailable(error.to_string());
        self.happen(session, Event::Covered).map_err(out_of_turn)?;
        self.take(session, interval)?;
        let changes = self.happen(session, Event::Taken).map_err(out_of_turn)?;
        Ok(changes.into_iter().flat_map(|(_, steps)| steps).collect())
    }

    fn end(&mut self, number: SessionNumber) -> Result<(Session, Changes), NotNow> {
        let changes = self.with(number, |domain, session| domain.happen(session, Event::Ended))?;
        let session = self.sessions.remove(&number).ok_or(NotNow::Unknown(number))?;
        self.session_numbers.give_back(number.0);
        if let Some(stop) = session.request.window.stop {
            self.stops.remove(&(stop, number));
        }
        Ok((session, changes))
    }

    /// Does something to a session while the domain is at hand, too.
    fn with<T>(
        &mut self,
        number: SessionNumber,
        change: impl FnOnce(&mut Self, &mut Session) -> Result<T, OutOfTurn>,
    ) -> Result<T, NotNow> {
        let mut session = self.sessions.remove(&number).ok_or(NotNow::Unknown(number))?;
        let changed = change(self, &mut session);
        self.sessions.insert(number, session);
        Ok(changed?)
    }

    /// Moves a session on, and does what that asks of tables and accounts; each with the steps it takes.
    fn happen(&mut self, session: &mut Session, event: Event) -> Result<Changes, OutOfTurn> {
        let (state, actions) = session::next(session.state, event)?;
        session.state = state;
        Ok(actions.iter().map(|&action| (action, self.perform(session, action))).collect())
    }

    fn perform(&mut self, session: &mut Session, action: Action) -> Vec<Step> {
        match action {
            Action::Program => self.write(session),
            Action::Classify => {
                session.classified = session.planned.iter().map(|(router, entry)| (*router, entry.key())).collect();
                self.write(session)
            }
            Action::Unclassify => self.erase(&std::mem::take(&mut session.classified)),
            Action::Unprogram => self.unprogram(session),
            Action::GiveBack => self.give_back(session),
            Action::Leave => {
                self.accounts[session.contract.index()].leave(session.rates());
                Vec::new()
            }
            // Whoever raised the event does this next: finding paths can fail, and ringing is not the domain's.
            Action::Take | Action::Invite => Vec::new(),
        }
    }

    fn write(&mut self, session: &mut Session) -> Vec<Step> {
        let planned = std::mem::take(&mut session.planned);
        let steps = plan::insert(&planned);
        for (router, entry) in planned {
            self.tables.put(router, entry);
        }
        steps
    }

    fn erase(&mut self, keys: &[(RouterId, EntryKey)]) -> Vec<Step> {
        for (router, key) in keys {
            self.tables.remove(*router, key);
        }
        plan::undo(keys)
    }
}

impl Session {
    fn id(&self) -> SessionId {
        session_id(self.number)
    }

    /// What each way is policed to.
    fn rates(&self) -> Rates {
        let rate = |way: usize| self.demands[way].map_or(BitRate(0), Demand::policed);
        Rates { from_caller: rate(0), from_callee: rate(1) }
    }

    fn terms(&self) -> Terms {
        let rates = self.rates();
        let legs = || self.legs.iter().flatten();
        Terms {
            session: self.number,
            class: self.class,
            policed: rates.from_caller.max(rates.from_callee),
            tunnels: legs().map(|leg| leg.tunnel.get()).collect(),
            labels: legs().map(|leg| leg.vpn_label.get()).collect(),
            cost: None,
        }
    }
}

fn session_id(number: SessionNumber) -> SessionId {
    // As wide as what it is made of.
    SessionId::new(number.0).unwrap_or(SessionId::MAX)
}
