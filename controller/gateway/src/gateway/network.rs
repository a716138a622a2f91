//! Links that fail and come back, are drained or have another capacity, and what becomes of the sessions on them.

use svpn_contract::packet::PacketOut;
use svpn_vpn::domain::Rerouted;
use svpn_vpn::topology::{LinkId, LinkState, Operation};
use svpn_vpn::{Network, RouterId};

use super::Gateway;
use crate::config::{Config, LinkConfig};
use crate::routers::Firmness;

impl Gateway {
    /// The network as it is now, for a short look.
    pub(crate) fn network<T>(&self, look: impl FnOnce(&Network) -> T) -> T {
        look(self.domain().network())
    }

    /// A router's name.
    pub(crate) fn router_name(&self, router: RouterId) -> &str {
        self.0.routers.name(router)
    }

    /// Whether a router takes packets from us and gives us its own.
    pub(crate) fn speaks(&self, router: RouterId) -> bool {
        self.0.routers.speaks(router)
    }

    /// Waits for an answer of a router; whether one came.
    pub(crate) async fn ping(&self, router: RouterId) -> bool {
        self.0.routers.ping(router).await
    }

    /// Sends a packet out of a router's port; one that cannot be sent now is not.
    pub(crate) fn send(&self, router: RouterId, packet: PacketOut) {
        self.0.routers.send(router, packet);
    }

    /// Whether a link carries frames, as was said last.
    #[cfg(test)]
    pub(crate) fn operation(&self, link: LinkId) -> Operation {
        self.domain().network().topology().state(link).operation
    }

    /// A link carries frames from now on, or does not: tunnels move to other links, or back to being protected; what fits nowhere is
    /// ended.
    pub(crate) fn link_is(&self, link: LinkId, operation: Operation) {
        self.change(link, |state| LinkState { operation, ..state });
    }

    /// Links are to be used, and as much of them, as a configuration says from now on: what rides a drained one goes around it before it
    /// leaves it, and what fits nowhere is ended. Of the configuration's links those are meant that this gateway was started with.
    pub fn configure(&self, config: &Config) {
        let links: Vec<_> = {
            let domain = self.domain();
            config.links.iter().filter_map(|link| link.within(&config.network, domain.network())).collect()
        };
        for LinkConfig { link, administration, capacity } in links {
            self.change(link, |state| LinkState { administration, capacity, ..state });
        }
    }

    fn change(&self, link: LinkId, change: impl FnOnce(LinkState) -> LinkState) {
        let (rerouted, enacted) = {
            let mut domain = self.domain();
            let before = domain.network().topology().state(link);
            let state = change(before);
            if state == before {
                return;
            }
            let name = domain.network().topology().link(link.directions()[0]).name.clone();
            let LinkState { operation, administration, capacity } = state;
            tracing::warn!(link = name, ?operation, ?administration, capacity = capacity.0, "the link has changed");
            let now = self.now(&mut domain);
            let mut rerouted = domain.link_changed(link, state, now);
            let effects = std::mem::take(&mut rerouted.effects);
            let enacted = self.enact(&domain, effects, Vec::new(), Firmness::Surely);
            (rerouted, enacted)
        };
        let Rerouted { moved, unprotected, waiting, withdrawn, ended, .. } = rerouted;
        for (what, sessions) in [
            ("moved", moved),
            ("unprotected", unprotected),
            ("booked, and without a way until something is repaired", waiting),
            ("not changed as proposed", withdrawn),
        ] {
            if !sessions.is_empty() {
                tracing::info!(what, count = sessions.len(), first = sessions[0].0, "sessions follow the network");
            }
        }
        let gateway = self.clone();
        self.0.tasks.spawn(async move {
            enacted.surely().await;
            gateway.told_to_go(ended);
        });
    }
}
