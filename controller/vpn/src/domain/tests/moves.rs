//! Applications that go to another CE, and their sessions with them.

use super::forwarding::{Arrival, Provider, circuit, exchange, udp};
use super::world::{Asked, Wanted, World};
use super::*;
use crate::agreement::Protection;
use crate::durable::Counted;
use crate::network::Circuit;
use crate::request::{CeName, IpVersion, Match, Refusal, TunnelType};
use crate::testing::{MEGA, application, end, medium, request};

fn asked(matching: Match) -> Asked {
    Asked {
        from: 0,
        to: 1,
        rates: vec![(8 * MEGA, Direction::Both)],
        matching,
        start: None,
        length: None,
        priority: 0,
        protection: Protection::None,
        tunnel: TunnelType::Mpls,
        version: IpVersion::V4,
    }
}

fn running(world: &mut World, asked: &Asked) -> SessionNumber {
    let session = world.request(asked).unwrap();
    for _ in 0..3 {
        world.proceed(session, 7, 0xff);
    }
    session
}

#[test]
fn the_new_way_is_ready_before_the_old_one_goes() {
    let mut provider = Provider::new();
    let [east, west, south] = ["a-east", "a-west", "a-south"].map(|ce| circuit(&provider.domain, ce));
    let (old, new, peer) = (("10.1.0.5", 5004), ("10.3.0.5", 5004), ("10.2.0.7", 6000));
    let answer = Answer { media: vec![Some(end(peer.0, peer.1))] };
    let (session, steps) = establish(&mut provider.domain, request("a-east", "a-west", MEGA), &answer);
    provider.write(&steps);

    let window = crate::request::Window { start: None, stop: None };
    let media = vec![medium(end(new.0, new.1), MEGA, Direction::Both)];
    let mover = Some(Mover::Caller(CeName("a-south".into())));
    let proposed = provider.domain.propose(session, Proposal { media, class: None, window, mover }, at(2)).unwrap();
    assert!(proposed.effects.steps.is_empty());
    let answered = provider.domain.confirm(session, &answer, at(3)).unwrap();

    let arrives = |provider: &mut Provider, from: &Circuit, to: &Circuit, src, dst| {
        let (sent, _) = exchange(from, to, src, dst);
        matches!(provider.send(from, &sent), Arrival::At { ce, .. } if ce == to.ce.0)
    };
    let (mut from_old, mut from_new) = (vec![], vec![]);
    for step in answered.effects.steps {
        provider.write(&[step]);
        from_old.push(arrives(&mut provider, &east, &west, old, peer));
        from_new.push(arrives(&mut provider, &south, &west, new, peer));
        let to_old = arrives(&mut provider, &west, &east, peer, old);
        let to_new = arrives(&mut provider, &west, &south, peer, new);
        assert!(to_old || to_new, "who has moved is reached at one of the two places");
    }
    assert!(from_old.iter().zip(&from_new).all(|(old, new)| *old || *new), "{from_old:?} {from_new:?}");
    assert_eq!((from_old.last(), from_new.last()), (Some(&false), Some(&true)));
    assert!(arrives(&mut provider, &west, &south, peer, new) && !arrives(&mut provider, &west, &east, peer, old));

    // What pe1 has carried is read there, and then nothing of the session is left in it.
    let pe1 = id(&provider.domain, "pe1");
    let key = svpn_contract::SessionKey { session: session::id(session) }.into();
    let counter = provider.routers[pe1.index()].direct_counter(&key).unwrap();
    let carried = from_old.iter().filter(|arrived| **arrived).count();
    assert_eq!(counter.packets, u64::try_from(carried).unwrap());
    let [left] = provider.domain.left_behind()[..] else { panic!("one router is to be asked") };
    assert_eq!((left.session, left.way, left.router), (session, Direction::FromCaller, pe1));
    let counted = Counted { offered_packets: counter.packets, offered_bytes: counter.bytes, ..Counted::default() };
    let effects = provider.domain.counted(left, counted).unwrap();
    provider.write(&effects.steps);
    assert_eq!(provider.domain.counted(left, counted), Err(NotNow::Unknown(session)), "once is enough");
    assert!(provider.routers[pe1.index()].direct_counter(&key).is_none());
    let release = provider.domain.released(session, Cause::Caller, at(9)).unwrap();
    assert_eq!((release.summary.counted[0], release.summary.counted_at.len()), (counted, 2));
    provider.write(&release.effects.steps);
    let clear = provider.domain.settled(session, Carried::default()).unwrap();
    provider.write(&clear.steps);
    let fresh = Provider::new();
    for (router, fresh) in provider.routers.iter().zip(&fresh.routers) {
        let keys = |router: &svpn_contract::oracle::Oracle| router.entries().map(Entry::key).collect::<BTreeSet<_>>();
        assert_eq!(keys(router), keys(fresh));
    }
}

#[test]
fn sites_follow_at_once() {
    let mut provider = Provider::new();
    let [east, west, south] = ["a-east", "a-west", "a-south"].map(|ce| circuit(&provider.domain, ce));
    let mut wanted = request("a-east", "a-west", MEGA);
    wanted.matching = Match::Sites;
    let (session, steps) = establish(&mut provider.domain, wanted, &Answer { media: vec![Some(end("10.2.0.7", 9))] });
    provider.write(&steps);
    let (from, to) = (("10.3.0.9", 1), ("10.2.0.200", 2));
    assert!(matches!(provider.send(&south, &udp(south.mac, south.ce_mac, from, to, 64)), Arrival::Dropped { .. }));
    let (storage, there) = (application("storage", "vpn-a"), CeName("a-south".into()));
    assert_eq!(
        provider.domain.sessions_elsewhere(|name| (*name == storage).then(|| there.clone())),
        vec![(session, storage.clone(), there.clone())]
    );
    let answered = provider.domain.relocate(session, &storage, &there, at(2)).unwrap();
    provider.write(&answered.effects.steps);
    let arrived = udp(west.ce_mac, west.mac, from, to, 60);
    let sent = udp(south.mac, south.ce_mac, from, to, 64);
    assert_eq!(provider.send(&south, &sent), Arrival::At { ce: "a-west".into(), frame: arrived, hops: 4 });
    let old = udp(east.mac, east.ce_mac, ("10.1.0.9", 1), to, 64);
    assert!(matches!(provider.send(&east, &old), Arrival::Dropped { .. }), "nobody is there any more");
    assert_eq!(provider.domain.sessions_elsewhere(|_| Some(there.clone())).len(), 1, "the other end is at a-west still");
    assert_eq!(provider.domain.relocate(session, &storage, &there, at(3)).unwrap().effects, Effects::default());
}

#[test]
fn hosts_and_ports_follow_when_they_have_addresses_there() {
    let kinds =
        [(Match::Ports, IpVersion::V4), (Match::Hosts, IpVersion::V4), (Match::Ports, IpVersion::V6), (Match::Hosts, IpVersion::V6)];
    for (matching, version) in kinds {
        let mut world = World::new();
        let session = running(&mut world, &Asked { version, ..asked(matching) });
        assert_eq!(world.relocate(session, Direction::FromCaller, 2), Err(MoveError::Addresses));
        let site = |world: &World| world.domain.sessions[&session].request.caller_ce.0.clone();
        let wanted = |mover| Wanted { rates: vec![(8 * MEGA, Direction::Both)], class: None, length: None, mover };
        // What the peer asks meanwhile is no reason to move.
        world.propose(session, &wanted(None));
        world.confirm(session, 7, 1);
        assert_eq!(site(&world), "a-east");
        world.propose(session, &wanted(Some((Direction::FromCaller, 2))));
        world.check();
        world.restart();
        assert_eq!(site(&world), "a-east", "not yet agreed");
        world.confirm(session, 7, 1);
        world.check();
        world.restart();
        assert_eq!(site(&world), "a-south");
        world.propose(session, &wanted(Some((Direction::FromCallee, 0))));
        let there = world.domain.sessions[&session].change.is_none();
        assert!(there, "pe1 has not yet said what it carried");
        world.count(0).unwrap();
        world.propose(session, &wanted(Some((Direction::FromCallee, 0))));
        world.confirm(session, 7, 1);
        world.check();
        assert_eq!(world.domain.sessions[&session].request.callee_ce.0, "a-east");
    }
}

#[test]
fn what_cannot_be_had_there_stays_as_it_was() {
    let mut world = World::new();
    let session = running(&mut world, &asked(Match::Sites));
    let refusal = |world: &mut World, site| match world.relocate(session, Direction::FromCaller, site) {
        Err(MoveError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    // The link to the peer is no CE, and with both ends on one router nothing crosses the network.
    assert!(matches!(refusal(&mut world, 3), Refusal::Forbidden(_)));
    assert!(matches!(refusal(&mut world, 1), Refusal::NotAcceptable(_)));
    // 50 Mbit/s lead to pe3, and 60.
    let mut full = asked(Match::Sites);
    for (from, rate) in [(0, 47), (1, 56)] {
        (full.from, full.to, full.rates, full.matching) = (from, 2, vec![(rate * MEGA, Direction::Both)], Match::Hosts);
        running(&mut world, &full);
    }
    assert!(matches!(refusal(&mut world, 2), Refusal::NoBandwidth { .. }));
    world.check();
    world.release(session, Cause::Moved);
    assert_eq!(world.domain.summary(session).unwrap().caller_ce.0, "a-east");
}

#[test]
fn gre_follows_to_where_the_other_end_has_addresses_for_it() {
    let mut provider = Provider::new();
    let [east, west, south] = ["a-east", "a-west", "a-south"].map(|ce| circuit(&provider.domain, ce));
    let mut wanted = SessionRequest { tunnel: TunnelType::Gre, ..request("a-east", "a-west", MEGA) };
    wanted.matching = Match::Sites;
    let (session, steps) = establish(&mut provider.domain, wanted, &Answer { media: vec![Some(end("10.2.0.7", 9))] });
    provider.write(&steps);
    let send = |provider: &mut Provider, to: &Circuit, dst, hops: u8| {
        let [sent, frame] =
            [(east.mac, east.ce_mac, 64), (to.ce_mac, to.mac, 62)].map(|(to, from, ttl)| udp(to, from, ("10.1.0.9", 1), (dst, 2), ttl));
        assert_eq!(provider.send(&east, &sent), Arrival::At { ce: to.ce.0.clone(), frame, hops: hops.into() });
        provider.crossed[0].1[12..14].to_vec()
    };
    assert_eq!(send(&mut provider, &west, "10.2.0.200", 3), [8, 0]);
    // Between pe2 and pe3 there is no family that both have, between pe1 and pe3 there is another one.
    let [storage, backup] = ["storage", "backup"].map(|name| application(name, "vpn-a"));
    let there = CeName("a-south".into());
    let Err(MoveError::Refused(Refusal::NotAcceptable(why))) = provider.domain.relocate(session, &storage, &there, at(2)) else {
        panic!("it cannot follow")
    };
    assert!(why.contains("pe3") && why.contains("different families"), "{why}");
    let answered = provider.domain.relocate(session, &backup, &there, at(3)).unwrap();
    provider.write(&answered.effects.steps);
    assert_eq!(send(&mut provider, &south, "10.3.0.9", 2), [0x86, 0xdd]);
    let untold = provider.domain.left_behind();
    assert!(!untold.is_empty());
    for left in untold {
        let effects = provider.domain.counted(left, Counted::UNTOLD).unwrap();
        provider.write(&effects.steps);
    }
    let pe2 = id(&provider.domain, "pe2");
    let fresh = Provider::new();
    let keys = |router: &svpn_contract::oracle::Oracle| router.entries().map(Entry::key).collect::<BTreeSet<_>>();
    assert_eq!(keys(&provider.routers[pe2.index()]), keys(&fresh.routers[pe2.index()]), "pe2 has nothing of it any more");
    let summary = provider.domain.released(session, Cause::Caller, at(4)).unwrap().summary;
    assert_eq!(summary.counted.map(|counted| counted.incomplete), [false, true], "pe2 did not tell what it had counted from the callee");
}
