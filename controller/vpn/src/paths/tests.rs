use proptest::prelude::*;

use super::*;
use crate::demand::Framing;
use crate::request::{Bandwidth, Transport};
use crate::testing::{at, class, network};
use crate::topology::tests::{every_path, links, marked_topology, topology};
use crate::topology::{Affinities, LinkId, LinkState, Operation};

fn demand(rate: u64) -> Demand {
    let bandwidth = Bandwidth::TransportIndependent { rate: BitRate(rate), packets_per_second: None };
    Demand::of([(crate::request::IpVersion::V4, Transport::Udp, bandwidth)], Framing { tags: 0, mean_packet: 512 }).unwrap()
}

fn journey(from: u32, to: u32, rate: u64) -> Journey<'static> {
    let interval = Interval::new(at(0), None).unwrap();
    Journey {
        encapsulation: crate::encapsulation::Encapsulation::Mpls,
        from: RouterId(from),
        to: RouterId(to),
        demand: demand(rate),
        packet: Mtu::new(1500).unwrap(),
        classes: class(5).into(),
        constraint: Constraint::default(),
        interval,
        held: None,
    }
}

proptest! {
    #[test]
    fn a_denial_tells_the_most_that_any_path_had(links in links(), rate in 1..100_u64, from in 0..6_u32, to in 0..6_u32) {
        let kilo: Vec<_> = links.iter().map(|&(a, b, capacity, metric)| (a, b, capacity * 1000, metric)).collect();
        let topology = topology(6, &kilo);
        let calendar = Calendar::new(&topology);
        let journey = journey(from, to, rate * 1000);
        let lack = |path: &Path| -> u64 {
            let demands = journey.demands(path);
            demands.iter().map(|&(id, asked)| asked.0.saturating_sub(topology.link(id).capacity.0)).max().unwrap()
        };
        let least = every_path(&topology, journey.from, journey.to).iter().map(lack).min();
        match Paths::default().find(&topology, &calendar, &journey) {
            Ok(path) => {
                prop_assert_eq!(least, Some(0));
                prop_assert_eq!(lack(&path), 0);
            }
            Err(NoPath::Unconnected) => prop_assert_eq!(least, None),
            Err(NoPath::Full(denial)) => {
                prop_assert_eq!(least, Some(denial.asked.0 - denial.fits.0));
                prop_assert_eq!(topology.link(denial.link).capacity, denial.fits);
                prop_assert!(denial.asked > denial.fits);
            }
            Err(why) => prop_assert!(false, "all links are up, and wide enough: {why}"),
        }
    }
}

#[test]
fn a_full_link_is_avoided_while_another_has_room() {
    let network = network();
    let mut calendar = Calendar::new(network.topology());
    let journey = journey(0, 3, 60_000_000);
    let mut links = Vec::new();
    let last = loop {
        match Paths::default().find(network.topology(), &calendar, &journey) {
            Ok(path) => {
                links.push(path.links().iter().map(|link| link.index()).collect::<Vec<_>>());
                // Never given back.
                let _booking = calendar.reserve(journey.claim(&path)).unwrap();
            }
            Err(why) => break why,
        }
    };
    assert_eq!(links, [[0, 2], [4, 6]]);
    // What the first has left is what the second has left; the first is told.
    let NoPath::Full(denial) = last else { panic!("{last:?}") };
    assert_eq!((denial.link.index(), denial.asked), (0, journey.demand.on_link(8)));
    assert_eq!(denial.fits.0, 100_000_000 - denial.asked.0);
}

#[test]
fn one_link_carries_one_label_and_takes_what_two_would_not() {
    let exact = demand(8_000).on_link(4).0;
    let topology = topology(3, &[(0, 1, exact, 1), (1, 2, exact, 1)]);
    let calendar = Calendar::new(&topology);
    assert_eq!(Paths::default().find(&topology, &calendar, &journey(0, 1, 8_000)).unwrap().links().len(), 1);
    let Err(NoPath::Full(denial)) = Paths::default().find(&topology, &calendar, &journey(0, 2, 8_000)) else {
        panic!("two labels do not fit")
    };
    assert_eq!((denial.asked, denial.fits.0), (demand(8_000).on_link(8), exact));
}

#[test]
fn packets_take_links_that_are_wide_enough() {
    let topology = topology(3, &[(0, 1, 1_000_000, 1), (1, 2, 1_000_000, 1)]);
    let calendar = Calendar::new(&topology);
    let wide = |packet, to| {
        let journey = Journey { packet: Mtu::new(packet).unwrap(), ..journey(0, to, 8_000) };
        Paths::default().find(&topology, &calendar, &journey)
    };
    assert!(wide(1592, 2).is_ok());
    assert_eq!(wide(1593, 2), Err(NoPath::TooNarrow { bytes: 1601 }));
    assert!(wide(1596, 1).is_ok());
    assert_eq!(wide(1597, 1), Err(NoPath::TooNarrow { bytes: 1601 }));
}

/// The risks and affinities of links, by place; those beyond the last link count for nothing.
fn marks() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(0..4_u32, 0..3), 12)
}

/// Some sessions that are there already: from when, for how long, on which link, how much.
fn others() -> impl Strategy<Value = Vec<(u64, u64, u32, u64)>> {
    prop::collection::vec((0..20_u64, 1..20_u64, 0..24_u32, 1..60_000_u64), 0..12)
}

/// What is left of a random network's calendar.
fn taken(topology: &Topology, others: &[(u64, u64, u32, u64)]) -> Calendar {
    let mut calendar = Calendar::new(topology);
    for &(start, length, link, rate) in others.iter().filter(|(_, _, link, _)| (*link as usize) < topology.links().count()) {
        let interval = Interval::new(at(start), Some(at(start + length))).unwrap();
        // What does not fit stays away.
        let _kept = calendar.reserve(Claim::new(interval, class(1), vec![(DirectedLinkId(link), BitRate(rate))]));
    }
    calendar
}

fn kilo(links: &[(u32, u32, u64, u32)]) -> Vec<(u32, u32, u64, u32)> {
    links.iter().map(|&(a, b, capacity, metric)| (a, b, capacity * 1000, metric)).collect()
}

/// What a path runs over, but its ends: routers, links and risks.
fn shares(topology: &Topology, [one, other]: [&Path; 2]) -> bool {
    let routers = |path: &Path| path.links()[1..].iter().map(|&id| topology.link(id).from).collect::<Vec<_>>();
    let risks = |path: &Path| path.links().iter().flat_map(|&id| topology.link(id).risks.clone()).collect::<Vec<_>>();
    routers(one).iter().any(|router| routers(other).contains(router))
        || one.links().iter().any(|id| other.links().contains(id))
        || risks(one).iter().any(|risk| risks(other).contains(risk))
}

proptest! {
    #[test]
    fn alternatives_are_all_paths_cheapest_first(links in links(), from in 0..6_u32, to in 0..6_u32, some in 0..20_usize) {
        let topology = topology(6, &links);
        let mut all = every_path(&topology, RouterId(from), RouterId(to));
        all.sort_by_key(|path| (topology.cost(path.links()), path.clone()));
        let mut paths = Paths::default();
        prop_assert_eq!(paths.alternatives(&topology, RouterId(from), RouterId(to), some), &all[..some.min(all.len())]);
        prop_assert_eq!(paths.alternatives(&topology, RouterId(from), RouterId(to), 1000), &all[..]);
    }

    #[test]
    fn the_cheapest_path_with_room_is_found(
        links in links(),
        affinities in marks(),
        others in others(),
        (rate, start, from, to) in (8..60_u64, 0..30_u64, 0..6_u32, 0..6_u32),
        (include, exclude, down) in (prop::option::of(0..4_u32), prop::option::of(0..4_u32), 0..20_u32),
    ) {
        let mut topology = marked_topology(6, &kilo(&links), &[], &affinities);
        let mut calendar = taken(&topology, &others);
        let mut paths = Paths::default();
        let set = |place: Option<u32>| place.map_or(Affinities::default(), |place| Affinities::default().with(place));
        let constraint = Constraint { include: set(include), exclude: set(exclude) };
        let interval = Interval::new(at(start), Some(at(start + 5))).unwrap();
        let journey = Journey { constraint, interval, ..journey(from, to, rate * 1000) };
        // Twice: what is known of the network before a link fails is not used after.
        for _ in 0..2 {
            let usable = |id: DirectedLinkId| topology.in_service(id) && constraint.admits(topology.link(id).affinities);
            let fits = |path: &Path| path.links().iter().all(|&id| usable(id)) && calendar.fits(&journey.claim(path)).is_ok();
            let all = every_path(&topology, journey.from, journey.to);
            let expected = all.iter().filter(|path| fits(path)).min_by_key(|path| (topology.cost(path.links()), (*path).clone()));
            let found = paths.find(&topology, &calendar, &journey);
            prop_assert_eq!(found.as_ref().ok(), expected);
            if let Err(why) = found {
                let any = |allowed: &dyn Fn(DirectedLinkId) -> bool| all.iter().any(|path| path.links().iter().all(|&id| allowed(id)));
                match why {
                    NoPath::Unconnected => prop_assert!(all.is_empty()),
                    NoPath::OutOfService { link } => prop_assert!(!topology.in_service(link) && !any(&|id| topology.in_service(id)) && !all.is_empty()),
                    NoPath::Excluded => prop_assert!(any(&|id| topology.in_service(id)) && !any(&usable)),
                    NoPath::Full(denial) => {
                        prop_assert!(any(&usable));
                        // When it says that it fits, it fits.
                        if let Some(start) = denial.next_start {
                            let interval = Interval::new(start, Some(start + std::time::Duration::from_secs(5))).unwrap();
                            let later = Journey { interval, ..journey };
                            prop_assert!(paths.find(&topology, &calendar, &later).is_ok());
                        }
                    }
                    other => prop_assert!(false, "{}", other),
                }
            }
            let link = LinkId(down);
            if (down as usize) < links.len() {
                topology.set_state(link, LinkState { operation: Operation::Down, ..topology.state(link) });
                calendar.follow(&topology);
            }
        }
    }

    #[test]
    fn a_pair_is_found_whenever_there_is_one(links in links(), risks in marks(), others in others(), from in 0..6_u32, to in 0..6_u32) {
        let topology = marked_topology(6, &kilo(&links), &risks, &[]);
        let calendar = taken(&topology, &others);
        let journey = journey(from, to, 20_000);
        let mut all = every_path(&topology, journey.from, journey.to);
        let is_pair = |one: &Path, other: &Path| one != other && !shares(&topology, [one, other]);
        let apart = all.iter().any(|one| all.iter().any(|other| is_pair(one, other)));
        all.sort_by_key(|path| (topology.cost(path.links()), path.clone()));
        all.retain(|path| calendar.fits(&journey.claim(path)).is_ok());
        let pair = all.iter().find_map(|one| all.iter().find(|other| is_pair(one, other)).map(|other| [one.clone(), other.clone()]));
        match Paths::default().find_pair(&topology, &calendar, &journey) {
            Ok(found) => {
                // With few paths the first is the cheapest that has a second, and the second the cheapest that it has.
                let expected = pair.expect("it exists");
                prop_assert!(!shares(&topology, [&found[0], &found[1]]));
                let claim = Claim::new(journey.interval, journey.classes, [journey.demands(&found[0]), journey.demands(&found[1])].concat());
                prop_assert!(calendar.fits(&claim).is_ok());
                if all.len() <= 8 {
                    prop_assert_eq!(found, expected);
                }
            }
            Err(why) => {
                prop_assert_eq!(pair, None);
                match why {
                    NoPath::NotDisjoint => prop_assert!(!apart),
                    NoPath::Unconnected | NoPath::OutOfService { .. } | NoPath::Full(_) => {}
                    other => prop_assert!(false, "{}", other),
                }
            }
        }
    }
}

#[test]
fn two_paths_are_found_where_the_cheapest_has_no_second() {
    // The trap: the cheapest path from 0 to 5 takes a link of both of the others, in a network with many more paths.
    let mut links = vec![(0, 1, 1_000_000, 1), (1, 4, 1_000_000, 1), (4, 5, 1_000_000, 1), (0, 3, 1_000_000, 4), (3, 4, 1_000_000, 4)];
    links.extend([(1, 2, 1_000_000, 4), (2, 5, 1_000_000, 4)]);
    // Rungs that only the cheapest path's routers have: many ways, none of which leaves a second.
    links.extend((0..12).map(|_| (1, 4, 1_000_000, 1)));
    let topology = topology(6, &links);
    let calendar = Calendar::new(&topology);
    let pair = Paths::default().find_pair(&topology, &calendar, &journey(0, 5, 20_000)).unwrap();
    assert_eq!(pair.map(|path| path.links().iter().map(|id| id.index()).collect::<Vec<_>>()), [[0, 10, 12], [6, 8, 4]]);
}

#[test]
fn what_is_held_need_not_be_found_again() {
    let topology = topology(3, &[(0, 1, 50_000_000, 1), (1, 2, 50_000_000, 1)]);
    let mut calendar = Calendar::new(&topology);
    let (small, large) = (journey(0, 2, 20_000_000), journey(0, 2, 40_000_000));
    let path = Paths::default().find(&topology, &calendar, &small).unwrap();
    let mut booking = calendar.reserve(small.claim(&path)).unwrap();
    let Err(NoPath::Full(denial)) = Paths::default().find(&topology, &calendar, &large) else { panic!("there is no room for both") };
    assert_eq!((denial.asked, denial.fits.0), (large.demand.on_link(8), 50_000_000 - small.demand.on_link(8).0));
    let held = booking.claim().clone();
    let larger = Journey { held: Some(&held), ..large };
    let path = Paths::default().find(&topology, &calendar, &larger).unwrap();
    calendar.change(&mut booking, larger.claim(&path)).unwrap();
    // Another time is another matter.
    let later = Journey { interval: Interval::new(at(0), Some(at(9))).unwrap(), held: Some(&held), ..journey(0, 2, 60_000_000) };
    let Err(NoPath::Full(denial)) = Paths::default().find(&topology, &calendar, &later) else { panic!("it is too much") };
    assert_eq!(denial.asked, later.demand.on_link(8));
    assert_eq!(denial.fits.0, 50_000_000 - larger.demand.on_link(8).0 + small.demand.on_link(8).0, "what it has and what is free");
}
