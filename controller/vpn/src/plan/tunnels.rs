//! Tunnels: one for each route in use, shared by all its sessions.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

use svpn_contract::wire::{Label, TunnelId};
use svpn_contract::{Choice, Entry, EntryKey, IlmAction, IlmEntry, IlmKey, Member, TunnelAction, TunnelEntry, TunnelKey};

use super::numbers::{NoNumber, Numbers};
use super::{Base, Ends, Planned, gre};
use crate::durable::TunnelOrigin;
use crate::encapsulation::Encapsulation;
use crate::network::{Network, RouterId};
use crate::topology::{DirectedLinkId, Path};

/// The way from an ingress PE to an egress PE. Sessions of one route share a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Route {
    pub(crate) encapsulation: Encapsulation,
    pub(crate) primary: Path,
    /// What a protected session has besides.
    pub(crate) backup: Option<Path>,
}

impl Route {
    /// Its paths, the primary first.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.primary).chain(&self.backup)
    }

    pub(crate) fn ingress(&self, network: &Network) -> RouterId {
        network.topology().link(self.primary.links()[0]).from
    }

    pub(crate) fn egress(&self, network: &Network) -> RouterId {
        self.primary.egress(network.topology())
    }

    /// Whether all of it is in service.
    pub(crate) fn in_service(&self, network: &Network) -> bool {
        self.paths().all(|path| path.in_service(network.topology()))
    }
}

/// The labels of one path, each with the router that knows the tunnel by it, from the ingress on.
pub(crate) type Labels = Vec<(RouterId, Label)>;

/// By what routers know the packets of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Marks {
    /// A label each.
    Lsp(Labels),
    /// The addresses between which it runs.
    Gre(Ends),
}

/// The links of a path whose first routers know the tunnel by a label of it: all but the ingress. What comes from a peer has at our border
/// router the session's label, so there the second has none either.
fn labelled<'p>(path: &'p Path, network: &Network) -> &'p [DirectedLinkId] {
    let links = path.links();
    let unlabelled = if network.is_own(network.topology().link(links[0]).from) { 1 } else { 2 };
    links.get(unlabelled..).unwrap_or_default()
}

/// A unidirectional tunnel from PE to PE, or from or to the border router of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tunnel {
    pub(crate) route: Route,
    /// Of each path of the route.
    pub(crate) marks: Vec<Marks>,
    /// How many sessions ride it; 0 only for one that was made in advance.
    pub(crate) sessions: u32,
    pub(crate) origin: TunnelOrigin,
}

/// The tunnels in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tunnels {
    by_number: BTreeMap<(RouterId, TunnelId), Tunnel>,
    by_route: HashMap<Route, TunnelId>,
}

/// What tunnels are made of.
pub(crate) struct Ground<'a> {
    pub(crate) network: &'a Network,
    pub(crate) base: &'a Base,
    pub(crate) numbers: &'a mut Numbers,
}

/// Entries to be removed, in the order they were written.
pub(crate) type Keys = Vec<(RouterId, EntryKey)>;

/// A tunnel that takes another way.
#[derive(Debug)]
pub(crate) struct Reroute {
    /// The new labels, then the head, which moves the packets.
    pub(crate) make: Planned,
    /// What is not met by any packet then.
    pub(crate) breaks: Keys,
}

impl Tunnels {
    pub(crate) fn get(&self, ingress: RouterId, id: TunnelId) -> Option<&Tunnel> {
        self.by_number.get(&(ingress, id))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (RouterId, TunnelId, &Tunnel)> {
        self.by_number.iter().map(|(&(ingress, id), tunnel)| (ingress, id, tunnel))
    }

    pub(crate) fn of(&self, route: &Route) -> Option<TunnelId> {
        self.by_route.get(route).copied()
    }

    /// One more session on a route: the number of its tunnel, and what must be written for it, which is nothing where others ride it
    /// already.
    pub(crate) fn enter(&mut self, route: &Route, ground: &mut Ground<'_>) -> Result<(TunnelId, Option<Planned>), NoNumber> {
        let (id, planned) = self.make(route, TunnelOrigin::OnDemand, ground)?;
        if let Some(tunnel) = self.by_number.get_mut(&(route.ingress(ground.network), id)) {
            tunnel.sessions += 1;
        }
        Ok((id, planned))
    }

    /// A tunnel on a route, that is there or is made without a session, and then what must be written for it.
    pub(crate) fn make(
        &mut self,
        route: &Route,
        origin: TunnelOrigin,
        ground: &mut Ground<'_>,
    ) -> Result<(TunnelId, Option<Planned>), NoNumber> {
        if let Some(&id) = self.by_route.get(route) {
            return Ok((id, None));
        }
        let ingress = route.ingress(ground.network);
        let id = ground.numbers.take_tunnel(ingress)?;
        let marks = match take_marks(route.encapsulation, route.paths(), ground) {
            Ok(marks) => marks,
            Err(none) => {
                ground.numbers.give_back_tunnel(ingress, id);
                return Err(none);
            }
        };
        let tunnel = Tunnel { route: route.clone(), marks, sessions: 0, origin };
        let planned = tunnel.entries(id, ground);
        self.add(id, tunnel, ground.network);
        Ok((id, Some(planned)))
    }

    /// Adds a tunnel whose numbers are taken; false where its route has one already.
    pub(crate) fn add(&mut self, id: TunnelId, tunnel: Tunnel, network: &Network) {
        self.by_route.insert(tunnel.route.clone(), id);
        self.by_number.insert((tunnel.route.ingress(network), id), tunnel);
    }

    /// One session less: what was written for the tunnel and must go, in the order it was written; `None` while others ride it still.
    pub(crate) fn leave(&mut self, ingress: RouterId, id: TunnelId, ground: &mut Ground<'_>) -> Option<Keys> {
        let tunnel = self.by_number.get_mut(&(ingress, id))?;
        tunnel.sessions = tunnel.sessions.saturating_sub(1);
        self.drop_unused(ingress, id, ground)
    }

    /// Takes a tunnel away that nobody rides and that was not made in advance.
    fn drop_unused(&mut self, ingress: RouterId, id: TunnelId, ground: &mut Ground<'_>) -> Option<Keys> {
        let unused = |tunnel: &&Tunnel| tunnel.sessions == 0 && tunnel.origin == TunnelOrigin::OnDemand;
        self.get(ingress, id).filter(unused)?;
        let tunnel = self.by_number.remove(&(ingress, id))?;
        self.by_route.remove(&tunnel.route);
        give_back(tunnel.marks(), ground.network, ground.numbers);
        ground.numbers.give_back_tunnel(ingress, id);
        Some(tunnel.entries(id, ground).into_iter().map(|(router, entry)| (router, entry.key())).collect())
    }

    /// A session that was counted as a rider before a restart rides again.
    pub(crate) fn board(&mut self, ingress: RouterId, id: TunnelId) -> Option<&Route> {
        let tunnel = self.by_number.get_mut(&(ingress, id))?;
        tunnel.sessions += 1;
        Some(&tunnel.route)
    }

    /// From now on a tunnel is as if it had been made in advance, or is not any more: then it goes if nobody rides it.
    pub(crate) fn set_origin(&mut self, ingress: RouterId, id: TunnelId, origin: TunnelOrigin, ground: &mut Ground<'_>) -> Option<Keys> {
        if let Some(tunnel) = self.by_number.get_mut(&(ingress, id)) {
            tunnel.origin = origin;
        }
        self.drop_unused(ingress, id, ground)
    }

    /// Has a tunnel take another route, that no other tunnel has, make before break.
    pub(crate) fn reroute(
        &mut self,
        ingress: RouterId,
        id: TunnelId,
        route: &Route,
        ground: &mut Ground<'_>,
    ) -> Result<Option<Reroute>, NoNumber> {
        let Some(tunnel) = self.by_number.get(&(ingress, id)).filter(|_| !self.by_route.contains_key(route)) else { return Ok(None) };
        let mut old: Vec<_> = tunnel.marks().map(|(path, marks)| (path.clone(), marks.clone())).collect();
        let before = tunnel.entries(id, ground);
        // A path that stays keeps its labels, or its end.
        let same = tunnel.route.encapsulation == route.encapsulation;
        let mut kept: Vec<Option<Marks>> = Vec::new();
        for path in route.paths() {
            let place = old.iter().position(|(known, _)| same && known == path);
            kept.push(place.map(|place| old.swap_remove(place).1));
        }
        let new = route.paths().zip(&kept).filter(|(_, kept)| kept.is_none()).map(|(path, _)| path);
        let mut fresh = take_marks(route.encapsulation, new, ground)?.into_iter();
        let marks = kept.into_iter().filter_map(|kept| kept.or_else(|| fresh.next())).collect();
        let after = Tunnel { route: route.clone(), marks, sessions: tunnel.sessions, origin: tunnel.origin };
        let make = after.entries(id, ground);
        let breaks = before.iter().map(|(router, entry)| (*router, entry.key()));
        let breaks = breaks.filter(|gone| !make.iter().any(|(router, entry)| (*router, entry.key()) == *gone)).collect();
        give_back(old.iter().map(|(path, marks)| (path, marks)), ground.network, ground.numbers);
        self.by_route.remove(&tunnel.route);
        self.add(id, after, ground.network);
        Ok(Some(Reroute { make, breaks }))
    }
}

/// Labels or ends for paths: for all of them or for none.
fn take_marks<'p>(
    encapsulation: Encapsulation,
    paths: impl Iterator<Item = &'p Path>,
    ground: &mut Ground<'_>,
) -> Result<Vec<Marks>, NoNumber> {
    let mut taken: Vec<(&Path, Marks)> = Vec::new();
    for path in paths {
        let marks = match encapsulation {
            Encapsulation::Mpls => take_labels(path, ground).map(Marks::Lsp),
            Encapsulation::GreV4 | Encapsulation::GreV6 => Ends::take(path, encapsulation, ground).map(Marks::Gre),
        };
        match marks {
            Ok(marks) => taken.push((path, marks)),
            Err(none) => {
                give_back(taken.iter().map(|(path, marks)| (*path, marks)), ground.network, ground.numbers);
                return Err(none);
            }
        }
    }
    Ok(taken.into_iter().map(|(_, marks)| marks).collect())
}

fn take_labels(path: &Path, ground: &mut Ground<'_>) -> Result<Labels, NoNumber> {
    let mut labels = Labels::new();
    for &link in labelled(path, ground.network) {
        let router = ground.network.topology().link(link).from;
        match ground.numbers.take_label(router) {
            Ok(label) => labels.push((router, label)),
            Err(none) => {
                for (router, label) in labels {
                    ground.numbers.give_back_label(router, label);
                }
                return Err(none);
            }
        }
    }
    Ok(labels)
}

/// Gives back what the paths of a tunnel have.
pub(crate) fn give_back<'p>(marks: impl Iterator<Item = (&'p Path, &'p Marks)>, network: &Network, numbers: &mut Numbers) {
    for (path, marks) in marks {
        match marks {
            Marks::Lsp(labels) => labels.iter().for_each(|&(router, label)| numbers.give_back_label(router, label)),
            Marks::Gre(ends) => numbers.give_back_end(path.egress(network.topology()), ends.end()),
        }
    }
}

impl Tunnel {
    /// Each path, and by what routers know its packets.
    pub(crate) fn marks(&self) -> impl Iterator<Item = (&Path, &Marks)> {
        self.route.paths().zip(&self.marks)
    }

    /// From the egress PE back to the ingress PE. The egress PE itself knows the VPN label, always. Where the ingress is a
    /// peer's, nothing is written to it, nor to our border router, which knows sessions by their labels.
    pub(crate) fn entries(&self, id: TunnelId, ground: &Ground<'_>) -> Planned {
        let mut entries = Planned::new();
        let mut members = Vec::new();
        for (path, marks) in self.marks() {
            let first = path.links()[0];
            let push = match marks {
                Marks::Lsp(labels) => lsp(path, labels, ground, &mut entries),
                Marks::Gre(ends) => gre::tunnel(path, *ends, ground, &mut entries),
            };
            // Only where there is another way to take is it of use to know that this one is closed.
            let watch_port = self.route.backup.as_ref().map(|_| ground.network.topology().link(first).port);
            members.push(Member { action: push, weight: NonZeroU32::MIN, watch_port });
        }
        let ingress = self.route.ingress(ground.network);
        if !ground.network.is_own(ingress) {
            return entries;
        }
        let head = TunnelEntry { key: TunnelKey { tunnel: id }, action: Choice { members } };
        entries.push((ingress, head.into()));
        entries
    }
}

/// What switches the labels of one path, and what its ingress pushes.
fn lsp(path: &Path, labels: &Labels, ground: &Ground<'_>, entries: &mut Planned) -> TunnelAction {
    let ttl_mode = ground.network.ttl();
    // The label that the router after has; the last before the egress PE pops.
    let mut next: Option<Label> = None;
    for (&link, &(router, label)) in labelled(path, ground.network).iter().zip(labels).rev() {
        let nexthop = ground.base.next_hop(link);
        let action = next.map_or(IlmAction::Php { nexthop, ttl_mode }, |label| IlmAction::Swap { label, nexthop });
        entries.push((router, Entry::from(IlmEntry { key: IlmKey { label }, action })));
        next = Some(label);
    }
    let nexthop = ground.base.next_hop(path.links()[0]);
    next.map_or(TunnelAction::Lsp0 { nexthop, ttl_mode }, |l1| TunnelAction::Lsp1 { l1, nexthop, ttl_mode })
}
