//! Sessions that are wanted all or none.

use std::time::Duration;

use crate::calls::udp;
use crate::support::{Application, Bench, Blanks, address, backup, finish, storage};
use svpn_vpn::request::Cause;

const TWO: &str = "\n    a=svpn:group=9f86d081884c7d659a2f;members=2";

fn archive() -> Application {
    Application { name: "archive", ce: "a-west", address: address().into(), port: 5060 }
}

/// A server, and the applications that are called.
async fn registered() -> (Bench, Application, Application) {
    let (bench, callees) = (udp().await, [backup(), archive()]);
    for application in [storage(), callees[0], callees[1]] {
        bench.register(application).await;
    }
    let [first, second] = callees;
    (bench, first, second)
}

/// One of the two calls of storage's group: its scenario, and what fills it.
struct Call<'a>(&'a str, Blanks<'a>);

impl Call<'_> {
    fn start(&self, bench: &Bench, callee: &str) -> tokio::process::Child {
        let blanks: Vec<_> = [("LINES", TWO), ("CALLEE", callee)].into_iter().chain(self.1.iter().copied()).collect();
        bench.sipp(self.0, storage(), &blanks)
    }
}

/// Both calls, the second when the first is reserved, and their callees.
async fn both(bench: &Bench, calls: [Call<'_>; 2], callees: &[(Application, &str)]) {
    let answering: Vec<_> = callees.iter().map(|&(callee, scenario)| (scenario, bench.sipp(scenario, callee, &[]))).collect();
    let first = calls[0].start(bench, "backup");
    bench.gateway.reserved().await;
    let second = calls[1].start(bench, "archive");
    tokio::join!(finish(calls[0].0, first), finish(calls[1].0, second));
    for (scenario, callee) in answering {
        finish(scenario, callee).await;
    }
}

#[tokio::test]
async fn a_group_is_set_up_together() {
    let (bench, one, other) = registered().await;
    let answering = [("answer", bench.sipp("answer", one, &[])), ("answer", bench.sipp("answer", other, &[]))];
    let first = Call("call", &[]).start(&bench, "backup");
    bench.gateway.reserved().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(bench.gateway.records()[0].answer.is_none(), "nobody is called before all are reserved");
    let second = Call("call", &[("SESSION", "2")]).start(&bench, "archive");
    tokio::join!(finish("call", first), finish("call", second));
    for (scenario, callee) in answering {
        finish(scenario, callee).await;
    }
    assert_eq!(bench.gateway.settled().await, [Cause::Caller, Cause::Caller]);
    assert!(bench.gateway.records().iter().all(|record| record.answer.is_some()));
}

#[tokio::test]
async fn nobody_is_called_when_one_cannot_be_reserved() {
    let (bench, ..) = registered().await;
    let first = Call("refused", &[("STATUS", "580"), ("WARNING", "all or none")]);
    let second = Call("refused", &[("RATE", "200000000"), ("STATUS", "580"), ("WARNING", "370 .*pe1-p1")]);
    both(&bench, [first, second], &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Refused]);
}

#[tokio::test]
async fn nobody_is_left_ringing_when_one_declines() {
    let (bench, one, other) = registered().await;
    let first = Call("refused", &[("STATUS", "580"), ("WARNING", "all or none")]);
    let second = Call("refused", &[("STATUS", "603"), ("WARNING", "declined")]);
    both(&bench, [first, second], &[(one, "ring"), (other, "decline")]).await;
    assert_eq!(bench.gateway.settled().await.len(), 2);
}

#[tokio::test]
async fn who_has_answered_is_hung_up_on_when_another_cannot_be_programmed() {
    let (bench, one, other) = registered().await;
    let first = Call("refused", &[("STATUS", "580"), ("WARNING", "all or none")]);
    let second = Call("refused", &[("PRIORITY", "13"), ("STATUS", "503"), ("WARNING", "pe2 does not answer")]);
    both(&bench, [first, second], &[(one, "answer"), (other, "answer")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Refused, Cause::Refused]);
}

#[tokio::test]
async fn who_waits_for_the_rest_of_its_group_in_vain_is_told() {
    let (bench, ..) = registered().await;
    let alone = Call("refused", &[("STATUS", "580"), ("WARNING", "all or none: .*in time")]);
    finish("refused", alone.start(&bench, "backup")).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Refused]);
}

#[tokio::test]
async fn who_gives_up_waiting_takes_the_others_along() {
    let (bench, ..) = registered().await;
    let first = Call("cancel_at_once", &[]);
    let cancelled = first.start(&bench, "backup");
    finish("cancel_at_once", cancelled).await;
    assert_eq!(bench.gateway.settled().await.len(), 1);
    // What was given up is no group any more: these are another.
    let (bench, one, other) = registered().await;
    both(&bench, [Call("call", &[]), Call("call", &[("SESSION", "2")])], &[(one, "answer"), (other, "answer")]).await;
}
