//! The numbers each router gives out.

use std::net::IpAddr;

use svpn_contract::wire::{Label, NextHopId, TunnelId};

use crate::encapsulation::Encapsulation;
use crate::ids::Pool;
use crate::network::{GreAddresses, Network, RouterId};

/// Labels, tunnels, next hops and, for GRE, addresses of every router.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    labels: Vec<Pool>,
    tunnels: Vec<Pool>,
    next_hops: Vec<Pool>,
    /// Of each router: of each of its prefixes for GRE, the places at which paths end.
    ends: Vec<Vec<(GreAddresses, Pool)>>,
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
            ends: network.all_routers().iter().map(|router| router.gre.iter().map(|&prefix| (prefix, ends(prefix))).collect()).collect(),
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

    /// An address at which a path of GRE may end.
    pub(crate) fn take_end(&mut self, router: RouterId, encapsulation: Encapsulation) -> Result<IpAddr, NoNumber> {
        let none = NoNumber { router, kind: "GRE address" };
        let (addresses, pool) = self.ends_of(router, |addresses| addresses.encapsulation() == encapsulation).ok_or(none)?;
        pool.take().map(|place| addresses.address(place)).map_err(|_| none)
    }

    pub(crate) fn give_back_end(&mut self, router: RouterId, end: IpAddr) {
        let found = self.ends_of(router, |addresses| addresses.place(end).is_some());
        if let Some((place, pool)) = found.and_then(|(addresses, pool)| Some((addresses.place(end)?, pool))) {
            pool.give_back(place);
        }
    }

    /// An address at which a path ended before a restart.
    pub(crate) fn restore_end(&mut self, router: RouterId, end: IpAddr) -> Option<IpAddr> {
        let (addresses, pool) = self.ends_of(router, |addresses| addresses.place(end).is_some())?;
        pool.restore(addresses.place(end)?).ok().map(|()| end)
    }

    fn ends_of(&mut self, router: RouterId, which: impl Fn(&GreAddresses) -> bool) -> Option<(GreAddresses, &mut Pool)> {
        let mut all = self.ends[router.index()].iter_mut();
        all.find(|(addresses, _)| which(addresses)).map(|(addresses, pool)| (*addresses, pool))
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

    /// Every address of a router at which a path of GRE ends.
    #[cfg(test)]
    pub(crate) fn used_ends(&self, router: RouterId) -> std::collections::BTreeSet<IpAddr> {
        let all = self.ends[router.index()].iter();
        all.flat_map(|(addresses, pool)| pool.used().iter().map(|&place| addresses.address(place))).collect()
    }

    /// Every number in use, to see that none leaks: per router its labels, tunnels and next hops.
    #[cfg(test)]
    pub(crate) fn used(&self) -> Vec<[std::collections::BTreeSet<u32>; 3]> {
        let sorted = |pool: &Pool| pool.used().iter().copied().collect();
        (0..self.labels.len()).map(|i| [sorted(&self.labels[i]), sorted(&self.tunnels[i]), sorted(&self.next_hops[i])]).collect()
    }
}

/// The addresses of a prefix at which paths may end: no more than the router has entries for.
fn ends(addresses: GreAddresses) -> Pool {
    let table = if addresses.encapsulation() == Encapsulation::GreV4 { "gre_ingress_v4" } else { "gre_ingress_v6" };
    let (first, last) = addresses.ends().into_inner();
    Pool::new(first..=last.min(first.saturating_add(table_size(table) - 1)))
}

/// How many entries a table of the contract takes.
fn table_size(name: &str) -> u32 {
    let size = svpn_contract::TABLES.iter().find(|table| table.name == name).map(|table| table.size);
    size.and_then(|size| u32::try_from(size).ok()).unwrap_or(u32::MAX)
}
