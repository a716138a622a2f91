//! What an operator changes of links while the gateway runs: whether they are used, and how much of them.

use svpn_vpn::Network;
use svpn_vpn::request::BitRate;
use svpn_vpn::topology::{Administration, LinkId};

use super::file::File;
use super::link_name;

/// A link, as it is to be from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkConfig {
    /// Its number in the network that it was configured with.
    pub link: LinkId,
    /// Whether it is to be used. A router that is drained drains its links.
    pub administration: Administration,
    /// Of each direction.
    pub capacity: BitRate,
}

impl LinkConfig {
    /// The same link in another network: the one of its name.
    pub(crate) fn within(self, from: &Network, other: &Network) -> Option<Self> {
        let name = &from.topology().link(self.link.directions()[0]).name;
        other.topology().link_named(name).map(|link| Self { link, ..self })
    }
}

/// All links of a network that was built from this file.
pub(super) fn links(file: &File, network: &Network) -> Vec<LinkConfig> {
    let drained = |router: &str| file.routers.iter().any(|each| each.get_ref().drained && each.get_ref().name == router);
    let between = file.links.iter().map(|link| {
        let link = link.get_ref();
        (link_name(link), link.drained || drained(&link.a.router) || drained(&link.b.router), link.capacity)
    });
    let to_others = file.nnis.iter().map(|nni| {
        let nni = nni.get_ref();
        (nni.name.clone(), nni.drained || drained(&nni.router), nni.capacity)
    });
    let config = |(name, drained, capacity): (String, bool, super::units::Rate)| {
        let administration = if drained { Administration::Drained } else { Administration::InService };
        Some(LinkConfig { link: network.topology().link_named(&name)?, administration, capacity: capacity.0 })
    };
    between.chain(to_others).filter_map(config).collect()
}
