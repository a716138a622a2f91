//! Tunnels that are made in advance: one each way between every two PEs of a VPN that asks for it.

use std::collections::BTreeSet;

use super::{Domain, Effects};
use crate::durable::{Fact, TunnelOrigin};
use crate::encapsulation::Encapsulation;
use crate::network::RouterId;
use crate::plan::{Ground, Route};

impl Domain {
    /// Makes the tunnels that are to be there and are not, on the cheapest paths in service; those that need not be there any more go
    /// with their last session. A router without a number left gets none: sessions take what they need when they come.
    pub(super) fn make_tunnels(&mut self, effects: &mut Effects) {
        let mut missing = self.wanted_pairs();
        let all: Vec<_> = self.tunnels.all().map(|(ingress, id, tunnel)| (ingress, id, tunnel.route.clone(), tunnel.origin)).collect();
        for (ingress, id, route, origin) in all {
            let pair = (ingress, route.egress(&self.network));
            if origin == TunnelOrigin::Premade && !missing.remove(&pair) {
                self.set_origin(ingress, id, TunnelOrigin::OnDemand, effects);
            }
        }
        for (from, to) in missing {
            let Some(primary) = self.paths.alternatives(self.network.topology(), from, to, 1).first().cloned() else { continue };
            let route = Route { encapsulation: Encapsulation::Mpls, primary, backup: None };
            if let Some(id) = self.tunnels.of(&route) {
                self.set_origin(from, id, TunnelOrigin::Premade, effects);
                continue;
            }
            let Self { network, base, numbers, tunnels, .. } = self;
            let made = tunnels.make(&route, TunnelOrigin::Premade, &mut Ground { network, base, numbers });
            let Ok((id, planned)) = made else { continue };
            self.put(planned.unwrap_or_default(), effects);
            self.tell_tunnel(from, id, effects);
        }
    }

    /// The pairs of PEs between which a VPN wants tunnels.
    fn wanted_pairs(&self) -> BTreeSet<(RouterId, RouterId)> {
        let circuits = || {
            let own = self.network.circuits().iter().filter(|circuit| self.network.is_own(circuit.router));
            own.filter(|circuit| self.network.has_premade_tunnels(&circuit.vpn))
        };
        let pairs = circuits().flat_map(|from| circuits().filter(|to| to.vpn == from.vpn).map(|to| (from.router, to.router)));
        pairs.filter(|(from, to)| from != to).collect()
    }

    fn set_origin(&mut self, ingress: RouterId, id: svpn_contract::wire::TunnelId, origin: TunnelOrigin, effects: &mut Effects) {
        let Self { network, base, numbers, tunnels, .. } = self;
        let gone = tunnels.set_origin(ingress, id, origin, &mut Ground { network, base, numbers });
        match gone {
            None => self.tell_tunnel(ingress, id, effects),
            Some(gone) => {
                self.erase(&gone, effects);
                effects.tell(Fact::TunnelGone(self.tunnel_name(ingress, id)));
            }
        }
    }
}
