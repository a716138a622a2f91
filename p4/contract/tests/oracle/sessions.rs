//! Flows, sessions, meters, marking and tunnels.

use svpn_contract::oracle::{ApplyError, Count, Meter};

use crate::frames::{UDP, UDP_63, ethernet, hex, udp_with_ttl};
use crate::*;

fn flow() -> FlowV4Key {
    let port = |number| L4Port::new(number).expect("a port has 16 bits");
    FlowV4Key {
        vrf: vrf(7),
        src: [10, 0, 0, 1].into(),
        dst: [10, 1, 0, 2].into(),
        proto: Protocol::new(17).expect("a protocol has 8 bits"),
        sport: port(4096),
        dport: port(80),
    }
}

fn add_flow(oracle: &mut Oracle, key: FlowV4Key, number: u32) {
    insert(oracle, FlowV4Entry { key, action: FlowV4Action::Assign { session: session(number) }, idle_timeout: None });
}

fn carry(number: u32, vpn_label: u32, meter: Option<MeterConfig>) -> SessionEntry {
    let action = SessionAction::Carry { tunnel: tunnel(4), vpn_label: label(vpn_label), class: class(5) };
    SessionEntry { key: SessionKey { session: session(number) }, action, meter }
}

/// Session 3 of class 5 in tunnel 4: label 100 over label 200, TTL as the packet's.
fn carrying(meter: Option<MeterConfig>) -> Oracle {
    let mut oracle = router();
    add_flow(&mut oracle, flow(), 3);
    insert(&mut oracle, carry(3, 200, meter));
    add_tunnel(&mut oracle, 4, TunnelAction::Lsp1 { l1: label(100), nexthop: nexthop(1), ttl_mode: TtlMode::UNIFORM });
    oracle
}

fn ip(packet: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("0800 {packet}"))
}

fn out(after: &str) -> Outcome {
    sent(2, ethernet(NEIGHBOUR, ROUTER, after))
}

#[test]
fn a_session_is_pushed_into_its_tunnel() {
    let mut oracle = carrying(None);
    // Labels 100 and 200, TC 5, bottom on the inner one, TTL 63: 100 = 0x64, 200 = 0xc8.
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), out(&format!("8847 00064a3f 000c8b3f {UDP_63}")));
    let count = Some(Count { packets: 1, bytes: 46 });
    assert_eq!(oracle.direct_counter(&SessionKey { session: session(3) }.into()), count);
    assert_eq!(oracle.direct_counter(&TunnelKey { tunnel: tunnel(4) }.into()), count);
    assert_eq!(oracle.direct_counter(&flow().into()), None, "flows do not count");
    assert_eq!(oracle.session_discards(session(3)), Count::default());
}

#[test]
fn labels_and_ttl_follow_the_tunnel() {
    let lsp_0 = |ttl| TunnelAction::Lsp0 { nexthop: nexthop(1), ttl_mode: ttl_mode(ttl) };
    let lsp_1 = |ttl| TunnelAction::Lsp1 { l1: label(100), nexthop: nexthop(1), ttl_mode: ttl_mode(ttl) };
    // What is pushed for a VPN label of 200, and for the implicit null.
    let cases = [
        (lsp_0(0), "8847 000c8b3f", "0800"),
        (lsp_0(9), "8847 000c8b09", "0800"),
        (lsp_1(0), "8847 00064a3f 000c8b3f", "8847 00064b3f"),
        (lsp_1(255), "8847 00064aff 000c8bff", "8847 00064bff"),
    ];
    for (action, labelled, unlabelled) in cases {
        for (vpn_label, pushed) in [(200, labelled), (3, unlabelled)] {
            let mut oracle = carrying(None);
            let choice = Choice::only(action);
            oracle
                .apply(&Update::Modify(TunnelEntry { key: TunnelKey { tunnel: tunnel(4) }, action: choice }.into()))
                .expect("it is there");
            oracle.apply(&Update::Modify(carry(3, vpn_label, None).into())).expect("it is there");
            assert_eq!(process(&mut oracle, 1, &ip(UDP)), out(&format!("{pushed} {UDP_63}")), "{action:?}");
        }
    }
}

#[test]
fn flows_are_for_attachment_circuits_only() {
    let mut oracle = carrying(None);
    add_flow(&mut oracle, FlowV4Key { vrf: vrf(0), ..flow() }, 3);
    assert_eq!(process(&mut oracle, 2, &ip(UDP)), Outcome::Dropped(Reason::NoRoute));
}

#[test]
fn fragments_and_short_packets_have_no_ports() {
    let mut oracle = router();
    let nowhere = L4Port::default();
    add_flow(&mut oracle, FlowV4Key { sport: nowhere, dport: nowhere, ..flow() }, 9);
    let cases = [
        UDP.replace("12340000 40115496", "12342000 40113496"),
        UDP.replace("12340000 40115496", "12340001 40115495"),
        // Total length 20, 23, 24.
        UDP.replace("45000020 12340000 40115496", "45000014 12340000 401154a2"),
        UDP.replace("45000020 12340000 40115496", "45000017 12340000 4011549f"),
    ];
    for packet in cases {
        assert_eq!(process(&mut oracle, 1, &ip(&packet)), Outcome::Dropped(Reason::NoSession), "{packet}");
    }
    let four = UDP.replace("45000020 12340000 40115496", "45000018 12340000 4011549e");
    for packet in [four.as_str(), UDP] {
        assert_eq!(process(&mut oracle, 1, &ip(packet)), Outcome::Dropped(Reason::NoRoute), "{packet}");
    }
}

#[test]
fn the_acl_of_highest_priority_wins_after_exact_flows() {
    let mut oracle = router();
    let acl = |priority, src: Ternary<Ipv4Addr>, sport: Range<L4Port>| FlowAclV4Key {
        vrf: Ternary::exact(vrf(7)),
        src,
        dst: Ternary::any(),
        proto: Ternary::any(),
        sport,
        dport: Range::any(),
        priority: Priority::new(priority).expect("it is positive"),
    };
    let site = Ternary { value: [10, 0, 0, 0].into(), mask: [255, 0, 0, 0].into() };
    let range = |low, high| Range { low: L4Port::new(low).expect("16 bits"), high: L4Port::new(high).expect("16 bits") };
    let add = |oracle: &mut Oracle, key, number| {
        insert(oracle, FlowAclV4Entry { key, action: FlowAclV4Action::Assign { session: session(number) } });
        // The tunnel's label tells the sessions apart.
        insert(oracle, carry(number, 16 + number, None));
    };
    add_tunnel(&mut oracle, 4, TunnelAction::Lsp0 { nexthop: nexthop(1), ttl_mode: ttl_mode(64) });
    let label_of = |oracle: &mut Oracle| match process(oracle, 1, &ip(UDP)) {
        Outcome::Sent { frame, .. } => u32::from_be_bytes(frame[14..18].try_into().expect("four bytes")) >> 12,
        other => panic!("not sent: {other:?}"),
    };
    add(&mut oracle, acl(1, site, Range::any()), 1);
    assert_eq!(label_of(&mut oracle), 17);
    add(&mut oracle, acl(9, Ternary::any(), range(4096, 4096)), 2);
    assert_eq!(label_of(&mut oracle), 18);
    add(&mut oracle, acl(10, site, range(0, 4095)), 3);
    add(&mut oracle, acl(11, site, range(4097, 65535)), 4);
    assert_eq!(label_of(&mut oracle), 18, "both ends of a range are in it, and no more");
    add_flow(&mut oracle, flow(), 5);
    insert(&mut oracle, carry(5, 21, None));
    assert_eq!(label_of(&mut oracle), 21);
}

#[test]
fn what_does_not_leave_is_discarded_from_the_session() {
    let discarded = |oracle: &mut Oracle, frame: &[u8], outcome: &Outcome| {
        assert_eq!(process(oracle, 1, frame), *outcome);
        let count = Count { packets: 1, bytes: frame.len() as u64 };
        assert_eq!(oracle.session_discards(session(3)), count);
        assert_eq!(oracle.direct_counter(&SessionKey { session: session(3) }.into()), Some(count));
    };
    let mut oracle = carrying(None);
    oracle.apply(&Update::Delete(TunnelKey { tunnel: tunnel(4) }.into())).expect("it is there");
    discarded(&mut oracle, &ip(UDP), &Outcome::Dropped(Reason::NoTunnel));
    let mut oracle = carrying(None);
    oracle.apply(&Update::Delete(NexthopKey { nexthop: nexthop(1) }.into())).expect("it is there");
    discarded(&mut oracle, &ip(UDP), &Outcome::Dropped(Reason::NoNexthop));
    let mut oracle = carrying(None);
    let key = NexthopKey { nexthop: nexthop(1) };
    // 32 bytes and two labels.
    for (mtu, outcome) in [(39, None), (40, Some(()))] {
        let action = Choice::only(rewrite(2, 0, 0, mtu));
        oracle.apply(&Update::Modify(NexthopEntry { key, action }.into())).expect("it is there");
        assert_eq!(matches!(process(&mut oracle, 1, &ip(UDP)), Outcome::Sent { .. }), outcome.is_some());
    }
    let mut oracle = carrying(None);
    let action = Choice::only(rewrite(2, 0, 0, 39));
    oracle.apply(&Update::Modify(NexthopEntry { key, action }.into())).expect("it is there");
    let frame = ip(&UDP.replace("12340000 40115496", "12344000 40111496"));
    discarded(&mut oracle, &frame, &punted(1, Reason::TooBig, 7, &frame));
}

#[test]
fn an_expired_packet_is_neither_metered_nor_counted() {
    let mut oracle = carrying(None);
    let frame = ip(&udp_with_ttl(1));
    assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::TtlExpired, 7, &frame));
    assert_eq!(oracle.direct_counter(&SessionKey { session: session(3) }.into()), Some(Count::default()));
    assert_eq!(oracle.session_discards(session(3)), Count::default());
    // It is expired whether or not there is such a session.
    oracle.apply(&Update::Delete(SessionKey { session: session(3) }.into())).expect("it is there");
    assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::TtlExpired, 7, &frame));
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), Outcome::Dropped(Reason::NoSession));
}

/// Frames of 46 bytes: two are green, one more is yellow, then red until the buckets fill.
#[test]
fn colour_is_marked_and_red_is_discarded() {
    let mut oracle = carrying(Some(MeterConfig { cir: 46, cburst: 92, pir: 92, pburst: 138 }));
    let at = |oracle: &mut Oracle, seconds| oracle.process(port(1), &ip(UDP), Duration::from_secs(seconds));
    let tc = |outcome: Outcome| match outcome {
        Outcome::Sent { frame, .. } => Ok(frame[16] >> 1 & 7),
        Outcome::Dropped(reason) => Err(reason),
        Outcome::Punt(packet) => panic!("punted: {packet:?}"),
    };
    let mark = |number, tc| MarkingEntry {
        key: MarkingKey { class: class(5), colour: number },
        action: MarkingAction::Mark { tc: TrafficClass::new(tc).expect("three bits"), dscp: Dscp::default() },
    };
    insert(&mut oracle, mark(Colour::YELLOW, 1));
    let first: Vec<_> = (0..4).map(|_| tc(at(&mut oracle, 10))).collect();
    assert_eq!(first, [Ok(5), Ok(5), Ok(1), Err(Reason::RedDiscard)]);
    // After one second there is one committed packet and two of the peak rate.
    let second: Vec<_> = (0..3).map(|_| tc(at(&mut oracle, 11))).collect();
    assert_eq!(second, [Ok(5), Ok(1), Err(Reason::RedDiscard)]);
    insert(&mut oracle, mark(Colour::RED, 6));
    assert_eq!(tc(at(&mut oracle, 11)), Ok(6), "an entry for red overrides the discard");
    oracle.apply(&Update::Modify(MarkingEntry { action: MarkingAction::Discard, ..mark(Colour::RED, 0) }.into())).expect("it is there");
    assert_eq!(tc(at(&mut oracle, 11)), Err(Reason::MarkingDiscard));
    assert_eq!(oracle.session_discards(session(3)), Count { packets: 3, bytes: 138 });
    assert_eq!(oracle.direct_counter(&SessionKey { session: session(3) }.into()), Some(Count { packets: 9, bytes: 9 * 46 }));
}

#[test]
fn a_route_into_a_tunnel_is_green() {
    let mut oracle = carrying(None);
    let via = RouteV4Action::ViaTunnel { tunnel: tunnel(4), vpn_label: label(200), class: class(2) };
    add_route(&mut oracle, 0, [10, 0, 0, 0], 8, via);
    let key = MarkingKey { class: class(2), colour: Colour::GREEN };
    let action = MarkingAction::Mark { tc: TrafficClass::new(7).expect("three bits"), dscp: Dscp::default() };
    insert(&mut oracle, MarkingEntry { key, action });
    assert_eq!(process(&mut oracle, 2, &ip(UDP)), out(&format!("8847 00064e3f 000c8f3f {UDP_63}")));
}

#[test]
fn buckets_survive_a_modification_that_leaves_the_meter_alone() {
    let meter = MeterConfig { cir: 0, cburst: 50, pir: 0, pburst: 50 };
    let mut oracle = carrying(Some(meter));
    assert!(matches!(process(&mut oracle, 1, &ip(UDP)), Outcome::Sent { .. }));
    oracle.apply(&Update::Modify(carry(3, 200, Some(meter)).into())).expect("it is there");
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), Outcome::Dropped(Reason::RedDiscard));
    oracle.apply(&Update::Modify(carry(3, 200, Some(MeterConfig { pburst: 60, cburst: 60, ..meter })).into())).expect("it is there");
    assert!(matches!(process(&mut oracle, 1, &ip(UDP)), Outcome::Sent { .. }));
    oracle.apply(&Update::Modify(carry(3, 200, None).into())).expect("it is there");
    assert!(matches!(process(&mut oracle, 1, &ip(UDP)), Outcome::Sent { .. }));
    assert_eq!(oracle.direct_counter(&SessionKey { session: session(3) }.into()).map(|count| count.packets), Some(4));
}

#[test]
fn meters_are_exact() {
    let full = Meter::new(MeterConfig { cir: 1, cburst: 10, pir: 3, pburst: 20 });
    let nanos = Duration::from_nanos;
    let (colour, meter) = full.metered(10, nanos(5));
    assert_eq!(colour, Colour::GREEN);
    let (colour, meter) = meter.metered(10, nanos(5));
    assert_eq!(colour, Colour::YELLOW);
    // The first byte of the peak rate is there after a third of a second, and not a nanosecond earlier.
    assert_eq!(meter.metered(1, nanos(5 + 333_333_333)).0, Colour::RED);
    assert_eq!(meter.metered(1, nanos(5 + 333_333_334)).0, Colour::YELLOW);
    assert_eq!(meter.metered(1, nanos(5 + 1_000_000_000)).0, Colour::GREEN);
    // A clock that steps back fills nothing and takes nothing.
    assert_eq!(meter.metered(1, nanos(0)).0, Colour::RED);
    // Buckets hold no more than their bursts, even after centuries at the highest rate.
    let full = Meter::new(MeterConfig { cir: i64::MAX as u64, cburst: 1, pir: i64::MAX as u64, pburst: 2 });
    let (_, meter) = full.metered(2, nanos(0));
    assert_eq!(meter.metered(3, Duration::from_secs(10_000_000_000)).0, Colour::RED);
    assert_eq!(meter.metered(2, Duration::from_secs(10_000_000_000)).0, Colour::YELLOW);
}

#[test]
fn updates_that_cannot_be_are_refused() {
    let mut oracle = carrying(None);
    let entry = Entry::from(carry(3, 9, None));
    let key = entry.key();
    assert_eq!(oracle.apply(&Update::Insert(entry.clone())), Err(ApplyError::AlreadyExists(key)));
    assert_ne!(oracle.get(&key), Some(&entry), "nothing changed");
    oracle.apply(&Update::Delete(key)).expect("it is there");
    assert_eq!(oracle.apply(&Update::Delete(key)), Err(ApplyError::NotFound(key)));
    assert_eq!(oracle.apply(&Update::Modify(entry.clone())), Err(ApplyError::NotFound(key)));
    assert_eq!(oracle.direct_counter(&key), None);
    oracle.apply(&Update::Insert(entry.clone())).expect("it is new again");
    assert_eq!(oracle.entries().filter(|other| **other == entry).count(), 1);
    assert_eq!(hex("00").len(), 1);
}
