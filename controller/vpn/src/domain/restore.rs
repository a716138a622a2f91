//! The domain, made again of what was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use svpn_contract::wire::{Class, Label, TunnelId};

use super::border::border_router;
use super::claims::Claims;
use super::session::{Border, Change, Left, Leg, Session};
use super::sessions::Sessions;
use super::{Domain, Effects, Rerouted, Summary, WAYS};
use crate::admission::{Calendar, Interval};
use crate::agreement::{Account, Usage};
use crate::durable::{
    EndRecord, Fact, LeftRecord, LinkRecord, LinkWay, NumberRecord, RouteRecord, SessionRecord, TunnelHop, TunnelName, TunnelOrigin,
    TunnelRecord, UsageRecord, WayRecord,
};
use crate::encapsulation::Encapsulation;
use crate::ids::Pool;
use crate::network::{ContractId, InvalidNetwork, Item, Network, RouterId};
use crate::paths::Paths;
use crate::plan::{self, Base, Ends, Ground, Kept, Labels, Marks, Numbers, Route, Tables, Tunnel, Tunnels};
use crate::request::{Cause, CeName, SessionNumber, SessionRequest, VpnName};
use crate::session::State;
use crate::topology::{Administration, Operation, Path};

/// What was found when the domain was made again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Facts only: what is different from what was kept. The routers are brought to [`Domain::expected_entries`] anyway.
    pub effects: Effects,
    /// Sessions that were being set up: they are to be released.
    pub half_made: Vec<SessionNumber>,
    /// Sessions that were over and not settled: their counters are to be read and they are to be settled.
    pub releasing: Vec<Summary>,
    /// Sessions with a change that was proposed and not confirmed: it is to be withdrawn.
    pub changing: Vec<SessionNumber>,
    /// Sessions that cannot go on, for the configuration has changed: they are gone, and only their charge records are to be written.
    pub lost: Vec<Lost>,
    /// What became of sessions for which links have less than they had; among them those to be settled.
    pub rerouted: Rerouted,
}

/// A session that the configuration has no place for any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What it was; counted at those of its ingress routers that there are still.
    pub summary: Summary,
    /// Why.
    pub why: WhyLost,
}

/// Why a session was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhyLost {
    /// Something it needs is not configured any more.
    #[error("{0} is not configured any more")]
    Missing(Item),
    /// Its CE is attached elsewhere.
    #[error("{0} is attached to another router now")]
    Moved(Item),
    /// What was kept does not hang together.
    #[error("what was kept of it does not hang together: {0}")]
    Contradiction(&'static str),
}

/// Why the domain cannot be made again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The network has no numbers for what is configured.
    #[error(transparent)]
    Network(Box<InvalidNetwork>),
}

impl From<InvalidNetwork> for RestoreError {
    fn from(error: InvalidNetwork) -> Self {
        Self::Network(Box::new(error))
    }
}

/// Facts, the last of each thing.
#[derive(Debug, Default)]
struct Kind {
    sessions: BTreeMap<u32, SessionRecord>,
    tunnels: BTreeMap<TunnelName, TunnelRecord>,
    links: BTreeMap<String, LinkRecord>,
    routers: BTreeSet<String>,
    numbers: Kept,
    usages: BTreeMap<String, Usage>,
}

impl Kind {
    fn of(facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut kind = Self::default();
        for fact in facts {
            match fact {
                Fact::Session(record) => drop(kind.sessions.insert(record.number.0, *record)),
                Fact::SessionGone(number) => drop(kind.sessions.remove(&number.0)),
                Fact::Tunnel(record) => drop(kind.tunnels.insert(record.name.clone(), record)),
                Fact::TunnelGone(name) => drop(kind.tunnels.remove(&name)),
                Fact::Link(record) => drop(kind.links.insert(record.link.clone(), record)),
                Fact::RouterDown(router) => drop(kind.routers.insert(router)),
                Fact::RouterUp(router) => drop(kind.routers.remove(&router)),
                Fact::Number(record) => drop(kind.numbers.insert(record.holder, record.number)),
                Fact::NumberGone(holder) => drop(kind.numbers.remove(&holder)),
                Fact::Usage(UsageRecord { contract, month, bytes, reserved_bits }) => {
                    kind.usages.insert(contract, Usage { month, bytes, reserved_bits });
                }
            }
        }
        kind
    }
}

impl Domain {
    /// Makes the domain again of the facts that were kept: the same sessions with the same numbers, labels and bookings. What the
    /// configuration has no place for any more is told, and let go.
    ///
    /// # Errors
    /// [`RestoreError::Network`] when a router has too few numbers for what is configured.
    pub fn restore(network: Network, facts: impl IntoIterator<Item = Fact>, now: SystemTime) -> Result<(Self, Restored), RestoreError> {
        let kind = Kind::of(facts);
        let mut restored = Restored::default();
        let mut numbers = Numbers::new(&network);
        let mut network = network;
        set_states(&mut network, &kind);
        let tunnels = restore_tunnels(&network, &mut numbers, kind.tunnels, &mut restored);
        let labels = restore_borders(&network, &mut numbers, kind.sessions.values());
        let base = Base::new(&network, &mut numbers, &kind.numbers).map_err(|none| InvalidNetwork::TooFewNumbers {
            item: Item::Router(network.router(none.router).name.clone()),
            kind: none.kind,
        })?;
        tell_numbers(&base.numbers(&network), &kind.numbers, &mut restored.effects);
        let mut tables = Tables::new(network.all_routers().len());
        for (router, entry) in base.entries(&network) {
            tables.put(router, entry);
        }
        let mut calendar = Calendar::new(network.topology());
        calendar.advance(now);
        let mut domain = Self {
            base,
            numbers,
            session_numbers: Pool::new(1..=network.last_session()),
            calendar,
            paths: Paths::default(),
            accounts: vec![Account::default(); network.contracts().len()],
            usages: network.contracts().iter().map(|contract| kind.usages.get(&contract.name).copied().unwrap_or_default()).collect(),
            tunnels,
            tables,
            claims: Claims::default(),
            sessions: Sessions::default(),
            starts: BTreeSet::new(),
            stops: BTreeSet::new(),
            network,
        };
        for record in kind.sessions.into_values() {
            domain.restore_session(&record, &labels, now, &mut restored);
        }
        domain.restore_tables(&mut restored);
        // The routers are brought to what there is then.
        let mut made = Effects::default();
        domain.make_tunnels(&mut made);
        restored.effects.facts.append(&mut made.facts);
        domain.fit(now, &mut restored);
        Ok((domain, restored))
    }

    fn restore_session(&mut self, record: &SessionRecord, labels: &BorderLabels, now: SystemTime, restored: &mut Restored) {
        match self.session_of(record, labels) {
            Ok(session) => {
                let number = session.number;
                match session.state {
                    State::Reserved | State::Programmed | State::Inviting => restored.half_made.push(number),
                    State::Releasing => restored.releasing.extend(session.ended.map(|ended| session.summary(&self.network, ended))),
                    _ => {}
                }
                if session.change.is_some() {
                    restored.changing.push(number);
                }
                self.hand_back(session);
            }
            Err(why) => {
                if let Some(&(router, label)) = labels.get(&record.number) {
                    self.numbers.give_back_label(router, label);
                }
                let ended = record.ended.unwrap_or(EndRecord { at: now, cause: Cause::Network });
                restored.effects.tell(Fact::SessionGone(record.number));
                restored.lost.push(Lost { summary: Summary::of(record, &self.network, ended), why });
            }
        }
    }

    /// A session with all it has; nothing is taken where it cannot have all of it.
    fn session_of(&mut self, record: &SessionRecord, labels: &BorderLabels) -> Result<Session, WhyLost> {
        let mut session = self.read_session(record, labels)?;
        if self.session_numbers.restore(record.number.0).is_err() {
            return Err(WhyLost::Contradiction("its number is no session's"));
        }
        for leg in session.legs.iter().flatten() {
            if let Some(id) = leg.tunnel {
                self.tunnels.board(leg.route.ingress(&self.network), id);
            }
        }
        for left in &session.left {
            self.tunnels.board(self.network.circuits()[left.circuit].router, left.tunnel);
        }
        if session.state.is_live() {
            self.account(&mut session);
            if let Some(stop) = session.interval.stop() {
                self.stops.insert((stop, session.number));
            }
            if session.state == State::Booked {
                self.starts.insert((session.interval.start(), session.number));
            }
        }
        Ok(session)
    }

    fn read_session(&self, record: &SessionRecord, labels: &BorderLabels) -> Result<Session, WhyLost> {
        let request = &record.request;
        let contract = self.network.contracts().iter().zip(0..).find(|(contract, _)| contract.name == record.contract);
        let contract =
            contract.map(|(_, index)| ContractId(index)).ok_or_else(|| WhyLost::Missing(Item::Contract(record.contract.clone())))?;
        let circuits = self.read_circuits(request)?;
        let interval = |start, stop| Interval::new(start, stop).map_err(|_| WhyLost::Contradiction("it ends before it begins"));
        let class = |number| Class::new(number).map_err(|_| WhyLost::Contradiction("its class is none"));
        let mut legs = [None, None];
        for (way, kept) in record.ways.iter().enumerate() {
            let ends = [circuits[way], circuits[1 - way]];
            legs[way] = kept.as_ref().map(|kept| self.read_leg(kept, ends)).transpose()?;
        }
        let change = match &record.change {
            None => None,
            Some(kept) => {
                let mut ways = [None, None];
                for (way, kept) in kept.ways.iter().enumerate() {
                    ways[way] = kept.as_ref().map(|(demand, route)| Ok((*demand, read_route(&self.network, route)?))).transpose()?;
                }
                let (request, circuits) = (kept.request.clone(), self.read_circuits(&kept.request)?);
                Some(Change { request, circuits, class: class(kept.class)?, interval: interval(kept.start, kept.stop)?, ways })
            }
        };
        Ok(Session {
            number: record.number,
            state: record.state,
            request: request.clone(),
            answer: record.answer.clone(),
            contract,
            class: class(record.class)?,
            priority: record.priority,
            circuits,
            interval: interval(record.start, record.stop)?,
            legs,
            left: record.left.iter().filter_map(|left| self.read_left(left, &request.caller.vpn)).collect(),
            counted: record.counted,
            change,
            requested: record.requested,
            established: record.established,
            ended: record.ended,
            periods: record.periods.clone(),
            border: self.read_border(record, circuits, labels)?,
        })
    }

    fn read_circuits(&self, request: &SessionRequest) -> Result<[usize; 2], WhyLost> {
        let circuit = |ce: &CeName| {
            let missing = || WhyLost::Missing(Item::Attachment { ce: ce.0.clone(), vpn: request.caller.vpn.0.clone() });
            self.network.circuit(ce, &request.caller.vpn).ok_or_else(missing)
        };
        Ok([circuit(&request.caller_ce)?, circuit(&request.callee_ce)?])
    }

    /// Where a way began; what is not configured any more is not counted.
    fn read_left(&self, kept: &LeftRecord, vpn: &VpnName) -> Option<Left> {
        let circuit = self.network.circuit(&kept.ce, vpn)?;
        let (tunnel, label) = (TunnelId::new(kept.tunnel).ok()?, Label::new(kept.label).ok()?);
        self.tunnels.get(self.network.circuits()[circuit].router, tunnel)?;
        (kept.way < WAYS.len()).then_some(Left { way: kept.way, circuit, tunnel, label })
    }

    fn read_border(&self, record: &SessionRecord, circuits: [usize; 2], labels: &BorderLabels) -> Result<Option<Border>, WhyLost> {
        let border = match (record.border, border_router(&self.network, circuits)) {
            (None, None) => return Ok(None),
            (Some(border), Some(_)) => border,
            _ => return Err(WhyLost::Contradiction("its labels and its ends do not belong together")),
        };
        let &(_, label) = labels.get(&record.number).ok_or(WhyLost::Contradiction("its label is another's"))?;
        let mapped = border.mapped.map(|number| Label::new(number).map_err(|_| WhyLost::Contradiction("the peer's label is none")));
        Ok(Some(Border { label, mapped: mapped.transpose()? }))
    }

    fn read_leg(&self, kept: &WayRecord, ends: [usize; 2]) -> Result<Leg, WhyLost> {
        let route = read_route(&self.network, &kept.route)?;
        let [from, to] = ends.map(|circuit| &self.network.circuits()[circuit]);
        for (circuit, router) in [(from, route.ingress(&self.network)), (to, route.egress(&self.network))] {
            // What is only held for a change goes to where the session is then.
            if circuit.router != router && (kept.demand.is_some() || kept.tunnel.is_some()) {
                return Err(WhyLost::Moved(Item::Attachment { ce: circuit.ce.0.clone(), vpn: circuit.vpn.0.clone() }));
            }
        }
        let tunnel = kept.tunnel.map(|number| {
            let id = TunnelId::new(number).map_err(|_| WhyLost::Contradiction("its tunnel is none"))?;
            let rides = self.tunnels.get(from.router, id).is_some_and(|tunnel| tunnel.route == route);
            if rides { Ok(id) } else { Err(WhyLost::Contradiction("its tunnel goes another way")) }
        });
        Ok(Leg { demand: kept.demand, route, booking: None, tunnel: tunnel.transpose()? })
    }

    /// What tunnels and sessions have in the routers; a tunnel that nobody rides any more goes.
    fn restore_tables(&mut self, restored: &mut Restored) {
        // The routers are brought to the outcome, so the way there is of no interest.
        let mut unwritten = Effects::default();
        let all: Vec<_> = self.tunnels.all().map(|(ingress, id, tunnel)| (ingress, id, tunnel.clone())).collect();
        for (ingress, id, tunnel) in all {
            let Self { network, base, numbers, tunnels, .. } = self;
            let mut ground = Ground { network, base, numbers };
            if tunnel.sessions == 0 && tunnel.origin == TunnelOrigin::OnDemand {
                tunnels.leave(ingress, id, &mut ground);
                restored.effects.tell(Fact::TunnelGone(self.tunnel_name(ingress, id)));
            } else {
                let planned = tunnel.entries(id, &ground);
                self.put(planned, &mut unwritten);
            }
        }
        let mut planned = Vec::new();
        for session in self.sessions.values() {
            planned.extend(self.carries(session));
            if session.state == State::Established {
                planned.extend(session.classification(&self.network));
            }
        }
        self.put(planned, &mut unwritten);
    }

    /// Where links have less than they had, somebody has to go elsewhere.
    fn fit(&mut self, now: SystemTime, restored: &mut Restored) {
        let links: BTreeSet<_> = self.network.topology().links().map(|(id, _)| id).collect();
        if self.anybody_displaced() {
            restored.rerouted = self.follow(&links, now);
        }
    }
}

fn set_states(network: &mut Network, kind: &Kind) {
    for (name, record) in &kind.links {
        let Some(link) = network.topology().link_named(name) else { continue };
        let mut state = network.topology().state(link);
        if record.failed {
            state.operation = Operation::Down;
        }
        if record.drained {
            state.administration = Administration::Drained;
        }
        if let Some(capacity) = record.capacity {
            state.capacity = capacity;
        }
        network.topology.set_state(link, state);
    }
    let down: Vec<_> = network.routers().filter(|(_, router)| kind.routers.contains(&router.name)).map(|(id, _)| id).collect();
    for router in down {
        network.topology.set_router(router, Operation::Down);
    }
}

fn tell_numbers(now: &Kept, before: &Kept, effects: &mut Effects) {
    for (holder, &number) in now.iter().filter(|(holder, number)| before.get(holder) != Some(number)) {
        effects.tell(Fact::Number(NumberRecord { holder: holder.clone(), number }));
    }
    for holder in before.keys().filter(|holder| !now.contains_key(holder)) {
        effects.tell(Fact::NumberGone(holder.clone()));
    }
}

/// Of each session that crosses to a peer: our border router, and the label it had there.
type BorderLabels = BTreeMap<SessionNumber, (RouterId, Label)>;

/// Takes the labels by which sessions come from peers, before anybody who is new takes any.
fn restore_borders<'r>(network: &Network, numbers: &mut Numbers, records: impl Iterator<Item = &'r SessionRecord>) -> BorderLabels {
    let label = |record: &SessionRecord| {
        let request = &record.request;
        let ends = [(&request.caller_ce, &request.caller), (&request.callee_ce, &request.callee)];
        let nni = ends.into_iter().find_map(|(ce, application)| network.crossing(ce, &application.vpn))?;
        Some((record.number, (nni.border, numbers.restore_label(nni.border, record.border?.label)?)))
    };
    records.filter_map(label).collect()
}

/// The tunnels that the configuration has a place for; the others are told to be gone.
fn restore_tunnels(
    network: &Network,
    numbers: &mut Numbers,
    records: BTreeMap<TunnelName, TunnelRecord>,
    restored: &mut Restored,
) -> Tunnels {
    let mut tunnels = Tunnels::default();
    for (name, record) in records {
        match read_tunnel(network, numbers, &record, &tunnels) {
            Some((id, tunnel)) => tunnels.add(id, tunnel, network),
            None => restored.effects.tell(Fact::TunnelGone(name)),
        }
    }
    tunnels
}

/// A tunnel, with its numbers taken; `None`, and nothing taken, where the configuration has no place for it.
fn read_tunnel(network: &Network, numbers: &mut Numbers, record: &TunnelRecord, tunnels: &Tunnels) -> Option<(TunnelId, Tunnel)> {
    let mut paths = record.members.iter().map(|hops| {
        let links = hops.iter().map(|hop| hop.over.find(network)).collect::<Option<Vec<_>>>()?;
        Path::new(network.topology(), links).ok()
    });
    let primary = paths.next()??;
    let backup = match paths.next() {
        None => None,
        Some(path) => Some(path?),
    };
    let route = Route { encapsulation: record.tunnel, primary, backup };
    let ingress = route.ingress(network);
    if tunnels.of(&route).is_some() || network.router(ingress).name != record.name.ingress {
        return None;
    }
    let id = numbers.restore_tunnel(ingress, record.name.tunnel)?;
    let mut marks: Vec<Marks> = Vec::new();
    for (member, path) in route.paths().enumerate() {
        let Some(mark) = read_marks(network, numbers, record, member, path) else {
            plan::give_back(route.paths().zip(&marks), network, numbers);
            numbers.give_back_tunnel(ingress, id);
            return None;
        };
        marks.push(mark);
    }
    Some((id, Tunnel { route, marks, sessions: 0, origin: record.origin }))
}

/// By what routers know the packets of a path; `None`, and nothing taken, where the configuration has no place for it.
fn read_marks(network: &Network, numbers: &mut Numbers, record: &TunnelRecord, member: usize, path: &Path) -> Option<Marks> {
    if record.tunnel == Encapsulation::Mpls {
        return read_labels(network, numbers, record.members.get(member)?).map(Marks::Lsp);
    }
    let topology = network.topology();
    let (ingress, egress) = (topology.link(path.links()[0]).from, path.egress(topology));
    let ends = Ends::of(network, ingress, *record.ends.get(member)?)?;
    numbers.restore_end(egress, ends.end()).map(|_| Marks::Gre(ends))
}

fn read_labels(network: &Network, numbers: &mut Numbers, hops: &[TunnelHop]) -> Option<Labels> {
    let mut labels = Labels::new();
    let own = hops.first().and_then(|hop| hop.over.find(network)).is_none_or(|link| network.is_own(network.topology().link(link).from));
    // As in the plan: our border router knows no tunnel from a peer by a label.
    for hop in hops.iter().skip(if own { 1 } else { 2 }) {
        let router = hop.over.find(network).map(|link| network.topology().link(link).from);
        let label = router.zip(hop.label).and_then(|(router, number)| Some((router, numbers.restore_label(router, number)?)));
        let Some(label) = label else {
            for (router, label) in &labels {
                numbers.give_back_label(*router, *label);
            }
            return None;
        };
        labels.push(label);
    }
    Some(labels)
}

fn read_route(network: &Network, kept: &RouteRecord) -> Result<Route, WhyLost> {
    let path = |links: &Vec<LinkWay>| {
        let missing = |way: &LinkWay| WhyLost::Missing(Item::Link(way.link.clone()));
        let links = links.iter().map(|way| way.find(network).ok_or_else(|| missing(way))).collect::<Result<Vec<_>, _>>()?;
        Path::new(network.topology(), links).map_err(|_| WhyLost::Contradiction("its links do not follow each other"))
    };
    let backup = kept.backup.as_ref().map(path).transpose()?;
    Ok(Route { encapsulation: kept.tunnel, primary: path(&kept.primary)?, backup })
}
