//! Sessions at random.

use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use svpn_contract::wire::{Class, Mtu};
use svpn_vpn::RouterId;
use svpn_vpn::admission::{ClassSet, Interval};
use svpn_vpn::demand::{Demand, Framing, ImpossibleDemand};
use svpn_vpn::paths::Journey;
use svpn_vpn::request::{Bandwidth, BitRate, Transport};
use svpn_vpn::topology::{Constraint, Topology};

use super::network::CAPACITY;

/// When the year begins.
pub(super) const START: SystemTime = SystemTime::UNIX_EPOCH;
/// How long it is, in seconds.
const YEAR: u64 = 365 * 86_400;
/// One session in so many lasts for days.
const LONG: u64 = 100;
/// Seconds that most sessions last.
const SHORT_SECONDS: std::ops::Range<u64> = 600..28_800;
/// Seconds that the others last.
const LONG_SECONDS: std::ops::Range<u64> = 86_400..2_592_000;

/// Sessions at random: any pair, any time of the year, any class, and as much bandwidth as makes the load.
pub(super) struct Sessions {
    pairs: Vec<(RouterId, RouterId)>,
    rate: u64,
    random: StdRng,
}

impl Sessions {
    /// So many sessions shall make a load in percent, on paths of so many links.
    pub(super) fn new(topology: &Topology, pairs: Vec<(RouterId, RouterId)>, (hops, bookings, load): (usize, u32, u8), seed: u64) -> Self {
        let middle = |range: &std::ops::Range<u64>| u128::from(range.start.midpoint(range.end));
        let seconds = (middle(&SHORT_SECONDS) * u128::from(LONG - 1) + middle(&LONG_SECONDS)) / u128::from(LONG);
        let offered = u128::from(CAPACITY.0) * u128::from(YEAR) * topology.links().count() as u128 * u128::from(load) / 100;
        let taken = seconds * hops as u128 * u128::from(bookings);
        // A session is never more than a fiftieth of a link, nor less than a voice.
        let rate = u64::try_from(offered / taken).unwrap_or(u64::MAX).clamp(64_000, CAPACITY.0 / 50);
        Self { pairs, rate, random: StdRng::seed_from_u64(seed) }
    }

    pub(super) fn next(&mut self) -> Result<Journey<'static>, ImpossibleDemand> {
        let random = &mut self.random;
        let (from, to) = self.pairs[random.random_range(0..self.pairs.len())];
        let range = if random.random_range(0..LONG) == 0 { LONG_SECONDS } else { SHORT_SECONDS };
        let (start, seconds) = (START + Duration::from_millis(random.random_range(0..YEAR * 1000)), random.random_range(range));
        let rate = BitRate(random.random_range(self.rate / 2..self.rate * 3 / 2));
        let bandwidth = Bandwidth::TransportIndependent { rate, packets_per_second: None };
        let class = Class::new(random.random_range(0..8)).unwrap_or(Class::MAX);
        Ok(Journey {
            encapsulation: svpn_vpn::encapsulation::Encapsulation::Mpls,
            from,
            to,
            demand: Demand::of([(svpn_vpn::request::IpVersion::V4, Transport::Udp, bandwidth)], Framing { tags: 0, mean_packet: 512 })?,
            packet: Mtu::new(1500).unwrap_or(Mtu::MAX),
            classes: ClassSet::from(class),
            constraint: Constraint::default(),
            interval: interval(start, seconds),
            held: None,
        })
    }
}

/// An interval of some seconds, at least one.
fn interval(start: SystemTime, seconds: u64) -> Interval {
    let stop = start + Duration::from_secs(seconds.max(1));
    Interval::new(start, Some(stop)).unwrap_or_else(|_| unreachable!("a second lies between"))
}
