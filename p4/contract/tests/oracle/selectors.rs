//! Action sets with several members.

use svpn_contract::oracle::Link;

use crate::frames::{UDP, UDP_63, ethernet};
use crate::*;

fn ip(packet: &str) -> Vec<u8> {
    ethernet(ROUTER, CUSTOMER, &format!("0800 {packet}"))
}

/// The same flow to another port: its checksum does not cover that.
fn other_flow() -> Vec<u8> {
    ip(&UDP.replace("10000050", "10000051"))
}

/// A tunnel of two LSPs, each over a next hop of its own: label 100 by port 2, label 101 by port 3.
fn protected() -> Oracle {
    let mut oracle = router();
    add_nexthop(&mut oracle, 3, rewrite(3, 0, 0, 1500));
    let lsp = |l1, hop| TunnelAction::Lsp1 { l1: label(l1), nexthop: nexthop(hop), ttl_mode: ttl_mode(0) };
    let members = vec![member(lsp(100, 1), Some(2)), member(lsp(101, 3), Some(3))];
    insert(&mut oracle, TunnelEntry { key: TunnelKey { tunnel: tunnel(4) }, action: Choice { members } });
    let via = RouteV4Action::ViaTunnel { tunnel: tunnel(4), vpn_label: label(3), class: class(0) };
    add_route(&mut oracle, 7, [10, 0, 0, 0], 8, via);
    oracle
}

fn by(number: u16) -> Outcome {
    let pushed = if number == 2 { "0006413f" } else { "0006513f" };
    sent(number, ethernet(NEIGHBOUR, ROUTER, &format!("8847 {pushed} {UDP_63}")))
}

#[test]
fn any_member_that_is_up_may_be_chosen() {
    let mut oracle = protected();
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [by(2), by(3)]);
    oracle.set_link(port(2), Link::Down);
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [by(3)]);
    oracle.set_link(port(3), Link::Down);
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [Outcome::Dropped(Reason::NoTunnel)]);
    oracle.process(port(1), &ip(UDP), NOW);
    assert_eq!(oracle.direct_counter(&TunnelKey { tunnel: tunnel(4) }.into()).map(|count| count.packets), Some(0));
    oracle.set_link(port(2), Link::Up);
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [by(2)]);
}

#[test]
fn a_flow_keeps_its_member_while_nothing_changes() {
    let mut oracle = protected();
    oracle.observe(port(1), &ip(UDP), NOW, &by(3)).expect("it may be chosen");
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [by(3)]);
    let refused = oracle.observe(port(1), &ip(UDP), NOW, &by(2)).expect_err("the flow is on the other");
    assert_eq!(refused.possible, [by(3)]);
    assert_eq!(oracle.totals().inputs, 1, "what is impossible is not counted");
    assert_eq!(oracle.possible(port(1), &other_flow(), NOW).len(), 2, "another flow is free");
    let entry = oracle.get(&TunnelKey { tunnel: tunnel(4) }.into()).expect("it is there").clone();
    oracle.apply(&Update::Modify(entry)).expect("it is there");
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW).len(), 2);
    oracle.observe(port(1), &ip(UDP), NOW, &by(2)).expect("it may be chosen again");
    oracle.set_link(port(3), Link::Down);
    oracle.set_link(port(3), Link::Up);
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW).len(), 2);
}

#[test]
fn choices_of_tunnel_and_nexthop_multiply() {
    let mut oracle = protected();
    let members = vec![member(rewrite(2, 0, 0, 1500), None), member(rewrite(2, 8, 0, 1500), None), member(rewrite(2, 0, 0, 10), None)];
    let key = NexthopKey { nexthop: nexthop(1) };
    oracle.apply(&Update::Modify(NexthopEntry { key, action: Choice { members } }.into())).expect("it is there");
    let tagged = sent(2, ethernet(NEIGHBOUR, ROUTER, &format!("8100 0008 8847 0006413f {UDP_63}")));
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [by(2), tagged.clone(), Outcome::Dropped(Reason::TooBigDrop), by(3)]);
    oracle.observe(port(1), &ip(UDP), NOW, &tagged).expect("it may be chosen");
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [tagged]);
    assert_eq!(oracle.process(port(1), &other_flow(), NOW), oracle.possible(port(1), &other_flow(), NOW)[0]);
}

#[test]
fn members_that_look_the_same_stay_possible() {
    let mut oracle = router();
    add_route(&mut oracle, 7, [10, 0, 0, 0], 8, RouteV4Action::Local { nexthop: nexthop(5) });
    let members =
        vec![member(rewrite(2, 0, 0, 1500), Some(2)), member(rewrite(2, 0, 0, 1500), Some(3)), member(rewrite(3, 0, 0, 1500), None)];
    insert(&mut oracle, NexthopEntry { key: NexthopKey { nexthop: nexthop(5) }, action: Choice { members } });
    let plain = |number| sent(number, ethernet(NEIGHBOUR, ROUTER, &format!("0800 {UDP_63}")));
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [plain(2), plain(3)]);
    oracle.observe(port(1), &ip(UDP), NOW, &plain(2)).expect("it may be chosen");
    assert_eq!(oracle.possible(port(1), &ip(UDP), NOW), [plain(2)]);
}
