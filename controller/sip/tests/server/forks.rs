//! Several contacts of the callee.

use std::time::Duration;

use crate::calls::udp;
use crate::support::{Application, Bench, Blanks, backup, finish, storage};
use svpn_sip::config::Carrier;
use svpn_vpn::request::Cause;

/// Two contacts of the callee, registered with these preferences.
async fn contacts(bench: &Bench, preferences: [&str; 2]) -> [Application; 2] {
    let contacts = [backup(), backup()];
    for (contact, preference) in contacts.into_iter().zip(preferences) {
        bench.play("register", contact, &[("Q", preference)]).await;
    }
    bench.register(storage()).await;
    contacts
}

/// A call to both contacts, each of which plays its scenario.
async fn call(bench: &Bench, caller: &str, blanks: Blanks<'_>, contacts: [(Application, &str, Blanks<'_>); 2]) {
    let calling = storage();
    bench.register(calling).await;
    let answering = contacts.map(|(contact, scenario, blanks)| (scenario, bench.sipp(scenario, contact, blanks)));
    let calling = bench.sipp(caller, calling, blanks);
    finish(caller, calling).await;
    for (scenario, answering) in answering {
        finish(scenario, answering).await;
    }
}

#[tokio::test]
async fn contacts_of_one_preference_ring_together_and_the_first_answer_wins() {
    let bench = udp().await;
    let [one, other] = contacts(&bench, ["1", "1"]).await;
    call(&bench, "call", &[], [(one, "ring_elsewhere", &[]), (other, "answer_slowly", &[])]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn an_answer_after_the_first_is_hung_up_on() {
    let bench = udp().await;
    let [one, other] = contacts(&bench, ["0.5", "0.5"]).await;
    call(&bench, "call", &[], [(one, "answer_late", &[]), (other, "answer_slowly", &[])]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn who_answers_a_forked_invite_after_another_is_hung_up_on() {
    let bench = udp().await;
    bench.call("call", "answer_forked", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn the_less_preferred_contact_is_called_when_the_other_is_busy() {
    let bench = udp().await;
    let [first, second] = contacts(&bench, ["0.9", "0.1"]).await;
    call(&bench, "call", &[], [(first, "refuse", &[("REFUSAL", "486")]), (second, "answer", &[])]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn the_less_preferred_contact_is_called_when_the_other_does_not_answer() {
    let bench = Bench::start(Carrier::Udp, Duration::from_millis(900)).await;
    let [second, first] = contacts(&bench, ["0.1", "0.9"]).await;
    call(&bench, "call", &[], [(first, "ring", &[]), (second, "answer", &[])]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn of_several_refusals_the_caller_is_told_the_one_that_says_most() {
    for (refusals, told) in [(["480", "486"], "486"), (["500", "404"], "404"), (["302", "503"], "480")] {
        let bench = udp().await;
        let [one, other] = contacts(&bench, ["1", "1"]).await;
        let blanks = [("STATUS", told), ("WARNING", "backup@vpn-a")];
        let [first, second] = refusals.map(|refusal| [("REFUSAL", refusal)]);
        call(&bench, "refused", &blanks, [(one, "refuse", &first), (other, "refuse", &second)]).await;
        assert_eq!(bench.gateway.settled().await.len(), 1);
    }
}

#[tokio::test]
async fn who_declines_for_all_ends_the_ringing() {
    let bench = udp().await;
    let [one, other] = contacts(&bench, ["1", "1"]).await;
    let blanks = [("STATUS", "603"), ("WARNING", "declined")];
    call(&bench, "refused", &blanks, [(one, "ring", &[]), (other, "refuse_slowly", &[("REFUSAL", "603")])]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Declined]);
}
