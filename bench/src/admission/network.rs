//! Networks of any size, and routers some links apart.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use svpn_contract::wire::{Class, MacAddr, PortId};
use svpn_vpn::admission::{Part, Share};
use svpn_vpn::network::{LinkEndSpec, LinkSpec, PoolSpec, RouterSpec};
use svpn_vpn::paths::Paths;
use svpn_vpn::request::BitRate;
use svpn_vpn::topology::Topology;
use svpn_vpn::{Network, NetworkSpec, RouterId};

use super::AdmissionError;

/// What a link carries.
pub(super) const CAPACITY: BitRate = BitRate(100_000_000_000);
/// Pairs of routers that sessions go between, at most.
const PAIRS: usize = 2_000;
/// How many are looked at to find them.
const LOOKED_AT: usize = 20_000;

/// A grid of routers, about as wide as it is high.
pub(super) fn grid(routers: u32) -> Result<Network, AdmissionError> {
    let width = routers.isqrt().max(1);
    let right = |router: u32| Some(router + 1).filter(|next| next % width != 0);
    let neighbours = (0..routers).flat_map(|router| [right(router), Some(router + width)].map(|next| (router, next)));
    let joined = neighbours.filter_map(|(router, next)| next.filter(|next| *next < routers).map(|next| (router, next)));
    Ok(Network::build(NetworkSpec {
        routers: (0..routers).map(|router| RouterSpec { name: format!("r{router}"), labels: None, gre: Vec::new() }).collect(),
        links: joined.map(|(from, to)| link(from, to)).collect(),
        ..NetworkSpec::default()
    })?)
}

fn link(from: u32, to: u32) -> LinkSpec {
    // A router's ports: east, west, south, north.
    let ports = if to == from + 1 { [1, 2] } else { [3, 4] };
    let end = |router: u32, port: u8| {
        let [_, a, b, c] = router.to_be_bytes();
        LinkEndSpec {
            router: format!("r{router}"),
            port: PortId::new(port.into()).unwrap_or(PortId::MAX),
            mac: MacAddr([2, 0, a, b, c, port]),
        }
    };
    let classes = |numbers: &[u8]| numbers.iter().filter_map(|&number| Class::new(number).ok()).collect();
    let part = |millionths| Share::Part(Part::from_millionths(millionths).unwrap_or(Part::WHOLE));
    LinkSpec {
        name: None,
        capacity: CAPACITY,
        // Any, but the same each time, and seldom the same for two paths.
        metric: Some(10 + from.wrapping_mul(2_654_435_761).wrapping_add(to.wrapping_mul(40_503)) / 7 % 10),
        mtu: None,
        affinity: Vec::new(),
        risk: Vec::new(),
        pools: vec![
            PoolSpec { classes: classes(&[5, 6, 7]), share: part(600_000) },
            PoolSpec { classes: classes(&[5]), share: part(300_000) },
        ],
        a: end(from, ports[0]),
        b: end(to, ports[1]),
    }
}

/// Routers whose cheapest path has so many links, or as many as there are, and how many that is.
pub(super) fn pairs(
    topology: &Topology,
    paths: &mut Paths,
    routers: u32,
    hops: usize,
    seed: u64,
) -> Result<(usize, Vec<(RouterId, RouterId)>), AdmissionError> {
    let ids: Vec<RouterId> = topology.router_ids().collect();
    let mut random = StdRng::seed_from_u64(seed);
    let mut found: BTreeMap<usize, Vec<(RouterId, RouterId)>> = BTreeMap::new();
    for _ in 0..LOOKED_AT {
        let [from, to] = [random.random_range(0..routers), random.random_range(0..routers)].map(|place| ids[place as usize]);
        let Some(path) = paths.alternatives(topology, from, to, 1).first() else { continue };
        let pairs = found.entry(path.links().len()).or_default();
        pairs.push((from, to));
        if path.links().len() == hops && pairs.len() == PAIRS {
            break;
        }
    }
    found.range(..=hops).next_back().map(|(&hops, pairs)| (hops, pairs.clone())).ok_or(AdmissionError::NoPairs)
}
