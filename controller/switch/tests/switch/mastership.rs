//! Arbitration and pipeline.

use svpn_contract::Update;
use svpn_switch::{State, Switch, WriteError};

use crate::entries::{flow, network, set_up};
use crate::router::{self, Router};
use crate::{reaches, ready, settings, soon, until};

#[tokio::test]
async fn router_without_a_pipeline_gets_ours_and_the_desired_entries() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    assert_eq!(switch.state(), State::Ready);
    assert!(router.has_just(&network()));
    let device = router.device();
    let pipeline = device.pipeline.as_ref().expect("a pipeline");
    assert_eq!(pipeline.p4info.as_ref(), Some(&svpn_contract::p4info()));
    assert_eq!(device.commits, 1);
}

#[tokio::test]
async fn gateway_that_comes_back_leaves_pipeline_and_entries_alone() {
    let router = Router::new();
    drop(ready(&router, network()).await);
    until(|| router.device().arbitration.is_alone()).await;
    let writes = router.device().writes.len();
    let (_switch, _events) = ready(&router, network()).await;
    assert_eq!(router.device().commits, 1);
    assert_eq!(router.device().writes.len(), writes, "it wrote what was there");
    assert!(router.has_just(&network()));
}

#[tokio::test]
async fn another_pipeline_is_replaced() {
    let router = Router::new();
    drop(ready(&router, network()).await);
    until(|| router.device().arbitration.is_alone()).await;
    let mut other = settings(&router, 1);
    other.device_config = b"another target's program".to_vec();
    let (switch, _events) = Switch::start(other, network());
    soon(switch.ready()).await;
    assert_eq!(router.device().commits, 2);
    assert_eq!(router.device().pipeline.as_ref().unwrap().p4_device_config, b"another target's program");
    assert!(router.has_just(&network()));
}

#[tokio::test]
async fn lower_bid_waits_and_takes_over() {
    let router = Router::new();
    let (primary, _events) = Switch::start(settings(&router, (1 << 64) + 5), network());
    soon(primary.ready()).await;
    let (backup, _events) = Switch::start(settings(&router, 3), Vec::new());
    let highest = Some(settings(&router, (1 << 64) + 5).election);
    reaches(&backup, State::Backup { primary: highest }).await;
    let error = backup.write(&set_up(1)).await.expect_err("a backup does not write");
    assert!(matches!(error, WriteError::NotReady(State::Backup { .. })), "{error}");
    assert!(router.has_just(&network()), "a backup changed the tables");
    assert_eq!(backup.read_all().await.expect("a backup may read").entries.len(), 2);

    drop(primary);
    soon(backup.ready()).await;
    assert!(router.has_just(&[]), "the new primary desires nothing");
    assert_eq!(router.device().arbitration.highest, Some((2 << 64) + 3), "a term later, and still its own");
}

/// Two backups see the primary go at the same moment: their bids differ, and the higher one stays.
#[tokio::test]
async fn of_two_backups_one_takes_over() {
    let router = Router::new();
    let start = |election, desired| Switch::start(settings(&router, election), desired);
    let (primary, _events) = start(9, network());
    soon(primary.ready()).await;
    let ((one, _events), (other, _events2)) = (start(1, Vec::new()), start(2, network()));
    let waiting = State::Backup { primary: Some(settings(&router, 9).election) };
    reaches(&one, waiting).await;
    reaches(&other, waiting).await;
    drop(primary);
    soon(other.ready()).await;
    let bid = settings(&router, router.device().arbitration.highest.expect("there is a primary")).election;
    reaches(&one, State::Backup { primary: Some(bid) }).await;
    other.reconcile().await.expect("it stays primary");
    assert!(router.has_just(&network()));
}

#[tokio::test]
async fn raised_bid_outlives_the_connection() {
    let mut router = Router::new();
    router.device().arbitration.highest = Some(77 << 64);
    let (switch, _events) = ready(&router, network()).await;
    router.cut();
    reaches(&switch, State::Disconnected).await;
    router.restore().await;
    soon(switch.ready()).await;
    assert_eq!(router.device().arbitration.highest, Some((78 << 64) + 1), "it was raised once");
}

/// Who was primary comes back with its first bid, which the router has seen raised.
#[tokio::test]
async fn gateway_that_restarts_bids_above_its_former_self() {
    let router = Router::new();
    router.device().arbitration.highest = Some(77 << 64);
    drop(ready(&router, network()).await);
    assert_eq!(router.device().arbitration.highest, Some((78 << 64) + 1));
    until(|| router.device().arbitration.is_alone()).await;
    drop(ready(&router, network()).await);
    assert_eq!(router.device().arbitration.highest, Some((79 << 64) + 1));
}

#[tokio::test]
async fn demoted_gateway_stops_writing_and_reconciles_when_it_is_primary_again() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    let (rival, _events) = Switch::start(settings(&router, 9), Vec::new());
    reaches(&switch, State::Backup { primary: Some(settings(&router, 9).election) }).await;
    soon(rival.ready()).await;
    let error = switch.write(&set_up(1)).await.expect_err("it is not primary");
    assert!(matches!(error, WriteError::NotReady(_)), "{error}");
    assert!(switch.reconcile().await.is_err(), "a backup reconciles nothing");
    assert!(router.has_just(&[]));
    let error = switch.apply(&[Update::Delete(flow(1).key())]).await.expect_err("it is not primary");
    assert!(matches!(error, WriteError::NotReady(State::Backup { .. })), "{error}");

    drop(rival);
    soon(switch.ready()).await;
    assert!(router.has_just(&network()));
    switch.write(&set_up(1)).await.expect("it is primary again");
    assert_eq!(router.device().arbitration.streams(), 2, "each kept its stream");
}

#[tokio::test]
async fn broken_connection_is_made_again() {
    let mut router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    switch.write(&set_up(1)).await.expect("it is ready");
    let before = router.entries();
    router.cut();
    reaches(&switch, State::Disconnected).await;
    let error = switch.write(&set_up(2)).await.expect_err("there is no connection");
    assert!(matches!(error, WriteError::NotReady(State::Disconnected)), "{error}");
    assert!(switch.read_all().await.is_err());
    // A restart that loses the tables and keeps the pipeline.
    router.device().entries.clear();
    router.restore().await;
    soon(switch.ready()).await;
    assert!(router.has_just(&before), "what was accepted is there again, and nothing else");
}

#[tokio::test]
async fn router_that_starts_later_than_the_gateway_is_found() {
    let mut router = Router::new();
    router.cut();
    let (switch, _events) = Switch::start(settings(&router, 1), network());
    assert_eq!(switch.state(), State::Disconnected);
    router.restore().await;
    soon(switch.ready()).await;
    assert!(router.has_just(&network()));
}

#[tokio::test]
async fn bid_that_is_in_use_is_made_again() {
    let router = Router::new();
    let (first, _events) = ready(&router, network()).await;
    let (second, _events) = Switch::start(settings(&router, 1), network());
    // The router ends the stream of the second as often as it comes.
    until(|| router.device().refused_bids > 2).await;
    assert_eq!((first.state(), second.state()), (State::Ready, State::Disconnected));
    drop(first);
    soon(second.ready()).await;
}

#[tokio::test]
async fn wrong_device_is_no_router_of_ours() {
    let router = Router::new();
    let mut wrong = settings(&router, 1);
    wrong.device = router::DEVICE + 1;
    let (switch, _events) = Switch::start(wrong, network());
    until(|| router.device().refused_bids > 2).await;
    assert_eq!(switch.state(), State::Disconnected);
    assert_eq!(router.device().commits, 0);
}

#[tokio::test]
async fn last_handle_ends_the_stream() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    let clone = switch.clone();
    drop(switch);
    clone.write(&set_up(1)).await.expect("a clone is the same router");
    drop(clone);
    until(|| router.device().arbitration.is_alone()).await;
    assert_eq!(router.entries().len(), 4, "the router forwards on");
}
