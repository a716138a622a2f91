//! Moves sessions to other routes, make before break.

use std::collections::{BTreeMap, BTreeSet};

use svpn_contract::wire::TunnelId;

use super::Domain;
use super::effects::Effects;
use super::session::Session;
use super::sessions::Mark;
use crate::durable::TunnelOrigin;
use crate::network::RouterId;
use crate::plan::{Ground, Reroute, Route};
use crate::request::SessionNumber;

/// A way of a session that is to take another route; its bandwidth is reserved there.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) session: SessionNumber,
    pub(super) way: usize,
    pub(super) route: Route,
}

type TunnelKey = (RouterId, TunnelId);

impl Domain {
    /// Carries out moves. A tunnel all of whose sessions go one way is moved itself, with one change of its entry; else each session goes
    /// to another tunnel. Returns the sessions that could not be moved, for a router has no number left.
    pub(super) fn carry_out_moves(
        &mut self,
        moves: Vec<Move>,
        effects: &mut Effects,
        touched: &mut BTreeSet<SessionNumber>,
    ) -> Vec<SessionNumber> {
        let mut by_tunnel: BTreeMap<TunnelKey, Vec<Move>> = BTreeMap::new();
        for each in moves {
            let Some(leg) = self.sessions.get(each.session).and_then(|session| session.legs[each.way].as_ref()) else { continue };
            touched.insert(each.session);
            match leg.tunnel {
                _ if leg.route == each.route => {}
                // Nothing is programmed yet.
                None => self.take_route(each.session, each.way, each.route),
                Some(id) => by_tunnel.entry((leg.route.ingress(&self.network), id)).or_default().push(each),
            }
        }
        let mut stuck = Vec::new();
        for (tunnel, moves) in by_tunnel {
            let riders = self.riders(tunnel);
            if !self.move_tunnel(tunnel, &moves, &riders, effects, touched) {
                for each in moves {
                    let session = each.session;
                    if !self.move_session(each, effects) {
                        stuck.push(session);
                    }
                }
            }
        }
        stuck
    }

    /// Who rides a tunnel.
    fn riders(&self, (ingress, id): TunnelKey) -> Vec<(SessionNumber, usize)> {
        let sessions = self.sessions.marked(Mark::Tunnel(ingress, id)).filter_map(|number| self.sessions.get(number));
        let rides = |session: &Session, way: usize| {
            session.legs[way].as_ref().is_some_and(|leg| leg.tunnel == Some(id) && leg.route.ingress(&self.network) == ingress)
        };
        let ways = sessions.flat_map(|session| (0..session.legs.len()).map(move |way| (session, way)));
        ways.filter(|&(session, way)| rides(session, way)).map(|(session, way)| (session.number, way)).collect()
    }

    fn take_route(&mut self, number: SessionNumber, way: usize, route: Route) {
        let Some(mut session) = self.sessions.take(number) else { return };
        if let Some(leg) = session.legs[way].as_mut() {
            leg.route = route;
        }
        self.hand_back(session);
    }

    /// Moves a tunnel with all that ride it; false where they part, or where another tunnel has the route.
    fn move_tunnel(
        &mut self,
        (ingress, id): TunnelKey,
        moves: &[Move],
        riders: &[(SessionNumber, usize)],
        effects: &mut Effects,
        touched: &mut BTreeSet<SessionNumber>,
    ) -> bool {
        let Some(route) = moves.first().map(|first| first.route.clone()) else { return true };
        // What comes from a peer is put into the tunnel by an entry of each session.
        if !self.network.is_own(ingress) {
            return false;
        }
        let flows = |&&(number, way): &&(SessionNumber, usize)| self.sessions.get(number).is_some_and(|session| flows(session, way));
        let flowing = riders.iter().filter(flows).count();
        if moves.iter().any(|each| each.route != route) || flowing != moves.len() || !self.reroute_tunnel((ingress, id), &route, effects) {
            return false;
        }
        for &(number, way) in riders {
            self.take_route(number, way, route.clone());
            touched.insert(number);
        }
        true
    }

    fn reroute_tunnel(&mut self, (ingress, id): TunnelKey, route: &Route, effects: &mut Effects) -> bool {
        let Self { network, base, numbers, tunnels, .. } = self;
        let rerouted = tunnels.reroute(ingress, id, route, &mut Ground { network, base, numbers });
        let Ok(Some(Reroute { make, breaks })) = rerouted else { return false };
        self.put(make, effects);
        self.erase(&breaks, effects);
        self.tell_tunnel(ingress, id, effects);
        true
    }

    /// Moves one way of a session to another tunnel; false where a router has no number left.
    fn move_session(&mut self, each: Move, effects: &mut Effects) -> bool {
        let Some(mut session) = self.sessions.take(each.session) else { return true };
        let moved = self.move_way(&mut session, each.way, each.route, effects);
        self.hand_back(session);
        moved
    }

    fn move_way(&mut self, session: &mut Session, way: usize, route: Route, effects: &mut Effects) -> bool {
        let Some(leg) = session.legs[way].as_mut() else { return true };
        let (old_route, old) = (std::mem::replace(&mut leg.route, route), leg.tunnel.take());
        if self.board_way(session, way, effects).is_err() {
            if let Some(leg) = session.legs[way].as_mut() {
                (leg.route, leg.tunnel) = (old_route, old);
            }
            return false;
        }
        let carries = self.carries(session);
        self.put(carries, effects);
        if let Some(old) = old {
            self.leave_tunnel(old_route.ingress(&self.network), old, effects);
        }
        true
    }

    /// Moves the tunnels that were made in advance and that nobody rides, where what they take is out of service and there is another way.
    pub(super) fn move_idle_tunnels(&mut self, effects: &mut Effects) {
        let idle = self.tunnels.all().filter(|(_, _, tunnel)| tunnel.origin == TunnelOrigin::Premade && tunnel.sessions == 0);
        let broken = idle.filter(|(_, _, tunnel)| !tunnel.route.in_service(&self.network));
        let broken: Vec<_> = broken.map(|(ingress, id, tunnel)| (ingress, id, tunnel.route.clone())).collect();
        for (ingress, id, route) in broken {
            let egress = route.egress(&self.network);
            let Some(primary) = self.paths.alternatives(self.network.topology(), ingress, egress, 1).first().cloned() else { continue };
            self.reroute_tunnel((ingress, id), &Route { primary, ..route }, effects);
        }
    }
}

/// Whether packets may come that way.
fn flows(session: &Session, way: usize) -> bool {
    session.state.is_live() && session.legs[way].as_ref().is_some_and(|leg| leg.demand.is_some())
}
