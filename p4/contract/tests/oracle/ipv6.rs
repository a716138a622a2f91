//! IPv6: the checks of its header, flows, routes, neighbour discovery.

use svpn_contract::oracle::Count;

use crate::frames::{UDP_LOAD, cut, ethernet, ipv6};
use crate::*;

const UDP: u8 = 17;

fn ip(packet: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("86dd {packet}"))
}

fn udp(hop_limit: u8) -> String {
    ipv6(UDP, hop_limit, UDP_LOAD)
}

fn forwarding() -> Oracle {
    let mut oracle = router();
    add_route_v6(&mut oracle, 7, "2001:db8:1::", 48, RouteV6Action::Local { nexthop: nexthop(1) });
    oracle
}

fn by_2(packet: &str) -> Outcome {
    sent(2, ethernet(NEIGHBOUR, ROUTER, &format!("86dd {packet}")))
}

#[test]
fn ipv6_headers_are_judged_in_order() {
    let mut oracle = forwarding();
    let mut dropped = |packet: &str, reason| assert_eq!(process(&mut oracle, 1, &ip(packet)), Outcome::Dropped(reason), "{packet}");
    dropped("", Reason::IpTruncated);
    dropped(&cut(&udp(0), 39), Reason::IpTruncated);
    dropped(&udp(0).replacen("6000", "4500", 1).replacen("000c", "000d", 1), Reason::IpBadVersion);
    dropped(&udp(0).replacen("000c", "000d", 1), Reason::IpBadLength);
    dropped(&udp(0), Reason::IpTtlZero);
    assert_eq!(process(&mut oracle, 1, &ip(&udp(64))), by_2(&udp(63)));
    // What follows the packet is kept; what it leaves out of its length is no matter.
    assert_eq!(process(&mut oracle, 1, &ip(&format!("{} aabb", udp(64)))), by_2(&format!("{} aabb", udp(63))));
    let empty = udp(64).replacen("000c", "0000", 1);
    assert_eq!(process(&mut oracle, 1, &ip(&empty)), by_2(&empty.replacen("1140", "113f", 1).replacen("11 40", "11 3f", 1)));
}

#[test]
fn the_longest_ipv6_prefix_of_the_vrf_wins() {
    let mut oracle = forwarding();
    add_route_v6(&mut oracle, 7, "2001:db8:1::2", 128, RouteV6Action::Receive);
    add_route_v6(&mut oracle, 7, "::", 0, RouteV6Action::Discard);
    add_route_v6(&mut oracle, 8, "2001:db8:1::2", 128, RouteV6Action::Discard);
    for hops in [1, 64] {
        let frame = ip(&udp(hops));
        assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::Receive, 7, &frame), "received before the hop limit is looked at");
    }
    let key = RouteV6Key { vrf: vrf(7), dst: Prefix { value: address_v6("2001:db8:1::2"), length: 128 } };
    oracle.apply(&Update::Delete(key.into())).expect("the route is there");
    assert_eq!(process(&mut oracle, 1, &ip(&udp(64))), by_2(&udp(63)));
    let elsewhere = udp(64).replacen("20010db80001", "20010db80002", 1);
    assert_eq!(process(&mut oracle, 1, &ip(&elsewhere)), Outcome::Dropped(Reason::RouteDiscard));
    let frame = ip(&udp(1));
    assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::TtlExpired, 7, &frame));
    // From the core it is routed in VRF 0.
    assert_eq!(process(&mut oracle, 2, &ip(&udp(64))), Outcome::Dropped(Reason::NoRoute));
    add_route_v6(&mut oracle, 0, "2001:db8:1::", 48, RouteV6Action::Local { nexthop: nexthop(2) });
    assert_eq!(process(&mut oracle, 2, &ip(&udp(64))), sent(1, ethernet(NEIGHBOUR, ROUTER, &format!("86dd {}", udp(63)))));
}

fn flow(proto: u8, sport: u16, dport: u16) -> FlowV6Key {
    let (src, dst) = (address_v6("2001:db8::1"), address_v6("2001:db8:1::2"));
    FlowV6Key { vrf: vrf(7), src, dst, proto: protocol(proto), sport: l4_port(sport), dport: l4_port(dport) }
}

fn add_flow(oracle: &mut Oracle, key: FlowV6Key, number: u32) {
    insert(oracle, FlowV6Entry { key, action: FlowV6Action::Assign { session: session(number) }, idle_timeout: None });
}

fn add_session(oracle: &mut Oracle, number: u32) {
    let action = SessionAction::Carry { tunnel: tunnel(4), vpn_label: label(200), class: class(5) };
    insert(oracle, SessionEntry { key: SessionKey { session: session(number) }, action, meter: None });
}

#[test]
fn an_ipv6_session_is_pushed_into_its_tunnel() {
    let mut oracle = router();
    add_flow(&mut oracle, flow(UDP, 4096, 80), 3);
    add_session(&mut oracle, 3);
    add_tunnel(&mut oracle, 4, TunnelAction::Lsp1 { l1: label(100), nexthop: nexthop(1), ttl_mode: TtlMode::UNIFORM });
    let labelled = format!("8847 00064a3f 000c8b3f {}", udp(63));
    assert_eq!(process(&mut oracle, 1, &ip(&udp(64))), sent(2, ethernet(NEIGHBOUR, ROUTER, &labelled)));
    let counted = oracle.direct_counter(&SessionKey { session: session(3) }.into());
    assert_eq!(counted, Some(Count { packets: 1, bytes: 14 + 40 + 12 }));
    let frame = ip(&udp(1));
    assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::TtlExpired, 7, &frame));
    // A flow of IPv4 is another table's, and the core has none.
    assert_eq!(process(&mut oracle, 2, &ip(&udp(64))), Outcome::Dropped(Reason::NoRoute));
}

/// Which flow a packet belongs to is seen from what it is dropped for: there are no sessions.
#[test]
fn ipv6_protocol_and_ports_are_those_behind_one_fragment_header() {
    let mut oracle = router();
    add_flow(&mut oracle, flow(UDP, 4096, 80), 1);
    let mut belongs = |packet: &str| process(&mut oracle, 1, &ip(packet)) == Outcome::Dropped(Reason::NoSession);
    assert!(belongs(&udp(64)));
    // Three bytes of ports, in the packet's own length; four.
    assert!(!belongs(&udp(64).replacen("000c", "0003", 1)));
    assert!(belongs(&udp(64).replacen("000c", "0004", 1)));
    // Destination options first: the protocol is theirs.
    assert!(!belongs(&ipv6(60, 64, &format!("11000104 00000000 {UDP_LOAD}"))));

    let fragment = |next: u8, offset: &str| ipv6(44, 64, &format!("{next:02x}00{offset} 00000001 {UDP_LOAD}"));
    let mut oracle = router();
    add_flow(&mut oracle, flow(UDP, 0, 0), 1);
    let mut belongs = |packet: &str| process(&mut oracle, 1, &ip(packet)) == Outcome::Dropped(Reason::NoSession);
    for offset in ["0000", "0001", "0008", "0009"] {
        assert!(belongs(&fragment(UDP, offset)), "{offset}: a fragment has no ports, all of a datagram in one neither");
    }
    assert!(belongs(&udp(64).replacen("000c", "0003", 1)));
    assert!(!belongs(&fragment(60, "0000")));
    // A second fragment header is not looked through, nor one that is not first.
    assert!(!belongs(&ipv6(44, 64, &format!("2c000000 00000001 11000000 00000001 {UDP_LOAD}"))));
    assert!(!belongs(&ipv6(60, 64, &format!("2c000104 00000000 11000000 00000001 {UDP_LOAD}"))));

    let mut oracle = router();
    add_flow(&mut oracle, flow(44, 0, 0), 1);
    let mut belongs = |packet: &str| process(&mut oracle, 1, &ip(packet)) == Outcome::Dropped(Reason::NoSession);
    let whole = fragment(UDP, "0000");
    assert!(belongs(&whole.replacen("0014", "0007", 1)), "a fragment header cut short by the packet's own length");
    assert!(!belongs(&whole.replacen("0014", "0008", 1)));
    assert!(belongs(&ipv6(44, 64, "")));
}

#[test]
fn ipv6_rules_come_after_exact_flows() {
    let mut oracle = router();
    let rule = |priority, src: Ternary<Ipv6Addr>, dport: Range<L4Port>| FlowAclV6Key {
        vrf: Ternary::exact(vrf(7)),
        src,
        dst: Ternary::any(),
        proto: Ternary::any(),
        sport: Range::any(),
        dport,
        priority: Priority::new(priority).expect("it is positive"),
    };
    let site = Ternary { value: address_v6("2001:db8::"), mask: address_v6("ffff:ffff:ffff::") };
    let add = |oracle: &mut Oracle, key, number| {
        insert(oracle, FlowAclV6Entry { key, action: FlowAclV6Action::Assign { session: session(number) } });
    };
    let assigned = |oracle: &Oracle| {
        // The session that is there is the one that carries.
        (1..=4).find(|number| {
            let mut oracle = oracle.clone();
            add_session(&mut oracle, *number);
            oracle.process(port(1), &ip(&udp(64)), NOW) != Outcome::Dropped(Reason::NoSession)
        })
    };
    add(&mut oracle, rule(5, site, Range::any()), 1);
    assert_eq!(assigned(&oracle), Some(1));
    add(&mut oracle, rule(6, Ternary::any(), Range { low: l4_port(80), high: l4_port(81) }), 2);
    add(&mut oracle, rule(7, site, Range { low: l4_port(81), high: l4_port(90) }), 3);
    add(&mut oracle, rule(8, Ternary { value: address_v6("2001:db8:1::"), ..site }, Range::any()), 3);
    assert_eq!(assigned(&oracle), Some(2));
    add_flow(&mut oracle, flow(UDP, 4096, 80), 4);
    assert_eq!(assigned(&oracle), Some(4));
}

#[test]
fn neighbour_discovery_is_punted_behind_attachment_and_before_station() {
    let mut oracle = router();
    let all_nodes = MacAddr([0x33, 0x33, 0, 0, 0, 1]);
    let frame = |packet: &str| ethernet(all_nodes, CUSTOMER, &format!("86dd {packet}"));
    for kind in 133..=137 {
        // Nothing of the message is judged: neither its length, nor its checksum.
        for message in [format!("{kind:02x}"), format!("{kind:02x}000000 00000000")] {
            let solicitation = frame(&ipv6(58, 255, &message));
            assert_eq!(process(&mut oracle, 1, &solicitation), punted(1, Reason::Nd, 7, &solicitation));
            assert_eq!(process(&mut oracle, 2, &solicitation), punted(2, Reason::Nd, 0, &solicitation), "from the core too");
            assert_eq!(process(&mut oracle, 3, &solicitation), Outcome::Dropped(Reason::UnknownAttachment));
        }
    }
    // The payload length is not looked at, the type must be in the frame.
    let long = frame(&ipv6(58, 255, "88").replacen("0001", "ffff", 1));
    assert_eq!(process(&mut oracle, 1, &long), punted(1, Reason::Nd, 7, &long));
    let others = [
        ipv6(58, 255, ""),
        ipv6(58, 255, "84"),
        ipv6(58, 255, "8a"),
        ipv6(58, 254, "87"),
        ipv6(0, 255, "87"),
        ipv6(58, 255, "87").replacen("6000", "7000", 1),
    ];
    for other in others {
        assert_eq!(process(&mut oracle, 1, &frame(&other)), Outcome::Dropped(Reason::UnknownStation), "{other}");
    }
    // Behind any tags, and only behind its own ethertype.
    let tagged = ethernet(all_nodes, CUSTOMER, &format!("8100 0000 86dd {}", ipv6(58, 255, "87")));
    assert_eq!(process(&mut oracle, 1, &tagged), punted(1, Reason::Nd, 7, &tagged));
    let as_ipv4 = ethernet(all_nodes, CUSTOMER, &format!("0800 {}", ipv6(58, 255, "87")));
    assert_eq!(process(&mut oracle, 1, &as_ipv4), Outcome::Dropped(Reason::UnknownStation));
}

#[test]
fn ipv6_that_is_too_big_is_punted() {
    let mut oracle = router();
    add_nexthop(&mut oracle, 3, rewrite(2, 0, 0, 52));
    add_route_v6(&mut oracle, 7, "2001:db8:1::", 48, RouteV6Action::Local { nexthop: nexthop(3) });
    assert_eq!(process(&mut oracle, 1, &ip(&udp(64))), by_2(&udp(63)));
    let frame = ip(&format!("{} 00", udp(64)));
    assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::TooBig, 7, &frame));
}
