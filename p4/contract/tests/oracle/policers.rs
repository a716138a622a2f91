//! `vrf_policer` and `punt_policer`.

use svpn_contract::oracle::Count;

use crate::frames::{UDP, UDP_63, ethernet, udp_with_ttl};
use crate::*;

fn ip(packet: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("0800 {packet}"))
}

/// A meter whose buckets never fill again.
fn once(cburst: u64, pburst: u64) -> MeterConfig {
    MeterConfig { cir: 0, cburst, pir: 0, pburst }
}

fn vrf_policer(of: u16, meter: impl Into<Option<MeterConfig>>) -> VrfPolicerEntry {
    let meter = meter.into();
    VrfPolicerEntry { key: VrfPolicerKey { vrf: vrf(of) }, action: VrfPolicerAction::Police, meter }
}

fn punt_policer(reason: Reason, meter: impl Into<Option<MeterConfig>>) -> PuntPolicerEntry {
    let meter = meter.into();
    PuntPolicerEntry { key: PuntPolicerKey { reason }, action: PuntPolicerAction::Police, meter }
}

fn local() -> Oracle {
    let mut oracle = router();
    for of in [0, 7] {
        add_route(&mut oracle, of, [10, 1, 0, 0], 16, RouteV4Action::Local { nexthop: nexthop(1) });
    }
    oracle
}

/// How many frames left, and why the others did not.
fn outcomes(oracle: &mut Oracle, from: u16, frames: usize) -> (usize, Vec<Reason>) {
    let outcomes: Vec<Outcome> = (0..frames).map(|_| process(oracle, from, &ip(UDP))).collect();
    let reasons = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Dropped(reason) => Some(*reason),
        _ => None,
    });
    (outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Sent { .. })).count(), reasons.collect())
}

/// Frames of 46 bytes: one is green, one yellow, the others red.
#[test]
fn what_a_vrf_sends_without_a_session_is_policed() {
    let mut oracle = local();
    insert(&mut oracle, vrf_policer(7, once(46, 92)));
    assert_eq!(outcomes(&mut oracle, 1, 4), (2, vec![Reason::RedDiscard; 2]), "yellow leaves by a local route, red does not");
    // The core is not policed, and neither is another VRF.
    insert(&mut oracle, vrf_policer(0, once(0, 0)));
    assert_eq!(outcomes(&mut oracle, 2, 4), (4, vec![]));
    // No meter: all green.
    oracle.apply(&Update::Modify(vrf_policer(7, None).into())).expect("it is there");
    assert_eq!(outcomes(&mut oracle, 1, 4), (4, vec![]));
}

#[test]
fn the_colour_of_a_vrf_is_marked_in_tunnels() {
    let mut oracle = router();
    let via = RouteV4Action::ViaTunnel { tunnel: tunnel(4), vpn_label: label(200), class: class(5) };
    add_route(&mut oracle, 7, [10, 1, 0, 0], 16, via);
    add_tunnel(&mut oracle, 4, TunnelAction::Lsp0 { nexthop: nexthop(1), ttl_mode: ttl_mode(0) });
    let key = MarkingKey { class: class(5), colour: Colour::YELLOW };
    let action = MarkingAction::Mark { tc: TrafficClass::new(1).expect("3 bits"), dscp: Dscp::default() };
    insert(&mut oracle, MarkingEntry { key, action });
    insert(&mut oracle, vrf_policer(7, once(46, 92)));
    let labelled = |entry: &str| sent(2, ethernet(NEIGHBOUR, ROUTER, &format!("8847 {entry} {UDP_63}")));
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), labelled("000c8b3f"));
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), labelled("000c833f"));
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), Outcome::Dropped(Reason::RedDiscard));
    let key = MarkingKey { class: class(5), colour: Colour::RED };
    insert(&mut oracle, MarkingEntry { key, action });
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), labelled("000c833f"), "an entry for red overrides the discard");
}

#[test]
fn a_vrf_is_policed_behind_its_routes_and_the_ttl() {
    let mut oracle = local();
    insert(&mut oracle, vrf_policer(7, once(0, 46)));
    add_route(&mut oracle, 7, [10, 1, 1, 0], 24, RouteV4Action::Receive);
    add_route(&mut oracle, 7, [10, 1, 2, 0], 24, RouteV4Action::Discard);
    let to = |dst: &str, checksum: &str| ip(&UDP.replace("5496", checksum).replace("0a010002", dst));
    assert!(matches!(process(&mut oracle, 1, &to("0a010102", "5396")), Outcome::Punt(_)));
    assert_eq!(process(&mut oracle, 1, &to("0a010202", "5296")), Outcome::Dropped(Reason::RouteDiscard));
    assert_eq!(process(&mut oracle, 1, &to("0b010002", "5396")), Outcome::Dropped(Reason::NoRoute));
    assert!(matches!(process(&mut oracle, 1, &ip(&udp_with_ttl(1))), Outcome::Punt(_)));
    assert_eq!(outcomes(&mut oracle, 1, 2), (1, vec![Reason::RedDiscard]), "none of them took anything out of the bucket");
}

#[test]
fn sessions_are_not_policed_with_their_vrf() {
    let mut oracle = local();
    insert(&mut oracle, vrf_policer(7, once(0, 0)));
    let any = FlowAclV4Key {
        vrf: Ternary::any(),
        src: Ternary::any(),
        dst: Ternary::any(),
        proto: Ternary::any(),
        sport: Range::any(),
        dport: Range::any(),
        priority: Priority::new(1).expect("1 is positive"),
    };
    insert(&mut oracle, FlowAclV4Entry { key: any, action: FlowAclV4Action::Assign { session: session(1) } });
    let action = SessionAction::Carry { tunnel: tunnel(4), vpn_label: label(200), class: class(5) };
    insert(&mut oracle, SessionEntry { key: SessionKey { session: session(1) }, action, meter: None });
    add_tunnel(&mut oracle, 4, TunnelAction::Lsp0 { nexthop: nexthop(1), ttl_mode: ttl_mode(0) });
    assert_eq!(outcomes(&mut oracle, 1, 3), (3, vec![]));
}

#[test]
fn punts_are_policed_in_packets_by_their_reason() {
    let mut oracle = local();
    insert(&mut oracle, punt_policer(Reason::TtlExpired, once(1, 2)));
    insert(&mut oracle, punt_policer(Reason::Lldp, once(0, 0)));
    insert(&mut oracle, punt_policer(Reason::Arp, None));
    let expired = ip(&udp_with_ttl(1));
    for _ in 0..2 {
        assert_eq!(process(&mut oracle, 1, &expired), punted(1, Reason::TtlExpired, 7, &expired), "green and yellow");
    }
    assert_eq!(process(&mut oracle, 1, &expired), Outcome::Dropped(Reason::PuntPoliced));
    let lldp = ethernet(NEIGHBOUR, CUSTOMER, "88cc 0207");
    assert_eq!(process(&mut oracle, 3, &lldp), Outcome::Dropped(Reason::PuntPoliced), "where nothing else is looked up too");
    let arp = ethernet(NEIGHBOUR, CUSTOMER, &format!("0806 {}", "00".repeat(28)));
    for _ in 0..3 {
        assert_eq!(process(&mut oracle, 1, &arp), punted(1, Reason::Arp, 7, &arp), "no meter: all green");
    }
    let bytes = (expired.len() + lldp.len()) as u64;
    assert_eq!(oracle.drops(Reason::PuntPoliced), Count { packets: 2, bytes });
    assert_eq!(oracle.drops(Reason::TtlExpired), Count::default());
    assert_eq!(oracle.totals().punts, 5);
    assert_eq!(oracle.totals().drops, 2);
    // An entry that is written again as it was keeps its buckets; with another meter they are full.
    oracle.apply(&Update::Modify(punt_policer(Reason::TtlExpired, once(1, 2)).into())).expect("it is there");
    assert_eq!(process(&mut oracle, 1, &expired), Outcome::Dropped(Reason::PuntPoliced));
    oracle.apply(&Update::Modify(punt_policer(Reason::TtlExpired, once(0, 1)).into())).expect("it is there");
    assert!(matches!(process(&mut oracle, 1, &expired), Outcome::Punt(_)));
    oracle.apply(&Update::Delete(PuntPolicerKey { reason: Reason::TtlExpired }.into())).expect("it is there");
    assert!(matches!(process(&mut oracle, 1, &expired), Outcome::Punt(_)));
}

/// A session's packet that is too big is discarded from it once, whether or not the controller gets it.
#[test]
fn a_policed_punt_is_discarded_from_its_session_once() {
    let mut oracle = router();
    let key = FlowV4Key {
        vrf: vrf(7),
        src: [10, 0, 0, 1].into(),
        dst: [10, 1, 0, 2].into(),
        proto: protocol(17),
        sport: l4_port(4096),
        dport: l4_port(80),
    };
    insert(&mut oracle, FlowV4Entry { key, action: FlowV4Action::Assign { session: session(3) }, idle_timeout: None });
    let action = SessionAction::Carry { tunnel: tunnel(4), vpn_label: label(200), class: class(5) };
    insert(&mut oracle, SessionEntry { key: SessionKey { session: session(3) }, action, meter: None });
    add_tunnel(&mut oracle, 4, TunnelAction::Lsp0 { nexthop: nexthop(5), ttl_mode: ttl_mode(0) });
    add_nexthop(&mut oracle, 5, rewrite(2, 0, 0, 30));
    insert(&mut oracle, punt_policer(Reason::TooBig, once(0, 1)));
    let frame = ip(&UDP.replace("12340000 40115496", "12344000 40111496"));
    assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::TooBig, 7, &frame));
    assert_eq!(process(&mut oracle, 1, &frame), Outcome::Dropped(Reason::PuntPoliced));
    assert_eq!(oracle.session_discards(session(3)), Count { packets: 2, bytes: 92 });
}
