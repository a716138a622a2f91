//! Why there is no path.

use std::collections::HashMap;

use super::{Journey, NoPath};
use crate::admission::{Calendar, Claim, Denial};
use crate::request::BitRate;
use crate::topology::{DirectedLink, DirectedLinkId, Distances, Path, Topology};

impl Journey<'_> {
    /// Why no path was found; `candidates` are paths whose next start is of interest besides.
    pub(super) fn why_not(&self, topology: &Topology, calendar: &Calendar, distances: &Distances, candidates: &[Path]) -> NoPath {
        let Some(path) = self.fullest_bearable(topology, calendar, distances) else { return self.why_no_way(topology, distances) };
        let denied = self.denied(&path, topology, calendar);
        let Some(mut denial) = denied else { return NoPath::Unconnected };
        let suitable = |path: &&Path| path.links().iter().all(|&id| self.suits(topology.link(id)));
        let other = candidates.iter().filter(suitable).filter_map(|path| calendar.next_start(&self.missing(path, topology)));
        denial.next_start = denial.next_start.into_iter().chain(other).min();
        NoPath::Full(denial)
    }

    /// The path that lacks least: the shortest of those.
    fn fullest_bearable(&self, topology: &Topology, calendar: &Calendar, distances: &Distances) -> Option<Path> {
        let mut known: HashMap<DirectedLinkId, u64> = HashMap::new();
        let mut lack = |id, link: &DirectedLink| {
            *known.entry(id).or_insert_with(|| {
                let room = calendar.room(id, self.classes, self.interval);
                self.asked(id, link).0.saturating_sub(room.0)
            })
        };
        let least = topology.lowest_pass(self.from, self.to, |id| {
            let link = topology.link(id);
            (topology.in_service(id) && self.suits(link)).then(|| lack(id, link))
        })?;
        topology.shortest(self.from, self.to, distances, |id| {
            let link = topology.link(id);
            self.suits(link) && lack(id, link) <= least
        })
    }

    /// Why a path has no room, if so: of the links that lack most, the first.
    pub(super) fn denied(&self, path: &Path, topology: &Topology, calendar: &Calendar) -> Option<Denial> {
        let missing = self.missing(path, topology);
        let lack = |&&id: &&DirectedLinkId| missing.on(id).0.saturating_sub(calendar.room(id, self.classes, self.interval).0);
        let link = *path.links().iter().rev().max_by_key(lack)?;
        let denial = calendar.fits(&Claim::new(self.interval, self.classes, vec![(link, missing.on(link))])).err()?;
        // What it has there it keeps.
        let asked = self.demand.on_link(self.encapsulation.bytes(path.links().len()));
        let held = asked.0 - denial.asked.0;
        Some(Denial { asked, fits: BitRate(denial.fits.0 + held), next_start: calendar.next_start(&missing), ..denial })
    }

    /// What of a path has still to be found.
    fn missing(&self, path: &Path, topology: &Topology) -> Claim {
        let demands = path.links().iter().map(|&id| (id, self.asked(id, topology.link(id)))).collect();
        Claim::new(self.interval, self.classes, demands)
    }

    /// Why there is no way at all, full or not.
    fn why_no_way(&self, topology: &Topology, distances: &Distances) -> NoPath {
        let Some(broken) = topology.missing(self.from, self.to).filter(|_| self.from != self.to) else { return NoPath::Unconnected };
        if let Some(&link) = broken.first() {
            return NoPath::OutOfService { link };
        }
        let admitted = |id| self.constraint.admits(topology.link(id).affinities);
        let Some(path) = topology.shortest(self.from, self.to, distances, admitted) else { return NoPath::Excluded };
        let bytes = path.links().iter().map(|&id| self.bytes(topology.link(id))).max();
        NoPath::TooNarrow { bytes: bytes.unwrap_or_default() }
    }
}
