//! What holds at every moment.

use super::*;

impl World {
    /// What holds at every moment.
    pub(in crate::domain::tests) fn check(&self) {
        assert_eq!(self.routers, Routers::expect(&self.domain), "routers hold what is expected of them");
        self.check_links();
        self.check_ways();
        self.check_references();
        self.domain.check_marks();
    }

    /// What the sessions need of each link, told from the sessions alone, is what is not free, and never more than there is, as
    /// long as it is in service.
    fn check_links(&self) {
        for (id, link) in self.domain.network().topology().links() {
            for from in (self.now..self.now + 400).step_by(13) {
                let offered = self.domain.network().topology().offers(id);
                let load: u64 = self.domain.sessions.values().map(|session| needs(session, id, at(from))).sum();
                let moment = Interval::new(at(from), Some(at(from + 1))).unwrap();
                if self.domain.network().topology().in_service(id) {
                    assert!(load <= offered.0, "link {} is over-committed: {load}", link.name);
                    assert_eq!(self.domain.calendar().available(id, moment), BitRate(offered.0 - load));
                }
            }
        }
    }

    /// What is programmed goes where it can arrive, unless its end is down; what starts later may wait, and what is to be stopped now needs no other way.
    fn check_ways(&self) {
        let network = self.domain.network();
        let goes_on = |session: &&Session| session.state.is_live() && session.interval.stop().is_none_or(|stop| stop > at(self.now));
        for session in self.domain.sessions.values().filter(goes_on) {
            for leg in session.legs.iter().flatten().filter(|leg| leg.demand.is_some()) {
                let ends = [leg.route.ingress(network), leg.route.egress(network)];
                let up = ends.iter().all(|&router| network.topology().router(router) == Operation::Up);
                let waits = leg.tunnel.is_none();
                assert!(!up || waits || leg.route.in_service(network), "session {:?} goes over what is down", session.number);
                if let Some(id) = leg.tunnel {
                    assert_eq!(self.domain.tunnels.get(ends[0], id).unwrap().route, leg.route);
                }
            }
        }
    }

    /// Every address at which GRE ends has its entry there, is had for that alone, and every path to it that is all in service leads there.
    fn check_gre(&self) {
        let network = self.domain.network();
        let (mut ends, mut routed) = (BTreeSet::<(RouterId, IpAddr)>::new(), BTreeSet::<(RouterId, IpAddr)>::new());
        for (router, _) in network.routers() {
            for entry in self.domain.expected_entries(router) {
                match entry {
                    Entry::GreIngressV4(entry) => assert!(ends.insert((router, entry.key.dst.into()))),
                    Entry::GreIngressV6(entry) => assert!(ends.insert((router, entry.key.dst.into()))),
                    Entry::RouteV4(entry) if entry.key.vrf.get() == 0 => assert!(routed.insert((router, entry.key.dst.value.into()))),
                    Entry::RouteV6(entry) if entry.key.vrf.get() == 0 => assert!(routed.insert((router, entry.key.dst.value.into()))),
                    _ => {}
                }
            }
            let here: BTreeSet<_> = ends.iter().filter(|(at, _)| *at == router).map(|(_, end)| *end).collect();
            assert_eq!(self.domain.numbers.used_ends(router), here, "an address is taken for nothing, or not at all");
        }
        for (_, _, tunnel) in self.domain.tunnels.all() {
            for (path, marks) in tunnel.marks() {
                let Marks::Gre(gre) = marks else { continue };
                assert!(ends.remove(&(path.egress(network.topology()), gre.end())));
                for &link in &path.links()[1..] {
                    assert!(routed.remove(&(network.topology().link(link).from, gre.end())));
                }
            }
        }
        assert!(ends.is_empty() && routed.is_empty(), "left behind: {ends:?}, {routed:?}");
    }

    /// Whatever an entry names is there: sessions of flows, tunnels of sessions, labels and next hops of tunnels.
    fn check_references(&self) {
        let (network, mut used) = (self.domain.network(), self.domain.numbers.used());
        self.check_gre();
        let key = |router: RouterId, key: EntryKey| self.domain.tables.get(router, &key).is_some();
        let mut flows = BTreeSet::new();
        for (router, _) in network.routers() {
            for entry in self.domain.expected_entries(router) {
                match entry {
                    Entry::FlowV4(flow) => {
                        let svpn_contract::FlowV4Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                        flows.insert(session.get());
                    }
                    Entry::FlowAclV4(flow) => {
                        let svpn_contract::FlowAclV4Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                        flows.insert(session.get());
                    }
                    Entry::FlowV6(flow) => {
                        let svpn_contract::FlowV6Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                        flows.insert(session.get());
                    }
                    Entry::FlowAclV6(flow) => {
                        let svpn_contract::FlowAclV6Action::Assign { session } = flow.action;
                        assert!(key(router, svpn_contract::SessionKey { session }.into()));
                        flows.insert(session.get());
                    }
                    Entry::Session(session) => {
                        let svpn_contract::SessionAction::Carry { tunnel, .. } = session.action;
                        assert!(key(router, svpn_contract::TunnelKey { tunnel }.into()));
                    }
                    Entry::Tunnel(tunnel) => assert!(used[router.index()][1].remove(&tunnel.key.tunnel.get())),
                    Entry::Ilm(ilm) => assert!(used[router.index()][0].remove(&ilm.key.label.get())),
                    _ => {}
                }
            }
        }
        for (ingress, id, _) in self.domain.tunnels.all().filter(|(ingress, ..)| !network.is_own(*ingress)) {
            assert!(used[ingress.index()][1].remove(&id.get()), "a tunnel from a peer has its number");
        }
        for session in self.domain.sessions.values() {
            if let Some(border) = session.border {
                // Its entry is there as long as something comes from the peer.
                let entry = svpn_contract::IlmKey { label: border.label }.into();
                let router = super::super::border::border_router(network, session.circuits).unwrap();
                let comes = (0..2).any(|way| {
                    let leg = session.legs[way].as_ref();
                    !network.is_own(session.ends(network, way)[0].router) && leg.is_some_and(|leg| leg.tunnel.is_some())
                });
                assert_eq!(key(router, entry), comes);
                assert_eq!(used[router.index()][0].remove(&border.label.get()), !comes);
            }
        }
        assert!(used.iter().all(|[labels, tunnels, _]| labels.is_empty() && tunnels.is_empty()), "a number is taken for nothing");
        let established = self.those(&[State::Established]).into_iter();
        // What comes from a peer only, the peer tells from others.
        let ours = |session: &Session| {
            let own = |way: usize| network.is_own(session.ends(network, way)[0].router);
            (0..2).any(|way| own(way) && session.demands()[way].is_some())
        };
        let established: BTreeSet<_> = established.filter(|number| ours(&self.domain.sessions[number])).map(|number| number.0).collect();
        assert_eq!(flows, established, "packets are told from others for those that run, and for no others");
    }
}

/// What a session needs of a link at an instant.
fn needs(session: &Session, link: crate::topology::DirectedLinkId, instant: SystemTime) -> u64 {
    if !session.state.is_live() {
        return 0;
    }
    let moment = Interval::new(instant, Some(instant + std::time::Duration::from_secs(1))).unwrap();
    let held = (0..2).filter_map(|way| session.held_claim(way)).filter(|claim| claim.interval().common(moment).is_some());
    held.map(|claim| claim.on(link).0).sum()
}
