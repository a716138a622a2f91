//! IPv4: the checks of its header, routes, MTU.

use crate::frames::{UDP, UDP_63, cut, ethernet, udp_with_ttl};
use crate::*;

fn ip(packet: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("0800 {packet}"))
}

fn forwarding() -> Oracle {
    let mut oracle = router();
    add_route(&mut oracle, 7, [10, 1, 0, 0], 16, RouteV4Action::Local { nexthop: nexthop(1) });
    oracle
}

#[test]
fn headers_are_judged_in_order() {
    let mut oracle = forwarding();
    let mut dropped = |packet: &str, reason| assert_eq!(process(&mut oracle, 1, &ip(packet)), Outcome::Dropped(reason), "{packet}");
    dropped("", Reason::IpTruncated);
    dropped(&cut(UDP, 19), Reason::IpTruncated);
    dropped(&UDP.replace("4500", "6500"), Reason::IpBadVersion);
    dropped(&UDP.replace("4500", "4400"), Reason::IpBadHeaderLength);
    dropped(&UDP.replace("4500", "4f00"), Reason::IpTruncated);
    dropped(&UDP.replace("45000020", "45000013"), Reason::IpBadLength);
    dropped(&UDP.replace("45000020", "45000021"), Reason::IpBadLength);
    dropped(&UDP.replace("45000020", "4600 0017"), Reason::IpBadLength);
    dropped(&UDP.replace("5496", "5497"), Reason::IpBadChecksum);
    dropped(&UDP.replace("4500", "4501"), Reason::IpBadChecksum);
    dropped(&udp_with_ttl(0), Reason::IpTtlZero);
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), sent(2, ethernet(NEIGHBOUR, ROUTER, &format!("0800 {UDP_63}"))));
}

#[test]
fn options_and_trailing_bytes_are_kept() {
    let mut oracle = forwarding();
    // ihl 6, one word of options: 4500 0020 5496 became 4600 0020, 01010101: the sum grew by 0100 + 0202.
    let before = "46000020 12340000 40115194 0a000001 0a010002 01010101 10000050 00080000 aabbcc";
    let after = "46000020 12340000 3f115294 0a000001 0a010002 01010101 10000050 00080000 aabbcc";
    assert_eq!(process(&mut oracle, 1, &ip(before)), sent(2, ethernet(NEIGHBOUR, ROUTER, &format!("0800 {after}"))));
}

/// RFC 1624 section 3: equation 3 gives 0x0000 where the older equation gave 0xffff; a received 0xffff verifies, and is updated right.
#[test]
fn checksums_at_the_edges_are_updated_right() {
    let mut oracle = forwarding();
    // The identification that makes the checksum 0000 (sum ffff) before, and 0100 after.
    let frame = UDP.replace("12340000 40115496", "66ca0000 40110000");
    let after = UDP.replace("12340000 40115496", "66ca0000 3f110100");
    let expected = sent(2, ethernet(NEIGHBOUR, ROUTER, &format!("0800 {after}")));
    assert_eq!(process(&mut oracle, 1, &ip(&frame)), expected);
    assert_eq!(process(&mut oracle, 1, &ip(&frame.replace("40110000", "4011ffff"))), expected);
    // The identification that makes it feff before, and ffff or 0000 after.
    let frame = UDP.replace("12340000 40115496", "67ca0000 4011feff");
    let after = UDP.replace("12340000 40115496", "67ca0000 3f110000");
    assert_eq!(process(&mut oracle, 1, &ip(&frame)), sent(2, ethernet(NEIGHBOUR, ROUTER, &format!("0800 {after}"))));
}

#[test]
fn the_longest_prefix_of_the_vrf_wins() {
    let mut oracle = forwarding();
    add_route(&mut oracle, 7, [10, 1, 0, 2], 32, RouteV4Action::Receive);
    add_route(&mut oracle, 7, [0, 0, 0, 0], 0, RouteV4Action::Discard);
    add_route(&mut oracle, 8, [10, 1, 0, 2], 32, RouteV4Action::Discard);
    // `receive` comes before the check of the TTL.
    for ttl in [1, 64] {
        let frame = ip(&udp_with_ttl(ttl));
        assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::Receive, 7, &frame));
    }
    let key = RouteV4Key { vrf: vrf(7), dst: Prefix { value: [10, 1, 0, 2].into(), length: 32 } };
    oracle.apply(&Update::Delete(key.into())).expect("the route is there");
    assert!(matches!(process(&mut oracle, 1, &ip(UDP)), Outcome::Sent { .. }));
    let elsewhere = UDP.replace("5496 0a000001 0a010002", "5497 0a000001 0a010001");
    assert!(matches!(process(&mut oracle, 1, &ip(&elsewhere)), Outcome::Sent { .. }));
    let other = UDP.replace("5496 0a000001 0a010002", "5396 0a000001 0b010002");
    assert_eq!(process(&mut oracle, 1, &ip(&other)), Outcome::Dropped(Reason::RouteDiscard));
    // From the core it is routed in VRF 0.
    assert_eq!(process(&mut oracle, 2, &ip(UDP)), Outcome::Dropped(Reason::NoRoute));
    add_route(&mut oracle, 0, [10, 1, 0, 0], 16, RouteV4Action::Local { nexthop: nexthop(2) });
    assert_eq!(process(&mut oracle, 2, &ip(UDP)), sent(1, ethernet(NEIGHBOUR, ROUTER, &format!("0800 {UDP_63}"))));
}

#[test]
fn expired_packets_are_punted() {
    let mut oracle = forwarding();
    let frame = ip(&udp_with_ttl(1));
    assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::TtlExpired, 7, &frame));
    let last = ethernet(NEIGHBOUR, ROUTER, &format!("0800 {}", udp_with_ttl(1)));
    assert_eq!(process(&mut oracle, 1, &ip(&udp_with_ttl(2))), sent(2, last));
}

#[test]
fn what_exceeds_the_mtu_is_punted_or_dropped() {
    let mut oracle = router();
    add_nexthop(&mut oracle, 3, rewrite(2, 5, 6, 32));
    add_route(&mut oracle, 7, [10, 1, 0, 0], 16, RouteV4Action::Local { nexthop: nexthop(3) });
    assert!(matches!(process(&mut oracle, 1, &ip(UDP)), Outcome::Sent { .. }), "32 bytes fit");
    assert_eq!(process(&mut oracle, 1, &ip(&format!("{UDP} 00"))), Outcome::Dropped(Reason::TooBigDrop), "33 do not");
    // Don't fragment: 0000 became 4000.
    let frame = ip(&format!("{} 00", UDP.replace("12340000 40115496", "12344000 40111496")));
    assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::TooBig, 7, &frame));
}

#[test]
fn missing_nexthops_and_ports_are_named() {
    let mut oracle = router();
    add_route(&mut oracle, 7, [10, 1, 0, 0], 16, RouteV4Action::Local { nexthop: nexthop(9) });
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), Outcome::Dropped(Reason::NoNexthop));
    add_nexthop(&mut oracle, 9, rewrite(300, 0, 0, 1500));
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), Outcome::Dropped(Reason::PortUnavailable));
}
