//! Changes in service, failures, preemption, restarts: one by one.

use std::num::NonZeroU32;

use svpn_contract::wire::PortId;
use svpn_contract::{TunnelAction, TunnelKey};

use super::world::{Asked, World, ringed};
use super::*;
use crate::agreement::Protection;
use crate::durable::TunnelOrigin;
use crate::network::Item;
use crate::request::{Match, Window};
use crate::testing::{MEGA, end, medium, request, spec};
use crate::topology::{Administration, Operation};

pub(super) fn asked(rate: u64) -> Asked {
    Asked {
        tunnel: crate::request::TunnelType::Mpls,
        version: crate::request::IpVersion::V4,
        from: 0,
        to: 1,
        rates: vec![(rate, Direction::FromCaller)],
        matching: Match::Ports,
        start: None,
        length: None,
        priority: 0,
        protection: Protection::None,
    }
}

impl World {
    /// A session that runs, or is booked.
    pub(super) fn agreed(&mut self, asked: &Asked, host: u8) -> SessionNumber {
        let session = self.request(asked).unwrap();
        for _ in 0..3 {
            self.proceed(session, host, 0xff);
        }
        self.check();
        session
    }

    pub(super) fn state(&self, session: SessionNumber) -> State {
        self.domain.sessions[&session].state
    }

    /// The routers a way crosses.
    pub(super) fn way(&self, session: SessionNumber) -> Vec<Vec<String>> {
        let network = self.domain.network();
        let name = |router: RouterId| network.router(router).name.clone();
        let paths = self.domain.sessions[&session].legs[0].as_ref().unwrap().route.paths();
        paths.map(|path| path.links().iter().map(|&link| name(network.topology().link(link).to)).collect()).collect()
    }

    /// The members of a session's tunnel: their first ports, and the ports they watch.
    pub(super) fn members(&self, session: SessionNumber) -> Vec<(TunnelAction, Option<PortId>)> {
        let leg = self.domain.sessions[&session].legs[0].as_ref().unwrap();
        let ingress = leg.route.ingress(self.domain.network());
        let Some(Entry::Tunnel(entry)) = self.domain.tables.get(ingress, &TunnelKey { tunnel: leg.tunnel.unwrap() }.into()) else {
            panic!("no tunnel")
        };
        assert!(entry.action.members.iter().all(|member| member.weight == NonZeroU32::MIN));
        entry.action.members.iter().map(|member| (member.action, member.watch_port)).collect()
    }
}

pub(super) fn ways<const WAYS: usize, const HOPS: usize>(ways: [[&str; HOPS]; WAYS]) -> Vec<Vec<String>> {
    ways.map(|way| way.map(str::to_owned).to_vec()).to_vec()
}

#[test]
fn a_change_in_service_keeps_what_stays() {
    let mut world = World::new();
    let session = world.agreed(&asked(8 * MEGA), 7);
    let pe1 = id(&world.domain, "pe1");
    let flow =
        |world: &World| world.domain.expected_entries(pe1).filter(|entry| matches!(entry, Entry::FlowV4(_))).cloned().collect::<Vec<_>>();
    let before = flow(&world);
    // More, for a while: the path has room, so nothing but the policer changes.
    let proposal = |rate, stop: Option<u64>| Proposal {
        media: vec![medium(end("10.1.0.5", 5004), rate, Direction::FromCaller)],
        class: None,
        window: Window { start: None, stop: stop.map(at) },
        mover: None,
    };
    world.now = 10;
    let proposed = world.domain.propose(session, proposal(16 * MEGA, Some(500)), at(10)).unwrap();
    assert!(proposed.effects.steps.is_empty() && proposed.terms.policed == BitRate(2000 * 1042 * 8));
    world.carry_out(proposed.effects);
    world.check();
    assert_eq!(world.domain.propose(session, proposal(MEGA, None), at(10)), Err(NotNow::Proposed.into()));
    world.restart();
    let answer = Answer { media: vec![Some(end("10.2.0.7", 6000))] };
    world.now = 11;
    let answered = world.domain.confirm(session, &answer, at(11)).unwrap();
    let updates: Vec<_> = answered.effects.steps.iter().flat_map(|step| &step.updates).collect();
    assert!(matches!(updates[..], [Update::Modify(Entry::Session(_))]), "{updates:?}");
    world.carry_out(answered.effects);
    world.check();
    assert_eq!((flow(&world), world.domain.next_due()), (before.clone(), Some(at(500))));
    // Less, for good, and the callee elsewhere.
    world.now = 21;
    let proposed = world.domain.propose(session, proposal(MEGA, None), at(21)).unwrap();
    world.carry_out(proposed.effects);
    let answered = world.domain.confirm(session, &Answer { media: vec![Some(end("10.2.0.9", 6000))] }, at(21)).unwrap();
    world.carry_out(answered.effects);
    world.check();
    assert!(flow(&world) != before && flow(&world).len() == 1);
    assert_eq!(world.domain.next_due(), None);
    let periods: Vec<_> = world.domain.sessions[&session].periods.iter().map(|period| (period.since, period.from_caller.0)).collect();
    assert_eq!(periods, [(at(0), 1000 * 1042 * 8), (at(11), 2000 * 1042 * 8), (at(21), 125 * 1042 * 8)]);
    // More than the path has left: another is taken, and the old one left behind.
    world.now = 31;
    world.agreed(&Asked { rates: vec![(90 * MEGA, Direction::FromCaller)], ..asked(MEGA) }, 8);
    let proposed = world.domain.propose(session, proposal(40 * MEGA, None), at(31)).unwrap();
    world.carry_out(proposed.effects);
    world.check();
    assert_eq!(world.way(session), [["p1", "pe2"]]);
    world.withdraw(session);
    world.check();
    let proposed = world.domain.propose(session, proposal(40 * MEGA, None), at(31)).unwrap();
    world.carry_out(proposed.effects);
    let answered = world.domain.confirm(session, &answer, at(31)).unwrap();
    world.carry_out(answered.effects);
    world.check();
    assert_eq!(world.way(session), [["p2", "pe2"]]);
    // More than there is.
    let before = taken_at(&world.domain, 31);
    let refused = world.domain.propose(session, proposal(99 * MEGA, None), at(31)).unwrap_err();
    assert!(matches!(refused, AnswerError::Refused(Refusal::NoBandwidth { .. })), "{refused}");
    assert_eq!(taken_at(&world.domain, 31), before);
}

#[test]
fn a_way_that_is_held_keeps_its_counters() {
    let mut world = World::new();
    let session = world.agreed(&Asked { rates: vec![(8 * MEGA, Direction::Both)], ..asked(MEGA) }, 7);
    let pe2 = id(&world.domain, "pe2");
    let hold = |direction| Proposal {
        media: vec![medium(end("10.1.0.5", 5004), 8 * MEGA, direction)],
        class: None,
        window: Window { start: None, stop: None },
        mover: None,
    };
    world.now = 1;
    for direction in [Direction::FromCaller, Direction::Both] {
        let proposed = world.domain.propose(session, hold(direction), at(1)).unwrap();
        world.carry_out(proposed.effects);
        world.confirm(session, 7, 1);
        world.check();
        world.restart();
        assert!(world.domain.expected_entries(pe2).any(|entry| matches!(entry, Entry::Session(_))), "it counted, and is read in the end");
    }
    world.release(session, Cause::Caller);
    assert_eq!(world.domain.summary(session).unwrap().counted_at.len(), 2);
}

#[test]
fn a_tunnel_is_moved_with_all_its_sessions() {
    let mut world = World::new();
    let [first, second] = [7, 8].map(|host| world.agreed(&asked(MEGA), host));
    let tunnels = |world: &World| world.domain.terms(first).unwrap().tunnels;
    let before = tunnels(&world);
    let rerouted = world.link(0, |link| link.operation = Operation::Down);
    world.check();
    assert_eq!((rerouted.moved, rerouted.ended), (vec![first, second], vec![]));
    assert_eq!((world.way(first), tunnels(&world)), (vec![vec!["p2".to_owned(), "pe2".to_owned()]], before));
    let kinds: Vec<_> = rerouted.effects.steps.iter().flat_map(|step| &step.updates).map(|update| (update.key(), update)).collect();
    let heads = kinds.iter().filter(|(key, _)| matches!(key, EntryKey::Tunnel(_))).count();
    assert_eq!((kinds.len(), heads), (3, 1), "a label more, the head changed, a label less: {kinds:?}");
    assert!(matches!(kinds[1], (EntryKey::Tunnel(_), Update::Modify(_))));
    // Drained like failed; and no way is left.
    let rerouted = world.link(2, |link| link.administration = Administration::Drained);
    world.check();
    assert_eq!(rerouted.ended.len(), 0, "there is a way by pe3");
    assert_eq!(world.way(first), [["pe3", "p2", "pe2"]]);
    let rerouted = world.link(4, |link| link.operation = Operation::Down);
    world.check();
    let mut ended: Vec<_> = rerouted.ended.iter().map(|summary| (summary.session, summary.cause)).collect();
    ended.sort_unstable_by_key(|&(session, _)| session);
    assert_eq!(ended, [(first, Cause::Network), (second, Cause::Network)]);
}

#[test]
fn the_least_important_and_youngest_give_way() {
    let mut world = World::new();
    let with = |priority| Asked { priority, rates: vec![(40 * MEGA, Direction::FromCaller)], ..asked(MEGA) };
    let [low, high, young] = [(1, 7), (5, 8), (1, 9)].map(|(priority, host)| {
        world.now += 1;
        world.agreed(&with(priority), host)
    });
    assert_eq!(world.way(young), [["p2", "pe2"]], "two fill the first way");
    let rerouted = world.link(0, |link| link.operation = Operation::Down);
    world.check();
    // Beside the young one there is room for one more, and on the way by pe3 for one.
    assert_eq!((rerouted.moved, rerouted.ended.len()), (vec![high], 1));
    assert_eq!((world.state(low), world.state(high), world.state(young)), (State::Releasing, State::Established, State::Established));
    let rerouted = world.link(3, |link| link.capacity = BitRate(50 * MEGA));
    world.check();
    assert_eq!(rerouted.ended.iter().map(|summary| summary.session).collect::<Vec<_>>(), [young]);
}

#[test]
fn a_protected_session_has_two_ways() {
    let mut world = World::new();
    let session = world.agreed(&Asked { protection: Protection::Disjoint, ..asked(40 * MEGA) }, 7);
    assert_eq!(world.way(session), [["p1", "pe2"], ["p2", "pe2"]]);
    let watched: Vec<_> = world.members(session).into_iter().map(|(_, watched)| watched.map(PortId::get)).collect();
    assert_eq!(watched, [Some(10), Some(11)]);
    let free =
        |world: &World, link| world.domain.calendar().available(crate::topology::DirectedLinkId(link), Interval::new(at(0), None).unwrap());
    assert_eq!((free(&world, 0), free(&world, 4)), (free(&world, 2), free(&world, 6)));
    assert!(free(&world, 0) < BitRate(100 * MEGA), "each is reserved in full");
    // The far link of the first way fails, which no port of the ingress can see.
    let rerouted = world.link(1, |link| link.operation = Operation::Down);
    world.check();
    assert_eq!((rerouted.moved, rerouted.unprotected.clone(), rerouted.ended), (vec![session], vec![session], vec![]));
    assert_eq!((world.way(session), world.members(session).len()), (vec![vec!["p2".to_owned(), "pe2".to_owned()]], 1));
    assert_eq!(free(&world, 0), BitRate(100 * MEGA));
    let rerouted = world.link(1, |link| link.operation = Operation::Up);
    world.check();
    assert_eq!((rerouted.unprotected, world.members(session).len()), (vec![], 2));
    world.restart();
}

#[test]
fn a_more_important_session_ousts_the_fewest() {
    let mut world = World::new();
    let with = |rate, priority| Asked { priority, rates: vec![(rate, Direction::FromCaller)], ..asked(MEGA) };
    // Both ways are full of sessions that may be ousted.
    let small = world.agreed(&with(30 * MEGA, 0), 7);
    let big = world.agreed(&with(60 * MEGA, 0), 8);
    let other = world.agreed(&with(90 * MEGA, 0), 9);
    assert!(world.domain.request(world_request(50 * MEGA, 0), at(0)).is_err(), "not by one of the same priority");
    let admission = world.domain.request(world_request(50 * MEGA, 1), at(0)).unwrap();
    let ousted: Vec<_> = admission.ousted.iter().map(|summary| (summary.session, summary.cause)).collect();
    assert_eq!(ousted.len(), 1, "{ousted:?}");
    assert_eq!(ousted[0].1, Cause::Preempted);
    assert_eq!(world.state(small), State::Established);
    assert!([big, other].contains(&ousted[0].0));
    let first = admission.effects.steps[0].updates.first();
    assert!(matches!(first, Some(Update::Delete(EntryKey::FlowV4(_)))), "its packets are told from others no more first");
    world.carry_out(admission.effects);
    world.check();
}

fn world_request(rate: u64, priority: u8) -> SessionRequest {
    let mut wanted = request("a-east", "a-west", rate);
    wanted.media[0].direction = Direction::FromCaller;
    wanted.priority = Some(priority);
    wanted
}

#[test]
fn a_contract_chooses_its_links() {
    let way = |include: &[&str], exclude: &[&str]| {
        let mut spec = spec();
        spec.links[0].affinity = vec!["satellite".into()];
        spec.links[2].affinity = vec!["gold".into()];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        (spec.contracts[0].options.include, spec.contracts[0].options.exclude) = (names(include), names(exclude));
        let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
        let mut wanted = request("a-east", "a-west", MEGA);
        wanted.media[0].direction = Direction::FromCaller;
        let admission = domain.request(wanted, at(0)).map_err(|refusal| refusal.to_string())?;
        let leg = domain.sessions[&admission.session].legs[0].as_ref().unwrap();
        Ok::<_, String>(leg.route.primary.links()[0].index())
    };
    assert_eq!((way(&[], &[]), way(&[], &["satellite"])), (Ok(0), Ok(4)));
    let none = way(&["gold"], &[]);
    assert_eq!(none, Err("no path from pe1 to pe2: no way there has the affinities asked for".into()), "its second link is not of gold");
}

#[test]
fn a_quota_is_used_up_by_what_is_settled() {
    let mut spec = spec();
    spec.contracts[0].options.quota.bytes = Some(1000);
    let network = || Network::build(spec.clone()).unwrap();
    let mut domain = Domain::new(network()).unwrap();
    let answer = Answer { media: vec![Some(end("10.2.0.7", 6000))] };
    let (session, _) = establish(&mut domain, request("a-east", "a-west", MEGA), &answer);
    let _release = domain.released(session, Cause::Caller, at(10)).unwrap();
    let effects = domain.settled(session, Carried { from_caller: 600, from_callee: 400 }).unwrap();
    let told = "forbidden: contract gold has 1000 bytes a month, and 1000 were carried";
    let refused = |domain: &mut Domain| domain.request(request("a-east", "a-west", MEGA), at(11)).unwrap_err().to_string();
    assert_eq!(refused(&mut domain), told);
    let (mut again, _) = Domain::restore(network(), effects.facts, at(11)).unwrap();
    assert_eq!(refused(&mut again), told, "also after a restart");
    assert!(again.request(request("a-east", "a-west", MEGA), at(31 * 86_400)).is_ok(), "but not next month");
}

#[test]
fn a_router_that_is_down_is_gone_round_and_its_own_sessions_wait() {
    let mut world = World::new();
    let through = world.agreed(&asked(MEGA), 7);
    let own = world.agreed(&Asked { to: 2, ..asked(MEGA) }, 8);
    world.router("p1", Operation::Down);
    world.check();
    assert_eq!(world.way(through), [["p2", "pe2"]]);
    let rerouted = world.router("pe3", Operation::Down);
    world.check();
    assert_eq!((rerouted.ended, world.state(own)), (vec![], State::Established));
    world.restart();
    let rerouted = world.router("pe3", Operation::Up);
    assert_eq!(rerouted.moved, []);
    world.check();
}

#[test]
fn what_the_configuration_has_no_place_for_is_told() {
    let mut world = World::new();
    let [kept, lost] = [(1, 7), (2, 8)].map(|(to, host)| world.agreed(&Asked { to, ..asked(MEGA) }, host));
    let without = |change: &dyn Fn(&mut crate::network::NetworkSpec)| {
        let mut changed = spec();
        changed.contracts[0].options.max_priority = 7;
        change(&mut changed);
        Domain::restore(Network::build(changed).unwrap(), world.facts.clone(), at(9)).unwrap()
    };
    // pe1-pe3 is gone; and what came after it in the file keeps its numbers.
    let (domain, restored) = without(&|spec| {
        spec.links.remove(4);
        spec.links.insert(0, crate::testing::link(("pe3", 13), ("p4", 1), MEGA, 1));
    });
    assert_eq!(
        restored.lost.iter().map(|lost| (lost.summary.session, lost.why.clone())).collect::<Vec<_>>(),
        [(lost, WhyLost::Missing(Item::Link("pe1-pe3".into())))]
    );
    assert!(restored.effects.facts.contains(&Fact::SessionGone(lost)));
    assert_eq!(domain.sessions().collect::<Vec<_>>(), [(kept, State::Established)]);
    let same = |key: fn(&&Entry) -> bool| {
        let of = |domain: &Domain| domain.expected_entries(id(&world.domain, "pe1")).filter(key).cloned().collect::<Vec<_>>();
        (of(&domain), of(&world.domain))
    };
    let (now, before) = same(|entry| matches!(entry, Entry::Nexthop(_) | Entry::Ilm(_)));
    assert!(now.iter().all(|entry| before.contains(entry)), "no number has changed its meaning");
    let (_, restored) = without(&|spec| {
        spec.contracts[0].name = "platinum".into();
        spec.applications
            .iter_mut()
            .filter(|application| application.contract == "gold")
            .for_each(|application| application.contract = "platinum".into());
    });
    assert_eq!(restored.lost.len(), 2);
    let (_, restored) = without(&|spec| {
        spec.attachments[1].router = "pe3".into();
        spec.attachments[1].port = crate::testing::port(7);
    });
    assert!(restored.lost.iter().any(|lost| lost.summary.session == kept && matches!(lost.why, WhyLost::Moved(_))), "{:?}", restored.lost);
    // Less than was promised: the same as if it had become less while the gateway ran.
    let (domain, restored) = without(&|spec| spec.links[0].capacity = BitRate(MEGA));
    assert_eq!((restored.lost, restored.rerouted.moved), (vec![], vec![kept]));
    let leg = domain.sessions[&kept].legs[0].as_ref().unwrap();
    assert!(leg.route.in_service(domain.network()) && leg.booking.is_some());
}

#[test]
fn tunnels_are_made_in_advance() {
    let premade = |origin| {
        let mut changed = spec();
        changed.vpns[0].tunnels = origin;
        Network::build(changed).unwrap()
    };
    let (mut domain, restored) = Domain::restore(premade(TunnelOrigin::Premade), [], at(0)).unwrap();
    // Of pe1, pe2 and pe3 each to each.
    let made: Vec<_> = restored.effects.facts.iter().filter(|fact| matches!(fact, Fact::Tunnel(_))).collect();
    assert_eq!(made.len(), 6);
    let first = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap();
    assert!(first.effects.steps.iter().all(|step| step.updates.len() == 1), "nothing but the session is written");
    finish(&mut domain, first.session, Cause::Caller, 1);
    assert_eq!(domain.tunnels.all().count(), 6, "they stay");
    let (domain, again) = Domain::restore(premade(TunnelOrigin::Premade), restored.effects.facts.clone(), at(0)).unwrap();
    assert_eq!((again.effects, domain.tunnels.all().count()), (Effects::default(), 6));
    let (domain, gone) = Domain::restore(premade(TunnelOrigin::OnDemand), restored.effects.facts, at(0)).unwrap();
    assert_eq!((gone.effects.facts.len(), domain.tunnels.all().count()), (6, 0));
    assert_eq!(ringed().routers().count(), 7);
}
