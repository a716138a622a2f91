//! Labels by hand: what each action of `ilm` does to a stack, and what a tunnel of up to three labels pushes.

use crate::support::{CIRCUIT, CORE, Outcome, Pipeline, VRF, default_route, entry, frame, ilm, ipv4, label, nexthop, nexthop_id};
use svpn_contract::wire::{Class, Label, TtlMode, TunnelId, VrfId};
use svpn_contract::{Choice, Entry, IlmAction, IlmKey, Reason, RouteV4Action, TunnelAction, TunnelEntry, TunnelKey};
use svpn_forwarder::CounterData;

const MPLS: u16 = 0x8847;
const IPV4: u16 = 0x0800;
const UNIFORM: TtlMode = TtlMode::UNIFORM;
const PIPE: TtlMode = TtlMode::MAX;

const SWAP: u32 = 100;
const SWAP_PUSH: u32 = 101;
const PHP: u32 = 102;
const POP_VRF: u32 = 103;
const POP_LOCAL: u32 = 104;
const POP_LOCAL_PIPE: u32 = 105;
const POP_NEXT: u32 = 106;
const POP_NEXT_PIPE: u32 = 107;

fn pipeline() -> Pipeline {
    let mut pipeline = Pipeline::new(1);
    let nexthop = nexthop_id();
    pipeline.insert([
        ilm(SWAP, IlmAction::Swap { label: label(200), nexthop }),
        ilm(SWAP_PUSH, IlmAction::SwapPush { label: label(201), l2: label(301), nexthop }),
        ilm(PHP, IlmAction::Php { nexthop, ttl_mode: UNIFORM }),
        ilm(POP_VRF, IlmAction::PopVrf { vrf: VrfId::new(7).unwrap(), ttl_mode: UNIFORM }),
        ilm(POP_LOCAL, IlmAction::PopLocal { nexthop, ttl_mode: UNIFORM }),
        ilm(POP_LOCAL_PIPE, IlmAction::PopLocal { nexthop, ttl_mode: PIPE }),
        ilm(POP_NEXT, IlmAction::PopNext { ttl_mode: UNIFORM }),
        ilm(POP_NEXT_PIPE, IlmAction::PopNext { ttl_mode: PIPE }),
        default_route(0, RouteV4Action::Local { nexthop }),
        default_route(7, RouteV4Action::Local { nexthop }),
    ]);
    pipeline
}

/// Sends a frame with these bytes behind Ethernet from the core.
fn mpls(pipeline: &mut Pipeline, parts: &[&[u8]]) -> Outcome {
    pipeline.frame(CORE, &frame(MPLS, parts))
}

fn counted(pipeline: &Pipeline, number: u32) -> CounterData {
    pipeline.entries.counter(&IlmKey { label: label(number) }.into()).unwrap()
}

#[test]
fn swap_push_puts_a_label_above_with_the_same_class_and_ttl() {
    let mut pipeline = pipeline();
    let rest = ipv4(64, 40);
    for bottom in [0, 1] {
        let outcome = mpls(&mut pipeline, &[&entry(SWAP_PUSH, 5, bottom, 9), &rest]);
        let expected = [&entry(301, 5, 0, 8)[..], &entry(201, 5, bottom, 8), &rest].concat();
        assert_eq!(outcome, Outcome::sent(MPLS, expected));
    }
    assert_eq!(counted(&pipeline, SWAP_PUSH), CounterData { packets: 2, bytes: 2 * (14 + 4 + 40) });
    let expired = frame(MPLS, &[&entry(SWAP_PUSH, 5, 1, 1), &rest]);
    assert_eq!(pipeline.frame(CORE, &expired), Outcome::punt(Reason::TtlExpired, 0, expired));
    // Two labels more than the link takes.
    pipeline.modify([nexthop(47)]);
    let frame = frame(MPLS, &[&entry(SWAP_PUSH, 5, 1, 9), &rest]);
    assert_eq!(pipeline.frame(CORE, &frame), Outcome::punt(Reason::TooBig, 0, frame));
}

#[test]
fn pop_next_acts_upon_the_label_below() {
    let mut pipeline = pipeline();
    let rest = ipv4(64, 40);
    // TTL of both labels, and what the swapped one leaves with: uniform, then pipe.
    for (top, outer, inner, left) in [(POP_NEXT, 9, 30, 7), (POP_NEXT, 30, 9, 8), (POP_NEXT_PIPE, 9, 30, 29)] {
        let outcome = mpls(&mut pipeline, &[&entry(top, 1, 0, outer), &entry(SWAP, 6, 1, inner), &rest]);
        assert_eq!(outcome, Outcome::sent(MPLS, [&entry(200, 6, 1, left)[..], &rest].concat()));
    }
    let outcome = mpls(&mut pipeline, &[&entry(POP_NEXT, 1, 0, 9), &entry(SWAP_PUSH, 6, 1, 30), &rest]);
    assert_eq!(outcome, Outcome::sent(MPLS, [&entry(301, 6, 0, 7)[..], &entry(201, 6, 1, 7), &rest].concat()));
    let outcome = mpls(&mut pipeline, &[&entry(POP_NEXT, 1, 0, 9), &entry(PHP, 6, 1, 30), &rest]);
    assert_eq!(outcome, Outcome::sent(IPV4, ipv4(7, 40)));
    let bytes = 14 + 8 + 40;
    assert_eq!(counted(&pipeline, POP_NEXT), CounterData { packets: 4, bytes: 4 * bytes });
    assert_eq!(counted(&pipeline, SWAP), CounterData { packets: 3, bytes: 3 * bytes });
}

#[test]
fn a_label_below_is_judged_as_any() {
    let mut pipeline = pipeline();
    let rest = ipv4(64, 40);
    let cases = [
        (entry(1, 0, 1, 30), Err(Reason::MplsAlert)),
        (entry(13, 0, 0, 30), Err(Reason::MplsAlert)),
        (entry(5, 0, 1, 30), Ok(Reason::ReservedLabel)),
        (entry(99, 0, 1, 30), Ok(Reason::UnknownLabel)),
        (entry(SWAP, 0, 1, 1), Err(Reason::TtlExpired)),
        (entry(POP_VRF, 0, 0, 30), Ok(Reason::BadLabelStack)),
        (entry(POP_NEXT, 0, 1, 30), Ok(Reason::BadLabelStack)),
    ];
    for (below, expected) in cases {
        let frame = frame(MPLS, &[&entry(POP_NEXT_PIPE, 0, 0, 30), &below, &rest]);
        let expected = match expected {
            Ok(reason) => Outcome::dropped(reason),
            Err(reason) => Outcome::punt(reason, 0, frame.clone()),
        };
        assert_eq!(pipeline.frame(CORE, &frame), expected, "{below:02x?}");
    }
    assert_eq!(counted(&pipeline, POP_NEXT_PIPE).packets, 7);
    // Nothing whole is below, or nothing at all; which matters more than the TTL.
    for parts in [&[&entry(POP_NEXT, 0, 1, 1)[..], &rest][..], &[&entry(POP_NEXT, 0, 0, 1), &[0; 3]], &[&entry(0, 0, 0, 9), &[0; 3]]] {
        assert_eq!(mpls(&mut pipeline, parts), Outcome::dropped(Reason::BadLabelStack));
    }
}

#[test]
fn four_labels_are_acted_upon_and_no_fifth() {
    let mut pipeline = pipeline();
    let rest = ipv4(64, 40);
    let pop = entry(POP_NEXT_PIPE, 0, 0, 30);
    let null = entry(0, 0, 0, 30);
    let last = entry(SWAP, 3, 1, 30);
    let swapped = Outcome::sent(MPLS, [&entry(200, 3, 1, 29)[..], &rest].concat());
    assert_eq!(mpls(&mut pipeline, &[&pop, &null, &pop, &last, &rest]), swapped);
    for fourth in [pop, null, entry(POP_NEXT, 0, 0, 1), entry(2, 0, 0, 0)] {
        let outcome = mpls(&mut pipeline, &[&pop, &pop, &null, &fourth, &last, &rest]);
        assert_eq!(outcome, Outcome::dropped(Reason::BadLabelStack), "{fourth:02x?}");
    }
    // Deeper stacks are no matter where only the top is needed.
    let outcome = mpls(&mut pipeline, &[&last, &null, &null, &null, &null, &null, &rest]);
    assert_eq!(outcome.sent.len(), 1);
}

#[test]
fn explicit_null_is_popped_as_pipe_and_routed_in_vrf_0() {
    let mut pipeline = pipeline();
    assert_eq!(mpls(&mut pipeline, &[&entry(0, 0, 1, 9), &ipv4(64, 40)]), Outcome::sent(IPV4, ipv4(63, 40)));
    assert_eq!(mpls(&mut pipeline, &[&entry(2, 0, 1, 9), &ipv4(64, 40)]), Outcome::dropped(Reason::IpBadVersion));
    assert_eq!(mpls(&mut pipeline, &[&entry(0, 0, 1, 9)]), Outcome::dropped(Reason::IpTruncated));
    let outcome = mpls(&mut pipeline, &[&entry(2, 0, 0, 9), &entry(SWAP, 0, 1, 30), &ipv4(64, 40)]);
    assert_eq!(outcome, Outcome::sent(MPLS, [&entry(200, 0, 1, 29)[..], &ipv4(64, 40)].concat()));
    for (null, ttl) in [(0, 1), (2, 0)] {
        let frame = frame(MPLS, &[&entry(null, 0, 1, ttl), &ipv4(64, 40)]);
        assert_eq!(pipeline.frame(CORE, &frame), Outcome::punt(Reason::TtlExpired, 0, frame));
    }
    // What a pop above leaves of the TTL counts.
    let frame = frame(MPLS, &[&entry(POP_NEXT, 0, 0, 2), &entry(0, 0, 1, 30), &ipv4(64, 40)]);
    assert_eq!(pipeline.frame(CORE, &frame), Outcome::punt(Reason::TtlExpired, 0, frame));
}

#[test]
fn pop_local_leaves_without_a_route() {
    let mut pipeline = pipeline();
    for (top, label_ttl, ip_ttl, left) in [(POP_LOCAL, 9, 64, 8), (POP_LOCAL, 64, 9, 8), (POP_LOCAL_PIPE, 9, 64, 63)] {
        let outcome = mpls(&mut pipeline, &[&entry(top, 0, 1, label_ttl), &ipv4(ip_ttl, 40)]);
        assert_eq!(outcome, Outcome::sent(IPV4, ipv4(left, 40)));
    }
    assert_eq!(mpls(&mut pipeline, &[&entry(POP_LOCAL, 0, 0, 9), &ipv4(64, 40)]), Outcome::dropped(Reason::BadLabelStack));
    assert_eq!(mpls(&mut pipeline, &[&entry(POP_LOCAL, 0, 1, 9), &ipv4(0, 40)]), Outcome::dropped(Reason::IpTtlZero));
    assert_eq!(mpls(&mut pipeline, &[&entry(POP_LOCAL, 0, 1, 9)]), Outcome::dropped(Reason::IpTruncated));
    for (label_ttl, ip_ttl) in [(1, 64), (9, 1)] {
        let frame = frame(MPLS, &[&entry(POP_LOCAL, 0, 1, label_ttl), &ipv4(ip_ttl, 40)]);
        assert_eq!(pipeline.frame(CORE, &frame), Outcome::punt(Reason::TtlExpired, 0, frame));
    }
    let outcome = mpls(&mut pipeline, &[&entry(POP_NEXT, 0, 0, 9), &entry(POP_LOCAL, 0, 1, 30), &ipv4(64, 40)]);
    assert_eq!(outcome, Outcome::sent(IPV4, ipv4(7, 40)));
    let outcome = mpls(&mut pipeline, &[&entry(POP_NEXT, 0, 0, 9), &entry(POP_VRF, 0, 1, 30), &ipv4(64, 40)]);
    assert_eq!(outcome, Outcome::sent(IPV4, ipv4(7, 40)));
}

fn tunnel(action: TunnelAction) -> Entry {
    TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(1).unwrap() }, action: Choice::only(action) }.into()
}

#[test]
fn a_tunnel_pushes_up_to_three_labels_above_the_vpns() {
    let mut pipeline = pipeline();
    let (nexthop, [l1, l2, l3]) = (nexthop_id(), [401, 402, 403].map(label));
    let lsp = |ttl_mode| {
        [
            (TunnelAction::Lsp0 { nexthop, ttl_mode }, &[][..]),
            (TunnelAction::Lsp1 { l1, nexthop, ttl_mode }, &[401]),
            (TunnelAction::Lsp2 { l1, l2, nexthop, ttl_mode }, &[401, 402]),
            (TunnelAction::Lsp3 { l1, l2, l3, nexthop, ttl_mode }, &[401, 402, 403]),
        ]
    };
    let via = |vpn_label: Label| RouteV4Action::ViaTunnel { tunnel: TunnelId::new(1).unwrap(), vpn_label, class: Class::new(5).unwrap() };
    pipeline.insert([tunnel(lsp(UNIFORM)[0].0), default_route(VRF, via(label(500)))]);
    for (mode, pushed_ttl) in [(UNIFORM, 63), (TtlMode::new(200).unwrap(), 200)] {
        for (action, transport) in lsp(mode) {
            for vpn in [&[500][..], &[]] {
                let vpn_label = vpn.first().map_or(Label::IMPLICIT_NULL, |vpn| label(*vpn));
                pipeline.modify([tunnel(action), default_route(VRF, via(vpn_label))]);
                let stack = [transport, vpn].concat();
                let entries =
                    stack.iter().enumerate().flat_map(|(index, label)| entry(*label, 5, u8::from(index + 1 == stack.len()), pushed_ttl));
                let expected: Vec<u8> = entries.chain(ipv4(63, 40)).collect();
                let outcome = pipeline.frame(CIRCUIT, &frame(IPV4, &[&ipv4(64, 40)]));
                assert_eq!(outcome, Outcome::sent(if stack.is_empty() { IPV4 } else { MPLS }, expected), "{action:?}");
            }
        }
    }
}
