//! What another provider sends: known by the label that was mapped for the session, and put into the tunnel to its PE.

use svpn_contract::wire::Label;
use svpn_contract::{Entry, IlmAction, IlmEntry, IlmKey};

use super::{Base, Marks, Tunnel};
use crate::network::{Circuit, Network, RouterId};

/// The entry of our border router that takes a session's packets from the peer to the PE of this circuit, by a tunnel that begins at the
/// peer. It stays with the session when the tunnel is another.
pub(crate) fn arrival(label: Label, tunnel: &Tunnel, to: &Circuit, network: &Network, base: &Base) -> (RouterId, Entry) {
    let links = tunnel.route.primary.links();
    let border = network.topology().link(links[0]).to;
    let beyond = match tunnel.marks.first() {
        Some(Marks::Lsp(labels)) => labels.first(),
        // What crosses to a peer goes by labels.
        Some(Marks::Gre(_)) | None => None,
    };
    let action = match links.get(1).map(|&link| base.next_hop(link)) {
        // The border router is the PE.
        None => IlmAction::PopVrf { vrf: to.vrf, ttl_mode: network.ttl() },
        Some(nexthop) => {
            let vpn_label = base.vpn_label(to);
            match beyond {
                None => IlmAction::Swap { label: vpn_label, nexthop },
                Some(&(_, l2)) => IlmAction::SwapPush { label: vpn_label, l2, nexthop },
            }
        }
    };
    (border, IlmEntry { key: IlmKey { label }, action }.into())
}
