//! The numbers each router gives out.

use svpn_contract::wire::{Label, NextHopId, TunnelId};

use crate::ids::Pool;
use crate::network::{Network, RouterId};

/// Labels, tunnels and next hops of every router.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    labels: Vec<Pool>,
    tunnels: Vec<Pool>,
    next_hops: Vec<Pool>,
}

/// A router has no free number of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no free {kind} number")]
pub(crate) struct NoNumber {
    pub(crate) router: RouterId,
    pub(crate) kind: &'static str,
}

impl Numbers {
    pub(crate) fn new(network: &Network) -> Self {
        let labels = network.all_routers().iter().map(|router| Pool::new(router.first_label.get()..=router.last_label.get()));
        let routers = network.all_routers().len();
        Self {
            labels: labels.collect(),
            tunnels: vec![Pool::new(1..=table_size("tunnel")); routers],
            next_hops: vec![Pool::new(1..=table_size("nexthop")); routers],
        }
    }

    pub(crate) fn take_label(&mut self, router: RouterId) -> Result<Label, NoNumber> {
        let none = NoNumber { router, kind: "label" };
        let label = self.labels[router.index()].take().map_err(|_| none)?;
        // The pool's range is made of labels.
        Label::new(label).map_err(|_| none)
    }

    pub(crate) fn give_back_label(&mut self, router: RouterId, label: Label) {
        self.labels[router.index()].give_back(label.get());
    }

    pub(crate) fn take_tunnel(&mut self, router: RouterId) -> Result<TunnelId, NoNumber> {
        let none = NoNumber { router, kind: "tunnel" };
        TunnelId::new(self.tunnels[router.index()].take().map_err(|_| none)?).map_err(|_| none)
    }

    pub(crate) fn give_back_tunnel(&mut self, router: RouterId, tunnel: TunnelId) {
        self.tunnels[router.index()].give_back(tunnel.get());
    }

    pub(crate) fn take_next_hop(&mut self, router: RouterId) -> Result<NextHopId, NoNumber> {
        let none = NoNumber { router, kind: "next hop" };
        NextHopId::new(self.next_hops[router.index()].take().map_err(|_| none)?).map_err(|_| none)
    }

    /// A label that was in use before a restart.
    pub(crate) fn restore_label(&mut self, router: RouterId, number: u32) -> Option<Label> {
        self.labels[router.index()].restore(number).ok().and_then(|()| Label::new(number).ok())
    }

    /// A tunnel that was in use before a restart.
    pub(crate) fn restore_tunnel(&mut self, router: RouterId, number: u32) -> Option<TunnelId> {
        self.tunnels[router.index()].restore(number).ok().and_then(|()| TunnelId::new(number).ok())
    }

    /// A next hop that was in use before a restart.
    pub(crate) fn restore_next_hop(&mut self, router: RouterId, number: u32) -> Option<NextHopId> {
        self.next_hops[router.index()].restore(number).ok().and_then(|()| NextHopId::new(number).ok())
    }

    /// Every number in use, to see that none leaks: per router its labels, tunnels and next hops.
    #[cfg(test)]
    pub(crate) fn used(&self) -> Vec<[std::collections::BTreeSet<u32>; 3]> {
        let sorted = |pool: &Pool| pool.used().iter().copied().collect();
        (0..self.labels.len()).map(|i| [sorted(&self.labels[i]), sorted(&self.tunnels[i]), sorted(&self.next_hops[i])]).collect()
    }
}

/// How many entries a table of the contract takes.
fn table_size(name: &str) -> u32 {
    let size = svpn_contract::TABLES.iter().find(|table| table.name == name).map(|table| table.size);
    size.and_then(|size| u32::try_from(size).ok()).unwrap_or(u32::MAX)
}
