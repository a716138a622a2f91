//! Routers and links, and the shortest path among the links that may be used.
//!
//! A link is full duplex: each direction is a [`DirectedLink`] with its own capacity, and everything that is reserved is reserved on
//! directions. The search is `petgraph`'s Dijkstra, because a shortest path is nothing of this project's own.

use std::num::NonZeroU32;
use std::ops::Add;

use petgraph::algo::dijkstra;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef, Reversed};
use svpn_contract::wire::{MacAddr, Mtu, PortId};

use crate::network::RouterId;
use crate::request::BitRate;

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkEnd {
    pub(crate) router: RouterId,
    pub(crate) port: PortId,
    pub(crate) mac: MacAddr,
}

/// A link, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) capacity: BitRate,
    pub(crate) metric: NonZeroU32,
    pub(crate) mtu: Mtu,
    pub(crate) a: LinkEnd,
    pub(crate) b: LinkEnd,
}

/// One direction of one link. They are numbered from 0: two for each link, in the order of the configuration, `a` to `b` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectedLinkId(pub(crate) u32);

impl DirectedLinkId {
    /// The number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One direction of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectedLink {
    /// The name of the link, which both directions share.
    pub name: String,
    /// Where it leads from.
    pub from: RouterId,
    /// Where it leads to.
    pub to: RouterId,
    /// What this direction carries; counted in bytes of the frame without FCS.
    pub capacity: BitRate,
    /// What a path over it costs.
    pub metric: NonZeroU32,
    /// Bytes after Ethernet.
    pub mtu: Mtu,
    /// The port it leaves `from` by.
    pub port: PortId,
    /// The MAC of that port.
    pub src_mac: MacAddr,
    /// The MAC of the port it arrives at.
    pub dst_mac: MacAddr,
}

/// Links, each starting where the one before ends; at least one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<DirectedLinkId>);

impl Path {
    /// The links in order.
    pub fn links(&self) -> &[DirectedLinkId] {
        &self.0
    }

    /// How many labels a packet has on the path, at most: the VPN label, and above it the transport label, which the router before
    /// the last pops; where there is one link only, nothing is left to switch by it.
    pub fn labels(&self) -> u8 {
        if self.0.len() == 1 { 1 } else { 2 }
    }
}

/// The routers and the links between them.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Nodes are routers and edges are directed links, each with the index of its identifier.
    graph: DiGraph<(), ()>,
    links: Vec<DirectedLink>,
}

/// What a path costs: the sum of the metrics, then the number of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Cost {
    metric: u64,
    links: u32,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { metric: self.metric + other.metric, links: self.links + other.links }
    }
}

impl Topology {
    pub(crate) fn new(routers: usize, links: Vec<Link>) -> Self {
        let mut graph = DiGraph::with_capacity(routers, links.len() * 2);
        for _ in 0..routers {
            graph.add_node(());
        }
        let mut directed = Vec::with_capacity(links.len() * 2);
        for link in links {
            for (from, to) in [(link.a, link.b), (link.b, link.a)] {
                graph.add_edge(NodeIndex::from(from.router.0), NodeIndex::from(to.router.0), ());
                directed.push(DirectedLink {
                    name: link.name.clone(),
                    from: from.router,
                    to: to.router,
                    capacity: link.capacity,
                    metric: link.metric,
                    mtu: link.mtu,
                    port: from.port,
                    src_mac: from.mac,
                    dst_mac: to.mac,
                });
            }
        }
        Self { graph, links: directed }
    }

    /// Every directed link, in the order of its identifiers.
    pub fn links(&self) -> impl Iterator<Item = (DirectedLinkId, &DirectedLink)> {
        (0..).map(DirectedLinkId).zip(&self.links)
    }

    /// A directed link.
    ///
    /// # Panics
    /// If the identifier belongs to another topology.
    pub fn link(&self, id: DirectedLinkId) -> &DirectedLink {
        &self.links[id.index()]
    }

    /// The path of least metric from one router to another over links that may be used.
    ///
    /// Ties go to fewer links, then at each router from the first on to the link that was configured first: the same question has
    /// the same answer, always.
    ///
    /// `None` when there is no such path, or when both are one router.
    pub fn shortest(&self, from: RouterId, to: RouterId, usable: impl Fn(DirectedLinkId, &DirectedLink) -> bool) -> Option<Path> {
        let usable = |edge: EdgeIndex| {
            let id = directed(edge);
            usable(id, self.link(id))
        };
        let allowed = EdgeFiltered::from_fn(&self.graph, |edge| usable(edge.id()));
        // Distances towards the goal, so that the way there can be walked from the start, choosing among equals.
        let distances =
            dijkstra(Reversed(&allowed), NodeIndex::from(to.0), Some(NodeIndex::from(from.0)), |edge| self.cost(directed(edge.id())));
        let mut here = NodeIndex::from(from.0);
        let mut remaining = *distances.get(&here)?;
        let mut path = Vec::with_capacity(remaining.links as usize);
        while remaining != Cost::default() {
            // Metrics are at least 1, so each step comes nearer; a way exists because the distance does.
            let (next, step, id) = self
                .graph
                .edges(here)
                .filter(|edge| usable(edge.id()))
                .filter_map(|edge| {
                    let left = *distances.get(&edge.target())?;
                    let id = directed(edge.id());
                    (left + self.cost(id) == remaining).then_some((edge.target(), left, id))
                })
                .min_by_key(|&(_, _, id)| id)?;
            path.push(id);
            (here, remaining) = (next, step);
        }
        (!path.is_empty()).then_some(Path(path))
    }

    fn cost(&self, id: DirectedLinkId) -> Cost {
        Cost { metric: u64::from(self.link(id).metric.get()), links: 1 }
    }
}

fn directed(edge: EdgeIndex) -> DirectedLinkId {
    // Edges are added once, as many as there are directed links, and never removed.
    DirectedLinkId(u32::try_from(edge.index()).unwrap_or(u32::MAX))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::network;

    /// A topology of links given by their ends, capacity and metric.
    pub(crate) fn topology(routers: usize, links: &[(u32, u32, u64, u32)]) -> Topology {
        let end = |router| LinkEnd { router: RouterId(router), port: PortId::new(1).unwrap(), mac: MacAddr::default() };
        let link = |&(a, b, capacity, metric): &(u32, u32, u64, u32)| Link {
            name: format!("{a}-{b}"),
            capacity: BitRate(capacity),
            metric: NonZeroU32::new(metric).unwrap(),
            mtu: Mtu::new(1600).unwrap(),
            a: end(a),
            b: end(b),
        };
        Topology::new(routers, links.iter().map(link).collect())
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

    proptest! {
        #[test]
        fn the_shortest_path_is_the_first_of_the_cheapest(links in links(), banned in 0..24_u32, from in 0..6_u32, to in 0..6_u32) {
            let topology = topology(6, &links);
            let (from, to) = (RouterId(from), RouterId(to));
            let usable = |id: DirectedLinkId| id.0 != banned;
            let cost = |path: &Path| path.0.iter().map(|&id| topology.cost(id)).fold(Cost::default(), Add::add);
            let all = every_path(&topology, from, to).into_iter().filter(|path| path.0.iter().all(|&id| usable(id)));
            let expected = all.min_by_key(|path| (cost(path), path.clone()));
            prop_assert_eq!(topology.shortest(from, to, |id, _| usable(id)), expected);
        }
    }

    #[test]
    fn directions_are_separate() {
        let network = network();
        let topology = network.topology();
        let [pe1, pe2] = [RouterId(0), RouterId(3)];
        let there = topology.shortest(pe1, pe2, |_, _| true).unwrap();
        assert_eq!(there.links(), [DirectedLinkId(0), DirectedLinkId(2)]);
        // Without pe1 → p1 the way there changes and the way back does not.
        let detour = topology.shortest(pe1, pe2, |id, _| id != DirectedLinkId(0)).unwrap();
        assert_eq!(detour.links(), [DirectedLinkId(4), DirectedLinkId(6)]);
        let back = topology.shortest(pe2, pe1, |id, _| id != DirectedLinkId(0)).unwrap();
        assert_eq!(back.links(), [DirectedLinkId(3), DirectedLinkId(1)]);
        assert_eq!(topology.link(DirectedLinkId(3)).from, pe2);
        assert_eq!(topology.shortest(pe1, RouterId(6), |_, _| true), None, "p4 is on its own");
        assert_eq!(topology.shortest(pe1, pe1, |_, _| true), None);
    }

    #[test]
    fn labels_of_a_path() {
        assert_eq!(Path(vec![DirectedLinkId(0)]).labels(), 1);
        assert_eq!(Path(vec![DirectedLinkId(0), DirectedLinkId(2)]).labels(), 2);
        assert_eq!(Path(vec![DirectedLinkId(0); 5]).labels(), 2);
    }
}
