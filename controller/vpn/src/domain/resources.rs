//! What a session takes of the network, and how it gives it back.

use svpn_contract::wire::Class;
use svpn_contract::{Entry, SessionKey};

use super::Domain;
use super::effects::Effects;
use super::session::{Leg, Session, claim, ends};
use crate::admission::{Claim, ClassSet, Denial, Interval};
use crate::agreement::Protection;
use crate::demand::Demand;
use crate::durable::Fact;
use crate::network::{Circuit, Network, RouterId};
use crate::paths::{Journey, NoPath};
use crate::plan::{self, Ground, Planned, Route};
use crate::request::Refusal;

/// What a way is asked to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Where it begins and ends: the caller's, the callee's.
    pub(super) circuits: [usize; 2],
    pub(super) demand: Demand,
    pub(super) class: Class,
    pub(super) interval: Interval,
    pub(super) protection: Protection,
}

impl Domain {
    /// What a way of a session asks of the network.
    pub(super) fn wish(&self, session: &Session, demand: Demand) -> Wish {
        let protection = self.network.contract(session.contract).options.protection;
        Wish { circuits: session.circuits, demand, class: session.class, interval: session.interval, protection }
    }

    pub(super) fn journey<'h>(&self, session: &Session, way: usize, wish: Wish, held: Option<&'h Claim>) -> Result<Journey<'h>, NoPath> {
        let [from, to] = ends(&self.network, wish.circuits, way);
        let encapsulation = self.network.encapsulation(session.request.tunnel, from.router, to.router).ok_or(NoPath::NoAddresses)?;
        Ok(Journey {
            from: from.router,
            to: to.router,
            demand: wish.demand,
            encapsulation,
            packet: from.mtu.min(to.mtu),
            classes: ClassSet::from(wish.class),
            constraint: self.network.contract(session.contract).constraint,
            interval: wish.interval,
            held,
        })
    }

    /// The route a way can take, beside what it holds.
    pub(super) fn route(&mut self, session: &Session, way: usize, wish: Wish, held: Option<&Claim>) -> Result<Route, NoPath> {
        let journey = self.journey(session, way, wish, held)?;
        let Self { network, calendar, paths, .. } = self;
        let encapsulation = journey.encapsulation;
        Ok(match wish.protection {
            Protection::None => Route { encapsulation, primary: paths.find(network.topology(), calendar, &journey)?, backup: None },
            Protection::Disjoint => {
                let [primary, backup] = paths.find_pair(network.topology(), calendar, &journey)?;
                Route { encapsulation, primary, backup: Some(backup) }
            }
        })
    }

    /// Why there is no route, as a person can act on it.
    pub(super) fn no_route(&self, circuits: [usize; 2], way: usize, why: &NoPath) -> Refusal {
        refusal(&self.network, ends(&self.network, circuits, way), why)
    }

    /// Finds a route for a way and takes its bandwidth.
    pub(super) fn take_way(&mut self, session: &mut Session, way: usize, wish: Wish) -> Result<(), NoPath> {
        let route = self.route(session, way, wish, None)?;
        let booking = self.calendar.reserve(claim(wish.demand, &route, wish.class, wish.interval))?;
        session.legs[way] = Some(Leg { demand: Some(wish.demand), route, booking: Some(booking), tunnel: None });
        Ok(())
    }

    /// As [`Domain::take_way`]; where a protected way finds no two paths, one is better than none.
    pub(super) fn take_way_anyhow(&mut self, session: &mut Session, way: usize, wish: Wish) -> Result<(), NoPath> {
        match self.take_way(session, way, wish) {
            Err(_) if wish.protection == Protection::Disjoint => self.take_way(session, way, Wish { protection: Protection::None, ..wish }),
            taken => taken,
        }
    }

    /// Gives bandwidth back.
    pub(super) fn give_back(&mut self, session: &mut Session) {
        for booking in session.legs.iter_mut().flatten().filter_map(|leg| leg.booking.take()) {
            self.calendar.cancel(booking);
        }
    }

    /// Has every way ride the tunnel of its route: all of them or none. What it takes to make the tunnels is in the effects.
    pub(super) fn board(&mut self, session: &mut Session, effects: &mut Effects) -> Result<(), Refusal> {
        for way in 0..session.legs.len() {
            // What is only held for a change boards when that is agreed on, perhaps from elsewhere.
            let flows = session.legs[way].as_ref().is_some_and(|leg| leg.demand.is_some());
            if flows && let Err(refusal) = self.board_way(session, way, effects) {
                self.alight(session, effects);
                return Err(refusal);
            }
        }
        Ok(())
    }

    pub(super) fn board_way(&mut self, session: &mut Session, way: usize, effects: &mut Effects) -> Result<(), Refusal> {
        let Some(leg) = session.legs[way].as_mut().filter(|leg| leg.tunnel.is_none()) else { return Ok(()) };
        let Self { network, base, numbers, tunnels, .. } = self;
        let entered = tunnels.enter(&leg.route, &mut Ground { network, base, numbers });
        let (id, planned) =
            entered.map_err(|none| Refusal::Unavailable(format!("router {} has {none}", network.router(none.router).name)))?;
        leg.tunnel = Some(id);
        let ingress = leg.route.ingress(network);
        if let Some(planned) = planned {
            self.put(planned, effects);
            self.tell_tunnel(ingress, id, effects);
        }
        Ok(())
    }

    /// Leaves the tunnels; those that nobody rides any more go.
    pub(super) fn alight(&mut self, session: &mut Session, effects: &mut Effects) {
        for way in (0..session.legs.len()).rev() {
            self.alight_way(session, way, effects);
        }
    }

    pub(super) fn alight_way(&mut self, session: &mut Session, way: usize, effects: &mut Effects) {
        let Some(leg) = session.legs[way].as_mut() else { return };
        if let Some(id) = leg.tunnel.take() {
            let ingress = leg.route.ingress(&self.network);
            self.leave_tunnel(ingress, id, effects);
        }
    }

    pub(super) fn leave_tunnel(&mut self, ingress: RouterId, id: svpn_contract::wire::TunnelId, effects: &mut Effects) {
        let Self { network, base, numbers, tunnels, .. } = self;
        let gone = tunnels.leave(ingress, id, &mut Ground { network, base, numbers });
        if let Some(gone) = gone {
            self.erase(&gone, effects);
            effects.tell(Fact::TunnelGone(self.tunnel_name(ingress, id)));
        }
    }

    /// The entries that carry a session's packets from the ingress PE of each way, or from the border router by which they come in.
    pub(super) fn carries(&self, session: &Session) -> Planned {
        let left = session.left.iter().map(|left| self.carry_left(session, left));
        (0..session.legs.len()).filter_map(|way| self.carry(session, way)).chain(left).collect()
    }

    pub(super) fn carry(&self, session: &Session, way: usize) -> Option<(RouterId, Entry)> {
        let leg = session.legs[way].as_ref()?;
        let [from, to] = session.ends(&self.network, way);
        if !self.network.is_own(from.router) {
            return self.arrival(session, way);
        }
        // What crosses to a peer has the label that the peer has mapped; until then it cannot be carried.
        let label = if self.network.is_own(to.router) { self.base.vpn_label(to) } else { session.border?.mapped? };
        // A way that is held keeps its entry for its counters' sake; nothing comes to it.
        let (demand, tunnel) = (leg.demand.unwrap_or(Demand::LEAST), leg.tunnel?);
        let policer = demand.policer(from.mtu, from.tags());
        Some((from.router, plan::carry(session.id(), tunnel, label, session.class, policer)))
    }

    /// Takes a session's entries, and those of the tunnels nobody rides any more, out of the routers.
    pub(super) fn unprogram(&mut self, session: &mut Session, effects: &mut Effects) {
        for way in (0..session.legs.len()).rev() {
            self.unprogram_way(session, way, effects);
        }
        for left in std::mem::take(&mut session.left) {
            self.clear(session.id(), &left, effects);
        }
    }

    pub(super) fn unprogram_way(&mut self, session: &mut Session, way: usize, effects: &mut Effects) {
        if session.legs[way].as_ref().is_some_and(|leg| leg.tunnel.is_some()) {
            let [from, _] = session.ends(&self.network, way);
            let key = (from.router, SessionKey { session: session.id() }.into());
            let key = self.arrival_key(session, way).unwrap_or(key);
            self.erase(&[key], effects);
            self.alight_way(session, way, effects);
        }
    }
}

/// Why there is no GRE between two routers.
pub(super) fn no_addresses(network: &Network, ends: [RouterId; 2]) -> Refusal {
    let bare = ends.into_iter().map(|router| network.router(router)).find(|router| router.gre.is_empty());
    let [from, to] = ends.map(|router| &network.router(router).name);
    Refusal::NotAcceptable(bare.map_or_else(
        || format!("tunnel=gre is not possible: routers {from} and {to} have addresses for it of different families: ask for tunnel=mpls"),
        |router| format!("tunnel=gre is not possible: router {} has no addresses for it: ask for tunnel=mpls", router.name),
    ))
}

fn refusal(network: &Network, [from, to]: [&Circuit; 2], why: &NoPath) -> Refusal {
    let packet = from.mtu.min(to.mtu);
    let [from, to] = [from.router, to.router];
    let names = [from, to].map(|router| network.router(router).name.clone());
    match (why, names) {
        (NoPath::NoAddresses, _) => no_addresses(network, [from, to]),
        (NoPath::TooNarrow { bytes }, [from, to]) => Refusal::NotAcceptable(format!(
            "no path from {from} to {to} takes packets of {bytes} bytes, the {packet} of the attachments and what is put before them"
        )),
        (NoPath::Full(Denial { link, fits, asked, interval, next_start, .. }), _) => Refusal::NoBandwidth {
            link: network.topology().link(*link).name.clone(),
            asked: *asked,
            fits: *fits,
            full: (interval.start(), interval.stop()),
            next_start: *next_start,
        },
        (other, [from, to]) => Refusal::NoPath { from, to, why: other.to_string() },
    }
}
