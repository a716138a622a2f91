//! Which way a direction of a session takes: the cheapest path with room throughout its window, or why there is none.
//!
//! Most of the time that is one of a few candidates, the cheapest paths between two routers, which are found once and kept while links do
//! not come or go. Only where none of them has room is the network searched, the calendar asked at every link.

mod alternatives;
mod disjoint;
mod explain;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use svpn_contract::wire::Mtu;

use crate::admission::{Calendar, Claim, ClassSet, Denial, Interval};
use crate::demand::Demand;
use crate::encapsulation::Encapsulation;
use crate::network::RouterId;
use crate::request::BitRate;
use crate::topology::{Constraint, DirectedLink, DirectedLinkId, Distances, Path, Topology};
use alternatives::Alternatives;

/// The cheapest paths that are tried before the network is searched.
const CANDIDATES: usize = 4;

/// Where from and where to, what for and when.
#[derive(Debug, Clone, Copy)]
pub struct Journey<'a> {
    /// The ingress PE.
    pub from: RouterId,
    /// The egress PE.
    pub to: RouterId,
    /// What it needs.
    pub demand: Demand,
    /// What goes before each packet.
    pub encapsulation: Encapsulation,
    /// The largest packet it brings: bytes after Ethernet and tags, before anything is put before it.
    pub packet: Mtu,
    /// Its classes; several while it changes from one to the other.
    pub classes: ClassSet,
    /// Which links it may use.
    pub constraint: Constraint,
    /// When.
    pub interval: Interval,
    /// What it has already, and keeps or gives up for the path: that much it need not find again.
    pub held: Option<&'a Claim>,
}

/// Why there is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    /// GRE has no addresses to go by.
    #[error("GRE needs addresses of one family on both routers")]
    NoAddresses,
    /// No links lead there.
    #[error("no links lead there")]
    Unconnected,
    /// Links lead there, but each way has one that is down or drained.
    #[error("every way there is down or drained")]
    OutOfService {
        /// Such a link of the shortest way.
        link: DirectedLinkId,
    },
    /// Links lead there, but the affinities asked for allow no way.
    #[error("no way there has the affinities asked for")]
    Excluded,
    /// Links lead there, but not for packets that large.
    #[error("packets of {bytes} bytes, with what is put before them, are larger than every path takes")]
    TooNarrow {
        /// The largest packet with what is put before it.
        bytes: u32,
    },
    /// Every path is too full; this is what the one that comes nearest lacks.
    #[error(transparent)]
    Full(#[from] Denial),
    /// There is a path, but no second one that shares neither router nor link nor risk with it.
    #[error("no two paths there are independent of each other")]
    NotDisjoint,
    /// There is a path, and after a long search no second one.
    #[error("no two paths there were found that are independent of each other, among the first {tried}")]
    DisjointUnknown {
        /// How many first paths were tried.
        tried: usize,
    },
}

impl Journey<'_> {
    /// Bytes before a packet on a link of the journey, at most. A path with a link that joins its ends has no other.
    fn before(&self, link: &DirectedLink) -> u32 {
        self.encapsulation.bytes(if link.from == self.from && link.to == self.to { 1 } else { 2 })
    }

    fn bytes(&self, link: &DirectedLink) -> u32 {
        u32::from(self.packet.get()) + self.before(link)
    }

    /// Whether packets fit and the affinities are right: what does not depend on other sessions.
    fn suits(&self, link: &DirectedLink) -> bool {
        self.constraint.admits(link.affinities) && self.bytes(link) <= u32::from(link.mtu.get())
    }

    /// What the journey asks of a link, beyond what it has there.
    fn asked(&self, id: DirectedLinkId, link: &DirectedLink) -> BitRate {
        let asked = self.demand.on_link(self.before(link));
        let covers = |held: &&Claim| held.interval().contains(self.interval) && held.classes().with(self.classes) == held.classes();
        let held = self.held.filter(covers).map_or(0, |held| held.on(id).0);
        BitRate(asked.0.saturating_sub(held))
    }

    /// Whether a link has room for it throughout.
    pub(crate) fn has_room(&self, id: DirectedLinkId, link: &DirectedLink, calendar: &Calendar) -> bool {
        calendar.has_room(id, self.classes, self.interval, self.asked(id, link))
    }

    /// What the journey asks of each link of a path.
    pub fn demands(&self, path: &Path) -> Vec<(DirectedLinkId, BitRate)> {
        let asked = self.demand.on_link(self.encapsulation.bytes(path.links().len()));
        path.links().iter().map(|&link| (link, asked)).collect()
    }

    /// What the journey asks of the calendar for a path.
    pub fn claim(&self, path: &Path) -> Claim {
        Claim::new(self.interval, self.classes, self.demands(path))
    }
}

/// Paths that were found before, and the search for others.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    /// Of which version of the topology they are.
    version: u64,
    distances: HashMap<RouterId, Distances>,
    pairs: HashMap<(RouterId, RouterId), Alternatives>,
}

impl Paths {
    /// The cheapest path with room throughout.
    ///
    /// # Errors
    /// [`NoPath`]; where every path is too full, the [`Denial`] is that of the path that lacks least: nothing more would have fitted
    /// on any. Its next start is the earliest of that path and the candidates.
    pub fn find(&mut self, topology: &Topology, calendar: &Calendar, journey: &Journey<'_>) -> Result<Path, NoPath> {
        self.known(topology, journey.from);
        let (distances, pair) = (&self.distances[&journey.from], self.pairs.entry((journey.from, journey.to)).or_default());
        let fits = |id| {
            let link = topology.link(id);
            journey.suits(link) && journey.has_room(id, link, calendar)
        };
        for place in 0..CANDIDATES {
            match pair.get(place, topology, (journey.from, journey.to), distances, |_| true) {
                Some(path) if path.links().iter().all(|&id| fits(id)) => return Ok(path.clone()),
                Some(_) => {}
                None => return Err(journey.why_not(topology, calendar, distances, pair.found())),
            }
        }
        let found = topology.shortest(journey.from, journey.to, distances, fits);
        found.ok_or_else(|| journey.why_not(topology, calendar, distances, pair.found()))
    }

    /// Two paths with room throughout, each on its own, that share neither router (but their ends) nor link nor shared-risk group; the
    /// first is the cheapest that has such a second.
    ///
    /// # Errors
    /// [`NoPath`]; [`NoPath::NotDisjoint`] says that there are none, [`NoPath::DisjointUnknown`] that a long search found none, which shared
    /// risks alone can bring about.
    pub fn find_pair(&mut self, topology: &Topology, calendar: &Calendar, journey: &Journey<'_>) -> Result<[Path; 2], NoPath> {
        self.known(topology, journey.from);
        let distances = &self.distances[&journey.from];
        disjoint::find(topology, calendar, journey, distances)?.ok_or_else(|| {
            let found = self.pairs.get(&(journey.from, journey.to)).map_or(&[][..], Alternatives::found);
            journey.why_not(topology, calendar, distances, found)
        })
    }

    /// The cheapest paths from one router to another over links in service, cheapest first, as many as there are up to a number.
    pub fn alternatives(&mut self, topology: &Topology, from: RouterId, to: RouterId, most: usize) -> &[Path] {
        self.known(topology, from);
        let (distances, pair) = (&self.distances[&from], self.pairs.entry((from, to)).or_default());
        if let Some(last) = most.checked_sub(1) {
            let _last = pair.get(last, topology, (from, to), distances, |_| true);
        }
        let found = pair.found();
        &found[..most.min(found.len())]
    }

    /// Sees to it that distances from a router are there, of the topology as it is now.
    fn known(&mut self, topology: &Topology, from: RouterId) {
        if self.version != topology.version() {
            *self = Self { version: topology.version(), ..Self::default() };
        }
        self.distances.entry(from).or_insert_with(|| topology.distances(from));
    }
}
