//! Reliable provisional responses (RFC 3262) and preconditions (RFC 3312).

use crate::calls::udp;
use crate::support::backup;
use svpn_vpn::request::Cause;

/// A caller that knows reliable responses.
const RELIABLE: (&str, &str) = ("EXTRA", "Supported: 100rel\n    Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE");
/// One that insists on preconditions.
const PRECONDITION: (&str, &str) =
    ("EXTRA", "Supported: 100rel\n    Require: precondition\n    Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE");

/// What it desires: from end to end, or of its own segment and the callee's.
const END_TO_END: (&str, &str) = ("LINES", "\n    a=curr:qos e2e none\n    a=des:qos mandatory e2e sendrecv");
const SEGMENTS: (&str, &str) = (
    "LINES",
    "\n    a=curr:qos local none\n    a=curr:qos remote none\n    a=des:qos mandatory local sendrecv\n    a=des:qos mandatory remote sendrecv",
);
const READY: (&str, &str) = (
    "LATER",
    "\n    a=curr:qos local sendrecv\n    a=curr:qos remote none\n    a=des:qos mandatory local sendrecv\n    a=des:qos mandatory remote sendrecv",
);
/// What the callee says of them in its 183.
const EARLY: (&str, &str) = (
    "EARLY",
    "\n    a=curr:qos local none\n    a=curr:qos remote none\n    a=des:qos mandatory local sendrecv\n    a=des:qos mandatory remote sendrecv\n    a=conf:qos remote sendrecv",
);
const CONFIRM: (&str, &str) = ("TOLD", "a=conf:qos remote sendrecv");
const SAME: (&str, &str) = ("NEW", "50000000");

#[tokio::test]
async fn an_early_answer_is_told_reliably_and_the_200_says_the_same() {
    let bench = udp().await;
    bench.call("call_reliably", "answer_reliably", &[RELIABLE]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_caller_that_knows_nothing_of_reliability_gets_its_answer_with_the_200() {
    let bench = udp().await;
    bench.call("call_ignorant", "answer_reliably", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_prack_about_something_else_is_481() {
    let bench = udp().await;
    bench.call("call_wrong_prack", "answer_reliably", &[RELIABLE, ("PAUSE", "1500")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_caller_that_never_acknowledges_an_early_answer_is_504() {
    let bench = udp().await;
    bench.call("call_never_pracks", "progress_until_cancelled", &[RELIABLE]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Signalling]);
}

#[tokio::test]
async fn the_answer_waits_for_the_acknowledgement_of_what_came_before() {
    let bench = udp().await;
    // The callee answers before the PRACK has come.
    bench.call("call_pracks_late", "answer_reliably", &[RELIABLE, ("PAUSE", "1")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn end_to_end_preconditions_are_met_before_the_callee_is_alerted() {
    let bench = udp().await;
    bench.call("call_met", "answer_met", &[PRECONDITION, END_TO_END, ("OFFERED", "a=curr:qos e2e sendrecv")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn the_ends_own_preconditions_go_from_end_to_end_by_update() {
    let bench = udp().await;
    let blanks = [PRECONDITION, SEGMENTS, READY, EARLY, CONFIRM, SAME, ("OFFERED", "Require: precondition, 100rel")];
    bench.call("call_when_ready", "answer_when_ready", &blanks).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn the_callee_says_too_when_it_is_ready() {
    let bench = udp().await;
    let blanks = [PRECONDITION, SEGMENTS, EARLY, CONFIRM, ("OFFERED", "a=curr:qos local none")];
    bench.call("call_updated", "answer_updating", &blanks).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_callee_without_preconditions_is_not_alerted_before_those_of_the_caller_are_met() {
    let bench = udp().await;
    let blanks = [PRECONDITION, SEGMENTS, ("REFUSAL", "420"), ("STATUS", "420"), ("WARNING", "does not know preconditions")];
    bench.call("refused_with", "refuse", &[&blanks[..], &[("TOLD", "Unsupported: precondition")]].concat()).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Declined]);
}

#[tokio::test]
async fn preconditions_that_fail_are_580_with_what_failed() {
    let bench = udp().await;
    bench.register(backup()).await;
    let blanks = [PRECONDITION, END_TO_END, ("RATE", "200000000"), ("STATUS", "580"), ("WARNING", "370 .*pe1-p1 .*100000000")];
    bench.call_alone("refused_with", &[&blanks[..], &[("TOLD", "a=des:qos failure e2e sendrecv")]].concat()).await;
    assert!(bench.gateway.records().is_empty());
}

#[tokio::test]
async fn before_the_answer_nothing_but_preconditions_can_change() {
    let bench = udp().await;
    bench.call("call_update_refused", "answer_reliably", &[RELIABLE, ("PAUSE", "800")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}
