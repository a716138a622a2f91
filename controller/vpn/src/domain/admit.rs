//! Lets sessions in.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::effects::Effects;
use super::examine;
use super::resources::Wish;
use super::session::{Session, claim};
use super::sessions::Mark;
use super::{Domain, Summary};
use crate::admission::Holder;
use crate::agreement::Preemption;
use crate::demand::Demand;
use crate::durable::Counted;
use crate::paths::NoPath;
use crate::request::{Cause, Refusal, SessionNumber, SessionRequest, Terms};
use crate::session::State;

/// A session that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Its number.
    pub session: SessionNumber,
    /// What it gets.
    pub terms: Terms,
    /// What is to be done before the callee rings: tunnels and the session itself. Its packets are told from others only when the
    /// callee has answered. A session that starts later has no steps.
    pub effects: Effects,
    /// Sessions that had to make room: their packets are told from others no more by the first of the steps, and they are to be settled.
    pub ousted: Vec<Summary>,
}

impl Domain {
    /// Lets a session in: contract, paths, bandwidth, numbers, plan.
    ///
    /// # Errors
    /// [`Refusal`] says why not; nothing changed.
    pub fn request(&mut self, request: SessionRequest, now: SystemTime) -> Result<Admission, Refusal> {
        self.calendar.advance(now);
        let wanted = examine::examine(&self.network, &request, now)?;
        let number = self.session_numbers.take().map_err(|none| Refusal::Unavailable(format!("sessions: {none}")))?;
        let border = match self.border(wanted.circuits) {
            Ok(border) => border,
            Err(refusal) => {
                self.session_numbers.give_back(number);
                return Err(refusal);
            }
        };
        let mut session = Session {
            number: SessionNumber(number),
            state: State::Requested,
            request,
            answer: None,
            contract: wanted.contract,
            class: wanted.class,
            priority: wanted.priority,
            circuits: wanted.circuits,
            interval: wanted.interval,
            legs: [None, None],
            left: Vec::new(),
            counted: [Counted::default(); 2],
            change: None,
            requested: now,
            established: None,
            ended: None,
            periods: Vec::new(),
            border,
        };
        let (mut effects, mut ousted) = (Effects::default(), Vec::new());
        if let Err(refusal) = self.admit(&mut session, wanted.demands, now, &mut effects, &mut ousted) {
            self.forget_border(&mut session);
            self.session_numbers.give_back(number);
            return Err(refusal);
        }
        if let Some(stop) = session.interval.stop() {
            self.stops.insert((stop, session.number));
        }
        let terms = self.terms_of(&session);
        let number = session.number;
        self.hand_back(session);
        self.tell_session(number, &mut effects);
        Ok(Admission { session: number, terms, effects, ousted })
    }

    fn admit(
        &mut self,
        session: &mut Session,
        demands: [Option<Demand>; 2],
        now: SystemTime,
        effects: &mut Effects,
        ousted: &mut Vec<Summary>,
    ) -> Result<(), Refusal> {
        self.claims.free(&session.classification_by_site(&self.network, demands), session.number, session.interval)?;
        let contract = self.network.contract(session.contract);
        let account = &mut self.accounts[session.contract.index()];
        account.advance(now);
        let rates = super::session::rates(demands);
        self.usages[session.contract.index()].allows(contract, rates, session.interval, now)?;
        account.enter(contract, rates, session.interval)?;
        session.state = State::Authorised;
        let taken = self.take(session, demands, now, effects, ousted);
        if taken.is_err() {
            self.accounts[session.contract.index()].leave(rates, session.interval);
            return taken;
        }
        session.state = State::Reserved;
        Ok(())
    }

    /// Finds a route for each way, takes bandwidth, and for what starts now the numbers, too: for both or for none.
    fn take(
        &mut self,
        session: &mut Session,
        demands: [Option<Demand>; 2],
        now: SystemTime,
        effects: &mut Effects,
        ousted: &mut Vec<Summary>,
    ) -> Result<(), Refusal> {
        let mut victims = Vec::new();
        let reserved = self.reserve(session, demands, &mut victims);
        let boarded = reserved.and_then(|()| {
            // Nothing of it was returned yet, so where it fails nobody needs to hear of it.
            let mut made = Effects::default();
            if session.interval.start() <= now {
                self.board(session, &mut made)?;
            }
            Ok(made)
        });
        let made = match boarded {
            Ok(made) => made,
            Err(refusal) => {
                self.give_back(session);
                session.legs = [None, None];
                self.reinstate(&victims);
                return Err(refusal);
            }
        };
        for victim in victims {
            if let Ok(release) = self.released(victim, Cause::Preempted, now) {
                effects.append(release.effects);
                ousted.push(release.summary);
            }
        }
        effects.append(made);
        let carries = self.carries(session);
        self.put(carries, effects);
        Ok(())
    }

    /// Takes bandwidth for every way; where the contract says so, that of less important sessions, whose bookings are cancelled then.
    fn reserve(&mut self, session: &mut Session, demands: [Option<Demand>; 2], victims: &mut Vec<SessionNumber>) -> Result<(), Refusal> {
        for (way, demand) in demands.into_iter().enumerate() {
            let Some(demand) = demand else { continue };
            let wish = self.wish(session, demand);
            let taken = self.take_way(session, way, wish).or_else(|why| self.take_from_others(session, way, wish, why, victims));
            taken.map_err(|why| self.no_route(session.circuits, way, &why))?;
        }
        Ok(())
    }

    /// Takes the room of less important sessions: on the cheapest way on which so much can be had, of the fewest that it takes.
    fn take_from_others(
        &mut self,
        session: &mut Session,
        way: usize,
        wish: Wish,
        why: NoPath,
        victims: &mut Vec<SessionNumber>,
    ) -> Result<(), NoPath> {
        let preemption = self.network.contract(session.contract).options.preemption;
        if preemption == Preemption::Never || !matches!(why, NoPath::Full(_)) {
            return Err(why);
        }
        // A way that is free without them, and then those among them that it takes.
        let candidates = self.yielding(session, way, wish);
        for &number in &candidates {
            self.suspend(number);
        }
        let route = self.route(session, way, wish, None);
        self.reinstate(&candidates);
        let asked = claim(wish.demand, &route?, wish.class, wish.interval);
        let candidates = candidates.iter().filter_map(|&number| self.sessions.get(number));
        let holders: Vec<_> = candidates
            .flat_map(|other| {
                let bookings = other.legs.iter().flatten().filter_map(|leg| leg.booking.as_ref());
                bookings.map(|booking| Holder { key: other.number, standing: other.standing(), booking })
            })
            .collect();
        let Some(mut out) = self.calendar.ousted(&asked, &holders) else { return Err(why) };
        out.sort_unstable();
        out.dedup();
        for &number in &out {
            self.suspend(number);
        }
        victims.extend(out);
        self.take_way(session, way, wish)
    }

    /// The sessions that may be ousted for another: those that hold room on a link that has not enough for it.
    fn yielding(&self, session: &Session, way: usize, wish: Wish) -> Vec<SessionNumber> {
        let yields = |other: &Session| {
            let options = &self.network.contract(other.contract).options;
            other.state.is_live() && options.yields(other.priority, session.priority)
        };
        let Ok(journey) = self.journey(session, way, wish, None) else { return Vec::new() };
        let topology = self.network.topology();
        let full = topology.links().filter(|&(id, link)| topology.in_service(id) && !journey.has_room(id, link, &self.calendar));
        let holders: BTreeSet<_> = full.flat_map(|(id, _)| self.sessions.marked(Mark::Link(id))).collect();
        holders.into_iter().filter(|&number| self.sessions.get(number).is_some_and(yields)).collect()
    }

    /// Takes a session's bandwidth, to be given back to it or not.
    fn suspend(&mut self, number: SessionNumber) {
        if let Some(mut session) = self.sessions.take(number) {
            self.give_back(&mut session);
            self.hand_back(session);
        }
    }

    /// Gives sessions their bandwidth again that was theirs a moment ago; nobody took it since.
    fn reinstate(&mut self, numbers: &[SessionNumber]) {
        for &number in numbers {
            let Some(mut session) = self.sessions.take(number) else { continue };
            let ways = if session.state.is_live() { 0..session.legs.len() } else { 0..0 };
            for way in ways {
                let claim = session.held_claim(way);
                if let (Some(leg), Some(claim)) = (session.legs[way].as_mut(), claim)
                    && leg.booking.is_none()
                {
                    leg.booking = self.calendar.restore(claim).ok();
                }
            }
            self.hand_back(session);
        }
    }
}
