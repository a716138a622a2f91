//! The ceilings on what has no session and on what the controller gets: `vrf_policer` and `punt_policer`.

use crate::support::{CIRCUIT, CORE, HERTZ, Outcome, Pipeline, VRF, default_route, entry, frame, ilm, ipv4, label, nexthop_id};
use svpn_contract::wire::{Class, Colour, Dscp, TrafficClass, TtlMode, TunnelId, VrfId};
use svpn_contract::{
    Choice, Entry, IlmAction, MarkingAction, MarkingEntry, MarkingKey, MeterConfig, PuntPolicerAction, PuntPolicerEntry, PuntPolicerKey,
    Reason, RouteV4Action, TunnelAction, TunnelEntry, TunnelKey, Update, VrfPolicerAction, VrfPolicerEntry, VrfPolicerKey,
};

const IPV4: u16 = 0x0800;
const MPLS: u16 = 0x8847;
/// Bytes of a frame of a customer.
const FRAME: u64 = 14 + 50;
/// Two green packets, then two yellow ones, then nothing more.
const TWO_AND_TWO: MeterConfig = MeterConfig { cir: 0, cburst: 2 * FRAME, pir: 0, pburst: 4 * FRAME };

fn ceiling(vrf: u16, meter: Option<MeterConfig>) -> Entry {
    VrfPolicerEntry { key: VrfPolicerKey { vrf: VrfId::new(vrf).unwrap() }, action: VrfPolicerAction::Police, meter }.into()
}

fn punts(reason: Reason, meter: Option<MeterConfig>) -> Entry {
    PuntPolicerEntry { key: PuntPolicerKey { reason }, action: PuntPolicerAction::Police, meter }.into()
}

fn customers(count: usize) -> Vec<Vec<u8>> {
    vec![frame(IPV4, &[&ipv4(64, 50)]); count]
}

/// The traffic class of each frame that was sent, and how many were dropped.
fn classes(outcome: &Outcome) -> (Vec<u8>, u64) {
    assert!(outcome.punts.is_empty());
    let class = |(ethertype, packet): &(u16, Vec<u8>)| {
        assert_eq!(*ethertype, MPLS);
        packet[2] >> 1 & 7
    };
    assert!(outcome.drops.keys().all(|reason| *reason == Reason::RedDiscard));
    (outcome.sent.iter().map(class).collect(), outcome.drops.values().sum())
}

fn via_tunnel() -> Pipeline {
    let mut pipeline = Pipeline::new(1);
    let tunnel = TunnelId::new(1).unwrap();
    let lsp = TunnelAction::Lsp0 { nexthop: nexthop_id(), ttl_mode: TtlMode::UNIFORM };
    let yellow = MarkingKey { class: Class::new(5).unwrap(), colour: Colour::YELLOW };
    pipeline.insert([
        default_route(VRF, RouteV4Action::ViaTunnel { tunnel, vpn_label: label(500), class: Class::new(5).unwrap() }),
        TunnelEntry { key: TunnelKey { tunnel }, action: Choice::only(lsp) }.into(),
        MarkingEntry { key: yellow, action: MarkingAction::Mark { tc: TrafficClass::new(2).unwrap(), dscp: Dscp::default() } }.into(),
        ilm(100, IlmAction::PopVrf { vrf: VrfId::new(VRF).unwrap(), ttl_mode: TtlMode::MAX }),
    ]);
    pipeline
}

#[test]
fn what_a_vrf_sends_without_a_session_is_coloured() {
    let mut pipeline = via_tunnel();
    let send = |pipeline: &mut Pipeline| classes(&pipeline.burst(0, CIRCUIT, &customers(6), HERTZ));
    assert_eq!(send(&mut pipeline), (vec![5; 6], 0));
    pipeline.insert([ceiling(VRF + 1, Some(TWO_AND_TWO)), ceiling(VRF, None)]);
    assert_eq!(send(&mut pipeline), (vec![5; 6], 0));
    pipeline.modify([ceiling(VRF, Some(TWO_AND_TWO))]);
    assert_eq!(send(&mut pipeline), (vec![5, 5, 2, 2], 2));
    // The core's packets of the VRF have no ceiling.
    let labelled = vec![frame(MPLS, &[&entry(100, 0, 1, 64), &ipv4(64, 50)]); 6];
    assert_eq!(classes(&pipeline.burst(0, CORE, &labelled, HERTZ)), (vec![5; 6], 0));
    // The same meter keeps its tokens, another one is full.
    pipeline.modify([ceiling(VRF, Some(TWO_AND_TWO))]);
    assert_eq!(send(&mut pipeline), (vec![], 6));
    let one = MeterConfig { cburst: FRAME, pburst: FRAME, ..TWO_AND_TWO };
    pipeline.modify([ceiling(VRF, Some(one))]);
    assert_eq!(send(&mut pipeline), (vec![5], 5));
    pipeline.entries.apply(&Update::Delete(ceiling(VRF, None).key())).unwrap();
    assert_eq!(send(&mut pipeline), (vec![5; 6], 0));
    pipeline.insert([ceiling(VRF, Some(one))]);
    assert_eq!(send(&mut pipeline), (vec![5], 5));
}

#[test]
fn only_what_leaves_takes_tokens_of_the_ceiling() {
    let mut pipeline = Pipeline::new(1);
    pipeline.insert([ceiling(VRF, Some(TWO_AND_TWO)), default_route(VRF, RouteV4Action::Receive)]);
    assert_eq!(pipeline.burst(0, CIRCUIT, &customers(6), HERTZ).punts.len(), 6);
    pipeline.modify([default_route(VRF, RouteV4Action::Discard)]);
    assert_eq!(pipeline.burst(0, CIRCUIT, &customers(6), HERTZ).drops[&Reason::RouteDiscard], 6);
    pipeline.modify([default_route(VRF, RouteV4Action::Local { nexthop: nexthop_id() })]);
    let expired = vec![frame(IPV4, &[&ipv4(1, 50)]); 6];
    assert_eq!(pipeline.burst(0, CIRCUIT, &expired, HERTZ).punts.len(), 6);
    // Yellow leaves by a local route, red does not.
    let outcome = pipeline.burst(0, CIRCUIT, &customers(6), HERTZ);
    assert_eq!((outcome.sent, outcome.drops[&Reason::RedDiscard]), (vec![(IPV4, ipv4(63, 50)); 4], 2));
}

#[test]
fn punts_are_policed_by_their_reason_in_packets() {
    let mut pipeline = Pipeline::new(1);
    // Two at once, whatever their bytes, and ten in a second.
    let meter = MeterConfig { cir: 10, cburst: 1, pir: 10, pburst: 2 };
    pipeline.insert([punts(Reason::Lldp, Some(meter)), punts(Reason::Arp, None), punts(Reason::RedDiscard, Some(meter))]);
    let lldp = |length: usize| frame(0x88cc, &[&vec![0; length]]);
    let frames = vec![lldp(1400), lldp(0), lldp(50), lldp(50)];
    let policed = |outcome: &Outcome| (outcome.punts.len(), outcome.drops.get(&Reason::PuntPoliced).copied().unwrap_or(0));
    let outcome = pipeline.burst(0, CIRCUIT, &frames, HERTZ);
    assert_eq!(policed(&outcome), (2, 2));
    assert_eq!(outcome.punts[0], (Reason::Lldp, 0, lldp(1400)));
    assert_eq!(policed(&pipeline.burst(0, CIRCUIT, &frames, HERTZ + HERTZ / 10 + 1)), (1, 3));
    assert_eq!(policed(&pipeline.burst(0, CIRCUIT, &frames, HERTZ * 2)), (2, 2));
    let arp = vec![frame(0x0806, &[&[0; 28]]); 6];
    assert_eq!(policed(&pipeline.burst(0, CIRCUIT, &arp, HERTZ)), (6, 0));
    let drops = pipeline.entries.drops(Reason::PuntPoliced);
    assert_eq!((drops.packets, drops.bytes), (7, 2 * 64 + (14 + 64 + 64) + 2 * 64));
}
