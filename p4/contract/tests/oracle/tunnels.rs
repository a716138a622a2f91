//! What is put before a packet on its way into a tunnel: labels and GRE.

use crate::frames::{UDP, UDP_63, UDP_LOAD, ethernet, hex, ipv6};
use crate::*;

fn out(after: &str) -> Outcome {
    sent(2, ethernet(NEIGHBOUR, ROUTER, after))
}

fn ip(packet: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("0800 {packet}"))
}

/// Both IPs of VRF 7 go into tunnel 4 with this VPN label, class 5.
fn tunnelling(vpn_label: u32, action: TunnelAction) -> Oracle {
    let mut oracle = router();
    let (tunnel, vpn_label, class) = (tunnel(4), label(vpn_label), class(5));
    add_route(&mut oracle, 7, [10, 1, 0, 0], 16, RouteV4Action::ViaTunnel { tunnel, vpn_label, class });
    add_route_v6(&mut oracle, 7, "2001:db8:1::", 48, RouteV6Action::ViaTunnel { tunnel, vpn_label, class });
    add_tunnel(&mut oracle, 4, action);
    oracle
}

fn gre_v4(key: u32, mode: u8) -> TunnelAction {
    let (src, dst) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    TunnelAction::GreV4 { src, dst, key: gre_key(key), nexthop: nexthop(1), ttl_mode: ttl_mode(mode) }
}

fn gre_v6(key: u32, mode: u8) -> TunnelAction {
    let (src, dst) = (address_v6("2001:db8::1"), address_v6("2001:db8:1::2"));
    TunnelAction::GreV6 { src, dst, key: gre_key(key), nexthop: nexthop(1), ttl_mode: ttl_mode(mode) }
}

#[test]
fn deeper_tunnels_push_the_first_label_outermost() {
    let (l1, l2, l3, nexthop) = (label(100), label(101), label(102), nexthop(1));
    let lsp_2 = |mode| TunnelAction::Lsp2 { l1, l2, nexthop, ttl_mode: ttl_mode(mode) };
    let lsp_3 = |mode| TunnelAction::Lsp3 { l1, l2, l3, nexthop, ttl_mode: ttl_mode(mode) };
    let cases = [
        (lsp_2(0), 200, "00064a3f 00065a3f 000c8b3f"),
        (lsp_2(9), 3, "00064a09 00065b09"),
        (lsp_3(9), 200, "00064a09 00065a09 00066a09 000c8b09"),
        (lsp_3(0), 3, "00064a3f 00065a3f 00066b3f"),
    ];
    for (action, vpn_label, labels) in cases {
        let mut oracle = tunnelling(vpn_label, action);
        assert_eq!(process(&mut oracle, 1, &ip(UDP)), out(&format!("8847 {labels} {UDP_63}")), "{action:?}");
    }
}

/// The delivery header by hand: 5 << 3 is DSCP 40, so its second byte is a0; DF; TTL 63 or what the tunnel says.
#[test]
fn gre_over_ipv4_has_the_delivery_header_of_the_contract() {
    // 4500 became 45a0; without a checksum the words come to 45a0 + length + 4000 + 3f2f + c000 + 0201 + c000 + 0202.
    let header = |length: u32, ttl: u32| {
        let sum = 0x45a0 + length + 0x4000 + (ttl << 8 | 0x2f) + 0xc000 + 0x0201 + 0xc000 + 0x0202;
        let folded = (sum & 0xffff) + (sum >> 16);
        format!("45a0{length:04x} 00004000 {ttl:02x}2f{:04x} c0000201 c0000202", !folded & 0xffff)
    };
    // The words come to 2490a, folded 490c.
    assert_eq!(header(56, 63), "45a00038 00004000 3f2fb6f3 c0000201 c0000202");
    let cases = [
        (gre_v4(0, 0), 3, header(56, 63), "00000800"),
        (gre_v4(0, 255), 3, header(56, 255), "00000800"),
        (gre_v4(7, 0), 3, header(60, 63), "20000800 00000007"),
        (gre_v4(0, 0), 200, header(60, 63), "00008847 000c8b3f"),
        (gre_v4(u32::MAX, 9), 200, header(64, 9), "20008847 ffffffff 000c8b09"),
    ];
    for (action, vpn_label, header, gre) in cases {
        let mut oracle = tunnelling(vpn_label, action);
        assert_eq!(process(&mut oracle, 1, &ip(UDP)), out(&format!("0800 {header} {gre} {UDP_63}")), "{action:?}");
        // What follows the packet is not covered, and stays behind it.
        assert_eq!(process(&mut oracle, 1, &ip(&format!("{UDP} 0102"))), out(&format!("0800 {header} {gre} {UDP_63} 0102")));
    }
}

#[test]
fn gre_over_ipv6_has_the_delivery_header_of_the_contract() {
    let header = |length: u32, ttl: u32| format!("6a000000 {length:04x} 2f {ttl:02x} {}", crate::frames::V6_ADDRESSES);
    let udp_v6 = |hops| ipv6(17, hops, UDP_LOAD);
    let frame = ethernet(ROUTER, CUSTOMER, &format!("86dd {} 0102", udp_v6(64)));
    let cases = [
        (gre_v6(0, 0), 3, header(56, 63), "000086dd"),
        (gre_v6(7, 1), 3, header(60, 1), "200086dd 00000007"),
        (gre_v6(0, 0), 200, header(60, 63), "00008847 000c8b3f"),
        (gre_v6(7, 64), 200, header(64, 64), "20008847 00000007 000c8b40"),
    ];
    for (action, vpn_label, header, gre) in cases {
        let mut oracle = tunnelling(vpn_label, action);
        assert_eq!(process(&mut oracle, 1, &frame), out(&format!("86dd {header} {gre} {} 0102", udp_v6(63))), "{action:?}");
    }
    // IPv4 in it as well.
    let mut oracle = tunnelling(3, gre_v6(0, 0));
    assert_eq!(process(&mut oracle, 1, &ip(UDP)), out(&format!("86dd {} 00000800 {UDP_63}", header(36, 63))));
}

#[test]
fn the_delivery_header_is_marked_and_the_packet_is_not() {
    let key = MarkingKey { class: class(5), colour: Colour::GREEN };
    let mark = |tc, dscp| MarkingAction::Mark { tc: TrafficClass::new(tc).expect("3 bits"), dscp: Dscp::new(dscp).expect("6 bits") };
    let marked = |action, vpn_label| {
        let mut oracle = tunnelling(vpn_label, action);
        insert(&mut oracle, MarkingEntry { key, action: mark(6, 63) });
        match process(&mut oracle, 1, &ip(UDP)) {
            Outcome::Sent { frame, .. } => frame[14..].to_vec(),
            other => panic!("not sent: {other:?}"),
        }
    };
    let over_v4 = marked(gre_v4(0, 0), 200);
    assert_eq!((over_v4[1], &over_v4[24..28]), (0xfc, &*hex("000c8d3f")));
    assert_eq!(over_v4[28..30], [0x45, 0x00], "the packet's own");
    let over_v6 = marked(gre_v6(0, 0), 3);
    assert_eq!(over_v6[..4], *hex("6fc00000"));
}

#[test]
fn size_is_that_of_what_is_sent() {
    // 32 bytes of packet in 20 + 8 + 4.
    for (mtu, fits) in [(64, true), (63, false)] {
        let mut oracle = tunnelling(200, gre_v4(7, 0));
        let key = NexthopKey { nexthop: nexthop(1) };
        oracle.apply(&Update::Modify(NexthopEntry { key, action: Choice::only(rewrite(2, 0, 0, mtu)) }.into())).expect("it is there");
        assert_eq!(matches!(process(&mut oracle, 1, &ip(UDP)), Outcome::Sent { .. }), fits);
        // The packet's own DF counts, not that of the delivery header.
        let whole = ip(&UDP.replace("12340000 40115496", "12344000 40111496"));
        let expected = if fits { None } else { Some(punted(1, Reason::TooBig, 7, &whole)) };
        let outcome = process(&mut oracle, 1, &whole);
        assert_eq!(Some(outcome).filter(|outcome| !matches!(outcome, Outcome::Sent { .. })), expected);
        if !fits {
            assert_eq!(process(&mut oracle, 1, &ip(UDP)), Outcome::Dropped(Reason::TooBigDrop));
        }
    }
}
