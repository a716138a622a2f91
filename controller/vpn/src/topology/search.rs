//! The shortest path among the links that may be used.
//!
//! Distances from a router to all others are `petgraph`'s Dijkstra. A search then goes backwards from the goal, with these distances
//! as the estimate of what is left (A*): it looks at little more than the path it finds, which matters where looking at a link
//! means asking the calendar.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Add;

use petgraph::algo::{astar, dijkstra};
use petgraph::graph::{EdgeIndex, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef};

use super::{DirectedLinkId, Path, Topology, directed};
use crate::network::RouterId;

/// What a path costs: the sum of the metrics, then the number of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Cost {
    metric: u64,
    links: u32,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { metric: self.metric + other.metric, links: self.links + other.links }
    }
}

impl Cost {
    /// How much more it is than another, or nothing.
    fn beyond(self, other: Self) -> Self {
        if self <= other {
            return Self::default();
        }
        Self { metric: self.metric - other.metric, links: self.links.saturating_sub(other.links) }
    }
}

/// What the cheapest path over links in service costs from one router to each.
#[derive(Debug, Clone)]
pub(crate) struct Distances(Box<[Option<Cost>]>);

/// Whether a link may be used: asked once for each.
struct Memo<F> {
    known: Vec<Option<bool>>,
    ask: F,
}

impl<F: FnMut(DirectedLinkId) -> bool> Memo<F> {
    fn new(topology: &Topology, ask: F) -> Self {
        Self { known: vec![None; topology.links.len()], ask }
    }

    fn get(&mut self, link: DirectedLinkId) -> bool {
        *self.known[link.index()].get_or_insert_with(|| (self.ask)(link))
    }
}

impl Topology {
    /// What it costs to get from a router to each over links in service.
    pub(crate) fn distances(&self, from: RouterId) -> Distances {
        let allowed = EdgeFiltered::from_fn(&self.graph, |edge| self.in_service(directed(edge.id())));
        let found = dijkstra(&allowed, node(from), None, |edge| self.step(directed(edge.id())));
        let mut distances = vec![None; self.routers.len()];
        for (router, cost) in found {
            distances[router.index()] = Some(cost);
        }
        Distances(distances.into())
    }

    /// What a path costs.
    pub(crate) fn cost(&self, path: &[DirectedLinkId]) -> Cost {
        path.iter().fold(Cost::default(), |sum, &link| sum + self.step(link))
    }

    /// The path of least metric from one router to another over links in service that may be used; `distances` are those from the
    /// first, or from any router that the first can be reached from.
    ///
    /// Ties go to fewer links, then at each router from the first on to the link that was configured first: the same question has
    /// the same answer, always.
    ///
    /// `None` when there is no such path, or when both are one router.
    pub(crate) fn shortest(
        &self,
        from: RouterId,
        to: RouterId,
        distances: &Distances,
        mut usable: impl FnMut(DirectedLinkId) -> bool,
    ) -> Option<Path> {
        let mut usable = Memo::new(self, |id| self.in_service(id) && usable(id));
        let left = self.left(from, to, distances, &mut usable)?;
        // Metrics are at least 1, so each step comes nearer; a way exists because the distance does.
        let (mut here, mut remaining) = (from, left[from.index()]?);
        let mut path = Vec::with_capacity(remaining.links as usize);
        while remaining != Cost::default() {
            let nearer = |edge: EdgeIndex| {
                let id = directed(edge);
                let next = left[self.link(id).to.index()]?;
                (usable.get(id) && next + self.step(id) == remaining).then_some((id, next))
            };
            let (id, next) = self.graph.edges(node(here)).map(|edge| edge.id()).filter_map(nearer).min_by_key(|&(id, _)| id)?;
            path.push(id);
            (here, remaining) = (self.link(id).to, next);
        }
        (!path.is_empty()).then_some(Path(path))
    }

    /// What is left to the goal from every router on a cheapest path, and from some others at most that.
    fn left<F: FnMut(DirectedLinkId) -> bool>(
        &self,
        from: RouterId,
        to: RouterId,
        distances: &Distances,
        usable: &mut Memo<F>,
    ) -> Option<Vec<Option<Cost>>> {
        // By the triangle inequality: at least that lies between the first router and another.
        let start = distances.0[from.index()]?;
        let estimate = |router: RouterId| distances.0[router.index()].map(|distance| distance.beyond(start));
        let mut left = vec![None; self.routers.len()];
        left[to.index()] = Some(Cost::default());
        let mut open = BinaryHeap::from([Reverse((estimate(to)?, Cost::default(), to))]);
        // All that lies on a path no dearer than the cheapest is looked at, to choose among equals.
        let mut best: Option<Cost> = None;
        while let Some(Reverse((whole, behind, here))) = open.pop() {
            if best.is_some_and(|best| whole > best) {
                break;
            }
            if left[here.index()] != Some(behind) {
                continue;
            }
            if here == from {
                best = Some(whole);
                continue;
            }
            for edge in self.graph.edges_directed(node(here), petgraph::Direction::Incoming) {
                let id = directed(edge.id());
                let before = self.link(id).from;
                let (Some(ahead), cost) = (estimate(before), behind + self.step(id)) else { continue };
                let nearer = left[before.index()].is_none_or(|known| cost < known);
                if nearer && usable.get(id) {
                    left[before.index()] = Some(cost);
                    open.push(Reverse((ahead + cost, cost, before)));
                }
            }
        }
        best.map(|_| left)
    }

    /// The least limit within which a path exists, when each link has a height and a path is as high as its highest link; links
    /// without one cannot be used. `None` when there is no path.
    pub(crate) fn lowest_pass(&self, from: RouterId, to: RouterId, mut height: impl FnMut(DirectedLinkId) -> Option<u64>) -> Option<u64> {
        let mut done = vec![false; self.routers.len()];
        let mut open = BinaryHeap::from([Reverse((0, to))]);
        while let Some(Reverse((highest, here))) = open.pop() {
            if here == from {
                return Some(highest);
            }
            if std::mem::replace(&mut done[here.index()], true) {
                continue;
            }
            for edge in self.graph.edges_directed(node(here), petgraph::Direction::Incoming) {
                let id = directed(edge.id());
                let before = self.link(id).from;
                if !done[before.index()]
                    && let Some(height) = height(id)
                {
                    open.push(Reverse((highest.max(height), before)));
                }
            }
        }
        None
    }

    /// Which links to mend so that a router can be reached from another: as few as can be. `None` when links that are mended do not help.
    pub(crate) fn missing(&self, from: RouterId, to: RouterId) -> Option<Vec<DirectedLinkId>> {
        let broken = |id| u64::from(!self.in_service(id));
        let cost = |id| Cost { metric: broken(id), links: 1 };
        let (_, way) = astar(&self.graph, node(from), |here| here == node(to), |edge| cost(directed(edge.id())), |_| Cost::default())?;
        let between = |pair: &[NodeIndex]| self.graph.edges_connecting(pair[0], pair[1]).map(|edge| directed(edge.id()));
        let cheapest = way.windows(2).filter_map(|pair| between(pair).min_by_key(|&id| (broken(id), id)));
        Some(cheapest.filter(|&id| broken(id) > 0).collect())
    }

    fn step(&self, id: DirectedLinkId) -> Cost {
        Cost { metric: u64::from(self.link(id).metric.get()), links: 1 }
    }
}

fn node(router: RouterId) -> NodeIndex {
    NodeIndex::from(router.0)
}
