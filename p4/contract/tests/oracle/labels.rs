//! Incoming labels.

use crate::frames::{UDP, UDP_63, cut, ethernet, udp_with_ttl};
use crate::*;

fn mpls(after: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("8847 {after}"))
}

fn out(on: u16, after: &str) -> Outcome {
    sent(on, ethernet(NEIGHBOUR, ROUTER, after))
}

fn dropped(oracle: &mut Oracle, after: &str, reason: Reason) {
    assert_eq!(process(oracle, 2, &mpls(after)), Outcome::Dropped(reason), "{after}");
}

fn counted(oracle: &Oracle, number: u32) -> u64 {
    oracle.direct_counter(&IlmKey { label: label(number) }.into()).map_or(0, |count| count.packets)
}

#[test]
fn a_swap_keeps_everything_but_label_and_ttl() {
    let mut oracle = router();
    add_label(&mut oracle, 100, IlmAction::Swap { label: label(0xf_ffff), nexthop: nexthop(1) });
    // TC 5, not the bottom, TTL 64; five more labels and something that is no packet.
    let rest = "00010001 00020001 00030001 00040001 00050101 ffff";
    assert_eq!(process(&mut oracle, 2, &mpls(&format!("00064a40 {rest}"))), out(2, &format!("8847 fffffa3f {rest}")));
    assert_eq!(process(&mut oracle, 2, &mpls("00064702")), out(2, "8847 fffff701"));
    assert_eq!(counted(&oracle, 100), 2);
}

#[test]
fn labels_are_refused_where_they_may_not_be() {
    let mut oracle = router();
    add_label(&mut oracle, 100, IlmAction::Swap { label: label(101), nexthop: nexthop(1) });
    assert_eq!(process(&mut oracle, 1, &mpls("00064140")), Outcome::Dropped(Reason::MplsOnAttachment));
    dropped(&mut oracle, "000641", Reason::FrameTruncated);
    for reserved in [3, 4, 12, 15] {
        dropped(&mut oracle, &format!("{:08x}", reserved << 12 | 0x140), Reason::ReservedLabel);
    }
    for alert in [1, 13, 14] {
        let frame = mpls(&format!("{:08x}", alert << 12 | 0x101));
        assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::MplsAlert, 0, &frame));
    }
    dropped(&mut oracle, "00065140", Reason::UnknownLabel);
    dropped(&mut oracle, "00065100", Reason::UnknownLabel);
    for ttl in ["00", "01"] {
        let frame = mpls(&format!("000641{ttl}"));
        assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::TtlExpired, 0, &frame));
    }
    assert_eq!(counted(&oracle, 100), 2, "every hit counts");
}

#[test]
fn php_exposes_by_both_ttl_models() {
    // Uniform takes the smaller TTL of what is exposed and what is left of the label's; pipe leaves it alone.
    let ipv6 = |hops: &str| format!("60000000 0000 3b {hops} 20010db8000000000000000000000001 20010db8000000000000000000000002");
    let cases = [
        (0, "00064a40 00065141", "8847 0006513f"),
        (0, "00064a40 0006513e", "8847 0006513e"),
        (9, "00064a40 00065141", "8847 00065141"),
        (0, &format!("00064b05 {UDP}"), &format!("0800 {}", udp_with_ttl(4))),
        (0, &format!("00064b40 {}", udp_with_ttl(9)), &format!("0800 {}", udp_with_ttl(9))),
        (9, &format!("00064b05 {UDP}"), &format!("0800 {UDP}")),
        // Nothing of the packet is judged: a wrong checksum stays wrong by as much, or is not touched at all.
        (0, &format!("00064b40 {}", UDP.replace("5496", "5499")), &format!("0800 {}", UDP_63.replace("5596", "5599"))),
        (0, &format!("00064bff {}", UDP.replace("5496", "5499")), &format!("0800 {}", UDP.replace("5496", "5499"))),
        (0, &format!("00064b40 {}", ipv6("ff")), &format!("86dd {}", ipv6("3f"))),
        (1, &format!("00064b40 {}", ipv6("ff")), &format!("86dd {}", ipv6("ff"))),
    ];
    for (mode, before, after) in cases {
        let mut oracle = router();
        add_label(&mut oracle, 100, IlmAction::Php { nexthop: nexthop(1), ttl_mode: ttl_mode(mode) });
        assert_eq!(process(&mut oracle, 2, &mpls(before)), out(2, after), "{before}");
        assert_eq!(counted(&oracle, 100), 1);
    }
}

#[test]
fn php_refuses_what_it_cannot_name() {
    let mut oracle = router();
    add_label(&mut oracle, 100, IlmAction::Php { nexthop: nexthop(9), ttl_mode: ttl_mode(0) });
    dropped(&mut oracle, "00064a40 000651", Reason::BadLabelStack);
    dropped(&mut oracle, "00064a40", Reason::BadLabelStack);
    dropped(&mut oracle, "00064b40", Reason::UnknownPayload);
    dropped(&mut oracle, "00064b40 55000000", Reason::UnknownPayload);
    dropped(&mut oracle, &format!("00064b40 {}", cut(UDP, 19)), Reason::UnknownPayload);
    dropped(&mut oracle, &format!("00064b40 6{}", "0".repeat(77)), Reason::UnknownPayload);
    dropped(&mut oracle, &format!("00064b40 6{}", "0".repeat(79)), Reason::NoNexthop);
    let frame = mpls("00064b01");
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::TtlExpired, 0, &frame));
}

fn egress(mode: u8) -> Oracle {
    let mut oracle = router();
    add_label(&mut oracle, 200, IlmAction::PopVrf { vrf: vrf(7), ttl_mode: ttl_mode(mode) });
    add_route(&mut oracle, 7, [10, 1, 0, 0], 16, RouteV4Action::Local { nexthop: nexthop(2) });
    oracle
}

#[test]
fn a_vpn_label_is_popped_into_its_vrf() {
    // What was pushed by a tunnel's ingress comes out as it went in, less the TTL of two routers.
    assert_eq!(process(&mut egress(0), 2, &mpls(&format!("000c8b3f {UDP_63}"))), out(1, &format!("0800 {}", udp_with_ttl(62))));
    assert_eq!(process(&mut egress(0), 2, &mpls(&format!("000c8b05 {UDP}"))), out(1, &format!("0800 {}", udp_with_ttl(4))));
    assert_eq!(process(&mut egress(0), 2, &mpls(&format!("000c8bff {UDP}"))), out(1, &format!("0800 {UDP_63}")));
    assert_eq!(process(&mut egress(1), 2, &mpls(&format!("000c8b05 {UDP}"))), out(1, &format!("0800 {UDP_63}")));
}

#[test]
fn a_pop_into_a_vrf_judges_label_and_packet() {
    let mut oracle = egress(0);
    dropped(&mut oracle, &format!("000c8a3f {UDP}"), Reason::BadLabelStack);
    // The stack is judged before the TTL.
    dropped(&mut oracle, "000c8a01", Reason::BadLabelStack);
    let frame = mpls("000c8b01");
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::TtlExpired, 7, &frame));
    let frame = mpls(&format!("000c8b3f {}", udp_with_ttl(1)));
    assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::TtlExpired, 7, &frame));
    dropped(&mut oracle, "000c8b3f 60000000", Reason::IpTruncated);
    dropped(&mut oracle, &format!("000c8b3f {}", UDP.replace("4500", "7500")), Reason::IpBadVersion);
    dropped(&mut oracle, &format!("000c8b3f {}", UDP.replace("5496", "5497")), Reason::IpBadChecksum);
    assert_eq!(counted(&oracle, 200), 7);
}

#[test]
fn a_vpn_label_never_meets_a_session() {
    let mut oracle = egress(0);
    let key = FlowAclV4Key {
        vrf: Ternary::any(),
        src: Ternary::any(),
        dst: Ternary::any(),
        proto: Ternary::any(),
        sport: Range::any(),
        dport: Range::any(),
        priority: Priority::new(1).expect("1 is positive"),
    };
    insert(&mut oracle, FlowAclV4Entry { key, action: FlowAclV4Action::Assign { session: session(1) } });
    assert!(matches!(process(&mut oracle, 2, &mpls(&format!("000c8b3f {UDP_63}"))), Outcome::Sent { .. }));
}

#[test]
fn size_is_checked_through_four_labels() {
    let mut oracle = router();
    add_nexthop(&mut oracle, 3, rewrite(2, 0, 0, 20));
    add_label(&mut oracle, 100, IlmAction::Swap { label: label(101), nexthop: nexthop(3) });
    let fragmentable = UDP;
    let whole = UDP.replace("12340000 40115496", "12344000 40111496");
    let ipv6 = format!("6{}", "0".repeat(79));
    for stack in ["00064b40", "00064a40 00065140", "00064a40 00065040 00065040 00065140"] {
        dropped(&mut oracle, &format!("{stack} {fragmentable}"), Reason::TooBigDrop);
        for packet in [whole.as_str(), ipv6.as_str()] {
            let frame = mpls(&format!("{stack} {packet}"));
            assert_eq!(process(&mut oracle, 2, &frame), punted(2, Reason::TooBig, 0, &frame), "{stack}");
        }
    }
    dropped(&mut oracle, &format!("00064a40 00065040 00065040 00065040 00065140 {whole}"), Reason::TooBigDrop);
    dropped(&mut oracle, &format!("00064b40 {}", &ipv6[..78]), Reason::TooBigDrop);
    assert!(matches!(process(&mut oracle, 2, &mpls(&format!("00064b40 {}", "0".repeat(32)))), Outcome::Sent { .. }));
}
