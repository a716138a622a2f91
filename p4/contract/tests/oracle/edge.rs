//! Tags, attachment, station, LLDP and ARP.

use svpn_contract::oracle::Link;

use crate::frames::{UDP, UDP_63, ethernet, hex};
use crate::*;

#[test]
fn frames_cut_short_are_dropped() {
    let mut oracle = router();
    let whole = ethernet(ROUTER, CUSTOMER, "8100 000a 88a8 0014 0800");
    for length in [0, 13, 14, 17, 18, 21] {
        assert_eq!(process(&mut oracle, 1, &whole[..length]), Outcome::Dropped(Reason::FrameTruncated), "{length} bytes");
    }
    assert_eq!(process(&mut oracle, 1, &whole), Outcome::Dropped(Reason::UnknownAttachment));
    assert_eq!(oracle.drops(Reason::FrameTruncated).packets, 6);
    assert_eq!(oracle.drops(Reason::FrameTruncated).bytes, 13 + 14 + 17 + 18 + 21);
}

#[test]
fn lldp_is_punted_before_everything() {
    let mut oracle = Oracle::new([port(1)]);
    for tags in ["", "8100 6005", "88a8 0005 8100 0006"] {
        let frame = ethernet(NEIGHBOUR, CUSTOMER, &format!("{tags} 88cc 0207"));
        assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::Lldp, 0, &frame));
    }
}

#[test]
fn attachments_are_told_apart_by_both_tags() {
    let mut oracle = router();
    let add = |oracle: &mut Oracle, outer, inner, of| {
        let key = AttachmentKey { port: port(1), vlan: vlan(outer), inner_vlan: vlan(inner) };
        insert(oracle, AttachmentEntry { key, action: AttachmentAction::ToVrf { vrf: vrf(of) } });
        add_route(oracle, of, [10, 1, 0, 0], 16, RouteV4Action::Receive);
    };
    add(&mut oracle, 5, 0, 20);
    add(&mut oracle, 5, 6, 21);
    for (tags, of) in
        [("8100 e005", 20), ("88a8 0005", 20), ("8100 0005 8100 3006", 21), ("88a8 f005 88a8 0006", 21), ("8100 0005 8100 2000", 20)]
    {
        let frame = ethernet(ROUTER, CUSTOMER, &format!("{tags} 0800 {UDP}"));
        assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::Receive, of, &frame), "{tags}");
    }
    // A VID of 0 is as no tag, and there is no third tag.
    let frame = ethernet(ROUTER, CUSTOMER, &format!("8100 e000 0800 {UDP}"));
    assert_eq!(process(&mut oracle, 1, &frame), Outcome::Dropped(Reason::NoRoute));
    let frame = ethernet(ROUTER, CUSTOMER, &format!("8100 0005 8100 0006 8100 0007 0800 {UDP}"));
    assert_eq!(process(&mut oracle, 1, &frame), Outcome::Dropped(Reason::UnknownEthertype));
}

#[test]
fn frames_for_others_are_dropped() {
    let mut oracle = router();
    let frame = ethernet(NEIGHBOUR, CUSTOMER, &format!("0800 {UDP}"));
    assert_eq!(process(&mut oracle, 1, &frame), Outcome::Dropped(Reason::UnknownStation));
    let frame = ethernet(ROUTER, CUSTOMER, "88b5 6000");
    assert_eq!(process(&mut oracle, 1, &frame), Outcome::Dropped(Reason::UnknownEthertype));
}

const BROADCAST: MacAddr = MacAddr([0xff; 6]);
const ASKING: &str = "0806 0001 0800 06 04 0001 ee0000000002 0a000001 000000000000 0a0000fe";
const ANSWER: &str = "0001 0800 06 04 0002 020000000001 0a0000fe ee0000000002 0a000001";

fn answering(outer: u16) -> Oracle {
    let mut oracle = router();
    let key = ArpResponderKey { port: port(1), vlan: vlan(outer), target: [10, 0, 0, 254].into() };
    insert(&mut oracle, ArpResponderEntry { key, action: ArpResponderAction::Reply { mac: ROUTER } });
    oracle
}

#[test]
fn arp_requests_are_answered() {
    let mut oracle = answering(0);
    let frame = ethernet(BROADCAST, NEIGHBOUR, &format!("{ASKING} 0102"));
    let answer = ethernet(CUSTOMER, ROUTER, &format!("0806 {ANSWER} 0102"));
    assert_eq!(process(&mut oracle, 1, &frame), sent(1, answer));
    // A priority tag goes away.
    let frame = ethernet(BROADCAST, NEIGHBOUR, &format!("8100 6000 {ASKING}"));
    assert_eq!(process(&mut oracle, 1, &frame), sent(1, ethernet(CUSTOMER, ROUTER, &format!("0806 {ANSWER}"))));
    oracle.set_link(port(1), Link::Down);
    assert_eq!(process(&mut oracle, 1, &frame), Outcome::Dropped(Reason::PortUnavailable));
}

#[test]
fn arp_answers_are_tagged_as_sent_tags_are() {
    let mut oracle = answering(5);
    for inner in [0, 6] {
        let key = AttachmentKey { port: port(1), vlan: vlan(5), inner_vlan: vlan(inner) };
        insert(&mut oracle, AttachmentEntry { key, action: AttachmentAction::ToVrf { vrf: vrf(7) } });
    }
    for (received, answered) in
        [("88a8 f005", "8100 0005"), ("8100 e005 8100 e006", "88a8 0005 8100 0006"), ("8100 0005 8100 0000", "8100 0005")]
    {
        let frame = ethernet(BROADCAST, CUSTOMER, &format!("{received} {ASKING}"));
        let answer = ethernet(CUSTOMER, ROUTER, &format!("{answered} 0806 {ANSWER}"));
        assert_eq!(process(&mut oracle, 1, &frame), sent(1, answer), "{received}");
    }
}

#[test]
fn other_arp_is_punted() {
    let mut oracle = answering(0);
    let changes = [
        ("06 04 0001", "06 04 0002"),
        ("0806 0001", "0806 0006"),
        ("0001 0800", "0001 86dd"),
        ("06 04", "08 04"),
        ("06 04", "06 10"),
        ("0a0000fe", "0a0000fd"),
    ];
    for (from, to) in changes {
        let frame = ethernet(BROADCAST, CUSTOMER, &ASKING.replacen(from, to, 1));
        assert_eq!(process(&mut oracle, 1, &frame), punted(1, Reason::Arp, 7, &frame), "{to}");
    }
    let frame = ethernet(BROADCAST, CUSTOMER, ASKING);
    assert_eq!(process(&mut oracle, 1, &frame[..frame.len() - 1]), Outcome::Dropped(Reason::FrameTruncated));
    assert_eq!(process(&mut oracle, 3, &frame), Outcome::Dropped(Reason::UnknownAttachment));
}

#[test]
fn sent_tags_follow_the_nexthop() {
    let mut oracle = router();
    add_route(&mut oracle, 7, [0, 0, 0, 0], 0, RouteV4Action::Local { nexthop: nexthop(3) });
    let frame = ethernet(ROUTER, CUSTOMER, &format!("8100 a000 0800 {UDP}"));
    let cases = [((0, 0), ""), ((9, 0), "8100 0009"), ((9, 8), "88a8 0009 8100 0008"), ((0, 8), "8100 0008")];
    for ((outer, inner), tags) in cases {
        let action = Choice::only(rewrite(3, outer, inner, 1500));
        let entry = NexthopEntry { key: NexthopKey { nexthop: nexthop(3) }, action };
        if oracle.get(&entry.key.into()).is_some() {
            oracle.apply(&Update::Delete(entry.key.into())).expect("the entry is there");
        }
        insert(&mut oracle, entry);
        assert_eq!(process(&mut oracle, 1, &frame), sent(3, ethernet(NEIGHBOUR, ROUTER, &format!("{tags} 0800 {UDP_63}"))));
    }
}

#[test]
fn hex_reads_digits() {
    assert_eq!(hex("0a FF"), [10, 255]);
}
