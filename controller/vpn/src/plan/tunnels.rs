//! Tunnels: one for each path in use, shared by all its sessions.

use std::collections::HashMap;

use svpn_contract::wire::{Label, TunnelId};
use svpn_contract::{Choice, EntryKey, IlmAction, IlmEntry, IlmKey, TunnelAction, TunnelEntry, TunnelKey};

use super::numbers::{NoNumber, Numbers};
use super::{Base, Planned};
use crate::network::{Network, RouterId};
use crate::topology::Path;

/// A unidirectional label switched path from PE to PE.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tunnel {
    /// Its number on the ingress PE.
    id: TunnelId,
    /// The routers between the PEs, each with the label by which it knows the tunnel.
    labels: Vec<(RouterId, Label)>,
    /// How many sessions ride it; never 0.
    sessions: u32,
}

/// The tunnels in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tunnels {
    by_path: HashMap<Path, Tunnel>,
}

impl Tunnels {
    /// One more session on a path: the number of its tunnel, and what must be written for it, which is nothing where others ride it
    /// already.
    pub(crate) fn enter(
        &mut self,
        path: &Path,
        network: &Network,
        base: &Base,
        numbers: &mut Numbers,
    ) -> Result<(TunnelId, Planned), NoNumber> {
        if let Some(tunnel) = self.by_path.get_mut(path) {
            tunnel.sessions += 1;
            return Ok((tunnel.id, Planned::new()));
        }
        let tunnel = Tunnel::new(path, network, numbers)?;
        let (id, entries) = (tunnel.id, tunnel.entries(path, network, base));
        self.by_path.insert(path.clone(), tunnel);
        Ok((id, entries))
    }

    /// One session less on a path: what was written for the tunnel and must go, in the order it was written; nothing while others
    /// ride it still.
    pub(crate) fn leave(&mut self, path: &Path, network: &Network, base: &Base, numbers: &mut Numbers) -> Vec<(RouterId, EntryKey)> {
        let Some(tunnel) = self.by_path.get_mut(path) else { return Vec::new() };
        tunnel.sessions -= 1;
        if tunnel.sessions > 0 {
            return Vec::new();
        }
        let keys = tunnel.entries(path, network, base).into_iter().map(|(router, entry)| (router, entry.key())).collect();
        for &(router, label) in &tunnel.labels {
            numbers.give_back_label(router, label);
        }
        numbers.give_back_tunnel(ingress(path, network), tunnel.id);
        self.by_path.remove(path);
        keys
    }
}

fn ingress(path: &Path, network: &Network) -> RouterId {
    network.topology().link(path.links()[0]).from
}

impl Tunnel {
    fn new(path: &Path, network: &Network, numbers: &mut Numbers) -> Result<Self, NoNumber> {
        let ingress = ingress(path, network);
        let id = numbers.take_tunnel(ingress)?;
        let mut labels = Vec::new();
        for &link in &path.links()[1..] {
            let router = network.topology().link(link).from;
            match numbers.take_label(router) {
                Ok(label) => labels.push((router, label)),
                Err(none) => {
                    labels.drain(..).for_each(|(router, label)| numbers.give_back_label(router, label));
                    numbers.give_back_tunnel(ingress, id);
                    return Err(none);
                }
            }
        }
        Ok(Self { id, labels, sessions: 1 })
    }

    /// From the router before the egress PE back to the ingress PE. The egress PE itself knows the VPN label, always.
    fn entries(&self, path: &Path, network: &Network, base: &Base) -> Planned {
        let ttl_mode = network.ttl();
        let mut entries = Planned::new();
        // The label that the router after has; the last before the egress PE pops.
        let mut next: Option<Label> = None;
        for (&link, &(router, label)) in path.links()[1..].iter().zip(&self.labels).rev() {
            let nexthop = base.next_hop(link);
            let action = next.map_or(IlmAction::Php { nexthop, ttl_mode }, |label| IlmAction::Swap { label, nexthop });
            entries.push((router, IlmEntry { key: IlmKey { label }, action }.into()));
            next = Some(label);
        }
        let nexthop = base.next_hop(path.links()[0]);
        let push = next.map_or(TunnelAction::Lsp0 { nexthop, ttl_mode }, |l1| TunnelAction::Lsp1 { l1, nexthop, ttl_mode });
        let head = TunnelEntry { key: TunnelKey { tunnel: self.id }, action: Choice::only(push) };
        entries.push((ingress(path, network), head.into()));
        entries
    }
}
