use proptest::prelude::*;

use super::world::{Asked, Wanted, World, change_of};
use super::*;
use crate::agreement::Protection;
use crate::request::{IpVersion, Match, TunnelType};
use crate::testing::MEGA;
use crate::topology::Operation as Service;

#[derive(Debug, Clone)]
enum Operation {
    Request(Asked),
    /// Moves a session on, whatever comes next for it; the callee's answer takes the media of these bits.
    Proceed {
        which: usize,
        host: u8,
        media: u8,
    },
    Fail(usize),
    Release(usize),
    Settle(usize),
    Wait(u64),
    Propose {
        which: usize,
        wanted: Wanted,
    },
    Relocate {
        which: usize,
        end: Direction,
        site: usize,
    },
    Count(usize),
    Confirm {
        which: usize,
        host: u8,
        media: u8,
    },
    Withdraw(usize),
    Link {
        link: u32,
        state: u8,
        capacity: u64,
    },
    Router {
        router: &'static str,
        operation: Service,
    },
    Restart,
    /// The clock is set by so many seconds.
    SetClock(i64),
}

fn rates() -> impl Strategy<Value = Vec<(u64, Direction)>> {
    let direction = prop::sample::select(vec![Direction::Both, Direction::FromCaller, Direction::FromCallee]);
    prop::collection::vec((1..30 * MEGA, direction), 1..3)
}

fn asked() -> impl Strategy<Value = Asked> {
    let matching = prop::sample::select(vec![Match::Ports, Match::Ports, Match::Hosts, Match::Sites]);
    let protection = prop::sample::select(vec![Protection::None, Protection::None, Protection::Disjoint]);
    let version = prop::sample::select(vec![IpVersion::V4, IpVersion::V4, IpVersion::V6]);
    let tunnel = prop::sample::select(vec![TunnelType::Mpls, TunnelType::Mpls, TunnelType::Gre]);
    let times = (prop::option::weighted(0.3, 0..100_u64), prop::option::of(1..200_u64));
    (0..4_usize, 1..4_usize, rates(), matching, times, 0..8_u8, (protection, tunnel, version)).prop_map(
        |(from, step, rates, matching, (start, length), priority, (protection, tunnel, version))| Asked {
            from,
            to: (from + step) % 4,
            rates,
            matching,
            start,
            length,
            priority,
            protection,
            tunnel,
            version,
        },
    )
}

fn mover() -> impl Strategy<Value = (Direction, usize)> {
    (prop::sample::select(vec![Direction::FromCaller, Direction::FromCallee]), 0..4_usize)
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let class = prop::option::of(prop::sample::select(vec![0, 5_u8]));
    (rates(), class, prop::option::of(0..200_u64), prop::option::of(mover())).prop_map(|(rates, class, length, mover)| Wanted {
        rates,
        class,
        length,
        mover,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let router = prop::sample::select(vec!["p1", "p2", "pe2", "pe3"]);
    let state = prop::sample::select(vec![Service::Up, Service::Up, Service::Down]);
    let which = any::<usize>;
    prop_oneof![
        6 => asked().prop_map(Operation::Request),
        15 => (which(), 1..3_u8, any::<u8>()).prop_map(|(which, host, media)| Operation::Proceed { which, host, media }),
        1 => which().prop_map(Operation::Fail),
        2 => which().prop_map(Operation::Release),
        3 => which().prop_map(Operation::Settle),
        2 => (0..80_u64).prop_map(Operation::Wait),
        4 => (which(), wanted()).prop_map(|(which, wanted)| Operation::Propose { which, wanted }),
        3 => (which(), mover()).prop_map(|(which, (end, site))| Operation::Relocate { which, end, site }),
        2 => which().prop_map(Operation::Count),
        3 => (which(), 1..3_u8, any::<u8>()).prop_map(|(which, host, media)| Operation::Confirm { which, host, media }),
        1 => which().prop_map(Operation::Withdraw),
        2 => (0..8_u32, 0..5_u8, MEGA..120 * MEGA).prop_map(|(link, state, capacity)| Operation::Link { link, state, capacity }),
        1 => (router, state).prop_map(|(router, operation)| Operation::Router { router, operation }),
        1 => Just(Operation::Restart),
        1 => (-300..300_i64).prop_map(Operation::SetClock),
    ]
}

const SETTING_UP: [State; 3] = [State::Reserved, State::Programmed, State::Inviting];
const LIVE: [State; 5] = [State::Reserved, State::Programmed, State::Inviting, State::Booked, State::Established];

fn pick(world: &World, states: &[State], which: usize) -> Option<SessionNumber> {
    let those = world.those(states);
    (!those.is_empty()).then(|| those[which % those.len()])
}

fn run(world: &mut World, operation: Operation) -> Option<()> {
    match operation {
        Operation::Request(asked) => drop(world.request(&asked)),
        Operation::Proceed { which, host, media } => world.proceed(pick(world, &SETTING_UP, which)?, host, media),
        Operation::Fail(which) => world.fail(pick(world, &[State::Reserved], which)?),
        Operation::Release(which) => world.release(pick(world, &LIVE, which)?, Cause::Caller),
        Operation::Settle(which) => world.settled(pick(world, &[State::Releasing], which)?),
        Operation::Wait(seconds) => world.wait(seconds),
        Operation::Propose { which, wanted } => world.propose(pick(world, &[State::Booked, State::Established], which)?, &wanted),
        Operation::Relocate { which, end, site } => drop(world.relocate(pick(world, &LIVE, which)?, end, site)),
        Operation::Count(which) => world.count(which)?,
        Operation::Confirm { which, host, media } => world.confirm(pick(world, &LIVE, which)?, host, media),
        Operation::Withdraw(which) => world.withdraw(pick(world, &LIVE, which)?),
        Operation::Link { link, state, capacity } => drop(world.link(link, change_of(state, capacity))),
        Operation::Router { router, operation } => drop(world.router(router, operation)),
        Operation::Restart => world.restart(),
        Operation::SetClock(seconds) => world.set_clock(seconds),
    }
    Some(())
}

proptest! {
    // Each case is hundreds of moments, and at each everything is checked.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_nothing_is_left_behind(operations in prop::collection::vec(operation(), 1..80)) {
        let mut world = World::new();
        let untouched = taken_at(&world.domain, 0);
        for operation in operations {
            run(&mut world, operation);
            world.check();
        }
        world.restart();
        for link in 0..8 {
            world.link(link, |link| link.operation = Service::Up);
        }
        while let Some(session) = pick(&world, &LIVE, 0) {
            world.release(session, Cause::Caller);
            world.check();
        }
        while let Some(session) = pick(&world, &[State::Releasing], 0) {
            world.settled(session);
            world.check();
        }
        world.domain.network = super::world::ringed();
        world.domain.calendar.follow(&world.domain.network.topology);
        prop_assert_eq!(taken_at(&world.domain, world.now), untouched);
        let mut base = Routers::default();
        base.write(&world.domain.base_plan());
        prop_assert_eq!(world.routers, base);
    }
}

#[test]
fn a_booking_that_begins_rides_no_tunnel_for_a_change_that_is_not_agreed_on() {
    let mut world = World::new();
    let booked = Asked {
        from: 0,
        to: 2,
        rates: vec![(1, Direction::FromCaller)],
        matching: Match::Sites,
        start: Some(0),
        length: None,
        priority: 0,
        protection: Protection::None,
        tunnel: TunnelType::Mpls,
        version: IpVersion::V4,
    };
    run(&mut world, Operation::Request(booked));
    while world.those(&[State::Booked]).is_empty() {
        run(&mut world, Operation::Proceed { which: 0, host: 1, media: 1 });
    }
    run(&mut world, Operation::Relocate { which: 0, end: Direction::FromCaller, site: 1 });
    // Back again, and both ways.
    let wanted = Wanted { rates: vec![(14 * MEGA, Direction::Both)], class: None, length: None, mover: Some((Direction::FromCaller, 0)) };
    run(&mut world, Operation::Propose { which: 0, wanted });
    run(&mut world, Operation::SetClock(81));
    assert_eq!(world.those(&[State::Established]).len(), 1);
    world.restart();
}
