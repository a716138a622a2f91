//! The paths between two routers, cheapest first (Yen's algorithm with Lawler's shortcut).
//!
//! Whatever is not found yet leaves one of the paths found somewhere. So the next cheapest is the cheapest of those that keep to a found
//! path up to a router and leave it there by a link that no path found takes from there; a path that was found by leaving another
//! somewhere is left only from there on.

use std::collections::BTreeSet;

use crate::network::RouterId;
use crate::topology::{Cost, DirectedLinkId, Distances, Path, Topology};

/// The paths between two routers, cheapest first, as far as they were asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Alternatives {
    found: Vec<Path>,
    /// The cheapest of each kind of path that is not found yet, with the place at which it leaves one that is.
    waiting: BTreeSet<(Cost, Path, usize)>,
    /// Where the last one found left one found before.
    left_at: usize,
    complete: bool,
}

impl Alternatives {
    /// Those found so far.
    pub(super) fn found(&self) -> &[Path] {
        &self.found
    }

    /// The path at a place, counted from the cheapest; `None` when there are not so many. Links must be the same, and usable or
    /// not, each time.
    pub(super) fn get(
        &mut self,
        place: usize,
        topology: &Topology,
        ends: (RouterId, RouterId),
        distances: &Distances,
        usable: impl Fn(DirectedLinkId) -> bool,
    ) -> Option<&Path> {
        while self.found.len() <= place && !self.complete {
            self.find_next(topology, ends, distances, &usable);
        }
        self.found.get(place)
    }

    fn find_next(
        &mut self,
        topology: &Topology,
        (from, to): (RouterId, RouterId),
        distances: &Distances,
        usable: impl Fn(DirectedLinkId) -> bool,
    ) {
        match self.found.last() {
            None => {
                if let Some(path) = topology.shortest(from, to, distances, &usable) {
                    self.waiting.insert((topology.cost(path.links()), path, 0));
                }
            }
            Some(last) => {
                for place in self.left_at..last.links().len() {
                    let candidate = leave(&self.found, last, place, topology, to, distances, &usable);
                    self.waiting.extend(candidate.map(|path| (topology.cost(path.links()), path, place)));
                }
            }
        }
        match self.waiting.pop_first() {
            Some((_, path, left_at)) => {
                self.found.push(path);
                self.left_at = left_at;
            }
            None => self.complete = true,
        }
    }
}

/// The cheapest path that keeps to another up to a place and leaves it there, by a link that no path found takes from there.
fn leave(
    found: &[Path],
    path: &Path,
    place: usize,
    topology: &Topology,
    to: RouterId,
    distances: &Distances,
    usable: impl Fn(DirectedLinkId) -> bool,
) -> Option<Path> {
    let root = &path.links()[..place];
    let taken: Vec<_> = found.iter().filter(|path| path.links().starts_with(root)).filter_map(|path| path.links().get(place)).collect();
    let passed: Vec<_> = root.iter().map(|&link| topology.link(link).from).collect();
    let here = topology.link(path.links()[place]).from;
    let free = |id: DirectedLinkId| {
        let link = topology.link(id);
        let known = link.from == here && taken.contains(&&id);
        let again = passed.contains(&link.from) || passed.contains(&link.to);
        !known && !again && usable(id)
    };
    let rest = topology.shortest(here, to, distances, free)?;
    Path::new(topology, [root, rest.links()].concat()).ok()
}
