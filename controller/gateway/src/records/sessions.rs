//! Views of the sessions and tunnels that are kept.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};
use svpn_sip::sessions as sip;
use svpn_store::{Kept, Timestamp};
use svpn_vpn::durable::{Fact, LinkWay, SessionRecord, TunnelRecord, WayRecord};
use svpn_vpn::request::{ApplicationId, CeName, SessionNumber};

use crate::config::Config;

/// The ways of a session, as they are called in charge records, too.
const WAYS: [&str; 2] = ["from_caller", "from_callee"];

/// What is kept, sorted.
pub(super) struct Held<'a> {
    config: &'a Config,
    sessions: Vec<&'a SessionRecord>,
    tunnels: Vec<&'a TunnelRecord>,
    /// Links that carry nothing.
    closed: BTreeSet<&'a str>,
    dialogs: HashMap<SessionNumber, &'a str>,
    registrations: &'a [(ApplicationId, String)],
}

impl<'a> Held<'a> {
    pub(super) fn new(config: &'a Config, kept: &'a Kept) -> Self {
        let mut held = Self {
            config,
            sessions: Vec::new(),
            tunnels: Vec::new(),
            closed: BTreeSet::new(),
            dialogs: kept.dialogs.iter().map(|(session, body)| (*session, body.as_str())).collect(),
            registrations: &kept.registrations,
        };
        for fact in &kept.facts {
            match fact {
                Fact::Session(record) => held.sessions.push(record),
                Fact::Tunnel(record) => held.tunnels.push(record),
                Fact::Link(record) if record.failed || record.drained => _ = held.closed.insert(&record.link),
                _ => {}
            }
        }
        held
    }

    fn ways(&self) -> impl Iterator<Item = (&'a SessionRecord, &'static str, &'a WayRecord)> {
        self.sessions
            .iter()
            .flat_map(|session| WAYS.into_iter().zip(&session.ways).filter_map(|(name, way)| Some((*session, name, way.as_ref()?))))
    }

    pub(super) fn session_tunnels(&self) -> Vec<Value> {
        let of = |(session, name, way): (&SessionRecord, &str, &WayRecord)| {
            json!({
                "session": session.number,
                "call_id": self.ends(session).map(|[caller, _]| caller.call_id),
                "way": name,
                "ingress": way.route.primary.first().map(|first| &first.from),
                "tunnel": way.tunnel,
                "type": way.route.tunnel,
                "links": links(&way.route.primary),
                "backup": way.route.backup.as_deref().map(links),
            })
        };
        self.ways().map(of).collect()
    }

    pub(super) fn status(&self) -> Vec<Value> {
        let session = |session: &&SessionRecord| {
            json!({
                "session": session.number,
                "state": session.state,
                "requested": Timestamp::new(session.requested),
                "start": Timestamp::new(session.start),
                "established": session.established.map(Timestamp::new),
                "stop": session.stop.map(Timestamp::new),
                "change_proposed": session.change.is_some(),
            })
        };
        let tunnel = |tunnel: &&TunnelRecord| {
            let works = |member: &&Vec<_>| !member.iter().any(|hop: &svpn_vpn::durable::TunnelHop| self.closed.contains(&*hop.over.link));
            json!({
                "ingress": tunnel.name.ingress,
                "tunnel": tunnel.name.tunnel,
                "ways": tunnel.members.len(),
                "ways_that_work": tunnel.members.iter().filter(works).count(),
                "sessions": self.riders(tunnel).len(),
                "origin": tunnel.origin,
            })
        };
        self.sessions.iter().map(session).chain(self.tunnels.iter().map(tunnel)).collect()
    }

    pub(super) fn tunnel_sessions(&self) -> Vec<Value> {
        let of = |tunnel: &&TunnelRecord| {
            let members: Vec<Vec<&str>> = tunnel.members.iter().map(|hops| hops.iter().map(|hop| &*hop.over.link).collect()).collect();
            json!({
                "ingress": tunnel.name.ingress,
                "tunnel": tunnel.name.tunnel,
                "type": tunnel.tunnel,
                "members": members,
                "sessions": self.riders(tunnel),
            })
        };
        self.tunnels.iter().map(of).collect()
    }

    fn riders(&self, tunnel: &TunnelRecord) -> Vec<SessionNumber> {
        let rides = |way: &WayRecord| {
            let ingress = way.route.primary.first().map(|first| &first.from);
            ingress == Some(&tunnel.name.ingress) && way.tunnel == Some(tunnel.name.tunnel)
        };
        self.ways().filter(|(_, _, way)| rides(way)).map(|(session, _, _)| session.number).collect()
    }

    pub(super) fn qos(&self) -> Vec<Value> {
        let of = |(session, name, way): (&SessionRecord, &str, &WayRecord)| {
            let asked: Vec<_> = session.request.media.iter().map(|medium| (medium.direction, medium.bandwidth)).collect();
            json!({
                "session": session.number,
                "way": name,
                "asked": { "media": asked, "class": session.request.class.map(svpn_vpn::request::Class::get), "priority": session.request.priority },
                // The TC of every label is the class, unless `marking` says otherwise, which the gateway never does.
                "granted": { "class": session.class, "tc": session.class, "priority": session.priority, "policed": way.demand },
            })
        };
        self.ways().map(of).collect()
    }

    pub(super) fn addresses(&self) -> Vec<Value> {
        let of = |session: &&SessionRecord| {
            let request = &session.request;
            let answered = session.answer.iter().flat_map(|answer| answer.media.iter().copied()).chain(std::iter::repeat(None));
            let media = request.media.iter().zip(answered);
            let media = media.map(|(medium, callee)| json!({ "transport": medium.transport, "caller": medium.caller, "callee": callee }));
            json!({
                "session": session.number,
                "match": request.matching,
                "media": media.collect::<Vec<_>>(),
                "caller": self.place(&request.caller, &request.caller_ce),
                "callee": self.place(&request.callee, &request.callee_ce),
            })
        };
        self.sessions.iter().map(of).collect()
    }

    /// Where an end of a session is in the network.
    fn place(&self, application: &ApplicationId, ce: &CeName) -> Value {
        let network = &self.config.network;
        let circuit = network.circuit(ce, &application.vpn).map(|index| &network.circuits()[index]);
        json!({
            "application": application.to_string(),
            "ce": ce,
            "router": circuit.map(|circuit| &network.router(circuit.router).name),
            "port": circuit.map(|circuit| circuit.port.get()),
            "vlan": circuit.map(|circuit| circuit.vlan.get()),
            "inner_vlan": circuit.map(|circuit| circuit.inner_vlan.get()),
            "vrf": circuit.map(|circuit| circuit.vrf.get()),
            "prefixes": circuit.map(|circuit| circuit.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>()),
        })
    }

    pub(super) fn control(&self) -> Vec<Value> {
        let of = |session: &&SessionRecord| {
            let ends = self.ends(session);
            json!({
                "session": session.number,
                "caller": ends.as_ref().map(|[caller, _]| caller),
                "callee": ends.as_ref().map(|[_, callee]| callee),
                "routers": self.routers(session),
            })
        };
        self.sessions.iter().map(of).collect()
    }

    pub(super) fn registrations(&self) -> Vec<Value> {
        let of = |(application, body): &(ApplicationId, String)| {
            let contacts: Value = serde_json::from_str(body).unwrap_or_default();
            json!({ "application": application.to_string(), "contacts": contacts })
        };
        self.registrations.iter().map(of).collect()
    }

    fn ends(&self, session: &SessionRecord) -> Option<[sip::KeptEnd; 2]> {
        let body = self.dialogs.get(&session.number)?;
        sip::Kept((*body).to_owned()).ends().ok()
    }

    /// The routers on the ways of a session, with what controls them.
    fn routers(&self, session: &SessionRecord) -> Vec<Value> {
        let topology = self.config.network.topology();
        let ways = session.ways.iter().flatten().flat_map(|way| way.route.primary.iter().chain(way.route.backup.iter().flatten()));
        let ends = ways.filter_map(|link| topology.link_named(&link.link)).flat_map(svpn_vpn::topology::LinkId::directions);
        let names: BTreeSet<&str> = ends.map(|link| self.config.network.router(topology.link(link).from).name.as_str()).collect();
        let known = self.config.routers.iter().filter(|router| names.contains(router.name.as_str()));
        known
            .map(|router| json!({ "name": router.name, "device_id": router.device, "p4runtime": router.endpoint.uri().to_string() }))
            .collect()
    }
}

fn links(route: &[LinkWay]) -> Vec<&str> {
    route.iter().map(|way| way.link.as_str()).collect()
}
