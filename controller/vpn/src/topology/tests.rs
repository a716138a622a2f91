use proptest::prelude::*;

use super::*;
use crate::testing::network;

/// A topology of links given by their ends, capacity and metric.
pub(crate) fn topology(routers: usize, links: &[(u32, u32, u64, u32)]) -> Topology {
    built(routers, links, |_, _| {})
}

/// The same, with the pools of each link.
pub(crate) fn pooled_topology(routers: usize, links: &[(u32, u32, u64, u32)], pools: &[Vec<Pool>]) -> Topology {
    built(routers, links, |index, link| link.pools.clone_from(&pools[index]))
}

/// The same, with the risks of each link, and its affinities.
pub(crate) fn marked_topology(routers: usize, links: &[(u32, u32, u64, u32)], risks: &[Vec<u32>], affinities: &[Vec<u32>]) -> Topology {
    built(routers, links, |index, link| {
        link.risks = risks.get(index).into_iter().flatten().map(|&risk| RiskId(risk)).collect();
        let kinds = affinities.get(index).into_iter().flatten();
        link.affinities = kinds.fold(Affinities::default(), |set, &place| set.with(place));
    })
}

fn built(routers: usize, links: &[(u32, u32, u64, u32)], mark: impl Fn(usize, &mut Link)) -> Topology {
    let end = |router| LinkEnd { router: RouterId(router), port: PortId::new(1).unwrap(), mac: MacAddr::default() };
    let link = |(index, &(a, b, capacity, metric)): (usize, &(u32, u32, u64, u32))| {
        let mut link = Link {
            name: format!("{a}-{b}"),
            capacity: BitRate(capacity),
            metric: NonZeroU32::new(metric).unwrap(),
            mtu: Mtu::new(1600).unwrap(),
            affinities: Affinities::default(),
            risks: Vec::new(),
            pools: Vec::new(),
            a: end(a),
            b: end(b),
        };
        mark(index, &mut link);
        link
    };
    Topology::new(routers, links.iter().enumerate().map(link).collect(), Names::default(), Names::default())
}

/// Links among six routers; several may join the same two.
pub(crate) fn links() -> impl Strategy<Value = Vec<(u32, u32, u64, u32)>> {
    let link = (0..6_u32, 1..6_u32, 0..100_u64, 1..4_u32);
    prop::collection::vec(link.prop_map(|(a, step, capacity, metric)| (a, (a + step) % 6, capacity, metric)), 0..12)
}

/// Every path that meets no router twice, in the order of its links.
pub(crate) fn every_path(topology: &Topology, from: RouterId, to: RouterId) -> Vec<Path> {
    fn walk(topology: &Topology, here: RouterId, to: RouterId, seen: &mut Vec<RouterId>, path: &mut Path, found: &mut Vec<Path>) {
        if here == to {
            found.push(path.clone());
            return;
        }
        for (id, link) in topology.links().filter(|(_, link)| link.from == here) {
            if !seen.contains(&link.to) {
                seen.push(link.to);
                path.0.push(id);
                walk(topology, link.to, to, seen, path, found);
                path.0.pop();
                seen.pop();
            }
        }
    }
    let mut found = Vec::new();
    walk(topology, from, to, &mut vec![from], &mut Path(Vec::new()), &mut found);
    found.retain(|path| !path.0.is_empty());
    found
}

fn shortest(topology: &Topology, [from, to]: [u32; 2], usable: impl FnMut(DirectedLinkId) -> bool) -> Option<Path> {
    topology.shortest(RouterId(from), RouterId(to), &topology.distances(RouterId(from)), usable)
}

proptest! {
    #[test]
    fn the_shortest_path_is_the_first_of_the_cheapest(
        links in links(),
        banned in 0..24_u32,
        down in 0..12_u32,
        (origin, from, to) in (0..6_u32, 0..6_u32, 0..6_u32),
    ) {
        let mut topology = topology(6, &links);
        if (down as usize) < links.len() {
            let state = topology.state(LinkId(down));
            topology.set_state(LinkId(down), LinkState { operation: Operation::Down, ..state });
        }
        let usable = |id: DirectedLinkId| id.0 != banned;
        let works = |path: &Path| path.0.iter().all(|&id| usable(id) && id.0 / 2 != down);
        let all = every_path(&topology, RouterId(from), RouterId(to)).into_iter().filter(works);
        let expected = all.min_by_key(|path| (topology.cost(&path.0), path.clone()));
        prop_assert_eq!(shortest(&topology, [from, to], usable), expected.clone());
        // Distances from any router that leads to the first do as well.
        let elsewhere = topology.distances(RouterId(origin));
        let reached = origin == from || shortest(&topology, [origin, from], |_| true).is_some();
        let found = topology.shortest(RouterId(from), RouterId(to), &elsewhere, usable);
        prop_assert_eq!(found, expected.filter(|_| reached));
    }

    #[test]
    fn the_lowest_pass_is_that_of_some_path(links in links(), from in 0..6_u32, to in 0..6_u32) {
        let topology = topology(6, &links);
        let height = |id: DirectedLinkId| (id.0 != 1).then(|| topology.link(id).capacity.0);
        let highest = |path: Path| path.0.iter().map(|&id| height(id)).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        let expected = every_path(&topology, RouterId(from), RouterId(to)).into_iter().filter_map(highest).min();
        let found = topology.lowest_pass(RouterId(from), RouterId(to), height);
        prop_assert_eq!(found, if from == to { Some(0) } else { expected });
    }
}

#[test]
fn directions_are_separate() {
    let network = network();
    let topology = network.topology();
    let there = shortest(topology, [0, 3], |_| true).unwrap();
    assert_eq!(there.links(), [DirectedLinkId(0), DirectedLinkId(2)]);
    // Without pe1 → p1 the way there changes and the way back does not.
    let detour = shortest(topology, [0, 3], |id| id != DirectedLinkId(0)).unwrap();
    assert_eq!(detour.links(), [DirectedLinkId(4), DirectedLinkId(6)]);
    let back = shortest(topology, [3, 0], |id| id != DirectedLinkId(0)).unwrap();
    assert_eq!(back.links(), [DirectedLinkId(3), DirectedLinkId(1)]);
    assert_eq!(topology.link(DirectedLinkId(3)).from, RouterId(3));
    assert_eq!(shortest(topology, [0, 6], |_| true), None, "p4 is on its own");
    assert_eq!(shortest(topology, [0, 0], |_| true), None);
}

#[test]
fn labels_of_a_path() {}

#[test]
fn links_of_a_path_follow_each_other() {
    let network = network();
    let topology = network.topology();
    let path = |links: &[u32]| Path::new(topology, links.iter().copied().map(DirectedLinkId).collect());
    assert_eq!(path(&[0, 2]).unwrap().links(), [DirectedLinkId(0), DirectedLinkId(2)]);
    for broken in [&[][..], &[0, 3], &[2, 0], &[0, 2, 2]] {
        assert_eq!(path(broken), Err(BrokenPath));
    }
}

#[test]
fn what_is_not_in_service_offers_nothing() {
    let mut topology = topology(3, &[(0, 1, 100, 1), (1, 2, 70, 1)]);
    let offers = |topology: &Topology| (0..4).map(|id| topology.offers(DirectedLinkId(id)).0).collect::<Vec<_>>();
    let version = topology.version();
    topology.set_state(LinkId(0), LinkState { capacity: BitRate(50), ..topology.state(LinkId(0)) });
    assert_eq!(offers(&topology), [50, 50, 70, 70]);
    assert_eq!(topology.version(), version, "paths are what they were");
    topology.set_state(LinkId(0), LinkState { administration: Administration::Drained, ..topology.state(LinkId(0)) });
    assert_eq!(offers(&topology), [0, 0, 70, 70]);
    assert_ne!(topology.version(), version);
    topology.set_state(LinkId(0), LinkState::new(BitRate(100)));
    topology.set_router(RouterId(2), Operation::Down);
    assert_eq!(offers(&topology), [100, 100, 0, 0]);
    assert!(!Path(vec![DirectedLinkId(0), DirectedLinkId(2)]).in_service(&topology));
    topology.set_router(RouterId(2), Operation::Up);
    assert!(Path(vec![DirectedLinkId(0), DirectedLinkId(2)]).in_service(&topology));
}
