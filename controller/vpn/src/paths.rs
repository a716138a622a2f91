//! Which way a direction of a session takes: the shortest path among the links with room, or why there is none.

use std::cmp::Reverse;

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
        denials.min_by_key(|denial| Reverse(denial.asked.0 - denial.fits.0)).map_or(NoPath::Unconnected, NoPath::Full)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::demand::Framing;
    use crate::request::{Bandwidth, Transport};
    use crate::testing::{at, class, network};
    use crate::topology::tests::{every_path, links, topology};

    fn demand(rate: u64) -> Demand {
        let bandwidth = Bandwidth::TransportIndependent { rate: BitRate(rate), packets_per_second: None };
        Demand::of([(Transport::Udp, bandwidth)], Framing { tags: 0, mean_packet: 512 }).unwrap()
    }

    fn journey(from: u32, to: u32, rate: u64) -> Journey {
        let interval = Interval::new(at(0), None).unwrap();
        Journey { from: RouterId(from), to: RouterId(to), demand: demand(rate), packet: Mtu::new(1500).unwrap(), interval }
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
            match journey.find(&topology, &calendar) {
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
                Err(NoPath::TooNarrow { bytes }) => prop_assert!(false, "packets of {bytes} bytes fit links of 1600"),
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
            match journey.find(network.topology(), &calendar) {
                Ok(path) => {
                    links.push(path.links().iter().map(|link| link.index()).collect::<Vec<_>>());
                    // Never given back.
                    let _booking = calendar.reserve(journey.interval, class(5), journey.demands(&path)).unwrap();
                }
                Err(why) => break why,
            }
        };
        assert_eq!(links, [[0, 2], [4, 6]]);
        // What the first has left is what the second has left; the first is told.
        let NoPath::Full(denial) = last else { panic!("{last:?}") };
        assert_eq!((denial.link.index(), denial.asked), (0, journey.demand.on_link(2)));
        assert_eq!(denial.fits.0, 100_000_000 - denial.asked.0);
    }

    #[test]
    fn one_link_carries_one_label_and_takes_what_two_would_not() {
        let exact = demand(8_000).on_link(1).0;
        let topology = topology(3, &[(0, 1, exact, 1), (1, 2, exact, 1)]);
        let calendar = Calendar::new(&topology);
        assert_eq!(journey(0, 1, 8_000).find(&topology, &calendar).unwrap().links().len(), 1);
        let Err(NoPath::Full(denial)) = journey(0, 2, 8_000).find(&topology, &calendar) else { panic!("two labels do not fit") };
        assert_eq!((denial.asked, denial.fits.0), (demand(8_000).on_link(2), exact));
    }

    #[test]
    fn packets_take_links_that_are_wide_enough() {
        let topology = topology(3, &[(0, 1, 1_000_000, 1), (1, 2, 1_000_000, 1)]);
        let calendar = Calendar::new(&topology);
        let wide = |packet, to| Journey { packet: Mtu::new(packet).unwrap(), ..journey(0, to, 8_000) }.find(&topology, &calendar);
        assert!(wide(1592, 2).is_ok());
        assert_eq!(wide(1593, 2), Err(NoPath::TooNarrow { bytes: 1601 }));
        assert!(wide(1596, 1).is_ok());
        assert_eq!(wide(1597, 1), Err(NoPath::TooNarrow { bytes: 1601 }));
    }
}
