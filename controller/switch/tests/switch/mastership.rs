//! Arbitration and pipeline.

use svpn_switch::{State, Switch, WriteError};

use crate::entries::{network, set_up};
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
    until(|| router.device().controllers.is_empty()).await;
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
    until(|| router.device().controllers.is_empty()).await;
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
    let (backup, _events) = Switch::start(settings(&router, 1 << 64), Vec::new());
    let highest = Some(settings(&router, (1 << 64) + 5).election);
    reaches(&backup, State::Backup { highest }).await;
    let error = backup.write(&set_up(1)).await.expect_err("a backup does not write");
    assert!(matches!(error, WriteError::NotReady(State::Backup { .. })), "{error}");
    assert!(router.has_just(&network()), "a backup changed the tables");
    assert_eq!(backup.read_all().await.expect("a backup may read").entries.len(), 2);

    drop(primary);
    soon(backup.ready()).await;
    assert!(router.has_just(&[]), "the new primary desires nothing");
}

#[tokio::test]
async fn demoted_gateway_stops_writing_and_reconciles_when_it_is_primary_again() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    let (rival, _events) = Switch::start(settings(&router, 9), Vec::new());
    reaches(&switch, State::Backup { highest: Some(settings(&router, 9).election) }).await;
    soon(rival.ready()).await;
    let error = switch.write(&set_up(1)).await.expect_err("it is not primary");
    assert!(matches!(error, WriteError::NotReady(_)), "{error}");
    assert!(switch.reconcile().await.is_err(), "a backup reconciles nothing");
    assert!(router.has_just(&[]));

    drop(rival);
    soon(switch.ready()).await;
    assert!(router.has_just(&network()));
    switch.write(&set_up(1)).await.expect("it is primary again");
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
    until(|| router.device().controllers.is_empty()).await;
    assert_eq!(router.entries().len(), 4, "the router forwards on");
}
