//! Links one after the other.

use super::{DirectedLinkId, Topology};
use crate::network::RouterId;

/// Links, each starting where the one before ends; at least one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub(super) Vec<DirectedLinkId>);

/// Links that make no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the links do not follow each other")]
pub struct BrokenPath;

impl Path {
    /// A path of these links.
    ///
    /// # Errors
    /// [`BrokenPath`] when there is none, or one does not start where the one before ends.
    ///
    /// # Panics
    /// If a link belongs to another topology.
    pub fn new(topology: &Topology, links: Vec<DirectedLinkId>) -> Result<Self, BrokenPath> {
        let follows = |pair: &[DirectedLinkId]| topology.link(pair[0]).to == topology.link(pair[1]).from;
        if links.is_empty() || !links.windows(2).all(follows) { Err(BrokenPath) } else { Ok(Self(links)) }
    }

    /// The links in order.
    pub fn links(&self) -> &[DirectedLinkId] {
        &self.0
    }

    /// Where it ends.
    ///
    /// # Panics
    /// If it belongs to another topology.
    pub fn egress(&self, topology: &Topology) -> RouterId {
        topology.link(self.0[self.0.len() - 1]).to
    }

    /// Whether all of it is in service.
    pub fn in_service(&self, topology: &Topology) -> bool {
        self.0.iter().all(|&link| topology.in_service(link))
    }
}
