//! A domain, routers that do what it says, a journal that keeps what it tells, and what holds at every moment.

use std::collections::BTreeSet;
use std::net::IpAddr;

use svpn_contract::wire::Label;

use super::*;
use crate::admission::ClassSet;
use crate::agreement::{Options, Preemption, Protection};
use crate::durable::Counted;
use crate::network::ContractSpec;
use crate::plan::Marks;
use crate::request::{CeName, IpVersion, Match, MediaEnd, Medium, SessionRequest, TunnelType, Window};
use crate::testing::{MEGA, end, link, medium, nni, request, spec, with_ipv6};
use crate::topology::{Administration, LinkId, LinkState, Operation};

/// The last is beyond a link to another provider.
pub(super) const SITES: [(&str, u8); 4] = [("a-east", 1), ("a-west", 2), ("a-south", 3), ("n-abroad", 8)];

fn address(site: u8, host: u8, version: IpVersion) -> String {
    match version {
        IpVersion::V4 => format!("10.{site}.0.{host}"),
        IpVersion::V6 => format!("2001:db8:a{site}::{host:x}"),
    }
}

/// The test network with a ring and a peer more, and contracts that have everything.
pub(super) fn ringed() -> Network {
    let mut spec = with_ipv6(spec());
    spec.links.push(link(("pe3", 12), ("p2", 3), 60 * MEGA, 1));
    spec.nnis.push(nni("n-abroad", ("pe3", 13), 40 * MEGA, "10.8.0.0/24"));
    spec.nnis[0].vpns[0].prefixes.push("2001:db8:a8::/64".parse().unwrap());
    let gold = Options { max_priority: 7, preemption: Preemption::LowerPriority, ..Options::default() };
    let safe = Options { protection: Protection::Disjoint, ..gold.clone() };
    spec.contracts[0].options = gold;
    spec.contracts.push(ContractSpec { name: "safe".into(), options: safe, ..spec.contracts[0].clone() });
    spec.applications[1].contract = "safe".into();
    Network::build(spec).unwrap()
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) rates: Vec<(u64, Direction)>,
    pub(super) matching: Match,
    pub(super) start: Option<u64>,
    pub(super) length: Option<u64>,
    pub(super) priority: u8,
    /// Which of two applications asks: one of them has a contract with protection.
    pub(super) protection: Protection,
    pub(super) tunnel: TunnelType,
    pub(super) version: IpVersion,
}

/// What an end asks to be changed.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) rates: Vec<(u64, Direction)>,
    pub(super) class: Option<u8>,
    pub(super) length: Option<u64>,
    /// Who has moved, and the site where it is.
    pub(super) mover: Option<(Direction, usize)>,
}

pub(super) struct World {
    pub(super) domain: Domain,
    pub(super) routers: Routers,
    pub(super) facts: Vec<Fact>,
    pub(super) now: u64,
}

impl World {
    pub(super) fn new() -> Self {
        let (domain, restored) = Domain::restore(ringed(), [], at(0)).unwrap();
        let mut routers = Routers::default();
        routers.write(&domain.base_plan());
        Self { domain, routers, facts: restored.effects.facts, now: 0 }
    }

    pub(super) fn carry_out(&mut self, effects: Effects) {
        let Effects { facts, steps } = effects;
        for fact in facts {
            // As a store would: written down, and read again.
            let kept: Fact = serde_json::from_str(&serde_json::to_string(&fact).unwrap()).unwrap();
            assert_eq!((&kept, kept.body().is_none()), (&fact, gone(&fact)));
            self.facts.push(kept);
        }
        self.routers.write(&steps);
    }

    /// Every session in a state, in the order of their numbers.
    pub(super) fn those(&self, states: &[State]) -> Vec<SessionNumber> {
        let mut found: Vec<_> = self.domain.sessions().filter(|(_, state)| states.contains(state)).map(|(number, _)| number).collect();
        found.sort_unstable();
        found
    }

    fn media(site: usize, rates: &[(u64, Direction)], version: IpVersion) -> Vec<Medium> {
        let caller = |port| end(&address(SITES[site].1, 5, version), port);
        (5004..).zip(rates).map(|(port, &(rate, direction))| medium(caller(port), rate, direction)).collect()
    }

    fn wanted(&self, asked: &Asked) -> SessionRequest {
        let (ce, callee_ce) = (SITES[asked.from].0, SITES[asked.to].0);
        let mut wanted = request(ce, callee_ce, MEGA);
        wanted.media = Self::media(asked.from, &asked.rates, asked.version);
        wanted.tunnel = asked.tunnel;
        (wanted.matching, wanted.callee_ce, wanted.priority) = (asked.matching, CeName(callee_ce.into()), Some(asked.priority));
        if asked.protection == Protection::Disjoint {
            std::mem::swap(&mut wanted.caller, &mut wanted.callee);
        }
        // A minute from now is now.
        let start = asked.start.map(|start| self.now + 61 + start);
        let stop = asked.length.map(|length| start.unwrap_or(self.now) + length);
        wanted.window = Window { start: start.map(at), stop: stop.map(at) };
        wanted
    }

    pub(super) fn request(&mut self, asked: &Asked) -> Option<SessionNumber> {
        let before = taken_at(&self.domain, self.now);
        let Ok(admission) = self.domain.request(self.wanted(asked), at(self.now)) else {
            assert_eq!(taken_at(&self.domain, self.now), before, "a refusal leaves nothing behind");
            return None;
        };
        self.carry_out(admission.effects);
        self.settle(admission.ousted);
        Some(admission.session)
    }

    fn settle(&mut self, over: Vec<Summary>) {
        for summary in over {
            self.check();
            let effects = self.domain.settled(summary.session, Carried::default()).unwrap();
            self.carry_out(effects);
        }
    }

    fn answer(request: &SessionRequest, media: u8, host: u8) -> Answer {
        let net = SITES.iter().find(|(ce, _)| *ce == request.callee_ce.0).unwrap().1;
        let callee = |index: usize| -> Option<MediaEnd> {
            let version = IpVersion::of(request.media[index].caller.address);
            (media >> index & 1 == 1).then(|| end(&address(net, host, version), 6000 + u16::try_from(index).unwrap()))
        };
        Answer { media: (0..request.media.len()).map(callee).collect() }
    }

    /// Moves a session on, whatever comes next for it; the callee's answer takes the media of these bits.
    pub(super) fn proceed(&mut self, session: SessionNumber, host: u8, media: u8) {
        let state = self.domain.sessions[&session].state;
        let effects = match state {
            State::Reserved => self.domain.programmed(session).unwrap(),
            State::Programmed => self.domain.ringing(session).unwrap(),
            State::Inviting if self.domain.sessions[&session].border.is_some_and(|border| border.mapped.is_none()) => {
                let answer = Self::answer(&self.domain.sessions[&session].request, u8::MAX, host);
                let early = self.domain.answered(session, &answer, at(self.now));
                assert_eq!(early, Err(NotNow::Unmapped(session).into()), "nothing can be carried before the peer's label is known");
                self.map(session, 500 + u32::from(media))
            }
            State::Inviting => {
                let answer = Self::answer(&self.domain.sessions[&session].request, media, host);
                let before = taken_at(&self.domain, self.now);
                let Ok(answered) = self.domain.answered(session, &answer, at(self.now)) else {
                    assert_eq!(taken_at(&self.domain, self.now), before, "a refusal changes nothing");
                    return;
                };
                answered.effects
            }
            _ => return,
        };
        self.carry_out(effects);
    }

    /// The peer maps a label, and says so twice.
    fn map(&mut self, session: SessionNumber, label: u32) -> Effects {
        let label = Label::new(label).unwrap();
        let effects = self.domain.mapped(session, label).unwrap();
        let again = self.domain.mapped(session, label).unwrap();
        assert!(again.steps.is_empty(), "what is known changes nothing");
        effects
    }

    /// What one end wants, which may be at another site than before.
    pub(super) fn propose(&mut self, session: SessionNumber, wanted: &Wanted) {
        let found = &self.domain.sessions[&session];
        let Wanted { rates, class, length, mover } = wanted;
        let site = SITES.iter().position(|(ce, _)| *ce == found.request.caller_ce.0).unwrap();
        let window = Window { start: found.request.window.start, stop: length.map(|length| at(self.now + 70 + length)) };
        let moves = |new: usize| CeName(SITES[new].0.into());
        let version = IpVersion::of(found.request.media[0].caller.address);
        let (mover, site) = match *mover {
            None => (None, site),
            Some((Direction::FromCallee, new)) => {
                let there = |port| Some(end(&address(SITES[new].1, 7, version), port));
                let ends = (5004..).map(there).take(rates.len()).collect();
                (Some(Mover::Callee(moves(new), Answer { media: ends })), site)
            }
            Some((_, new)) => (Some(Mover::Caller(moves(new))), new),
        };
        let proposal = Proposal { media: Self::media(site, rates, version), class: class.map(crate::testing::class), window, mover };
        let before = taken_at(&self.domain, self.now);
        match self.domain.propose(session, proposal, at(self.now)) {
            Ok(proposed) => self.carry_out(proposed.effects),
            Err(_) => assert_eq!(taken_at(&self.domain, self.now), before, "a refusal changes nothing"),
        }
    }

    pub(super) fn confirm(&mut self, session: SessionNumber, host: u8, media: u8) {
        let Some(change) = &self.domain.sessions[&session].change else { return };
        let answer = Self::answer(&change.request, media, host);
        let before = taken_at(&self.domain, self.now);
        match self.domain.confirm(session, &answer, at(self.now)) {
            Ok(answered) => self.carry_out(answered.effects),
            Err(_) => assert_eq!(taken_at(&self.domain, self.now), before, "a refusal changes nothing"),
        }
    }

    /// An application is at another site now, and takes the session along at once if it can.
    pub(super) fn relocate(&mut self, session: SessionNumber, end: Direction, site: usize) -> Result<(), MoveError> {
        let request = &self.domain.sessions[&session].request;
        let application = if end == Direction::FromCallee { request.callee.clone() } else { request.caller.clone() };
        let before = taken_at(&self.domain, self.now);
        match self.domain.relocate(session, &application, &CeName(SITES[site].0.into()), at(self.now)) {
            Ok(answered) => self.carry_out(answered.effects),
            Err(error) => {
                assert_eq!(taken_at(&self.domain, self.now), before, "a refusal changes nothing");
                return Err(error);
            }
        }
        Ok(())
    }

    /// A router says what it has counted for a session that does not begin there any more.
    pub(super) fn count(&mut self, which: usize) -> Option<()> {
        let mut behind = self.domain.left_behind();
        behind.sort_unstable_by_key(|left| (left.session, left.router));
        let left = *behind.get(which % behind.len().max(1))?;
        let effects = self.domain.counted(left, Counted { offered_packets: 1, ..Counted::default() }).unwrap();
        self.carry_out(effects);
        Some(())
    }

    pub(super) fn withdraw(&mut self, session: SessionNumber) {
        if let Ok(effects) = self.domain.withdraw(session) {
            self.carry_out(effects);
        }
    }

    pub(super) fn fail(&mut self, session: SessionNumber) {
        let effects = self.domain.programming_failed(session, at(self.now)).unwrap();
        self.carry_out(effects);
    }

    pub(super) fn release(&mut self, session: SessionNumber, cause: Cause) {
        let release = self.domain.released(session, cause, at(self.now)).unwrap();
        self.carry_out(release.effects);
    }

    pub(super) fn settled(&mut self, session: SessionNumber) {
        let effects = self.domain.settled(session, Carried::default()).unwrap();
        self.carry_out(effects);
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += seconds;
        for due in self.domain.due(at(self.now)) {
            match due {
                Due::Stop(session) => self.release(session, Cause::WindowEnd),
                Due::Start(session) => match self.domain.start(session, at(self.now)).unwrap() {
                    Begun::Established { effects, .. } => self.carry_out(effects),
                    Begun::Released(release) => self.carry_out(release.effects),
                },
            }
        }
        assert!(self.domain.next_due().is_none_or(|next| next > at(self.now)));
    }

    /// The clock is set; what each session is charged for by time stays what it was.
    pub(super) fn set_clock(&mut self, seconds: i64) {
        let lengths = |world: &Self| -> BTreeMap<_, Vec<_>> {
            let since = |past: SystemTime| at(world.now).duration_since(past).unwrap();
            let live = world.domain.sessions.values().filter(|session| session.state.is_live());
            live.map(|session| (session.number, session.periods.iter().map(|period| since(period.since)).collect())).collect()
        };
        let (was, before) = (self.now, lengths(self));
        self.now = was.saturating_add_signed(seconds);
        let by = std::time::Duration::from_secs(self.now.abs_diff(was));
        let step = if self.now < was { ClockStep::Back(by) } else { ClockStep::Forward(by) };
        let effects = self.domain.clock_set(step, at(self.now));
        self.carry_out(effects);
        assert_eq!(lengths(self), before);
        self.check();
        self.wait(0);
    }

    pub(super) fn link(&mut self, link: u32, change: impl FnOnce(&mut LinkState)) -> Rerouted {
        let link = LinkId(link);
        let mut state = self.domain.network().topology().state(link);
        change(&mut state);
        let rerouted = self.domain.link_changed(link, state, at(self.now));
        self.carry_out(rerouted.effects.clone());
        let network = self.domain.network();
        let broken = |session: &&Session| session.legs.iter().flatten().any(|leg| leg.booking.is_some() && !leg.route.in_service(network));
        let booked = self.domain.sessions.values().filter(|session| session.state == State::Booked).filter(broken);
        assert_eq!(sorted(rerouted.waiting.clone()), sorted(booked.map(|session| session.number).collect()), "who has no way is told of");
        rerouted
    }

    pub(super) fn router(&mut self, name: &str, operation: Operation) -> Rerouted {
        let router = id(&self.domain, name);
        let rerouted = self.domain.router_changed(router, operation, at(self.now));
        self.carry_out(rerouted.effects.clone());
        rerouted
    }

    /// The gateway is killed and comes back.
    pub(super) fn restart(&mut self) {
        // Of each thing a store keeps the last that was said of it, in no order of time.
        let last: BTreeMap<_, _> = self.facts.iter().map(|fact| (fact.key(), fact)).collect();
        let kept = last.into_values().filter_map(Fact::body).cloned();
        let (domain, restored) = Domain::restore(ringed(), kept, at(self.now)).unwrap();
        assert!(restored.lost.is_empty(), "{:?}", restored.lost);
        assert_eq!(restored.rerouted, Rerouted::default());
        assert_eq!(restored.effects, Effects::default(), "nothing is different from what was kept");
        assert_eq!(sorted(restored.half_made), self.those(&[State::Reserved, State::Programmed, State::Inviting]));
        let releasing: Vec<_> = restored.releasing.iter().map(|summary| summary.session).collect();
        assert_eq!(sorted(releasing), self.those(&[State::Releasing]));
        for summary in &restored.releasing {
            assert_eq!(Ok(summary), self.domain.summary(summary.session).as_ref());
        }
        self.same(&domain);
        self.domain = domain;
    }

    fn same(&self, other: &Domain) {
        let now = at(self.now);
        for (router, _) in self.domain.network().routers() {
            assert!(self.domain.expected_entries(router).eq(other.expected_entries(router)), "entries of {router:?}");
        }
        assert_eq!(self.domain.sessions, other.sessions);
        assert_eq!(self.domain.numbers.used(), other.numbers.used());
        assert_eq!(self.domain.session_numbers.used(), other.session_numbers.used());
        let accounts = |domain: &Domain| {
            let mut accounts = domain.accounts.clone();
            for account in &mut accounts {
                account.advance(now);
            }
            accounts
        };
        assert_eq!(accounts(&self.domain), accounts(other));
        assert_eq!(self.domain.tunnels, other.tunnels);
        assert_eq!(self.domain.claims, other.claims);
        assert_eq!((&self.domain.starts, &self.domain.stops), (&other.starts, &other.stops));
        for (link, _) in self.domain.network().topology().links() {
            assert_eq!(self.domain.network().topology().offers(link), other.network().topology().offers(link));
            for from in (self.now..self.now + 400).step_by(7) {
                let moment = Interval::new(at(from), Some(at(from + 1))).unwrap();
                for classes in [ClassSet::ALL, crate::testing::class(0).into()] {
                    assert_eq!(self.domain.calendar().room(link, classes, moment), other.calendar().room(link, classes, moment));
                }
            }
        }
    }

    /// What holds at every moment.
    pub(super) fn check(&self) {
        assert_eq!(self.routers, Routers::expect(&self.domain), "routers hold what is expected of them");
        self.check_links();
        self.check_ways();
        self.check_references();
        self.domain.check_marks();
    }

    /// What the sessions need of each link, told from the sessions alone, is what is not free, and never more than there is, as
    /// long as it is in service.
    fn check_links(&self) {
        for (id, link) in self.domain.network().topology().links() {
            for from in (self.now..self.now + 400).step_by(13) {
                let offered = self.domain.network().topology().offers(id);
                let load: u64 = self.domain.sessions.values().map(|session| needs(session, id, at(from))).sum();
                let moment = Interval::new(at(from), Some(at(from + 1))).unwrap();
                if self.domain.network().topology().in_service(id) {
                    assert!(load <= offered.0, "link {} is over-committed: {load}", link.name);
                    assert_eq!(self.domain.calendar().available(id, moment), BitRate(offered.0 - load));
                }
            }
        }
    }

    /// What is programmed goes where it can arrive, unless its end is down; what starts later may wait.
    fn check_ways(&self) {
        let network = self.domain.network();
        for session in self.domain.sessions.values().filter(|session| session.state.is_live()) {
            for leg in session.legs.iter().flatten().filter(|leg| leg.demand.is_some()) {
                let ends = [leg.route.ingress(network), leg.route.egress(network)];
                let up = ends.iter().all(|&router| network.topology().router(router) == Operation::Up);
                let waits = leg.tunnel.is_none();
                assert!(!up || waits || leg.route.in_service(network), "session {:?} goes over what is down", session.number);
                if let Some(id) = leg.tunnel {
                    assert_eq!(self.domain.tunnels.get(ends[0], id).unwrap().route, leg.route);
                }
            }
        }
    }

    /// Every address at which GRE ends has its entry there, is had for that alone, and every path to it that is all in service leads there.
    fn check_gre(&self) {
        let network = self.domain.network();
        let (mut ends, mut routed) = (BTreeSet::<(RouterId, IpAddr)>::new(), BTreeSet::<(RouterId, IpAddr)>::new());
        for (router, _) in network.routers() {
            for entry in self.domain.expected_entries(router) {
                match entry {
                    Entry::GreIngressV4(entry) => assert!(ends.insert((router, entry.key.dst.into()))),
                    Entry::GreIngressV6(entry) => assert!(ends.insert((router, entry.key.dst.into()))),
                    Entry::RouteV4(entry) if entry.key.vrf.get() == 0 => assert!(routed.insert((router, entry.key.dst.value.into()))),
                    Entry::RouteV6(entry) if entry.key.vrf.get() == 0 => assert!(routed.insert((router, entry.key.dst.value.into()))),
                    _ => {}
                }
            }
            let here: BTreeSet<_> = ends.iter().filter(|(at, _)| *at == router).map(|(_, end)| *end).collect();
            assert_eq!(self.domain.numbers.used_ends(router), here, "an address is taken for nothing, or not at all");
        }
        for (_, _, tunnel) in self.domain.tunnels.all() {
            for (path, marks) in tunnel.marks() {
                let Marks::Gre(gre) = marks else { continue };
                assert!(ends.remove(&(path.egress(network.topology()), gre.end())));
                for &link in &path.links()[1..] {
                    assert!(routed.remove(&(network.topology().link(link).from, gre.end())));
                }
            }
        }
        assert!(ends.is_empty() && routed.is_empty(), "left behind: {ends:?}, {routed:?}");
    }

    /// Whatever an entry names is there: sessions of flows, tunnels of sessions, labels and next hops of tunnels.
    fn check_references(&self) {
        let (network, mut used) = (self.domain.network(), self.domain.numbers.used());
        self.check_gre();
        let key = |router: RouterId, key: EntryKey| self.domain.tables.get(router, &key).is_some();
        let mut flows = BTreeSet::new();
        for (router, _) in network.routers() {
            for entry in self.domain.expected_entries(router) {
                match entry {
                    Entry::FlowV4(flow) => {
                        let svpn_contract::FlowV4Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                        flows.insert(session.get());
                    }
                    Entry::FlowAclV4(flow) => {
                        let svpn_contract::FlowAclV4Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                        flows.insert(session.get());
                    }
                    Entry::FlowV6(flow) => {
                        let svpn_contract::FlowV6Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                        flows.insert(session.get());
                    }
                    Entry::FlowAclV6(flow) => {
                        let svpn_contract::FlowAclV6Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                        flows.insert(session.get());
                    }
                    Entry::Session(session) => {
                        let svpn_contract::SessionAction::Carry { tunnel, .. } = session.action;
                        assert!(key(router, svpn_contract::TunnelKey { tunnel }.into()));
                    }
                    Entry::Tunnel(tunnel) => assert!(used[router.index()][1].remove(&tunnel.key.tunnel.get())),
                    Entry::Ilm(ilm) => assert!(used[router.index()][0].remove(&ilm.key.label.get())),
                    _ => {}
                }
            }
        }
        for (ingress, id, _) in self.domain.tunnels.all().filter(|(ingress, ..)| !network.is_own(*ingress)) {
            assert!(used[ingress.index()][1].remove(&id.get()), "a tunnel from a peer has its number");
        }
        for session in self.domain.sessions.values() {
            if let Some(border) = session.border {
                // Its entry is there as long as something comes from the peer.
                let entry = svpn_contract::IlmKey { label: border.label }.into();
                let router = super::super::border::border_router(network, session.circuits).unwrap();
                let comes = (0..2).any(|way| {
                    let leg = session.legs[way].as_ref();
                    !network.is_own(session.ends(network, way)[0].router) && leg.is_some_and(|leg| leg.tunnel.is_some())
                });
                assert_eq!(key(router, entry), comes);
                assert_eq!(used[router.index()][0].remove(&border.label.get()), !comes);
            }
        }
        assert!(used.iter().all(|[labels, tunnels, _]| labels.is_empty() && tunnels.is_empty()), "a number is taken for nothing");
        let established = self.those(&[State::Established]).into_iter();
        // What comes from a peer only, the peer tells from others.
        let ours = |session: &Session| {
            let own = |way: usize| network.is_own(session.ends(network, way)[0].router);
            (0..2).any(|way| own(way) && session.demands()[way].is_some())
        };
        let established: BTreeSet<_> = established.filter(|number| ours(&self.domain.sessions[number])).map(|number| number.0).collect();
        assert_eq!(flows, established, "packets are told from others for those that run, and for no others");
    }
}

/// Whether nothing is to be kept of a thing any more.
fn gone(fact: &Fact) -> bool {
    matches!(fact, Fact::SessionGone(_) | Fact::TunnelGone(_) | Fact::RouterUp(_) | Fact::NumberGone(_))
}

/// What a session needs of a link at an instant.
fn needs(session: &Session, link: crate::topology::DirectedLinkId, instant: SystemTime) -> u64 {
    if !session.state.is_live() {
        return 0;
    }
    let moment = Interval::new(instant, Some(instant + std::time::Duration::from_secs(1))).unwrap();
    let held = (0..2).filter_map(|way| session.held_claim(way)).filter(|claim| claim.interval().common(moment).is_some());
    held.map(|claim| claim.on(link).0).sum()
}

fn sorted(mut numbers: Vec<SessionNumber>) -> Vec<SessionNumber> {
    numbers.sort_unstable();
    numbers
}

/// What may happen to a link.
pub(super) fn change_of(state: u8, capacity: u64) -> impl FnOnce(&mut LinkState) {
    move |link| match state {
        0 => link.operation = Operation::Down,
        1 => link.operation = Operation::Up,
        2 => link.administration = Administration::Drained,
        3 => link.administration = Administration::InService,
        _ => link.capacity = BitRate(capacity),
    }
}
