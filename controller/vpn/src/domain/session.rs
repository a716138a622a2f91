//! A session as the domain keeps it.

use std::time::SystemTime;

use svpn_contract::wire::{Class, Label, SessionId, TunnelId};

use super::WAYS;
use crate::admission::{Booking, Claim, ClassSet, Interval, Standing};
use crate::agreement::Rates;
use crate::demand::Demand;
use crate::durable::{Counted, EndRecord, Period};
use crate::network::{Circuit, ContractId, Network};
use crate::plan::Route;
use crate::request::{Answer, BitRate, Mapping, SessionNumber, SessionRequest, Terms};
use crate::session::State;

/// A session that is not settled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) number: SessionNumber,
    pub(super) state: State,
    pub(super) request: SessionRequest,
    pub(super) answer: Option<Answer>,
    pub(super) contract: ContractId,
    pub(super) class: Class,
    pub(super) priority: u8,
    /// Caller's, callee's: places in [`Network::circuits`].
    pub(super) circuits: [usize; 2],
    pub(super) interval: Interval,
    pub(super) legs: [Option<Leg>; 2],
    /// Where ways began before an end moved, and what was carried from there is not counted yet.
    pub(super) left: Vec<Left>,
    /// What was carried from where ways do not begin any more, caller's first.
    pub(super) counted: [Counted; 2],
    /// What is proposed and not agreed yet.
    pub(super) change: Option<Change>,
    pub(super) requested: SystemTime,
    pub(super) established: Option<SystemTime>,
    pub(super) ended: Option<EndRecord>,
    pub(super) periods: Vec<Period>,
    /// Where one end is another provider's.
    pub(super) border: Option<Border>,
}

/// The labels by which a session crosses to another provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Border {
    /// What our border router knows the session's packets by that come from there.
    pub(super) label: Label,
    /// What the peer's border router knows ours by: once it has said so.
    pub(super) mapped: Option<Label>,
}

/// One way of a session through the network.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leg {
    /// What it needs; `None` when it is held: nothing flows, but its counters are there to be read.
    pub(super) demand: Option<Demand>,
    pub(super) route: Route,
    /// `None` when it is held or the session is over.
    pub(super) booking: Option<Booking>,
    /// `None` while nothing is programmed.
    pub(super) tunnel: Option<TunnelId>,
}

/// Where a way of a session began before its end moved. No packet comes to its entry any more; its counters are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) way: usize,
    /// A place in [`Network::circuits`].
    pub(super) circuit: usize,
    pub(super) tunnel: TunnelId,
    /// The VPN label it pushed.
    pub(super) label: Label,
}

/// A change in service that waits for the callee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) request: SessionRequest,
    /// Where its ends are then: places in [`Network::circuits`].
    pub(super) circuits: [usize; 2],
    pub(super) class: Class,
    pub(super) interval: Interval,
    /// What each way needs then, and the way it takes.
    pub(super) ways: [Option<(Demand, Route)>; 2],
}

impl Session {
    pub(super) fn id(&self) -> SessionId {
        id(self.number)
    }

    pub(super) fn demands(&self) -> [Option<Demand>; 2] {
        [0, 1].map(|way: usize| self.legs[way].as_ref().and_then(|leg| leg.demand))
    }

    /// What each way is policed to.
    pub(super) fn rates(&self) -> Rates {
        rates(self.demands())
    }

    /// What its contract's account has of it.
    pub(super) fn accounted(&self) -> (Rates, Interval) {
        match &self.change {
            None => (self.rates(), self.interval),
            Some(change) => (self.rates().max(change.rates()), self.interval.cover(change.interval)),
        }
    }

    pub(super) fn terms(&self, network: &Network, label: impl Fn(&Circuit) -> Label) -> Terms {
        let rates = self.rates();
        let flowing = |way: &usize| self.legs[*way].as_ref().is_some_and(|leg| leg.demand.is_some());
        let ways = || (0..WAYS.len()).filter(flowing);
        let tunnels = ways().filter_map(|way| self.legs[way].as_ref().and_then(|leg| leg.tunnel));
        Terms {
            session: self.number,
            class: self.class,
            policed: rates.from_caller.max(rates.from_callee),
            tunnels: tunnels.map(TunnelId::get).collect(),
            labels: ways().filter_map(|way| self.pushed(network, way, &label)).map(Label::get).collect(),
            cost: None,
            mapping: self.mapping(network),
        }
    }

    /// What a peer is to know of the session.
    fn mapping(&self, network: &Network) -> Option<Mapping> {
        let nni = self.circuits.iter().find_map(|&circuit| network.nni(network.circuits()[circuit].router))?;
        Some(Mapping { nni: nni.name.clone(), label: self.border?.label })
    }

    /// The VPN label that a way's packets have.
    fn pushed(&self, network: &Network, way: usize, label: impl Fn(&Circuit) -> Label) -> Option<Label> {
        let to = self.ends(network, way)[1];
        if network.is_own(to.router) { Some(label(to)) } else { self.border?.mapped }
    }

    /// The circuits where a way starts and ends.
    pub(super) fn ends<'a>(&self, network: &'a Network, way: usize) -> [&'a Circuit; 2] {
        ends(network, self.circuits, way)
    }

    /// Whether routers have anything of it.
    pub(super) fn is_programmed(&self) -> bool {
        self.legs.iter().flatten().any(|leg| leg.tunnel.is_some())
    }

    pub(super) fn standing(&self) -> Standing {
        Standing { priority: self.priority, since: self.requested }
    }

    /// What the calendar has to hold for a way as it is now, its change left aside.
    pub(super) fn claim(&self, way: usize) -> Option<Claim> {
        let leg = self.legs[way].as_ref()?;
        Some(claim(leg.demand?, &leg.route, self.class, self.interval))
    }

    /// What the calendar holds for a way: what it is now, and what it is to become where a change is proposed.
    pub(super) fn held_claim(&self, way: usize) -> Option<Claim> {
        let then = self.change.as_ref().and_then(|change| change.claim(way));
        match (self.claim(way), then) {
            (Some(now), Some(then)) => Some(now.cover(&then)),
            (now, then) => now.or(then),
        }
    }

    /// Notes that other terms hold from now on.
    pub(super) fn note_terms(&mut self, now: SystemTime) {
        let Rates { from_caller, from_callee } = self.rates();
        self.periods.push(Period { since: now, class: self.class.get(), from_caller, from_callee });
    }
}

impl Change {
    pub(super) fn rates(&self) -> Rates {
        rates([0, 1].map(|way: usize| self.ways[way].as_ref().map(|(demand, _)| *demand)))
    }

    pub(super) fn claim(&self, way: usize) -> Option<Claim> {
        let (demand, route) = self.ways[way].as_ref()?;
        Some(claim(*demand, route, self.class, self.interval))
    }
}

/// The circuits where a way between two starts and ends.
pub(super) fn ends(network: &Network, circuits: [usize; 2], way: usize) -> [&Circuit; 2] {
    [circuits[way], circuits[1 - way]].map(|circuit| &network.circuits()[circuit])
}

pub(super) fn id(number: SessionNumber) -> SessionId {
    // As wide as what it is made of.
    SessionId::new(number.0).unwrap_or(SessionId::MAX)
}

pub(super) fn rates(demands: [Option<Demand>; 2]) -> Rates {
    let [from_caller, from_callee] = demands.map(|demand| demand.map_or(BitRate(0), Demand::policed));
    Rates { from_caller, from_callee }
}

/// What a route takes of the links: all of it on each of its paths.
pub(super) fn claim(demand: Demand, route: &Route, class: Class, interval: Interval) -> Claim {
    let on = |path: &crate::topology::Path| {
        let rate = demand.on_link(route.encapsulation.bytes(path.links().len()));
        path.links().iter().map(move |&link| (link, rate)).collect::<Vec<_>>()
    };
    Claim::new(interval, ClassSet::from(class), route.paths().flat_map(on).collect())
}
