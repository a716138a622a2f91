//! Desired against actual.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::field_match::{Exact, FieldMatchType};
use svpn_contract::SessionKey;
use svpn_switch::{Report, State, Switch};
use tonic::Code;

use crate::entries::{flow, network, nexthop, session, tunnel};
use crate::router::{Router, Trouble, key};
use crate::{ready, settings, soon, until};

#[tokio::test]
async fn difference_and_nothing_else_is_written() {
    let router = Router::new();
    let desired = vec![nexthop(1), tunnel(1, 1), session(1, 100), session(2, 200), flow(1)];
    let (switch, _events) = ready(&router, desired.clone()).await;
    {
        let mut device = router.device();
        device.entries.clear();
        device.put(nexthop(1).encode());
        device.put(nexthop(2).encode());
        device.put(tunnel(1, 2).encode());
        device.put(session(1, 100).encode());
        device.put(session(2, 201).encode());
        device.put(flow(3).encode());
        device.writes.clear();
    }
    let report = switch.reconcile().await.expect("reconciled");
    // Missing: flow 1. Other: tunnel 1 and the rate of session 2. Too many: next hop 2 and flow 3.
    assert_eq!(report, Report { inserted: 1, modified: 2, deleted: 2, refused: Vec::new() });
    assert_eq!(router.device().writes, [1; 5], "tables that refer to one another are not in one call");
    assert!(router.has_just(&desired));
    assert!(switch.reconcile().await.expect("reconciled").is_empty());
    assert_eq!(router.device().writes.len(), 5, "there was nothing more to write");
}

#[tokio::test]
async fn what_nobody_can_have_written_goes_too() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    let wide = Exact { value: vec![1; 9] };
    let strange = proto::TableEntry {
        table_id: SessionKey::TABLE_ID,
        r#match: vec![proto::FieldMatch { field_id: 1, field_match_type: Some(FieldMatchType::Exact(wide)) }],
        ..Default::default()
    };
    router.device().put(strange.clone());
    let snapshot = switch.read_all().await.expect("read");
    assert_eq!((snapshot.entries.len(), &snapshot.foreign[0].entry), (2, &strange));
    assert_eq!(switch.reconcile().await.expect("reconciled").deleted, 1);
    assert!(router.has_just(&network()));
}

#[tokio::test]
async fn router_that_refuses_an_entry_is_of_use_for_the_others() {
    let router = Router::new();
    router.trouble(Trouble::Refuse(vec![(0, Code::ResourceExhausted)]));
    let (switch, _events) = Switch::start(settings(&router, 1), network());
    soon(switch.ready()).await;
    // Tried again until it is there.
    until(|| router.has_just(&network())).await;
    assert_eq!(switch.state(), State::Ready);
}

#[tokio::test]
async fn refused_change_is_reported() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    router.device().entries.clear();
    router.trouble(Trouble::Refuse(vec![(0, Code::ResourceExhausted)]));
    let report = switch.reconcile().await.expect("reconciled");
    assert_eq!((report.inserted, report.refused.len(), report.refused[0].code), (1, 1, Code::ResourceExhausted));
    assert!(report.refused[0].change.contains("Nexthop"), "{}", report.refused[0].change);
}

#[tokio::test]
async fn reconciliation_that_breaks_off_is_begun_again() {
    let router = Router::new();
    router.trouble(Trouble::Fail(Code::Unavailable));
    let (switch, _events) = Switch::start(settings(&router, 1), network());
    soon(switch.ready()).await;
    assert!(router.has_just(&network()));
    assert_eq!(router.device().arbitration.streams(), 2, "with a new stream");
}

#[tokio::test]
async fn full_tables_are_read_whole() {
    let router = Router::new();
    let desired: Vec<_> = network().into_iter().chain((0..3000).flat_map(|id| [session(id, 1000), flow(id)])).collect();
    let (switch, _events) = ready(&router, desired.clone()).await;
    assert_eq!(switch.read_all().await.expect("read").entries.len(), desired.len());
    assert!(router.device().writes.iter().all(|updates| *updates <= 1000));
    assert!(switch.reconcile().await.expect("reconciled").is_empty());
}

/// 20,000 entries and more: many reads' parts and many writes.
#[tokio::test]
async fn router_that_comes_back_empty_or_wrong_is_made_whole_and_what_was_right_is_left_alone() {
    const SESSIONS: u32 = 10_000;
    let mut router = Router::new();
    let desired: Vec<_> = network().into_iter().chain((0..SESSIONS).flat_map(|id| [session(id, 1000), flow(id)])).collect();
    let (switch, _events) = ready(&router, desired.clone()).await;
    let written = |router: &Router| router.device().writes.iter().sum::<usize>();

    router.cut();
    until(|| switch.state() == State::Disconnected).await;
    {
        let mut device = router.device();
        device.entries.clear();
        device.pipeline = None;
        device.writes.clear();
    }
    router.restore().await;
    soon(switch.ready()).await;
    assert_eq!(written(&router), desired.len(), "each once");
    assert!(router.has_all_of(&desired));

    // A third is gone, a third has another rate, a third is as it should be.
    router.cut();
    until(|| switch.state() == State::Disconnected).await;
    {
        let mut device = router.device();
        for id in (0..SESSIONS).step_by(3) {
            device.entries.remove(&key(&session(id, 1000).encode()));
        }
        for id in (1..SESSIONS).step_by(3) {
            device.put(session(id, 1001).encode());
        }
        device.writes.clear();
    }
    router.restore().await;
    soon(switch.ready()).await;
    let (missing, other) = ((0..SESSIONS).step_by(3).count(), (1..SESSIONS).step_by(3).count());
    assert_eq!(written(&router), missing + other, "nothing is written that was right");
    assert!(router.has_all_of(&desired));
}

#[tokio::test]
async fn inspection_takes_nothing_from_the_primary() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    let snapshot = svpn_switch::inspect(&settings(&router, 9)).await.expect("read");
    assert_eq!((snapshot.entries.len(), snapshot.foreign.len()), (2, 0));
    assert!(network().iter().all(|entry| snapshot.entries.contains(entry)));
    assert_eq!((router.device().arbitration.streams(), switch.state()), (1, State::Ready));
}
