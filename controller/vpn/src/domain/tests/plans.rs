use std::net::Ipv4Addr;

use svpn_contract::wire::{Label, Mtu, NextHopId, SessionId, TtlMode, TunnelId, VlanId, VrfId};
use svpn_contract::{
    AttachmentAction, AttachmentEntry, AttachmentKey, Choice, FlowAclV4Key, FlowV4Action, FlowV4Entry, IlmAction, IlmEntry, IlmKey,
    MeterConfig, NexthopAction, NexthopEntry, NexthopKey, Range, SessionAction, SessionEntry, SessionKey, Ternary, TunnelAction,
    TunnelEntry, TunnelKey,
};

use super::*;
use crate::network::Item;
use crate::request::{Match, Refusal};
use crate::testing::{MEGA, end, medium, port, request, spec};

fn label(number: u32) -> Label {
    Label::new(number).unwrap()
}

fn hop(number: u32) -> NextHopId {
    NextHopId::new(number).unwrap()
}

fn answer() -> Answer {
    Answer { media: vec![Some(end("10.2.0.7", 6000))] }
}

fn ilm(number: u32, action: IlmAction) -> Update {
    Update::Insert(IlmEntry { key: IlmKey { label: label(number) }, action }.into())
}

fn tunnel(number: u32, push: TunnelAction) -> Update {
    Update::Insert(TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(number).unwrap() }, action: Choice::only(push) }.into())
}

fn session_entry(number: u32, vpn_label: u32, rate: u64) -> Entry {
    let (bytes, class) = (rate / 8, crate::testing::class(5));
    let burst = bytes.div_ceil(100).max(2 * 1514);
    SessionEntry {
        key: SessionKey { session: SessionId::new(number).unwrap() },
        action: SessionAction::Carry { tunnel: TunnelId::new(1).unwrap(), vpn_label: label(vpn_label), class },
        meter: Some(MeterConfig { cir: bytes, cburst: burst, pir: bytes, pburst: burst }),
    }
    .into()
}

fn delete_all(steps: &[Step]) -> Vec<(RouterId, EntryKey)> {
    let updates = steps.iter().flat_map(|step| step.updates.iter().map(|update| (step.router, update)));
    updates.map(|(router, update)| if let Update::Delete(key) = update { (router, *key) } else { panic!("{update:?}") }).collect()
}

#[test]
fn the_base_lets_packets_in_last() {
    let domain = domain();
    let base = domain.base_plan();
    let routers: Vec<_> = base.iter().map(|step| step.router.index()).collect();
    assert_eq!(routers, [0, 1, 2, 3, 4, 5], "one step for each router that has anything");
    for step in &base {
        let door = |update: &Update| matches!(update.key(), EntryKey::Attachment(_));
        assert!(step.updates.is_sorted_by_key(door));
    }
    let mut routers = Routers::default();
    routers.write(&base);
    assert_eq!(routers, Routers::expect(&domain));
}

#[test]
fn the_base_of_a_pe() {
    let domain = domain();
    let pe1 = id(&domain, "pe1");
    let entries: Vec<_> = domain.expected_entries(pe1).cloned().collect();
    let count = |table: fn(&Entry) -> bool| entries.iter().filter(|entry| table(entry)).count();
    assert_eq!(count(|entry| matches!(entry, Entry::Nexthop(_))), 6, "three links and three CEs");
    assert_eq!(count(|entry| matches!(entry, Entry::Attachment(_))), 6);
    assert_eq!(count(|entry| matches!(entry, Entry::Station(_))), 6);
    assert_eq!(count(|entry| matches!(entry, Entry::RouteV4(_))), 4, "each prefix behind its CEs");
    assert_eq!(count(|entry| matches!(entry, Entry::ArpResponder(_))), 3);
    assert_eq!(count(|entry| matches!(entry, Entry::Ilm(_))), 2, "one label for each of its VPNs");
    let vlan = |number| VlanId::new(number).unwrap();
    let (untagged, b_east) = (vlan(0), &domain.network().circuits()[4]);
    let attachment = |port, vlan, action| Entry::from(AttachmentEntry { key: AttachmentKey { port, vlan, inner_vlan: untagged }, action });
    assert!(entries.contains(&attachment(port(3), vlan(7), AttachmentAction::ToVrf { vrf: VrfId::new(20).unwrap() })));
    assert!(entries.contains(&attachment(port(10), untagged, AttachmentAction::ToCore)));
    let to_ce = NexthopAction::Rewrite {
        port: port(3),
        src_mac: b_east.mac,
        dst_mac: b_east.ce_mac,
        vlan: vlan(7),
        inner_vlan: untagged,
        mtu: Mtu::new(1500).unwrap(),
    };
    assert!(entries.contains(&NexthopEntry { key: NexthopKey { nexthop: hop(6) }, action: Choice::only(to_ce) }.into()));
    let pop = IlmAction::PopVrf { vrf: VrfId::new(20).unwrap(), ttl_mode: TtlMode::UNIFORM };
    assert!(entries.contains(&IlmEntry { key: IlmKey { label: label(17) }, action: pop }.into()));
}

#[test]
fn a_session_over_two_links() {
    let mut domain = domain();
    let [pe1, p1, pe2] = ["pe1", "p1", "pe2"].map(|name| id(&domain, name));
    let admission = domain.request(request("a-east", "a-west", 8 * MEGA), at(0)).unwrap();
    // 1000 packets of 1000 bytes above UDP, 42 of headers.
    let policed = 1000 * 1042 * 8;
    let terms = Terms {
        session: SessionNumber(1),
        class: crate::testing::class(5),
        policed: BitRate(policed),
        tunnels: vec![1, 1],
        labels: vec![16, 16],
        cost: None,
        mapping: None,
    };
    assert_eq!(admission.terms, terms);
    let ttl_mode = TtlMode::UNIFORM;
    let lsp = |nexthop, l1| TunnelAction::Lsp1 { l1: label(l1), nexthop, ttl_mode };
    let head = |router, push| Step { router, updates: vec![tunnel(1, push)] };
    let carried = Update::Insert(session_entry(1, 16, policed));
    // p1 knows its way to pe1 as 1, to pe2 as 2; the labels of p1 begin with 16, as it has no VPN.
    let expected = [
        Step { router: p1, updates: vec![ilm(16, IlmAction::Php { nexthop: hop(2), ttl_mode })] },
        head(pe1, lsp(hop(1), 16)),
        Step { router: p1, updates: vec![ilm(17, IlmAction::Php { nexthop: hop(1), ttl_mode })] },
        head(pe2, lsp(hop(1), 17)),
        Step { router: pe1, updates: vec![carried.clone()] },
        Step { router: pe2, updates: vec![carried] },
    ];
    assert_eq!(admission.effects.steps, expected);
    // Each of the two links has that, each way, with two labels on each packet.
    let used = BitRate(100 * MEGA - policed - 1000 * 8 * 8);
    let free: Vec<_> = domain
        .network()
        .topology()
        .links()
        .map(|(link, _)| domain.calendar().available(link, Interval::new(at(0), None).unwrap()))
        .collect();
    let whole = |mega| BitRate(mega * MEGA);
    assert_eq!(free, [used, used, used, used, whole(100), whole(100), whole(100), whole(100), whole(50), whole(50), whole(50), whole(50)]);

    let _facts = (domain.programmed(admission.session).unwrap(), domain.ringing(admission.session).unwrap());
    let answered = domain.answered(admission.session, &answer(), at(3)).unwrap();
    assert_eq!(answered.terms, terms);
    let steps = answered.effects.steps;
    let [Step { router, updates }, back] = steps.as_slice() else { panic!("{steps:?}") };
    let [Update::Insert(Entry::FlowV4(flow))] = updates.as_slice() else { panic!("{updates:?}") };
    assert_eq!((*router, back.router), (pe1, pe2));
    let FlowV4Entry { key, action: FlowV4Action::Assign { session }, idle_timeout: None } = flow else { panic!("{flow:?}") };
    assert_eq!((key.vrf.get(), key.src, key.dst), (10, Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 7)));
    assert_eq!((key.proto.get(), key.sport.get(), key.dport.get(), session.get()), (17, 5004, 6000, 1));

    let release = domain.released(admission.session, Cause::Callee, at(9)).unwrap();
    let clear = domain.settled(admission.session, Carried::default()).unwrap();
    let written: Vec<_> =
        expected.iter().chain(&steps).flat_map(|step| step.updates.iter().map(|update| (step.router, update.key()))).collect();
    let stop = release.effects.steps;
    assert_eq!(delete_all(&stop).len(), 2, "first no packet is the session's any more");
    let sorted = |mut keys: Vec<_>| {
        keys.sort_unstable();
        keys
    };
    assert_eq!(sorted(delete_all(&[stop, clear.steps].concat())), sorted(written), "everything is undone");
    let Summary { caller, counted_at, asked, granted, requested, established, ended, cause, contract, .. } = release.summary;
    assert_eq!((caller.to_string(), contract.as_str(), cause), ("storage@vpn-a".to_owned(), "gold", Cause::Callee));
    assert_eq!((requested, established, ended), (at(0), Some(at(3)), at(9)));
    assert_eq!((asked.from_caller, asked.from_callee), (BitRate(8 * MEGA), BitRate(8 * MEGA)));
    assert_eq!((granted.from_caller, granted.from_callee), (BitRate(policed), BitRate(policed)));
    assert_eq!(counted_at, [(Direction::FromCaller, pe1), (Direction::FromCallee, pe2)]);
}

#[test]
fn a_session_over_one_link_has_no_transport_label() {
    let mut domain = domain();
    let pe1 = id(&domain, "pe1");
    let mut request = request("a-east", "a-south", 8 * MEGA);
    request.media[0].direction = Direction::FromCaller;
    let admission = domain.request(request, at(0)).unwrap();
    assert_eq!((admission.terms.tunnels, admission.terms.labels), (vec![1], vec![16]));
    let push = TunnelAction::Lsp0 { nexthop: hop(3), ttl_mode: TtlMode::UNIFORM };
    let updates = vec![tunnel(1, push), Update::Insert(session_entry(1, 16, 1000 * 1042 * 8))];
    assert_eq!(admission.effects.steps, [Step { router: pe1, updates }], "one way only");
}

#[test]
fn routers_between_swap() {
    let mut spec = spec();
    // pe1 – p1 – pe2 – p2 – pe3 in a row, with a pipe of TTL 200.
    spec.links = vec![
        crate::testing::link(("pe1", 10), ("p1", 1), 100 * MEGA, 1),
        crate::testing::link(("p1", 2), ("pe2", 10), 100 * MEGA, 1),
        crate::testing::link(("pe2", 11), ("p2", 1), 100 * MEGA, 1),
        crate::testing::link(("p2", 2), ("pe3", 10), 100 * MEGA, 1),
    ];
    spec.ttl = TtlMode::new(200).unwrap();
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    let mut request = request("a-east", "a-south", MEGA);
    request.media[0].direction = Direction::FromCaller;
    let steps = domain.request(request, at(0)).unwrap().effects.steps;
    let names: Vec<_> = steps.iter().map(|step| domain.network().router(step.router).name.as_str()).collect();
    assert_eq!(names, ["p2", "pe2", "p1", "pe1"], "egress first");
    let ttl_mode = TtlMode::new(200).unwrap();
    assert_eq!(steps[0].updates, [ilm(16, IlmAction::Php { nexthop: hop(2), ttl_mode })]);
    // pe2 has its VPNs on 16 and 17.
    assert_eq!(steps[1].updates, [ilm(18, IlmAction::Swap { label: label(16), nexthop: hop(2) })]);
    assert_eq!(steps[2].updates, [ilm(16, IlmAction::Swap { label: label(18), nexthop: hop(2) })]);
    assert_eq!(steps[3].updates[0], tunnel(1, TunnelAction::Lsp1 { l1: label(16), nexthop: hop(1), ttl_mode }));
}

#[test]
fn sessions_share_the_tunnel_of_their_path() {
    let mut domain = domain();
    let first = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap();
    let second = domain.request(request("a-west", "a-east", MEGA), at(0)).unwrap();
    assert_eq!(first.terms.tunnels, second.terms.tunnels);
    let updates: Vec<_> = second.effects.steps.iter().flat_map(|step| &step.updates).collect();
    assert!(matches!(updates[..], [Update::Insert(Entry::Session(_)), Update::Insert(Entry::Session(_))]), "one write to each PE");
    let release = domain.released(first.session, Cause::Declined, at(1)).unwrap();
    assert!(release.effects.steps.is_empty(), "it was not answered");
    assert_eq!(release.summary.established, None);
    assert_eq!(delete_all(&domain.settled(first.session, Carried::default()).unwrap().steps).len(), 2, "the tunnels stay");
    let (_, steps) = finish(&mut domain, second.session, Cause::Declined, 1);
    assert_eq!(delete_all(&steps).len(), 6, "and go with their last session");
}

#[test]
fn hosts_and_sites_match_addresses_only() {
    let acl = |steps: &[Step]| -> Vec<FlowAclV4Key> {
        let updates = steps.iter().flat_map(|step| &step.updates);
        updates.filter_map(|update| if let Update::Insert(Entry::FlowAclV4(flow)) = update { Some(flow.key) } else { None }).collect()
    };
    let mut domain = domain();
    let mut hosts = request("a-east", "a-west", MEGA);
    hosts.matching = Match::Hosts;
    // Two media between the same hosts are one flow.
    hosts.media.push(medium(end("10.1.0.5", 5006), MEGA, Direction::FromCaller));
    let both = Answer { media: vec![Some(end("10.2.0.7", 6000)), Some(end("10.2.0.7", 6002))] };
    let (_, steps) = establish(&mut domain, hosts, &both);
    let keys = acl(&steps);
    let exact = |address: &str| Ternary::exact(address.parse().unwrap());
    assert_eq!(keys.len(), 2);
    assert_eq!(
        (keys[0].src, keys[0].dst, keys[1].src, keys[1].dst),
        (exact("10.1.0.5"), exact("10.2.0.7"), exact("10.2.0.7"), exact("10.1.0.5"))
    );
    assert_eq!((keys[0].vrf, keys[0].proto, keys[0].sport), (Ternary::exact(VrfId::new(10).unwrap()), Ternary::any(), Range::any()));

    let mut sites = request("a-east", "a-west", MEGA);
    sites.matching = Match::Sites;
    sites.media[0].direction = Direction::FromCallee;
    sites.media[0].caller = end("192.0.2.1", 9);
    let (_, steps) = establish(&mut domain, sites, &Answer { media: vec![Some(end("192.0.2.2", 9))] });
    let between = acl(&steps);
    assert_eq!(between.len(), 4, "two prefixes at each end, one way");
    assert!(between.iter().all(|key| key.priority < keys[0].priority), "hosts go before sites");
    let slash_24 = |address: &str| Ternary { value: address.parse().unwrap(), mask: Ipv4Addr::new(255, 255, 255, 0) };
    assert!(between.iter().any(|key| (key.src, key.dst) == (slash_24("10.9.2.0"), slash_24("10.1.0.0"))));
}

#[test]
fn a_refused_medium_gives_its_bandwidth_back() {
    let mut domain = domain();
    let mut routers = Routers::default();
    routers.write(&domain.base_plan());
    let mut two = request("a-east", "a-west", 8 * MEGA);
    two.media.push(medium(end("10.1.0.5", 5006), 16 * MEGA, Direction::FromCaller));
    let admission = domain.request(two, at(0)).unwrap();
    routers.write(&admission.effects.steps);
    let _facts = (domain.programmed(admission.session).unwrap(), domain.ringing(admission.session).unwrap());
    // The callee takes the small one that goes one way, and not the one that goes both.
    let only_second = Answer { media: vec![None, Some(end("10.2.0.7", 6002))] };
    let Answered { terms, effects } = domain.answered(admission.session, &only_second, at(1)).unwrap();
    routers.write(&effects.steps);
    assert_eq!(routers, Routers::expect(&domain));
    let policed = 2000 * 1042 * 8;
    assert_eq!((terms.policed, terms.tunnels.len()), (BitRate(policed), 1));
    let pe1 = id(&domain, "pe1");
    assert!(domain.expected_entries(pe1).any(|entry| *entry == session_entry(1, 16, policed)), "policed to what is left");
    assert!(!domain.expected_entries(id(&domain, "pe2")).any(|entry| matches!(entry, Entry::Session(_))), "nothing comes back");
    let forever = Interval::new(at(1), None).unwrap();
    let free = |link: u32| domain.calendar().available(crate::topology::DirectedLinkId(link), forever);
    assert_eq!((free(0), free(1)), (BitRate(100 * MEGA - policed - 2000 * 8 * 8), BitRate(100 * MEGA)));
    let (summary, steps) = finish(&mut domain, admission.session, Cause::Caller, 2);
    assert_eq!(summary.counted_at, [(Direction::FromCaller, pe1)]);
    routers.write(&steps);
    assert_eq!(taken_at(&domain, 2), taken_at(&super::domain(), 2));
}

#[test]
fn a_stop_time_comes() {
    let mut domain = domain();
    let until = |seconds| {
        let mut request = request("a-east", "a-west", MEGA);
        request.window.stop = Some(at(seconds));
        request
    };
    let [late, soon, never] =
        [until(100), until(50), request("a-east", "a-west", MEGA)].map(|request| domain.request(request, at(0)).unwrap().session);
    assert_eq!(domain.next_due(), Some(at(50)));
    assert_eq!(domain.due(at(49)), []);
    assert_eq!(domain.due(at(50)), [Due::Stop(soon)]);
    assert_eq!(domain.due(at(200)), [Due::Stop(soon), Due::Stop(late)]);
    finish(&mut domain, soon, Cause::WindowEnd, 50);
    assert_eq!(domain.next_due(), Some(at(100)));
    finish(&mut domain, never, Cause::Caller, 51);
    assert_eq!(domain.sessions().collect::<Vec<_>>(), [(late, State::Reserved)]);
}

#[test]
fn too_few_numbers_are_found_at_the_start() {
    let mut spec = spec();
    spec.routers[0].labels = Some((label(16), label(16)));
    let error = Domain::new(Network::build(spec.clone()).unwrap()).unwrap_err();
    assert_eq!(error, InvalidNetwork::TooFewNumbers { item: Item::Router("pe1".into()), kind: "label" });
    // With labels for its VPNs only, a router cannot be crossed, but what does not cross it goes on.
    spec.routers[0].labels = None;
    spec.routers[1].labels = Some((label(16), label(16)));
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    let before = taken(&domain);
    let refused = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap_err();
    assert_eq!(refused, Refusal::Unavailable("router p1 has no free label number".into()));
    assert_eq!(taken(&domain), before);
    assert!(domain.request(request("a-east", "a-south", MEGA), at(0)).is_ok());
}
