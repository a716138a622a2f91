//! What the domain has, as facts.

use svpn_contract::wire::{Label, TunnelId};

use super::Domain;
use super::session::{Left, Leg, Session};
use crate::durable::{
    BorderRecord, ChangeRecord, Fact, LeftRecord, LinkWay, RouteRecord, SessionRecord, TunnelHop, TunnelName, TunnelRecord, WayRecord,
};
use crate::network::RouterId;
use crate::plan::{Marks, Route, Tunnel};
use crate::topology::Path;

impl Domain {
    /// How those things are now of which these facts told.
    pub(super) fn tell_again(&self, facts: &[Fact]) -> Vec<Fact> {
        let router = |name: &str| self.network.routers().find(|(_, router)| router.name == name).map(|(id, _)| id);
        let tunnel = |name: &TunnelName| {
            let (ingress, id) = (router(&name.ingress)?, TunnelId::new(name.tunnel).ok()?);
            Some(Fact::Tunnel(self.tunnel_record(ingress, id, self.tunnels.get(ingress, id)?)))
        };
        let session = |number| Some(Fact::Session(Box::new(self.record(self.sessions.get(number)?))));
        let again = |fact: &Fact| match fact {
            Fact::Session(record) => session(record.number).unwrap_or(Fact::SessionGone(record.number)),
            Fact::SessionGone(number) => session(*number).unwrap_or(Fact::SessionGone(*number)),
            Fact::Tunnel(TunnelRecord { name, .. }) | Fact::TunnelGone(name) => tunnel(name).unwrap_or(Fact::TunnelGone(name.clone())),
            // Who tells of these does not give up before they are durable.
            other => other.clone(),
        };
        facts.iter().map(again).collect()
    }

    pub(super) fn record(&self, session: &Session) -> SessionRecord {
        let change = session.change.as_ref().map(|change| ChangeRecord {
            request: change.request.clone(),
            class: change.class.get(),
            start: change.interval.start(),
            stop: change.interval.stop(),
            ways: [0, 1].map(|way: usize| change.ways[way].as_ref().map(|(demand, route)| (*demand, self.route_record(route)))),
        });
        SessionRecord {
            number: session.number,
            state: session.state,
            request: session.request.clone(),
            answer: session.answer.clone(),
            contract: self.network.contract(session.contract).name.clone(),
            class: session.class.get(),
            priority: session.priority,
            start: session.interval.start(),
            stop: session.interval.stop(),
            ways: [0, 1].map(|way: usize| session.legs[way].as_ref().map(|leg| self.way_record(leg))),
            change,
            requested: session.requested,
            established: session.established,
            ended: session.ended,
            periods: session.periods.clone(),
            left: session.left.iter().map(|left| self.left_record(left)).collect(),
            counted: session.counted,
            border: session.border.map(|border| BorderRecord { label: border.label.get(), mapped: border.mapped.map(Label::get) }),
        }
    }

    fn left_record(&self, left: &Left) -> LeftRecord {
        let ce = self.network.circuits()[left.circuit].ce.clone();
        LeftRecord { way: left.way, ce, tunnel: left.tunnel.get(), label: left.label.get() }
    }

    fn way_record(&self, leg: &Leg) -> WayRecord {
        WayRecord { demand: leg.demand, route: self.route_record(&leg.route), tunnel: leg.tunnel.map(TunnelId::get) }
    }

    fn route_record(&self, route: &Route) -> RouteRecord {
        let links = |path: &Path| path.links().iter().map(|&id| LinkWay::of(&self.network, id)).collect();
        RouteRecord { tunnel: route.encapsulation, primary: links(&route.primary), backup: route.backup.as_ref().map(links) }
    }

    pub(super) fn tunnel_record(&self, ingress: RouterId, id: TunnelId, tunnel: &Tunnel) -> TunnelRecord {
        let (mut members, mut ends) = (Vec::new(), Vec::new());
        for (path, marks) in tunnel.marks() {
            match marks {
                Marks::Lsp(labels) => members.push(self.hops(path, labels)),
                Marks::Gre(gre) => {
                    members.push(self.hops(path, &[]));
                    ends.push(gre.end());
                }
            }
        }
        let name = self.tunnel_name(ingress, id);
        TunnelRecord { name, tunnel: tunnel.route.encapsulation, members, ends, origin: tunnel.origin }
    }

    fn hops(&self, path: &Path, labels: &[(RouterId, Label)]) -> Vec<TunnelHop> {
        let unlabelled = path.links().len() - labels.len();
        let labels = std::iter::repeat_n(None, unlabelled).chain(labels.iter().map(|(_, label)| Some(label.get())));
        let over = path.links().iter().map(|&id| LinkWay::of(&self.network, id));
        over.zip(labels).map(|(over, label)| TunnelHop { over, label }).collect()
    }
}
