//! Links that fail and come back, and what becomes of the sessions on them.

use svpn_contract::packet::PacketOut;
use svpn_vpn::domain::Rerouted;
use svpn_vpn::topology::{LinkId, LinkState, Operation};
use svpn_vpn::{Network, RouterId};

use super::Gateway;
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
        let (rerouted, enacted) = {
            let mut domain = self.domain();
            let state = domain.network().topology().state(link);
            if state.operation == operation {
                return;
            }
            let name = domain.network().topology().link(link.directions()[0]).name.clone();
            tracing::warn!(link = name, ?operation, "the link has changed");
            let now = self.now(&mut domain);
            let mut rerouted = domain.link_changed(link, LinkState { operation, ..state }, now);
            let effects = std::mem::take(&mut rerouted.effects);
            let enacted = self.enact(&domain, effects, Vec::new(), Firmness::Surely);
            (rerouted, enacted)
        };
        let Rerouted { moved, unprotected, withdrawn, ended, .. } = rerouted;
        for (what, sessions) in [("moved", moved), ("unprotected", unprotected), ("not changed as proposed", withdrawn)] {
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
