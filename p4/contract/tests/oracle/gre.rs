//! GRE that ends at this router.

use crate::frames::{UDP, UDP_63, UDP_LOAD, ethernet, ipv4, ipv6, udp_with_ttl};
use crate::*;

const GRE: u8 = 47;
/// Label 110 at the bottom, TTL 64, and two bytes.
const LABELLED: &str = "0006e140 aabb";

fn decap_vrf(of: u16) -> GreIngressV4Action {
    GreIngressV4Action::DecapVrf { vrf: vrf(of) }
}

fn add_ingress(oracle: &mut Oracle, key: u32, action: GreIngressV4Action) {
    let key = GreIngressV4Key { src: [192, 0, 2, 1].into(), dst: [192, 0, 2, 2].into(), key: gre_key(key) };
    insert(oracle, GreIngressV4Entry { key, action });
}

fn add_ingress_v6(oracle: &mut Oracle, key: u32, action: GreIngressV6Action) {
    let key = GreIngressV6Key { src: address_v6("2001:db8::1"), dst: address_v6("2001:db8:1::2"), key: gre_key(key) };
    insert(oracle, GreIngressV6Entry { key, action });
}

/// Without a key into VRF 8, with key 5 labels; IPv6 the other way round. Label 110 is swapped to 111 at next hop 1.
fn terminating() -> Oracle {
    let mut oracle = router();
    add_ingress(&mut oracle, 0, decap_vrf(8));
    add_ingress(&mut oracle, 5, GreIngressV4Action::DecapMpls);
    add_ingress_v6(&mut oracle, 0, GreIngressV6Action::DecapMpls);
    add_ingress_v6(&mut oracle, 5, GreIngressV6Action::DecapVrf { vrf: vrf(8) });
    add_route(&mut oracle, 8, [10, 1, 0, 0], 16, RouteV4Action::Local { nexthop: nexthop(2) });
    add_route_v6(&mut oracle, 8, "2001:db8:1::", 48, RouteV6Action::Local { nexthop: nexthop(2) });
    add_label(&mut oracle, 110, IlmAction::Swap { label: label(111), nexthop: nexthop(1) });
    oracle
}

fn frame_v4(packet: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("0800 {packet}"))
}

/// GRE from the core: IPv4 with TTL 64, not a fragment.
fn gre(payload: &str) -> Vec<u8> {
    frame_v4(&ipv4(GRE, 64, 0, payload))
}

fn gre_v6(payload: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("86dd {}", ipv6(GRE, 64, payload)))
}

fn out(on: u16, after: &str) -> Outcome {
    sent(on, ethernet(NEIGHBOUR, ROUTER, after))
}

fn dropped(oracle: &mut Oracle, frame: &[u8], reason: Reason) {
    assert_eq!(process(oracle, 2, frame), Outcome::Dropped(reason), "{frame:02x?}");
}

#[test]
fn what_gre_brings_is_routed_in_its_vrf() {
    let mut oracle = terminating();
    let udp_v6 = |hops| ipv6(17, hops, UDP_LOAD);
    assert_eq!(process(&mut oracle, 2, &gre(&format!("00000800 {UDP}"))), out(1, &format!("0800 {UDP_63}")));
    assert_eq!(process(&mut oracle, 2, &gre(&format!("000086dd {}", udp_v6(64)))), out(1, &format!("86dd {}", udp_v6(63))));
    let keyed = format!("200086dd 00000005 {}", udp_v6(64));
    assert_eq!(process(&mut oracle, 2, &gre_v6(&keyed)), out(1, &format!("86dd {}", udp_v6(63))));
    // The delivery header's TTL is looked at no more, the packet's own is.
    let last = frame_v4(&ipv4(GRE, 1, 0, &format!("00000800 {UDP}")));
    assert_eq!(process(&mut oracle, 2, &last), out(1, &format!("0800 {UDP_63}")));
    let frame = gre(&format!("00000800 {}", udp_with_ttl(1)));
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::TtlExpired, 8, &frame));
    // Checked as what the protocol type says.
    dropped(&mut oracle, &gre(&format!("000086dd {UDP} {UDP}")), Reason::IpBadVersion);
    dropped(&mut oracle, &gre(&format!("00000800 {}", udp_v6(64))), Reason::IpBadVersion);
    dropped(&mut oracle, &gre("00000800"), Reason::IpTruncated);
    dropped(&mut oracle, &gre(&format!("00000800 {}", UDP.replace("5496", "5497"))), Reason::IpBadChecksum);
    dropped(&mut oracle, &gre(&format!("00008847 {LABELLED}")), Reason::UnknownPayload);
    dropped(&mut oracle, &gre(&format!("00006558 {UDP}")), Reason::UnknownPayload);
}

#[test]
fn what_gre_brings_is_label_switched() {
    let mut oracle = terminating();
    assert_eq!(process(&mut oracle, 2, &gre(&format!("20008847 00000005 {LABELLED}"))), out(2, "8847 0006f13f aabb"));
    assert_eq!(process(&mut oracle, 2, &gre_v6(&format!("00008847 {LABELLED}"))), out(2, "8847 0006f13f aabb"));
    assert_eq!(oracle.direct_counter(&IlmKey { label: label(110) }.into()).map(|count| count.packets), Some(2));
    dropped(&mut oracle, &gre("20008847 00000005 0006e1"), Reason::FrameTruncated);
    dropped(&mut oracle, &gre("20008847 00000005 00065140"), Reason::UnknownLabel);
    dropped(&mut oracle, &gre(&format!("20000800 00000005 {UDP}")), Reason::UnknownPayload);
    let frame = gre("20008847 00000005 00001140");
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::MplsAlert, 0, &frame));
}

#[test]
fn optional_fields_are_skipped_and_the_key_is_found_behind_a_checksum() {
    let mut oracle = terminating();
    let brought = out(2, "8847 0006f13f aabb");
    for header in ["20008847 00000005", "a0008847 12345678 00000005", "30008847 00000005 00000009", "b0008847 12345678 00000005 00000009"] {
        assert_eq!(process(&mut oracle, 2, &gre(&format!("{header} {LABELLED}"))), brought, "{header}");
    }
    for header in ["00000800", "80000800 12345678", "10000800 00000009", "90000800 12345678 00000009"] {
        assert_eq!(process(&mut oracle, 2, &gre(&format!("{header} {UDP}"))), out(1, &format!("0800 {UDP_63}")), "{header}");
    }
    // Other reserved bits are ignored, and a key of 0 is as none.
    for header in ["0ff80800", "20000800 00000000"] {
        assert_eq!(process(&mut oracle, 2, &gre(&format!("{header} {UDP}"))), out(1, &format!("0800 {UDP_63}")), "{header}");
    }
    dropped(&mut oracle, &gre(&format!("20000800 00000006 {UDP}")), Reason::NoRoute);
}

#[test]
fn gre_of_nobody_here_is_routed_in_vrf_0() {
    let mut oracle = terminating();
    add_route(&mut oracle, 0, [192, 0, 2, 2], 32, RouteV4Action::Receive);
    let frame = gre(&format!("20000800 00000006 {UDP}"));
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::Receive, 0, &frame));
    // Another protocol between the same addresses; a key that is not whole in the frame counts as 0.
    let frame = frame_v4(&ipv4(46, 64, 0, &format!("00000800 {UDP}")));
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::Receive, 0, &frame));
    let mut keyless = router();
    add_ingress(&mut keyless, 5, GreIngressV4Action::DecapMpls);
    dropped(&mut keyless, &gre("20008847 000000"), Reason::NoRoute);
    // A route to this router is no way around the checks of the header.
    dropped(&mut oracle, &frame_v4(&ipv4(GRE, 0, 0, &format!("00000800 {UDP}"))), Reason::IpTtlZero);
}

#[test]
fn gre_ends_on_core_ports_only_and_outermost_only() {
    let mut oracle = terminating();
    assert_eq!(process(&mut oracle, 1, &gre(&format!("00000800 {UDP}"))), Outcome::Dropped(Reason::NoRoute));
    // In GRE, and behind a label.
    let inside = ipv4(GRE, 64, 0, &format!("00000800 {UDP}"));
    dropped(&mut oracle, &gre(&format!("00000800 {inside}")), Reason::NoRoute);
    add_label(&mut oracle, 120, IlmAction::PopVrf { vrf: vrf(0), ttl_mode: ttl_mode(0) });
    dropped(&mut oracle, &ethernet(ROUTER, CUSTOMER, &format!("8847 00078140 {inside}")), Reason::NoRoute);
}

#[test]
fn bad_gre_is_dropped() {
    let mut oracle = terminating();
    let mut bad = |frame: &[u8]| dropped(&mut oracle, frame, Reason::BadGre);
    // Source routing; another version.
    bad(&gre(&format!("40000800 {UDP}")));
    bad(&gre(&format!("00010800 {UDP}")));
    bad(&gre(&format!("00040800 {UDP}")));
    // A fragment: the first, and a later one, whose key is not looked for.
    bad(&frame_v4(&ipv4(GRE, 64, 0x2000, &format!("20008847 00000005 {LABELLED}"))));
    bad(&frame_v4(&ipv4(GRE, 64, 0x0001, &format!("20008847 00000005 {LABELLED}"))));
    bad(&frame_v4(&ipv4(GRE, 64, 0x0001, "")));
    // A header that is not within the delivery header's length.
    bad(&gre(""));
    bad(&gre("000008"));
    bad(&frame_v4(&format!("{} 00000800 {UDP}", ipv4(GRE, 64, 0, ""))));
    bad(&frame_v4(&format!("{} {UDP}", ipv4(GRE, 64, 0, "800008 00 123456"))));
    bad(&frame_v4(&format!("{} 05 {LABELLED}", ipv4(GRE, 64, 0, "20008847 000000"))));
}

#[test]
fn gre_in_ipv6_is_found_behind_a_fragment_header_and_refused() {
    let mut oracle = terminating();
    let fragment = |offset: &str| ipv6(44, 64, &format!("2f00{offset} 00000001 20000800 00000005 {UDP}"));
    let frame = |packet: &str| ethernet(ROUTER, CUSTOMER, &format!("86dd {packet}"));
    for offset in ["0000", "0001", "0008"] {
        dropped(&mut oracle, &frame(&fragment(offset)), Reason::BadGre);
    }
    // Only the entry without a key is looked for where a fragment is a later one.
    let mut keyed = router();
    add_ingress_v6(&mut keyed, 5, GreIngressV6Action::DecapVrf { vrf: vrf(8) });
    dropped(&mut keyed, &frame(&fragment("0001")), Reason::BadGre);
    dropped(&mut keyed, &frame(&fragment("0008")), Reason::NoRoute);
    // Behind other extension headers it is not GRE.
    dropped(&mut oracle, &frame(&ipv6(60, 64, &format!("2f000104 00000000 00008847 {LABELLED}"))), Reason::NoRoute);
}

#[test]
fn bytes_behind_the_delivery_header_belong_to_the_packet_it_brings() {
    let mut oracle = terminating();
    let delivered = ipv4(GRE, 64, 0, &format!("00000800 {UDP}"));
    assert_eq!(process(&mut oracle, 2, &frame_v4(&format!("{delivered} 0102"))), out(1, &format!("0800 {UDP_63} 0102")));
    // Even where its own length ends only behind the delivery header's.
    let short = format!("{} {}", ipv4(GRE, 64, 0, "00000800"), UDP);
    assert_eq!(process(&mut oracle, 2, &frame_v4(&short)), out(1, &format!("0800 {UDP_63}")));
}
