//! Several labels, explicit nulls, and pops that go on.

use crate::frames::{UDP, UDP_63, UDP_LOAD, ethernet, ipv6, udp_with_ttl};
use crate::*;

/// A stack entry: label, bottom of stack, TTL; its TC is 5.
fn entry(number: u32, bottom: u32, ttl: u32) -> String {
    format!("{:08x} ", number << 12 | 5 << 9 | bottom << 8 | ttl)
}

fn mpls(after: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("8847 {after}"))
}

fn out(on: u16, after: &str) -> Outcome {
    sent(on, ethernet(NEIGHBOUR, ROUTER, after))
}

fn dropped(oracle: &mut Oracle, after: &str, reason: Reason) {
    assert_eq!(process(oracle, 2, &mpls(after)), Outcome::Dropped(reason), "{after}");
}

fn expired(oracle: &mut Oracle, after: &str, of: u16) {
    let frame = mpls(after);
    assert_eq!(process(oracle, 2, &frame), punted(2, Reason::TtlExpired, of, &frame), "{after}");
}

fn counted(oracle: &Oracle, number: u32) -> u64 {
    oracle.direct_counter(&IlmKey { label: label(number) }.into()).map_or(0, |count| count.packets)
}

fn udp_v6(hop_limit: u8) -> String {
    ipv6(17, hop_limit, UDP_LOAD)
}

/// Labels 100 and 101 pop and go on, uniform and pipe; 110 is swapped to 111; 120 and 121 are popped into VRF 7, uniform and pipe; 130
/// and 131 are popped to next hop 1. In VRF 7 and VRF 0 there is a way to next hop 2.
fn popping() -> Oracle {
    let mut oracle = router();
    for (number, mode) in [(0, 0), (1, 200)] {
        add_label(&mut oracle, 100 + number, IlmAction::PopNext { ttl_mode: ttl_mode(mode) });
        add_label(&mut oracle, 120 + number, IlmAction::PopVrf { vrf: vrf(7), ttl_mode: ttl_mode(mode) });
        add_label(&mut oracle, 130 + number, IlmAction::PopLocal { nexthop: nexthop(1), ttl_mode: ttl_mode(mode) });
    }
    add_label(&mut oracle, 110, IlmAction::Swap { label: label(111), nexthop: nexthop(1) });
    for of in [0, 7] {
        add_route(&mut oracle, of, [10, 1, 0, 0], 16, RouteV4Action::Local { nexthop: nexthop(2) });
        add_route_v6(&mut oracle, of, "2001:db8:1::", 48, RouteV6Action::Local { nexthop: nexthop(2) });
    }
    oracle
}

#[test]
fn pop_next_goes_on_with_the_label_below() {
    let mut oracle = popping();
    // Uniform: the TTL below is bounded by what is left of the one above; pipe: it is its own.
    let cases = [(100, 64, 9, 8), (100, 9, 64, 7), (101, 9, 64, 63), (101, 2, 64, 63)];
    for (top, ttl, below, left) in cases {
        let frame = mpls(&format!("{}{}aabb", entry(top, 0, ttl), entry(110, 1, below)));
        assert_eq!(process(&mut oracle, 2, &frame), out(2, &format!("8847 {}aabb", entry(111, 1, left))), "{top} {ttl} {below}");
    }
    assert_eq!((counted(&oracle, 100), counted(&oracle, 101), counted(&oracle, 110)), (2, 2, 4));
    // Three at once, each bounded by the one above.
    let stack = [entry(100, 0, 6), entry(100, 0, 64), entry(100, 0, 64), entry(110, 0, 64), entry(7, 1, 3)].concat();
    assert_eq!(process(&mut oracle, 2, &mpls(&stack)), out(2, &format!("8847 {}{}", entry(111, 0, 2), entry(7, 1, 3))));
}

#[test]
fn pop_next_needs_a_whole_label_below() {
    let mut oracle = popping();
    dropped(&mut oracle, &entry(100, 1, 64), Reason::BadLabelStack);
    dropped(&mut oracle, &entry(100, 0, 64), Reason::BadLabelStack);
    dropped(&mut oracle, &format!("{}00 00 6e", entry(100, 0, 1)), Reason::BadLabelStack);
    expired(&mut oracle, &format!("{}{}", entry(100, 0, 1), entry(110, 1, 64)), 0);
    // The label below is bounded to nothing by a uniform pop.
    expired(&mut oracle, &format!("{}{}", entry(100, 0, 2), entry(110, 1, 64)), 0);
    expired(&mut oracle, &format!("{}{}", entry(101, 0, 64), entry(110, 1, 1)), 0);
    assert_eq!((counted(&oracle, 100), counted(&oracle, 110)), (5, 2), "every hit counts");
    // What is below is judged by the same rules.
    dropped(&mut oracle, &format!("{}{}", entry(100, 0, 64), entry(99, 1, 64)), Reason::UnknownLabel);
    dropped(&mut oracle, &format!("{}{}", entry(100, 0, 64), entry(4, 1, 64)), Reason::ReservedLabel);
    let frame = mpls(&format!("{}{}", entry(100, 0, 64), entry(1, 1, 1)));
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::MplsAlert, 0, &frame));
}

#[test]
fn no_fifth_label_is_acted_upon() {
    let mut oracle = popping();
    let three = entry(101, 0, 64).repeat(3);
    assert_eq!(process(&mut oracle, 2, &mpls(&format!("{three}{}", entry(110, 1, 64)))), out(2, &format!("8847 {}", entry(111, 1, 63))));
    dropped(&mut oracle, &format!("{three}{}{}", entry(101, 0, 64), entry(110, 1, 64)), Reason::BadLabelStack);
    // Before its TTL, and whether it is popped by an entry or as an explicit null.
    dropped(&mut oracle, &format!("{three}{}{}", entry(101, 0, 1), entry(110, 1, 64)), Reason::BadLabelStack);
    dropped(&mut oracle, &format!("{three}{}{}", entry(0, 0, 1), entry(110, 1, 64)), Reason::BadLabelStack);
    dropped(&mut oracle, &format!("{}{}", entry(2, 0, 64).repeat(4), entry(110, 1, 64)), Reason::BadLabelStack);
    let frame = format!("{three}{}{UDP}", entry(0, 1, 64));
    assert_eq!(process(&mut oracle, 2, &mpls(&frame)), out(1, &format!("0800 {UDP_63}")), "the fourth may be the bottom");
}

#[test]
fn explicit_nulls_are_popped_as_pipe() {
    let mut oracle = popping();
    // Above another label.
    for null in [0, 2] {
        let frame = mpls(&format!("{}{}aabb", entry(null, 0, 2), entry(110, 1, 64)));
        assert_eq!(process(&mut oracle, 2, &frame), out(2, &format!("8847 {}aabb", entry(111, 1, 63))));
        dropped(&mut oracle, &format!("{}00066b", entry(null, 0, 2)), Reason::BadLabelStack);
        expired(&mut oracle, &format!("{}00066b", entry(null, 0, 1)), 0);
        expired(&mut oracle, &entry(null, 1, 0), 0);
    }
    // At the bottom they say what is below, which is routed in VRF 0.
    assert_eq!(process(&mut oracle, 2, &mpls(&format!("{}{UDP}", entry(0, 1, 2)))), out(1, &format!("0800 {UDP_63}")));
    let frame = mpls(&format!("{}{}", entry(2, 1, 2), udp_v6(64)));
    assert_eq!(process(&mut oracle, 2, &frame), out(1, &format!("86dd {}", udp_v6(63))));
    dropped(&mut oracle, &format!("{}{}", entry(0, 1, 64), udp_v6(64)), Reason::IpBadVersion);
    dropped(&mut oracle, &format!("{}{UDP} {UDP}", entry(2, 1, 64)), Reason::IpBadVersion);
    expired(&mut oracle, &format!("{}{}", entry(0, 1, 64), udp_with_ttl(1)), 0);
    // Bounded by a uniform pop above, and the packet's TTL is still its own.
    let frame = mpls(&format!("{}{}{UDP}", entry(100, 0, 3), entry(0, 1, 64)));
    assert_eq!(process(&mut oracle, 2, &frame), out(1, &format!("0800 {UDP_63}")));
    expired(&mut oracle, &format!("{}{}{UDP}", entry(100, 0, 2), entry(0, 1, 64)), 0);
}

#[test]
fn explicit_nulls_meet_neither_flows_nor_gre() {
    let mut oracle = popping();
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
    let key = GreIngressV4Key { src: [192, 0, 2, 1].into(), dst: [192, 0, 2, 2].into(), key: gre_key(0) };
    insert(&mut oracle, GreIngressV4Entry { key, action: GreIngressV4Action::DecapMpls });
    assert_eq!(process(&mut oracle, 2, &mpls(&format!("{}{UDP}", entry(0, 1, 2)))), out(1, &format!("0800 {UDP_63}")));
    let gre = crate::frames::ipv4(47, 64, 0, &format!("00008847 {}", entry(110, 1, 64)));
    dropped(&mut oracle, &format!("{}{gre}", entry(0, 1, 64)), Reason::NoRoute);
}

#[test]
fn a_swap_may_push_another_label() {
    let mut oracle = router();
    add_label(&mut oracle, 110, IlmAction::SwapPush { label: label(111), l2: label(112), nexthop: nexthop(1) });
    for (bottom, rest) in [(1, UDP), (0, "00007 1ff 00")] {
        let frame = mpls(&format!("{}{rest}", entry(110, bottom, 64)));
        let pushed = format!("8847 {}{}{rest}", entry(112, 0, 63), entry(111, bottom, 63));
        assert_eq!(process(&mut oracle, 2, &frame), out(2, &pushed));
    }
    expired(&mut oracle, &entry(110, 1, 1), 0);
    assert_eq!(counted(&oracle, 110), 3);
    // Its size is that of what is sent: two labels and what was below the one.
    add_nexthop(&mut oracle, 3, rewrite(2, 0, 0, 40));
    add_label(&mut oracle, 113, IlmAction::SwapPush { label: label(111), l2: label(112), nexthop: nexthop(3) });
    assert!(matches!(process(&mut oracle, 2, &mpls(&format!("{}{UDP}", entry(113, 1, 64)))), Outcome::Sent { .. }));
    dropped(&mut oracle, &format!("{}{UDP} 00", entry(113, 1, 64)), Reason::TooBigDrop);
}

#[test]
fn a_vpn_label_carries_either_ip() {
    let mut oracle = popping();
    for (number, ttl, left) in [(120, 64, 63), (120, 5, 4), (121, 5, 63)] {
        let frame = mpls(&format!("{}{}", entry(number, 1, ttl), udp_v6(64)));
        assert_eq!(process(&mut oracle, 2, &frame), out(1, &format!("86dd {}", udp_v6(left))), "{number} {ttl}");
    }
    expired(&mut oracle, &format!("{}{}", entry(120, 1, 64), udp_v6(1)), 7);
    dropped(&mut oracle, &format!("{}6000", entry(120, 1, 64)), Reason::IpTruncated);
    dropped(&mut oracle, &format!("{}{}", entry(120, 1, 64), udp_v6(64).replacen("000c", "000d", 1)), Reason::IpBadLength);
    dropped(&mut oracle, &entry(120, 1, 64), Reason::IpTruncated);
    dropped(&mut oracle, &format!("{}{}", entry(120, 1, 64), udp_v6(64).replacen("6000", "5000", 1)), Reason::IpBadVersion);
}

#[test]
fn pop_local_sends_what_it_exposes_to_its_nexthop() {
    let mut oracle = popping();
    // No route is asked: 192.0.2.2 has none.
    let lost = crate::frames::ipv4(17, 64, 0, UDP_LOAD);
    let left = crate::frames::ipv4(17, 63, 0, UDP_LOAD);
    assert_eq!(process(&mut oracle, 2, &mpls(&format!("{}{lost} 77", entry(130, 1, 200)))), out(2, &format!("0800 {left} 77")));
    for (number, ttl, left) in [(130, 200, 63), (130, 5, 4), (131, 5, 63)] {
        let frame = mpls(&format!("{}{}", entry(number, 1, ttl), udp_v6(64)));
        assert_eq!(process(&mut oracle, 2, &frame), out(2, &format!("86dd {}", udp_v6(left))), "{number} {ttl}");
    }
    dropped(&mut oracle, &format!("{}{UDP}", entry(130, 0, 1)), Reason::BadLabelStack);
    expired(&mut oracle, &format!("{}00", entry(130, 1, 1)), 0);
    dropped(&mut oracle, &format!("{}{}", entry(130, 1, 64), UDP.replace("5496", "5497")), Reason::IpBadChecksum);
    expired(&mut oracle, &format!("{}{}", entry(130, 1, 64), udp_with_ttl(1)), 0);
    dropped(&mut oracle, &format!("{}{}", entry(130, 1, 64), udp_with_ttl(0)), Reason::IpTtlZero);
    assert_eq!(counted(&oracle, 130), 8);
}

#[test]
fn size_is_judged_by_what_is_below_the_labels_that_are_left() {
    let mut oracle = popping();
    add_nexthop(&mut oracle, 3, rewrite(2, 0, 0, 20));
    add_label(&mut oracle, 140, IlmAction::Swap { label: label(141), nexthop: nexthop(3) });
    let whole = UDP.replace("12340000 40115496", "12344000 40111496");
    let below = entry(9, 0, 64).repeat(2);
    // Five labels, of which one is popped, and four are left.
    let frame = mpls(&format!("{}{}{below}{}{whole}", entry(100, 0, 64), entry(140, 0, 64), entry(9, 1, 64)));
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::TooBig, 0, &frame));
    dropped(
        &mut oracle,
        &format!("{}{}{below}{}{}{whole}", entry(100, 0, 64), entry(140, 0, 64), entry(9, 0, 64), entry(9, 1, 64)),
        Reason::TooBigDrop,
    );
}
