//! Writes that work, and those that do not.

use std::num::NonZeroUsize;
use std::time::Duration;

use svpn_contract::{Entry, Update};
use svpn_switch::{State, Switch, WriteError};
use tonic::Code;

use crate::entries::{flow, inserts, network, session, set_up, tunnel};
use crate::router::{Router, Trouble};
use crate::{ready, settings, soon, until};

fn with(more: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    network().into_iter().chain(more).collect()
}

#[tokio::test]
async fn session_is_set_up_changed_and_taken_down() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    switch.write(&set_up(1)).await.expect("set up");
    assert!(router.has_just(&with([session(1, 1_000_000), flow(1)])));
    switch.write(&[Update::Modify(session(1, 5))]).await.expect("changed");
    assert!(router.has_just(&with([session(1, 5), flow(1)])));
    switch.write(&[Update::Delete(flow(1).key()), Update::Delete(session(1, 5).key())]).await.expect("taken down");
    assert!(router.has_just(&network()));
    assert!(switch.reconcile().await.expect("reconciled").is_empty(), "the desired set followed");
}

#[tokio::test]
async fn big_write_is_cut_into_batches() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    router.device().writes.clear();
    let entries: Vec<_> = (0..2500).map(|id| session(id, 1000)).collect();
    switch.write(&inserts(entries.clone())).await.expect("written");
    assert_eq!(router.device().writes, [1000, 1000, 500]);
    assert!(router.has_just(&with(entries)));
}

#[tokio::test]
async fn refusals_are_named_and_the_rest_is_undone() {
    let router = Router::new();
    let (switch, _events) = ready(&router, with([session(9, 9)])).await;
    router.trouble(Trouble::Refuse(vec![(1, Code::ResourceExhausted), (3, Code::InvalidArgument)]));
    let updates =
        [Update::Insert(session(1, 1)), Update::Insert(flow(1)), Update::Modify(session(9, 10)), Update::Delete(tunnel(1, 1).key())];
    let error = switch.write(&updates).await.expect_err("refused");
    let WriteError::Refused { refusals, updates: 4 } = error else { panic!("{error}") };
    let named: Vec<_> = refusals.iter().map(|refusal| (refusal.index, refusal.code)).collect();
    assert_eq!(named, [(1, Code::ResourceExhausted), (3, Code::InvalidArgument)]);
    assert!(router.has_just(&with([session(9, 9)])), "the tables are as before");
    assert!(switch.reconcile().await.expect("reconciled").is_empty(), "the desired set is as before");
    switch.write(&updates[..2]).await.expect("nothing is in the way of a second try");
}

#[tokio::test]
async fn refusal_in_a_later_batch_has_the_callers_index_and_undoes_the_earlier_ones() {
    let router = Router::new();
    let mut settings = settings(&router, 1);
    settings.batch = NonZeroUsize::new(10).unwrap();
    let (switch, _events) = Switch::start(settings, network());
    soon(switch.ready()).await;
    router.device().put(session(25, 77).encode());
    let entries: Vec<_> = (0..40).map(|id| session(id, 1000)).collect();
    router.device().writes.clear();
    let error = switch.write(&inserts(entries)).await.expect_err("one is there already");
    let WriteError::Refused { refusals, .. } = error else { panic!("{error}") };
    assert_eq!(refusals.iter().map(|refusal| (refusal.index, refusal.code)).collect::<Vec<_>>(), [(25, Code::AlreadyExists)]);
    assert_eq!(router.device().writes, [10, 10, 10, 20, 20, 18], "three tried, none after, 29 undone with their cells");
    assert!(router.has_just(&with([session(25, 77)])));
}

/// Details of a thousand updates are far more than HTTP/2 headers usually are.
#[tokio::test]
async fn refusal_in_a_full_batch_is_read() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    router.trouble(Trouble::Refuse((0..1000).map(|index| (index, Code::ResourceExhausted)).collect()));
    let error = switch.write(&inserts((0..1000).map(|id| session(id, 1)))).await.expect_err("refused");
    let WriteError::Refused { refusals, .. } = error else { panic!("{error}") };
    assert_eq!(refusals.len(), 1000);
    assert!(router.has_just(&network()));
}

#[tokio::test]
async fn rejected_call_changes_nothing() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    router.trouble(Trouble::Fail(Code::PermissionDenied));
    let error = switch.write(&set_up(1)).await.expect_err("rejected");
    assert!(matches!(&error, WriteError::Rejected(status) if status.code() == Code::PermissionDenied), "{error}");
    assert!(router.has_just(&network()));
    switch.write(&set_up(1)).await.expect("the next one works");
}

#[tokio::test]
async fn write_without_an_answer_leaves_nothing_behind() {
    let router = Router::new();
    let mut settings = settings(&router, 1);
    settings.deadline = Duration::from_millis(300);
    let (switch, _events) = Switch::start(settings, network());
    soon(switch.ready()).await;
    router.trouble(Trouble::Swallow);
    let error = switch.write(&set_up(1)).await.expect_err("no answer");
    assert!(matches!(&error, WriteError::Unknown(status) if status.code() == Code::DeadlineExceeded), "{error}");
    until(|| router.has_just(&network())).await;
    soon(switch.ready()).await;
    switch.write(&set_up(1)).await.expect("it can be set up again");
}

#[tokio::test]
async fn write_that_the_caller_gave_up_leaves_nothing_behind() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    router.trouble(Trouble::Swallow);
    let updates = set_up(1);
    tokio::select! {
        result = switch.write(&updates) => panic!("it is never answered: {result:?}"),
        () = until(|| router.entries().len() == 4) => {}
    }
    until(|| router.has_just(&network())).await;
}

#[tokio::test]
async fn undo_that_fails_is_done_later() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    router.trouble(Trouble::Refuse(vec![(1, Code::ResourceExhausted)]));
    router.trouble(Trouble::Refuse(vec![(0, Code::Internal)]));
    let error = switch.write(&set_up(1)).await.expect_err("refused");
    assert!(matches!(error, WriteError::Refused { .. }), "{error}");
    until(|| router.has_just(&network())).await;
}

#[tokio::test]
async fn what_is_applied_goes_where_it_is_there() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    switch.write(&set_up(1)).await.expect("set up");
    let gone = [flow(1), session(1, 0), session(2, 0)].map(|entry| Update::Delete(entry.key()));
    switch.apply(&gone).await.expect("what was never there is no error");
    assert!(router.has_just(&network()));
    assert!(switch.reconcile().await.expect("reconciled").is_empty());
}

/// As when a reconciliation has written it already; what is there is made what it should be.
#[tokio::test]
async fn what_is_there_already_is_no_error() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    router.device().put(session(1, 77).encode());
    switch.apply(&inserts([session(1, 1000)])).await.expect("it is there, or will be");
    until(|| router.has_just(&with([session(1, 1000)]))).await;
}

#[tokio::test]
async fn what_is_applied_while_the_router_is_away_is_kept() {
    let mut router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    switch.write(&set_up(1)).await.expect("set up");
    router.cut();
    crate::reaches(&switch, State::Disconnected).await;
    let updates = [
        Update::Delete(flow(1).key()),
        Update::Delete(session(1, 0).key()),
        Update::Insert(session(2, 7)),
        Update::Modify(session(2, 8)),
        Update::Insert(flow(2)),
    ];
    let error = switch.apply(&updates).await.expect_err("it is away");
    assert!(matches!(error, WriteError::NotReady(State::Disconnected)), "{error}");
    assert_eq!(router.entries().len(), 4, "a router that is away forwards on");
    router.restore().await;
    soon(switch.ready()).await;
    assert!(router.has_just(&with([session(2, 8), flow(2)])));
}

#[tokio::test]
async fn what_is_applied_and_refused_is_tried_again() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    switch.write(&set_up(1)).await.expect("set up");
    router.trouble(Trouble::Refuse(vec![(0, Code::Internal), (1, Code::NotFound)]));
    let error = switch.apply(&[Update::Delete(flow(1).key()), Update::Delete(session(1, 0).key())]).await.expect_err("refused");
    let WriteError::Refused { refusals, .. } = error else { panic!("{error}") };
    assert_eq!(refusals.iter().map(|refusal| (refusal.index, refusal.code)).collect::<Vec<_>>(), [(0, Code::Internal)]);
    until(|| router.has_just(&network())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_and_a_reconciliation_among_them() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    let writers = (0..50).map(|id| {
        let switch = switch.clone();
        tokio::spawn(async move { switch.write(&set_up(id)).await })
    });
    let writers: Vec<_> = writers.collect();
    let report = switch.reconcile().await.expect("reconciled");
    assert!(report.is_empty(), "it took a write in flight for a fault: {report:?}");
    for writer in writers {
        writer.await.expect("it ran").expect("it was written");
    }
    assert!(router.has_just(&with((0..50).flat_map(|id| [session(id, 1_000_000), flow(id)]))));
}
