//! Routers and links, and what is known of them at run time.
//!
//! A link is full duplex: each direction is a [`DirectedLink`] with its own capacity, and everything that is reserved is reserved on
//! directions. Routers and links come from the configuration and stay; whether they are up, drained, or have another capacity
//! changes, and what a direction offers follows from it: [`Topology::offers`].

mod affinity;
mod path;
mod search;
mod state;
#[cfg(test)]
pub(crate) mod tests;

use std::num::NonZeroU32;

use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use svpn_contract::wire::{MacAddr, Mtu, PortId};

use crate::admission::Pool;
use crate::network::RouterId;
use crate::request::BitRate;

pub(crate) use affinity::Names;
pub use affinity::{Affinities, Constraint, UnknownAffinity};
pub use path::{BrokenPath, Path};
pub(crate) use search::{Cost, Distances};
pub use state::{Administration, LinkState, Operation};

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
    pub(crate) affinities: Affinities,
    pub(crate) risks: Vec<RiskId>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) a: LinkEnd,
    pub(crate) b: LinkEnd,
}

/// A link: its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) u32);

impl LinkId {
    /// The number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its two directions, `a` to `b` first.
    pub const fn directions(self) -> [DirectedLinkId; 2] {
        [DirectedLinkId(self.0 * 2), DirectedLinkId(self.0 * 2 + 1)]
    }
}

/// One direction of one link. They are numbered from 0: two for each link, in the order of the configuration, `a` to `b` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectedLinkId(pub(crate) u32);

impl DirectedLinkId {
    /// The number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The link it is a direction of.
    pub const fn link(self) -> LinkId {
        LinkId(self.0 / 2)
    }

    /// The other direction of the link.
    #[must_use]
    pub const fn reverse(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// Things that fail together: the place of a shared-risk group among the configuration's (SRLG, RFC 4202 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RiskId(pub(crate) u32);

/// One direction of a link, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectedLink {
    /// The name of the link, which both directions share.
    pub name: String,
    /// Where it leads from.
    pub from: RouterId,
    /// Where it leads to.
    pub to: RouterId,
    /// What this direction was configured to carry; counted in bytes of the frame without FCS.
    pub capacity: BitRate,
    /// What a path over it costs.
    pub metric: NonZeroU32,
    /// Bytes after Ethernet.
    pub mtu: Mtu,
    /// What kinds of link it is.
    pub affinities: Affinities,
    /// What it fails together with, sorted.
    pub risks: Vec<RiskId>,
    /// How classes share it, besides that all of them share the whole.
    pub pools: Vec<Pool>,
    /// The port it leaves `from` by.
    pub port: PortId,
    /// The MAC of that port.
    pub src_mac: MacAddr,
    /// The MAC of the port it arrives at.
    pub dst_mac: MacAddr,
}

/// The routers and the links between them.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Nodes are routers and edges are directed links, each with the index of its identifier.
    graph: DiGraph<(), ()>,
    links: Vec<DirectedLink>,
    states: Vec<LinkState>,
    routers: Vec<Operation>,
    affinities: Names,
    risks: Names,
    /// Raised whenever paths may have come or gone.
    version: u64,
}

impl Topology {
    pub(crate) fn new(routers: usize, links: Vec<Link>, affinities: Names, risks: Names) -> Self {
        let mut graph = DiGraph::with_capacity(routers, links.len() * 2);
        for _ in 0..routers {
            graph.add_node(());
        }
        let mut directed = Vec::with_capacity(links.len() * 2);
        let states = links.iter().map(|link| LinkState::new(link.capacity)).collect();
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
                    affinities: link.affinities,
                    risks: link.risks.clone(),
                    pools: link.pools.clone(),
                    port: from.port,
                    src_mac: from.mac,
                    dst_mac: to.mac,
                });
            }
        }
        Self { graph, links: directed, states, routers: vec![Operation::Up; routers], affinities, risks, version: 0 }
    }

    /// How many routers there are.
    pub(crate) fn routers(&self) -> usize {
        self.routers.len()
    }

    /// Every router.
    pub fn router_ids(&self) -> impl Iterator<Item = RouterId> {
        (0..).map(RouterId).take(self.routers.len())
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

    /// The link of a name.
    pub fn link_named(&self, name: &str) -> Option<LinkId> {
        self.links().find(|(_, link)| link.name == name).map(|(id, _)| id.link())
    }

    /// The name of a shared-risk group.
    ///
    /// # Panics
    /// If the identifier belongs to another topology.
    pub fn risk(&self, id: RiskId) -> &str {
        self.risks.name(id.0)
    }

    /// The affinities of these names.
    ///
    /// # Errors
    /// [`UnknownAffinity`] when no link has one of them.
    pub fn affinities<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Affinities, UnknownAffinity> {
        self.affinities.affinities(names)
    }

    /// How many times paths may have come or gone.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }
}

fn directed(edge: EdgeIndex) -> DirectedLinkId {
    // Edges are added once, as many as there are directed links, and never removed.
    DirectedLinkId(u32::try_from(edge.index()).unwrap_or(u32::MAX))
}
