//! Two paths that do not fail together.
//!
//! First each of the cheapest paths is tried as the first of the two. Without shared risks, whether any two exist is then told for good
//! by two units of flow (Suurballe's algorithm, as Bhandari has it: `petgraph`'s Bellman–Ford over what the shortest path leaves).
//! Shared risks make the question hard: then all paths are tried as the first, up to [`MOST_TRIED`].

use std::collections::HashMap;

use petgraph::algo::bellman_ford;
use petgraph::graph::{DiGraph, NodeIndex};

use super::alternatives::Alternatives;
use super::{Journey, NoPath};
use crate::admission::Calendar;
use crate::network::RouterId;
use crate::topology::{DirectedLinkId, Distances, Path, Topology};

/// How many paths are tried as the first of two, before flow is asked.
const TRIED_FIRST: usize = 8;
/// How many are tried in all.
const MOST_TRIED: usize = 2_000;

/// What came of a search.
enum Outcome {
    Found([Path; 2]),
    /// Not even one path is there.
    NoPath,
    NotDisjoint,
    Unknown,
}

/// Two paths for a journey; `None` when there is not even one.
pub(super) fn find(
    topology: &Topology,
    calendar: &Calendar,
    journey: &Journey<'_>,
    distances: &Distances,
) -> Result<Option<[Path; 2]>, NoPath> {
    let mut known: HashMap<DirectedLinkId, bool> = HashMap::new();
    let known = std::cell::RefCell::new(&mut known);
    let suits = |id| journey.suits(topology.link(id));
    let fits = |id| suits(id) && *known.borrow_mut().entry(id).or_insert_with(|| journey.has_room(id, topology.link(id), calendar));
    let search = Search { topology, ends: (journey.from, journey.to), distances };
    let failed = match search.run(fits) {
        Outcome::Found(pair) => return Ok(Some(pair)),
        Outcome::NoPath => return Ok(None),
        failed => failed,
    };
    // Where an empty network has two, it is room that is missing.
    if let Outcome::Found(pair) = search.run(suits) {
        let denials = pair.iter().filter_map(|path| journey.denied(path, topology, calendar));
        if let Some(denial) = denials.max_by_key(|denial| denial.asked.0 - denial.fits.0) {
            return Err(NoPath::Full(denial));
        }
    }
    Err(if matches!(failed, Outcome::Unknown) { NoPath::DisjointUnknown { tried: MOST_TRIED } } else { NoPath::NotDisjoint })
}

struct Search<'a> {
    topology: &'a Topology,
    ends: (RouterId, RouterId),
    distances: &'a Distances,
}

impl Search<'_> {
    fn run(&self, usable: impl Fn(DirectedLinkId) -> bool) -> Outcome {
        let mut firsts = Alternatives::default();
        for tried in 0..MOST_TRIED {
            if tried == TRIED_FIRST {
                match firsts.found().first().map(|shortest| self.flow(shortest, &usable)) {
                    Some(Some(pair)) if self.independent(&pair) => return Outcome::Found(pair),
                    Some(None) => return Outcome::NotDisjoint,
                    _ => {}
                }
            }
            let Some(first) = firsts.get(tried, self.topology, self.ends, self.distances, &usable) else {
                return if tried == 0 { Outcome::NoPath } else { Outcome::NotDisjoint };
            };
            if let Some(second) = self.second(first, &usable) {
                return Outcome::Found([first.clone(), second]);
            }
        }
        Outcome::Unknown
    }

    /// The cheapest path that shares nothing with another.
    fn second(&self, first: &Path, usable: impl Fn(DirectedLinkId) -> bool) -> Option<Path> {
        let (from, to) = self.ends;
        let passed: Vec<_> = first.links().iter().map(|&id| self.topology.link(id).to).filter(|&router| router != to).collect();
        let risks: Vec<_> = first.links().iter().flat_map(|&id| &self.topology.link(id).risks).collect();
        self.topology.shortest(from, to, self.distances, |id| {
            let link = self.topology.link(id);
            let apart = !passed.contains(&link.to) && !first.links().contains(&id) && !link.risks.iter().any(|risk| risks.contains(&risk));
            apart && usable(id)
        })
    }

    /// Whether two paths that share no router share no risk either.
    fn independent(&self, [one, other]: &[Path; 2]) -> bool {
        let risks = |path: &Path| path.links().iter().flat_map(|&id| self.topology.link(id).risks.clone()).collect::<Vec<_>>();
        let of_one = risks(one);
        risks(other).iter().all(|risk| !of_one.contains(risk))
    }

    /// The two cheapest paths together that share no router, given the cheapest alone; `None` when there are none.
    ///
    /// Every router is two nodes, its entrance and its exit, and what the cheapest path uses is turned round: a second path may take it back.
    fn flow(&self, shortest: &Path, usable: impl Fn(DirectedLinkId) -> bool) -> Option<[Path; 2]> {
        let (from, to) = self.ends;
        let (entrance, exit) = (|router: RouterId| NodeIndex::from(router.0 * 2), |router: RouterId| NodeIndex::from(router.0 * 2 + 1));
        let on_path = |router: RouterId| shortest.links().iter().any(|&id| self.topology.link(id).to == router) && router != to;
        let mut rest: DiGraph<(), f64> = DiGraph::new();
        let mut carriers: HashMap<(NodeIndex, NodeIndex), DirectedLinkId> = HashMap::new();
        for (router, _) in (0..).map(RouterId).zip(0..self.topology.routers()) {
            rest.add_node(());
            rest.add_node(());
            let (a, b) = (entrance(router), exit(router));
            if on_path(router) {
                rest.add_edge(b, a, 0.0)
            } else {
                rest.add_edge(a, b, 0.0)
            };
        }
        for (id, link) in self.topology.links().filter(|&(id, _)| self.topology.in_service(id) && usable(id)) {
            let metric = f64::from(link.metric.get());
            if shortest.links().contains(&id) {
                rest.add_edge(entrance(link.to), exit(link.from), -metric);
                carriers.insert((entrance(link.to), exit(link.from)), id);
            } else {
                rest.add_edge(exit(link.from), entrance(link.to), metric);
                carriers
                    .entry((exit(link.from), entrance(link.to)))
                    .and_modify(|known| {
                        if link.metric < self.topology.link(*known).metric {
                            *known = id;
                        }
                    })
                    .or_insert(id);
            }
        }
        let found = bellman_ford(&rest, exit(from)).ok()?;
        let mut used = shortest.links().to_vec();
        let mut here = entrance(to);
        while here != exit(from) {
            let before = (*found.predecessors.get(here.index())?)?;
            if let Some(&id) = carriers.get(&(before, here)) {
                if shortest.links().contains(&id) { used.retain(|&kept| kept != id) } else { used.push(id) }
            }
            here = before;
        }
        self.two(&used)
    }

    /// Two paths made of links, of which each router but the ends has at most one in and one out.
    fn two(&self, used: &[DirectedLinkId]) -> Option<[Path; 2]> {
        let (from, to) = self.ends;
        let mut starts = used.iter().filter(|&&id| self.topology.link(id).from == from);
        let follow = |&first: &DirectedLinkId| {
            let mut links = vec![first];
            while let Some(&last) = links.last().filter(|&&last| self.topology.link(last).to != to) {
                links.push(*used.iter().find(|&&id| self.topology.link(id).from == self.topology.link(last).to)?);
            }
            Path::new(self.topology, links).ok()
        };
        let mut pair = [follow(starts.next()?)?, follow(starts.next()?)?];
        pair.sort_by_key(|path| (self.topology.cost(path.links()), path.clone()));
        Some(pair)
    }
}
