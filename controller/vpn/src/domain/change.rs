//! Changes in service: more or less bandwidth, another end, other media, another class, without a packet lost.
//!
//! A change is proposed, which reserves what either the old or the new terms need; then the callee is asked; then it is confirmed or
//! withdrawn. Where the path has no room for more, another is taken, make before break.

use std::collections::BTreeSet;
use std::time::SystemTime;

use svpn_contract::wire::{Class, TunnelId};

use super::answer::{accepted, classification};
use super::effects::{Effects, keys};
use super::examine::{self, demands, offered};
use super::mobility::leads;
use super::resources::Wish;
use super::session::{Change, Leg, Session, claim, ends};
use super::{AnswerError, Answered, Domain, NotNow};
use crate::admission::Interval;
use crate::agreement;
use crate::demand::Demand;
use crate::paths::NoPath;
use crate::plan::{Ground, Planned, Route};
use crate::request::{Answer, CeName, Medium, Refusal, SessionNumber, SessionRequest, Terms, Window};
use crate::session::{Event, OutOfTurn, State};

/// What a session is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// All its media, as the new offer has them.
    pub media: Vec<Medium>,
    /// Its class; `None` = the one it has.
    pub class: Option<Class>,
    /// When it runs; the start of a session that runs already does not change.
    pub window: Window,
    /// Who has moved, where somebody has.
    pub mover: Option<Mover>,
}

/// An end that may be at another CE than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mover {
    /// The caller is at this CE now; its ends of the media say whether it takes the session there.
    Caller(CeName),
    /// The callee is at this CE now, and these are its ends of the media.
    Callee(CeName, Answer),
}

/// A change that is reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// What the session has when it is confirmed as it is.
    pub terms: Terms,
    /// Facts only.
    pub effects: Effects,
}

impl Domain {
    /// Reserves a change of a session that is established or booked. Until it is confirmed or withdrawn the old terms hold, and no other
    /// change can be proposed.
    ///
    /// # Errors
    /// [`AnswerError`]; nothing changed.
    pub fn propose(&mut self, session: SessionNumber, proposal: Proposal, now: SystemTime) -> Result<Proposed, AnswerError> {
        self.calendar.advance(now);
        let terms = self.with(session, |domain, session| {
            let change = domain.examine_change(session, proposal, now)?;
            domain.reserve_change(session, change)?;
            Ok::<_, AnswerError>(domain.proposed_terms(session))
        })?;
        let mut effects = Effects::default();
        self.tell_session(session, &mut effects);
        Ok(Proposed { terms, effects })
    }

    /// The callee agreed to the change: the new terms hold when the effects are carried out. A medium it refused gives its bandwidth back.
    ///
    /// # Errors
    /// [`AnswerError`]; nothing changed, the change is still proposed.
    pub fn confirm(&mut self, session: SessionNumber, answer: &Answer, now: SystemTime) -> Result<Answered, AnswerError> {
        self.calendar.advance(now);
        let mut effects = Effects::default();
        let terms = self.with(session, |domain, session| {
            let change = session.change.clone().ok_or(NotNow::NoProposal)?;
            domain.carry_out(session, &change, answer, now, &mut effects)?;
            Ok::<_, AnswerError>(domain.terms_of(session))
        })?;
        self.tell_session(session, &mut effects);
        Ok(Answered { terms, effects })
    }

    /// The change is off: the old terms go on.
    ///
    /// # Errors
    /// [`NotNow`]
    pub fn withdraw(&mut self, session: SessionNumber) -> Result<Effects, NotNow> {
        self.with(session, |domain, session| {
            if session.change.is_none() {
                return Err(NotNow::NoProposal);
            }
            domain.drop_change(session);
            Ok(())
        })?;
        let mut effects = Effects::default();
        self.tell_session(session, &mut effects);
        Ok(effects)
    }

    fn examine_change(&self, session: &Session, proposal: Proposal, now: SystemTime) -> Result<ChangeWanted, AnswerError> {
        let running = match session.state {
            State::Established => true,
            State::Booked => false,
            state => return Err(NotNow::OutOfTurn(OutOfTurn { state, event: Event::Agreed }).into()),
        };
        if session.change.is_some() {
            return Err(NotNow::Proposed.into());
        }
        let Proposal { media, class, window, mover } = proposal;
        let mut request = SessionRequest { media, window, ..session.request.clone() };
        let circuits = self.places(session, &mut request, mover)?;
        if class.is_some() {
            request.class = class;
        }
        let interval = if running {
            request.window.start = session.request.window.start;
            let passed = || Refusal::NotAcceptable("the session's stop time has passed".into());
            if window.stop.is_some_and(|stop| stop <= now) {
                return Err(passed().into());
            }
            Interval::new(session.interval.start(), window.stop).map_err(|_| passed())?
        } else {
            examine::interval(window, now)?
        };
        if request.media.is_empty() {
            return Err(Refusal::NotAcceptable("there is no medium in the offer".into()).into());
        }
        offered(&request.media, ends(&self.network, circuits, 0), request.matching)?;
        let contract = self.network.contract(session.contract);
        let class = agreement::class(contract, &request.caller.vpn, Some(class.unwrap_or(session.class)))?;
        if let Some(policy) = self.network.policy(&request.caller.vpn) {
            policy.allows(&request.caller.vpn, class, session.priority, request.matching)?;
        }
        agreement::hours(contract, interval)?;
        let demands = demands(&self.network, circuits, class, request.matching, &request.media.iter().collect::<Vec<_>>())?;
        self.uncounted(session, circuits, demands)?;
        Ok(ChangeWanted { request, circuits, class, interval, demands })
    }

    fn reserve_change(&mut self, session: &mut Session, wanted: ChangeWanted) -> Result<(), Refusal> {
        let ChangeWanted { request, circuits, class, interval, demands } = wanted;
        // What it has now it may well have for longer, too.
        let planned = session.classification(&self.network);
        self.claims.free(&planned, session.number, interval)?;
        let before = session.accounted();
        let after = (session.rates().max(super::session::rates(demands)), session.interval.cover(interval));
        let contract = self.network.contract(session.contract);
        self.accounts[session.contract.index()].change_terms(contract, before, after)?;
        let mut ways = [None, None];
        for (way, demand) in demands.into_iter().enumerate() {
            let Some(demand) = demand else { continue };
            let wish = Wish { circuits, class, interval, ..self.wish(session, demand) };
            match self.reserve_way(session, way, wish) {
                Ok(route) => ways[way] = Some((demand, route)),
                Err(refusal) => {
                    self.restore_bookings(session);
                    let account = &mut self.accounts[session.contract.index()];
                    account.leave(after.0, after.1);
                    account.restore(before.0, before.1);
                    return Err(refusal);
                }
            }
        }
        session.change = Some(Change { request, circuits, class, interval, ways });
        Ok(())
    }

    /// Reserves what a way needs before and after a change: on the path it has, or else on another.
    fn reserve_way(&mut self, session: &mut Session, way: usize, wish: Wish) -> Result<Route, Refusal> {
        let held = session.claim(way);
        if let (Some(held), Some(leg)) = (&held, session.legs[way].as_mut())
            && let Some(booking) = leg.booking.as_mut()
            && leg.route.in_service(&self.network)
            && leads(&leg.route, &self.network, wish.circuits, way)
        {
            let target = held.cover(&claim(wish.demand, &leg.route, wish.class, wish.interval));
            if self.calendar.change(booking, target).is_ok() {
                return Ok(leg.route.clone());
            }
        }
        let found = self.route(session, way, wish, held.as_ref());
        let route = found.map_err(|why| self.no_route(wish.circuits, way, &why))?;
        let then = claim(wish.demand, &route, wish.class, wish.interval);
        let booked = match (&held, session.legs[way].as_mut().and_then(|leg| leg.booking.as_mut())) {
            (Some(held), Some(booking)) => self.calendar.change(booking, held.cover(&then)),
            _ => self.calendar.reserve(then).map(|booking| {
                let leg = session.legs[way].get_or_insert_with(|| Leg { demand: None, route: route.clone(), booking: None, tunnel: None });
                leg.booking = Some(booking);
            }),
        };
        booked.map_err(|denial| self.no_route(wish.circuits, way, &NoPath::Full(denial)))?;
        Ok(route)
    }

    /// Holds for each way what it has now, and no more.
    fn restore_bookings(&mut self, session: &mut Session) {
        for way in 0..session.legs.len() {
            let claim = session.claim(way);
            let Some(leg) = session.legs[way].as_mut() else { continue };
            match (leg.booking.as_mut(), claim) {
                (Some(booking), Some(claim)) => self.calendar.keep(booking, &claim),
                (Some(_), None) => {
                    if let Some(booking) = leg.booking.take() {
                        self.calendar.cancel(booking);
                    }
                }
                (None, _) => {}
            }
            if leg.demand.is_none() && leg.tunnel.is_none() {
                session.legs[way] = None;
            }
        }
    }

    pub(super) fn drop_change(&mut self, session: &mut Session) {
        let before = session.accounted();
        session.change = None;
        self.restore_bookings(session);
        let after = session.accounted();
        let account = &mut self.accounts[session.contract.index()];
        account.leave(before.0, before.1);
        account.restore(after.0, after.1);
    }

    fn carry_out(
        &mut self,
        session: &mut Session,
        change: &Change,
        answer: &Answer,
        now: SystemTime,
        effects: &mut Effects,
    ) -> Result<(), AnswerError> {
        let accepted = accepted(&self.network, &change.request, change.circuits, answer)?;
        let media: Vec<_> = accepted.iter().map(|(medium, _)| medium).collect();
        let demands = demands(&self.network, change.circuits, change.class, change.request.matching, &media)?;
        let after = classification(&self.network, &change.request, change.circuits, session.number, &accepted, demands);
        self.claims.free(&after, session.number, change.interval)?;
        let unridden = self.enter_new_tunnels(session, change, demands, effects)?;
        // Nothing fails from here on.
        let before = session.classification(&self.network);
        self.claims.remove(&before, session.number);
        self.claims.add(&after, session.number, change.interval);
        self.reschedule(session, change.interval);
        let moved = (0..demands.len()).find(|&end| change.circuits[end] != session.circuits[end]);
        let (leave, behind) = self.left_by(session, change, demands, unridden, effects);
        self.take_over(session, change, demands, answer);
        if session.state == State::Established {
            if let Some(end) = moved {
                // What goes to who has moved is turned there when all else is ready.
                let begins = self.carry(session, end);
                self.put(begins.into_iter().chain(after.clone()), effects);
            }
            let carries = self.carries(session);
            self.put(carries, effects);
            let stays: BTreeSet<_> = keys(&after).into_iter().collect();
            self.put(after, effects);
            let gone: Planned = before.into_iter().filter(|(router, entry)| !stays.contains(&(*router, entry.key()))).collect();
            self.erase(&keys(&gone), effects);
            for (ingress, id) in leave {
                self.leave_tunnel(ingress, id, effects);
            }
            self.leave_behind(session, behind, effects);
            session.note_terms(now);
        }
        Ok(())
    }

    /// The session has what was agreed; what it needs no more it gives back.
    fn take_over(&mut self, session: &mut Session, change: &Change, demands: [Option<Demand>; 2], answer: &Answer) {
        let (rates, interval) = session.accounted();
        self.accounts[session.contract.index()].leave(rates, interval);
        session.change = None;
        session.request = change.request.clone();
        session.answer = Some(answer.clone());
        (session.class, session.interval, session.circuits) = (change.class, change.interval, change.circuits);
        for (way, demand) in demands.into_iter().enumerate() {
            if let Some(leg) = session.legs[way].as_mut() {
                leg.demand = demand;
                if let (Some((_, route)), Some(_)) = (&change.ways[way], demand) {
                    leg.route = route.clone();
                }
            }
        }
        self.restore_bookings(session);
        self.accounts[session.contract.index()].restore(session.rates(), session.interval);
    }

    /// Has the ways that are new or take another route ride its tunnel: all of them or none. Returns those that they do not ride any more.
    fn enter_new_tunnels(
        &mut self,
        session: &mut Session,
        change: &Change,
        demands: [Option<Demand>; 2],
        effects: &mut Effects,
    ) -> Result<Vec<(usize, TunnelId)>, Refusal> {
        if session.state != State::Established {
            return Ok(Vec::new());
        }
        let (mut made, mut entered) = (Effects::default(), Vec::new());
        for (way, demand) in demands.into_iter().enumerate() {
            let Some((_, route)) = change.ways[way].as_ref().filter(|_| demand.is_some()) else { continue };
            let stays = session.legs[way].as_ref().is_some_and(|leg| leg.tunnel.is_some() && leg.route == *route);
            if stays {
                continue;
            }
            let Self { network, base, numbers, tunnels, .. } = self;
            match tunnels.enter(route, &mut Ground { network, base, numbers }) {
                Ok((id, planned)) => {
                    let ingress = route.ingress(&self.network);
                    if let Some(planned) = planned {
                        self.put(planned, &mut made);
                        self.tell_tunnel(ingress, id, &mut made);
                    }
                    entered.push((way, ingress, id));
                }
                Err(none) => {
                    let why = format!("router {} has {none}", self.network.router(none.router).name);
                    // Nobody was told of it.
                    let mut undone = Effects::default();
                    for (_, ingress, id) in entered {
                        self.leave_tunnel(ingress, id, &mut undone);
                    }
                    return Err(Refusal::Unavailable(why));
                }
            }
        }
        effects.append(made);
        let mut unridden = Vec::new();
        for (way, _, id) in entered {
            if let Some(old) = session.legs[way].as_mut().and_then(|leg| leg.tunnel.replace(id)) {
                unridden.push((way, old));
            }
        }
        Ok(unridden)
    }

    /// A session starts and stops at other times.
    fn reschedule(&mut self, session: &Session, interval: Interval) {
        if let Some(stop) = session.interval.stop() {
            self.stops.remove(&(stop, session.number));
        }
        if let Some(stop) = interval.stop() {
            self.stops.insert((stop, session.number));
        }
        if self.starts.remove(&(session.interval.start(), session.number)) {
            self.starts.insert((interval.start(), session.number));
        }
    }

    fn proposed_terms(&self, session: &Session) -> Terms {
        let mut terms = self.terms_of(session);
        if let Some(change) = &session.change {
            let rates = change.rates();
            terms.class = change.class;
            terms.policed = rates.from_caller.max(rates.from_callee);
        }
        terms
    }
}

/// A change that makes sense.
struct ChangeWanted {
    request: SessionRequest,
    circuits: [usize; 2],
    class: Class,
    interval: Interval,
    demands: [Option<Demand>; 2],
}
