//! Session timers (RFC 4028), of both legs and both roles.

use std::time::Duration;

use crate::calls::{established, udp};
use crate::support::{Bench, backup, finish};
use svpn_vpn::request::Cause;

/// A caller that refreshes.
const KNOWING: (&str, &str) = ("EXTRA", "Supported: timer\n    Allow: INVITE, ACK, BYE, CANCEL, UPDATE");
/// It leaves refreshing to the gateway.
const LEAVING: (&str, &str) = ("EXTRA", "Supported: timer\n    Session-Expires: 4;refresher=uas\n    Allow: INVITE, ACK, BYE, UPDATE");
/// A callee that is refreshed by UPDATE.
const BY_UPDATE: (&str, &str) = ("ANSWER", "Allow: UPDATE");
/// It has none.
const IGNORANT: (&str, &str) = ("EXTRA", "Allow: INVITE, ACK, BYE, CANCEL");

#[tokio::test]
async fn a_session_interval_that_is_too_small_is_422_with_the_least() {
    let bench = udp().await;
    bench.register(backup()).await;
    bench.call_alone("interval_too_small", &[("EXTRA", "Supported: timer\n    Session-Expires: 89")]).await;
    assert!(bench.gateway.records().is_empty());
}

#[tokio::test]
async fn a_caller_that_refreshes_keeps_its_session_until_it_is_heard_no_more() {
    let bench = Bench::start_hasty().await;
    bench.call("refresh_and_die", "answer_long", &[KNOWING, ("EXPIRES", "4;refresher=uac")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Signalling]);
}

#[tokio::test]
async fn a_caller_without_timers_is_refreshed_by_reinvite_until_it_is_gone() {
    let bench = Bench::start_hasty().await;
    bench.call("refreshed_and_gone", "answer_long", &[IGNORANT, ("EXPIRES", "4;refresher=uas")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Signalling]);
}

#[tokio::test]
async fn a_callee_that_refreshes_keeps_its_session_until_it_is_heard_no_more() {
    let bench = Bench::start_hasty().await;
    bench
        .call("call_ended", "answer_refresh_and_die", &[LEAVING, ("ANSWER", "Session-Expires: 4;refresher=uas\n    Require: timer")])
        .await;
    assert_eq!(bench.gateway.settled().await, [Cause::Signalling]);
}

#[tokio::test]
async fn a_callee_that_wants_a_longer_interval_is_invited_again() {
    let bench = udp().await;
    bench.call("call", "answer_at_length", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_callee_is_refreshed_by_update_and_a_refusal_is_borne() {
    let bench = Bench::start_hasty().await;
    bench.call("call_long", "answer_refreshed", &[BY_UPDATE, ("LONG", "2400")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn the_next_gateway_refreshes_too() {
    let bench = Bench::start_hasty().await;
    let [calling, answering] = established(&bench, "call_ended", "answer_refreshed_and_gone", &[LEAVING, BY_UPDATE]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let bench = bench.restart().await;
    assert_eq!(bench.gateway.settled().await, [Cause::Signalling]);
    tokio::join!(finish("answer_refreshed_and_gone", answering), finish("call_ended", calling));
}
