//! Links and routers that fail, are repaired, drained, or have another capacity.
//!
//! A protected session whose one path fails goes on with the other, at once. Whatever else rides what is gone or too small now takes
//! another way, the most important and oldest first; what finds none is released. Then second paths are sought for those that lost
//! one. A booked session whose path fails takes another as soon as there is one. Until then it keeps what it has, for what failed may be
//! repaired in time: a link that is down for a moment is no reason to break a promise for next month. What has no way when its time comes
//! is released then.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::SystemTime;

use super::effects::Effects;
use super::reroute::Move;
use super::resources::Wish;
use super::session::{Leg, Session, claim};
use super::sessions::Mark;
use super::{Domain, Summary};
use crate::admission::Holder;
use crate::agreement::Protection;
use crate::durable::{Fact, LinkRecord};
use crate::network::RouterId;
use crate::plan::Route;
use crate::request::{BitRate, Cause, SessionNumber};
use crate::session::State;
use crate::topology::{Administration, DirectedLinkId, LinkId, LinkState, Operation};

/// What became of the sessions when the network changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rerouted {
    /// What is to be done.
    pub effects: Effects,
    /// Those that take another way now, or one of two.
    pub moved: Vec<SessionNumber>,
    /// Those that were to be protected and have one path only.
    pub unprotected: Vec<SessionNumber>,
    /// Booked ones that have no way at present.
    pub waiting: Vec<SessionNumber>,
    /// Those whose proposed change is withdrawn.
    pub withdrawn: Vec<SessionNumber>,
    /// Those that fit nowhere: no packet is theirs any more, and they are to be settled.
    pub ended: Vec<Summary>,
}

type WayOf = (SessionNumber, usize);

impl Domain {
    /// A link has another state from now on.
    ///
    /// # Panics
    /// If the link belongs to another network.
    pub fn link_changed(&mut self, link: LinkId, state: LinkState, now: SystemTime) -> Rerouted {
        self.network.topology.set_state(link, state);
        let fact = Fact::Link(self.link_record(link));
        let mut rerouted = self.follow(&link.directions().into(), now);
        rerouted.effects.facts.insert(0, fact);
        rerouted
    }

    /// A router fails or is back, and with it all its links. Sessions that begin or end there are left alone: there is no other way for
    /// them, and they go on when it is back.
    ///
    /// # Panics
    /// If the router belongs to another network.
    pub fn router_changed(&mut self, router: RouterId, operation: Operation, now: SystemTime) -> Rerouted {
        self.network.topology.set_router(router, operation);
        let name = self.network.router(router).name.clone();
        let touched = self.network.topology().links().filter(|(_, link)| link.from == router || link.to == router).map(|(id, _)| id);
        let touched = touched.collect();
        let mut rerouted = self.follow(&touched, now);
        let fact = if operation == Operation::Up { Fact::RouterUp(name) } else { Fact::RouterDown(name) };
        rerouted.effects.facts.insert(0, fact);
        rerouted
    }

    pub(super) fn link_record(&self, link: LinkId) -> LinkRecord {
        let topology = self.network.topology();
        let (state, configured) = (topology.state(link), topology.link(link.directions()[0]));
        LinkRecord {
            link: configured.name.clone(),
            failed: state.operation == Operation::Down,
            drained: state.administration == Administration::Drained,
            capacity: (state.capacity != configured.capacity).then_some(state.capacity),
        }
    }

    /// Does what the state of some links asks for.
    pub(super) fn follow(&mut self, links: &BTreeSet<DirectedLinkId>, now: SystemTime) -> Rerouted {
        self.calendar.advance(now);
        self.calendar.follow(self.network.topology());
        let mut rerouted = Rerouted::default();
        let mut touched = BTreeSet::new();
        let affected = self.affected(links, &mut rerouted);
        touched.extend(rerouted.withdrawn.iter().copied());
        let mut displaced = self.displaced(&affected);
        // The most important first.
        displaced.reverse();
        let (fallen_back, homeless) = self.fall_back(displaced);
        let second_ways: Vec<_> = fallen_back.iter().map(|each| (each.session, each.way)).collect();
        let Rerouted { effects, .. } = &mut rerouted;
        let mut stuck = self.carry_out_moves(fallen_back, effects, &mut touched);
        for &(number, way) in &homeless {
            self.vacate(number, way);
        }
        let homeless = self.with_those_still_displaced(homeless, &second_ways);
        let mut moves = self.place(homeless, &mut stuck);
        self.end_lost(stuck, now, &mut rerouted);
        moves.retain(|each| self.is_live(each.session));
        let stuck = self.carry_out_moves(moves, &mut rerouted.effects, &mut touched);
        self.end_lost(stuck, now, &mut rerouted);
        let moves = self.protect_again();
        // Where there is no number left for a second path, the first goes on.
        let unmoved = self.carry_out_moves(moves, &mut rerouted.effects, &mut touched);
        for number in unmoved {
            self.keep_what_it_rides(number);
        }
        let (moves, waiting) = self.seek_again();
        // Nothing of them is programmed, so no number is wanting.
        self.carry_out_moves(moves, &mut rerouted.effects, &mut touched);
        rerouted.waiting = waiting;
        self.move_idle_tunnels(&mut rerouted.effects);
        rerouted.unprotected = self.unprotected();
        for &number in &touched {
            // Those that are over go with the tunnel they ride.
            self.tell_session(number, &mut rerouted.effects);
            if self.is_live(number) {
                rerouted.moved.push(number);
            }
        }
        rerouted
    }

    fn is_live(&self, number: SessionNumber) -> bool {
        self.sessions.get(number).is_some_and(|session| session.state.is_live())
    }

    /// The ways that use any of these links and can do something about it. What was proposed for their sessions is withdrawn.
    fn affected(&mut self, links: &BTreeSet<DirectedLinkId>, rerouted: &mut Rerouted) -> Vec<WayOf> {
        let mut affected = Vec::new();
        let numbers: BTreeSet<_> = links.iter().flat_map(|&link| self.sessions.marked(Mark::Link(link))).collect();
        for number in numbers {
            let Some(mut session) = self.sessions.take(number) else { continue };
            let uses = |session: &Session, way: usize| {
                let booked = session.legs[way].as_ref().and_then(|leg| leg.booking.as_ref());
                booked.is_some_and(|booking| booking.claim().demands().iter().any(|(link, _)| links.contains(link)))
            };
            if session.state.is_live() && (uses(&session, 0) || uses(&session, 1)) {
                if session.change.is_some() {
                    self.drop_change(&mut session);
                    rerouted.withdrawn.push(number);
                }
                let ways = (0..session.legs.len()).filter(|&way| uses(&session, way));
                let ways = ways.filter(|&way| self.can_move(&session, way) || self.stands_in_the_way(&session, way, links));
                affected.extend(ways.map(|way| (number, way)));
            }
            self.hand_back(session);
        }
        affected
    }

    /// Whether anybody who could go elsewhere cannot stay.
    pub(super) fn anybody_displaced(&mut self) -> bool {
        let live = self.sessions.values().filter(|session| session.state.is_live());
        let ways =
            live.flat_map(|session| (0..session.legs.len()).filter(|&way| self.can_move(session, way)).map(|way| (session.number, way)));
        let ways: Vec<_> = ways.collect();
        !self.displaced(&ways).is_empty()
    }

    /// Whether it is of any use to make room for another way now: there is none to a router that is down, and what is booked can wait.
    fn can_move(&self, session: &Session, way: usize) -> bool {
        let Some(leg) = &session.legs[way] else { return false };
        self.ends_are_up(&leg.route) && (leg.tunnel.is_some() || leg.route.in_service(&self.network))
    }

    fn ends_are_up(&self, route: &Route) -> bool {
        let ends = [route.ingress(&self.network), route.egress(&self.network)];
        ends.iter().all(|&router| self.network.topology().router(router) == Operation::Up)
    }

    /// Whether what waits for a repair holds too much of a link that works: then it cannot wait any longer.
    fn stands_in_the_way(&self, session: &Session, way: usize, links: &BTreeSet<DirectedLinkId>) -> bool {
        let Some(booking) = session.legs[way].as_ref().and_then(|leg| leg.booking.as_ref()) else { return false };
        let claim = booking.claim();
        let mut working = claim.demands().iter().filter(|(link, _)| links.contains(link) && self.network.topology().in_service(*link));
        working.any(|(link, _)| self.calendar.room(*link, claim.classes(), claim.interval()) == BitRate(0))
    }

    /// Those without a way, and of those that use their second way alone now those for which it is too small; the most important first.
    fn with_those_still_displaced(&mut self, mut homeless: Vec<WayOf>, second_ways: &[WayOf]) -> Vec<WayOf> {
        for (number, way) in self.displaced(second_ways) {
            self.vacate(number, way);
            homeless.push((number, way));
        }
        homeless.sort_by_key(|(number, _)| Reverse(self.sessions.get(*number).map(Session::standing)));
        homeless
    }

    /// Of these, those that cannot stay where they are: those that give way first in front.
    fn displaced(&mut self, affected: &[WayOf]) -> Vec<WayOf> {
        let holders = affected.iter().filter_map(|&(number, way)| {
            let session = self.sessions.get(number)?;
            let booking = session.legs[way].as_ref()?.booking.as_ref()?;
            Some(Holder { key: (number, way), standing: session.standing(), booking })
        });
        let holders: Vec<_> = holders.collect();
        self.calendar.displaced(&holders)
    }

    /// Those of two paths of which one is left use it alone. Returns their moves, and the others.
    fn fall_back(&mut self, displaced: Vec<WayOf>) -> (Vec<Move>, Vec<WayOf>) {
        let (mut moves, mut others) = (Vec::new(), Vec::new());
        for (number, way) in displaced {
            let Some(mut session) = self.sessions.take(number) else { continue };
            match self.surviving(&session, way) {
                Some(route) => {
                    let demand = session.legs[way].as_ref().and_then(|leg| leg.demand);
                    let left = demand.map(|demand| claim(demand, &route, session.class, session.interval));
                    if let (Some(booking), Some(left)) = (session.legs[way].as_mut().and_then(|leg| leg.booking.as_mut()), left) {
                        self.calendar.keep(booking, &left);
                    }
                    moves.push(Move { session: number, way, route });
                }
                None => others.push((number, way)),
            }
            self.hand_back(session);
        }
        (moves, others)
    }

    /// The one path of two that is still in service.
    fn surviving(&self, session: &Session, way: usize) -> Option<Route> {
        let route = &session.legs[way].as_ref()?.route;
        let backup = route.backup.as_ref()?;
        let topology = self.network.topology();
        let primary = match (route.primary.in_service(topology), backup.in_service(topology)) {
            (true, false) => &route.primary,
            (false, true) => backup,
            _ => return None,
        };
        Some(Route { encapsulation: route.encapsulation, primary: primary.clone(), backup: None })
    }

    fn vacate(&mut self, number: SessionNumber, way: usize) {
        let Some(mut session) = self.sessions.take(number) else { return };
        if let Some(booking) = session.legs[way].as_mut().and_then(|leg| leg.booking.take()) {
            self.calendar.cancel(booking);
        }
        self.hand_back(session);
    }

    /// Finds room for those that have none, in this order; who finds none is lost.
    fn place(&mut self, homeless: Vec<WayOf>, lost: &mut Vec<SessionNumber>) -> Vec<Move> {
        let mut moves = Vec::new();
        for (number, way) in homeless {
            let Some(mut session) = self.sessions.take(number) else { continue };
            if !lost.contains(&number) {
                if let Some(route) = self.place_way(&mut session, way) {
                    moves.push(Move { session: number, way, route });
                } else {
                    // What its other way has is free for those that come after it.
                    self.give_back(&mut session);
                    lost.push(number);
                }
            }
            self.hand_back(session);
        }
        moves
    }

    fn place_way(&mut self, session: &mut Session, way: usize) -> Option<Route> {
        let wish = self.wish(session, session.legs[way].as_ref()?.demand?);
        let alone = Wish { protection: Protection::None, ..wish };
        let route = self.route(session, way, wish, None).or_else(|_| self.route(session, way, alone, None)).ok()?;
        let booking = self.calendar.reserve(claim(wish.demand, &route, wish.class, wish.interval)).ok()?;
        session.legs[way].as_mut()?.booking = Some(booking);
        Some(route)
    }

    fn end_lost(&mut self, lost: Vec<SessionNumber>, now: SystemTime, rerouted: &mut Rerouted) {
        for number in lost {
            if let Ok(release) = self.released(number, Cause::Network, now) {
                rerouted.effects.append(release.effects);
                rerouted.ended.push(release.summary);
            }
        }
    }

    /// Finds second paths for those that were to have one and have not, where there is room.
    fn protect_again(&mut self) -> Vec<Move> {
        let mut moves = Vec::new();
        let mut order: Vec<_> =
            self.unprotected().into_iter().filter_map(|number| Some((self.sessions.get(number)?.standing(), number))).collect();
        order.sort_unstable();
        for (_, number) in order.into_iter().rev() {
            let Some(mut session) = self.sessions.take(number) else { continue };
            for way in 0..session.legs.len() {
                if let Some(route) = self.protect_way(&mut session, way) {
                    moves.push(Move { session: number, way, route });
                }
            }
            self.hand_back(session);
        }
        moves
    }

    fn protect_way(&mut self, session: &mut Session, way: usize) -> Option<Route> {
        let leg = session.legs[way].as_ref().filter(|leg| leg.route.backup.is_none() && leg.booking.is_some())?;
        let wish = self.wish(session, leg.demand?);
        if session.change.is_some() || !self.can_move(session, way) {
            return None;
        }
        let held = session.claim(way)?;
        let route = self.route(session, way, wish, Some(&held)).ok()?;
        let booking = session.legs[way].as_mut()?.booking.as_mut()?;
        self.calendar.change(booking, claim(wish.demand, &route, wish.class, wish.interval)).ok()?;
        Some(route)
    }

    /// Finds other ways for booked sessions whose path is not in service, the most important first, beside what others have. Returns
    /// their moves, and those that find none.
    fn seek_again(&mut self) -> (Vec<Move>, Vec<SessionNumber>) {
        let topology = self.network.topology();
        let broken: Vec<_> = topology.links().map(|(id, _)| id).filter(|&id| !topology.in_service(id)).collect();
        let touched: BTreeSet<_> = broken.into_iter().flat_map(|id| self.sessions.marked(Mark::Link(id))).collect();
        let booked = touched.into_iter().filter_map(|number| self.sessions.get(number)).filter(|session| session.state == State::Booked);
        let mut order: Vec<_> = booked.map(|session| (session.standing(), session.number)).collect();
        order.sort_unstable();
        let (mut moves, mut waiting) = (Vec::new(), Vec::new());
        for (_, number) in order.into_iter().rev() {
            let Some(mut session) = self.sessions.take(number) else { continue };
            let broken = |leg: &Leg| leg.tunnel.is_none() && leg.booking.is_some() && !leg.route.in_service(&self.network);
            let ways: Vec<_> = (0..session.legs.len()).filter(|&way| session.legs[way].as_ref().is_some_and(broken)).collect();
            for way in ways {
                // What is held for a change that is proposed has a way already, which it takes when that is agreed on.
                let found = if session.change.is_none() { self.seek_way(&mut session, way) } else { None };
                match found {
                    Some(route) => moves.push(Move { session: number, way, route }),
                    None => waiting.push(number),
                }
            }
            self.hand_back(session);
        }
        waiting.dedup();
        (moves, waiting)
    }

    fn seek_way(&mut self, session: &mut Session, way: usize) -> Option<Route> {
        let leg = session.legs[way].as_ref().filter(|leg| self.ends_are_up(&leg.route))?;
        let wish = self.wish(session, leg.demand?);
        let alone = Wish { protection: Protection::None, ..wish };
        let held = session.claim(way)?;
        let route = self.route(session, way, wish, Some(&held)).or_else(|_| self.route(session, way, alone, Some(&held))).ok()?;
        let booking = session.legs[way].as_mut()?.booking.as_mut()?;
        self.calendar.change(booking, claim(wish.demand, &route, wish.class, wish.interval)).ok()?;
        Some(route)
    }

    /// The sessions that were to have two paths and have one.
    fn unprotected(&self) -> Vec<SessionNumber> {
        self.sessions.marked(Mark::Unprotected).collect()
    }

    /// Holds what a session rides and no more.
    fn keep_what_it_rides(&mut self, number: SessionNumber) {
        let Some(mut session) = self.sessions.take(number) else { return };
        for way in 0..session.legs.len() {
            let claim = session.claim(way);
            if let (Some(booking), Some(claim)) = (session.legs[way].as_mut().and_then(|leg| leg.booking.as_mut()), claim) {
                self.calendar.keep(booking, &claim);
            }
        }
        self.hand_back(session);
    }
}
