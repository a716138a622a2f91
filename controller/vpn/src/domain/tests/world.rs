//! A domain, routers that do what it says, a journal that keeps what it tells, and [what holds](checks) at every moment.

mod checks;

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
}

/// Whether nothing is to be kept of a thing any more.
fn gone(fact: &Fact) -> bool {
    matches!(fact, Fact::SessionGone(_) | Fact::TunnelGone(_) | Fact::RouterUp(_) | Fact::NumberGone(_))
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
