//! Changes in service: re-INVITE and UPDATE.

use std::time::Duration;

use crate::calls::{established, udp};
use crate::support::{Bench, Record, finish};
use svpn_sip::config::Carrier;
use svpn_vpn::request::{Bandwidth, BitRate, Cause};

const LONGER: (&str, &str) = ("PAUSE", "2000");

/// The rates that the session was changed to, one by one.
fn rates(record: &Record) -> Vec<u64> {
    let rate = |bandwidth| match bandwidth {
        Bandwidth::TransportIndependent { rate: BitRate(rate), .. } | Bandwidth::ApplicationSpecific { rate: BitRate(rate), .. } => rate,
    };
    record.changes.iter().map(|change| rate(change.media[0].bandwidth)).collect()
}

/// The only session, when it is released.
async fn released(bench: &Bench, cause: Cause) -> Record {
    assert_eq!(bench.gateway.settled().await, [cause]);
    let record = bench.gateway.records().remove(0);
    assert_eq!(record.proposed, None, "neither confirmed nor withdrawn");
    record
}

async fn a_change(carrier: Carrier, caller: &str, blanks: &[(&str, &str)], expected: u64) {
    let bench = Bench::start(carrier, Duration::from_secs(40)).await;
    bench.call(caller, "agree", blanks).await;
    let record = released(&bench, Cause::Caller).await;
    assert_eq!((rates(&record), record.withdrawn), (vec![expected], 0));
}

#[tokio::test]
async fn a_session_is_raised_in_service() {
    a_change(Carrier::Udp, "change", &[("NEW", "80000000")], 80_000_000).await;
}

#[tokio::test]
async fn a_session_is_lowered_in_service() {
    a_change(Carrier::Udp, "change", &[("NEW", "20000000")], 20_000_000).await;
}

#[tokio::test]
async fn a_session_is_changed_over_tcp() {
    a_change(Carrier::Tcp, "change", &[], 80_000_000).await;
}

#[tokio::test]
async fn a_session_is_changed_by_update() {
    a_change(Carrier::Udp, "update", &[("METHOD", "UPDATE")], 80_000_000).await;
}

#[tokio::test]
async fn a_change_that_has_no_room_is_580_and_the_session_goes_on() {
    let warning = ("WARNING", "370 .*pe1-p1 .*100000000 .*200000000");
    for (caller, method) in [("change_refused", "INVITE"), ("update_refused", "UPDATE")] {
        let bench = udp().await;
        bench.call(caller, "answer", &[("METHOD", method), ("NEW", "200000000"), ("STATUS", "580"), warning]).await;
        let record = released(&bench, Cause::Caller).await;
        assert_eq!((rates(&record), record.withdrawn), (Vec::new(), 0));
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_is_488_and_the_session_goes_on() {
    let bench = udp().await;
    let blanks = [("NEW", "80000000\n    a=svpn:tunnel=gre"), ("STATUS", "488"), ("WARNING", "tunnel. cannot change in service")];
    bench.call("change_refused", "answer", &blanks).await;
    assert_eq!(released(&bench, Cause::Caller).await.changes, []);
}

#[tokio::test]
async fn a_change_that_the_callee_declines_is_withdrawn() {
    for (declined, status) in [("603", "603"), ("488", "488"), ("302", "480")] {
        let bench = udp().await;
        let blanks = [("DECLINED", declined), ("STATUS", status), ("WARNING", declined)];
        bench.call("change_refused", "disagree", &blanks).await;
        let record = released(&bench, Cause::Caller).await;
        assert_eq!((rates(&record), record.withdrawn), (Vec::new(), 1));
    }
}

#[tokio::test]
async fn a_callee_that_takes_too_long_over_a_change_is_cancelled() {
    let bench = Bench::start(Carrier::Udp, Duration::from_millis(700)).await;
    bench.call("change_refused", "ring_for_change", &[("STATUS", "408"), ("WARNING", "did not answer"), LONGER]).await;
    assert_eq!(released(&bench, Cause::Caller).await.withdrawn, 1);
    let bench = Bench::start(Carrier::Udp, Duration::from_millis(700)).await;
    let blanks = [("METHOD", "UPDATE"), ("STATUS", "504"), ("WARNING", "ask by INVITE"), LONGER];
    bench.call("update_refused", "ring_for_change", &blanks).await;
    assert_eq!(released(&bench, Cause::Caller).await.withdrawn, 1);
}

#[tokio::test]
async fn a_change_that_the_caller_cancels_is_withdrawn() {
    let bench = udp().await;
    bench.call("change_cancelled", "ring_for_change", &[LONGER]).await;
    assert_eq!(released(&bench, Cause::Caller).await.withdrawn, 1);
}

#[tokio::test]
async fn a_callee_that_agreed_in_vain_is_offered_the_old_terms_again() {
    let bench = udp().await;
    let blanks = [("NEW", "66600000"), ("STATUS", "503"), ("WARNING", "pe2 does not answer"), LONGER];
    bench.call("change_refused", "agree_in_vain", &blanks).await;
    let record = released(&bench, Cause::Caller).await;
    assert_eq!((rates(&record), record.withdrawn), (Vec::new(), 1));
}

#[tokio::test]
async fn a_change_before_the_acknowledgement_is_491() {
    let bench = udp().await;
    bench.call("change_early", "answer", &[]).await;
    assert_eq!(released(&bench, Cause::Caller).await.changes, []);
}

#[tokio::test]
async fn a_change_during_a_change_is_500_and_the_first_goes_on() {
    let bench = udp().await;
    bench.call("change_overlapping", "agree_slowly", &[]).await;
    assert_eq!(rates(&released(&bench, Cause::Caller).await), [80_000_000]);
}

#[tokio::test]
async fn a_caller_that_hangs_up_during_a_change_ends_the_call() {
    let bench = udp().await;
    bench.call("change_hung_up", "ring_for_change_hung_up", &[]).await;
    assert_eq!(released(&bench, Cause::Caller).await.withdrawn, 1);
}

#[tokio::test]
async fn a_callee_that_hangs_up_during_a_change_ends_the_call() {
    let bench = udp().await;
    bench.call("change_not_to_be", "hang_up_instead", &[]).await;
    assert_eq!(released(&bench, Cause::Callee).await.withdrawn, 1);
}

#[tokio::test]
async fn a_callee_that_asks_while_it_is_asked_has_to_wait() {
    let bench = udp().await;
    bench.call("change", "callee_crosses", &[]).await;
    assert_eq!(rates(&released(&bench, Cause::Caller).await), [80_000_000]);
}

#[tokio::test]
async fn a_callee_refreshes_and_cannot_add_media() {
    let bench = udp().await;
    bench.call("call_long", "callee_asks", &[]).await;
    assert_eq!(released(&bench, Cause::Caller).await.changes, []);
}

#[tokio::test]
async fn a_caller_refreshes_and_is_called_where_it_is() {
    let bench = udp().await;
    bench.call("reinvite", "answer_and_hang_up", &[LONGER]).await;
    let record = released(&bench, Cause::Callee).await;
    assert_eq!((rates(&record), record.withdrawn), (Vec::new(), 0));
}

#[tokio::test]
async fn a_changed_session_goes_on_when_the_gateway_is_restarted() {
    let bench = udp().await;
    let [calling, answering] = established(&bench, "change_kept", "agree", &[]).await;
    bench.gateway.changed().await;
    // The caller's ACK comes after the change.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let bench = bench.restart().await;
    assert_eq!(rates(&released(&bench, Cause::Caller).await), [80_000_000]);
    tokio::join!(finish("agree", answering), finish("change_kept", calling));
}

#[tokio::test]
async fn a_session_is_changed_after_a_restart() {
    let bench = udp().await;
    let [calling, answering] = established(&bench, "change_late", "agree", &[]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let bench = bench.restart().await;
    assert_eq!(rates(&released(&bench, Cause::Caller).await), [80_000_000]);
    tokio::join!(finish("agree", answering), finish("change_late", calling));
}

#[tokio::test]
async fn a_callee_raises_the_session_when_the_caller_consents() {
    let bench = udp().await;
    bench.call("call_consents", "answer_and_raise", &[]).await;
    let record = released(&bench, Cause::Caller).await;
    assert_eq!((rates(&record), record.withdrawn), (vec![80_000_000], 0));
    assert_eq!(record.answer.unwrap().media[0].unwrap().port, 5002);
}

#[tokio::test]
async fn what_the_caller_does_not_consent_to_is_not_changed() {
    let bench = udp().await;
    bench.call("call_declines", "answer_and_raise_in_vain", &[("STATUS", "603"), ("WARNING", "storage@vpn-a declined")]).await;
    let record = released(&bench, Cause::Caller).await;
    assert_eq!((rates(&record), record.withdrawn), (Vec::new(), 1));
}

#[tokio::test]
async fn a_callee_that_asks_for_more_than_there_is_gets_580_and_the_caller_hears_nothing() {
    let bench = udp().await;
    let blanks = [("NEW", "200000000"), ("STATUS", "580"), ("WARNING", "370 .*pe1-p1"), ("LONG", "1000")];
    bench.call("call_long", "answer_and_raise_in_vain", &blanks).await;
    assert_eq!(released(&bench, Cause::Caller).await.changes, []);
}

#[tokio::test]
async fn a_callee_with_an_offer_of_its_own_is_asked_again() {
    let bench = udp().await;
    bench.call("change", "agree_after_glare", &[]).await;
    assert_eq!(rates(&released(&bench, Cause::Caller).await), [80_000_000]);
}

#[tokio::test]
async fn a_re_invite_without_an_offer_is_offered_what_holds() {
    let bench = udp().await;
    bench.call("answer_in_ack", "answer", &[("TAKEN", "4000")]).await;
    let record = released(&bench, Cause::Caller).await;
    assert_eq!((record.changes, record.withdrawn), (Vec::new(), 0), "the answer is what was agreed");
}

#[tokio::test]
async fn an_ack_that_moves_the_media_changes_the_session() {
    let bench = udp().await;
    bench.call("answer_in_ack", "agree", &[("TAKEN", "4400"), ("NEW", "50000000"), LONGER]).await;
    let record = released(&bench, Cause::Caller).await;
    assert_eq!(record.changes[0].media[0].caller.port, 4400);
    assert_eq!(rates(&record), [50_000_000], "the bandwidth stays");
}

#[tokio::test]
async fn an_ack_that_cannot_be_served_ends_the_call() {
    for taken in ["4000 RTP/AVP 0\n    m=video 4002", "0"] {
        let bench = udp().await;
        bench.call("answer_in_ack_badly", "answer", &[("TAKEN", taken)]).await;
        let record = released(&bench, Cause::Refused).await;
        assert_eq!((record.changes, record.withdrawn), (Vec::new(), 0));
    }
}

#[tokio::test]
async fn an_ack_that_the_other_end_declines_ends_the_call() {
    let bench = udp().await;
    bench.call("answer_in_ack_badly", "disagree", &[("TAKEN", "4400"), ("NEW", "50000000"), ("DECLINED", "488")]).await;
    assert_eq!(released(&bench, Cause::Refused).await.withdrawn, 1);
}
