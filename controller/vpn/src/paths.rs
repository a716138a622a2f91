//! Which way a direction of a session takes: the shortest path among the links with room, or why there is none.

use svpn_contract::wire::Mtu;

use crate::admission::{Calendar, Denial, Interval};
use crate::demand::Demand;
use crate::network::RouterId;
use crate::request::BitRate;
use crate::topology::{DirectedLink, DirectedLinkId, Path, Topology};

const LABEL_BYTES: u32 = 4;

/// Where from and where to, what for and when.
#[derive(Debug, Clone, Copy)]
pub struct Journey {
    /// The ingress PE.
    pub from: RouterId,
    /// The egress PE.
    pub to: RouterId,
    /// What it needs.
    pub demand: Demand,
    /// The largest packet it brings: bytes after Ethernet and tags, without labels.
    pub packet: Mtu,
    /// When.
    pub interval: Interval,
}

/// Why there is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    /// No links lead there.
    #[error("no links lead there")]
    Unconnected,
    /// Links lead there, but not for packets that large.
    #[error("packets of {bytes} bytes with their labels are larger than every path takes")]
    TooNarrow {
        /// The largest packet with its labels.
        bytes: u32,
    },
    /// Every path is too full; this is what the one that comes nearest lacks.
    #[error(transparent)]
    Full(#[from] Denial),
}

impl Journey {
    /// Labels a packet has on a link of the journey, at most; see [`Path::labels`]. A path with a link that joins its ends has no other.
    fn labels(&self, link: &DirectedLink) -> u8 {
        if link.from == self.from && link.to == self.to { 1 } else { 2 }
    }

    fn bytes(&self, link: &DirectedLink) -> u32 {
        u32::from(self.packet.get()) + LABEL_BYTES * u32::from(self.labels(link))
    }

    fn wide_enough(&self, link: &DirectedLink) -> bool {
        self.bytes(link) <= u32::from(link.mtu.get())
    }

    /// What the journey asks of a link.
    fn asked(&self, link: &DirectedLink) -> BitRate {
        self.demand.on_link(self.labels(link))
    }

    /// What the journey asks of each link of a path.
    pub fn demands(&self, path: &Path) -> Vec<(DirectedLinkId, BitRate)> {
        let asked = self.demand.on_link(path.labels());
        path.links().iter().map(|&link| (link, asked)).collect()
    }

    /// The shortest path with room throughout.
    ///
    /// # Errors
    /// [`NoPath`]; where every path is too full, the [`Denial`] is that of the path that lacks least: nothing more would have fitted
    /// on any.
    pub fn find(&self, topology: &Topology, calendar: &Calendar) -> Result<Path, NoPath> {
        let room = |id, link: &DirectedLink| calendar.available(id, self.interval) >= self.asked(link);
        let found = topology.shortest(self.from, self.to, |id, link| self.wide_enough(link) && room(id, link));
        found.ok_or_else(|| self.why_not(topology, calendar))
    }

    fn why_not(&self, topology: &Topology, calendar: &Calendar) -> NoPath {
        let Some(any) = topology.shortest(self.from, self.to, |_, _| true) else { return NoPath::Unconnected };
        let lack = |id, link: &DirectedLink| self.asked(link).0.saturating_sub(calendar.available(id, self.interval).0);
        let within = |limit| topology.shortest(self.from, self.to, |id, link| self.wide_enough(link) && lack(id, link) <= limit);
        let mut lacks: Vec<u64> = topology.links().map(|(id, link)| lack(id, link)).collect();
        lacks.sort_unstable();
        lacks.dedup();
        // The least lack that some path can live with: paths only become more as the limit rises.
        let least = lacks.partition_point(|&limit| within(limit).is_none());
        let Some(path) = lacks.get(least).and_then(|&limit| within(limit)) else {
            let bytes = any.links().iter().map(|&id| self.bytes(topology.link(id))).max();
            return NoPath::TooNarrow { bytes: bytes.unwrap_or_default() };
        };
        let denials = path.links().iter().filter_map(|&id| calendar.room(id, self.interval, self.asked(topology.link(id))).err());
        denials.max_by_key(|denial| denial.asked.0 - denial.fits.0).map_or(NoPath::Unconnected, NoPath::Full)
    }
}
