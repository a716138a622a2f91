use super::*;
use crate::stack::sip::SipMessage;
use proptest::prelude::*;

const LIMITS: SessionTimer = SessionTimer { interval: Duration::from_mins(30), minimum: Duration::from_secs(90) };

fn message(first: &str, lines: &str) -> SipMessage {
    let text = format!(
        "{first}\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\n\
         CSeq: 1 INVITE\r\n{lines}\r\n"
    );
    SipMessage::try_from(text.as_str()).unwrap()
}

fn request(lines: &str) -> Request {
    Request::try_from(message("INVITE sip:a@b SIP/2.0", lines)).unwrap()
}

fn response(lines: &str) -> Response {
    Response::try_from(message("SIP/2.0 200 OK", lines)).unwrap()
}

fn texts(headers: &[Header]) -> Vec<String> {
    headers.iter().map(ToString::to_string).collect()
}

#[test]
fn each_kind_of_caller_is_answered_by_the_table_of_the_standard() {
    for (lines, expected, refresher) in [
        ("Supported: timer\r\nSession-Expires: 600\r\n", "600;refresher=uac", Refresher::Peer),
        ("Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n", "600;refresher=uac", Refresher::Peer),
        ("Supported: timer\r\nx: 600;refresher=UAS\r\n", "600;refresher=uas", Refresher::Gateway),
        ("Supported: timer\r\nSession-Expires: 3600\r\n", "1800;refresher=uac", Refresher::Peer),
        ("Supported: timer\r\nSession-Expires: 3600\r\nMin-SE: 2400\r\n", "2400;refresher=uac", Refresher::Peer),
        ("Supported: timer\r\n", "1800;refresher=uac", Refresher::Peer),
        ("Supported: timer\r\nMin-SE: 2400\r\n", "2400;refresher=uac", Refresher::Peer),
        ("", "1800;refresher=uas", Refresher::Gateway),
        // As a proxy writes it, for a caller that knows nothing of it.
        ("Session-Expires: 600;refresher=uac\r\n", "600;refresher=uas", Refresher::Gateway),
    ] {
        let answered = answer(&request(lines), LIMITS).unwrap();
        let headers = texts(&answered.headers);
        assert_eq!(headers[0], format!("Session-Expires: {expected}"), "{lines}");
        assert_eq!(headers.contains(&"Require: timer".to_owned()), lines.contains("Supported"), "{lines}");
        assert_eq!(answered.agreement.refresher, refresher, "{lines}");
    }
}

#[test]
fn too_small_an_interval_is_422_with_the_least() {
    let rejection = answer(&request("Supported: timer\r\nSession-Expires: 89\r\n"), LIMITS).unwrap_err();
    assert_eq!(rejection.status, 422);
    assert!(texts(&rejection.into_headers()).contains(&"Min-SE: 90".to_owned()));
    // What a proxy wrote for a caller without timers is no reason to refuse it; the gateway refreshes at its own pace.
    let answered = answer(&request("Session-Expires: 1\r\n"), LIMITS).unwrap();
    assert_eq!((answered.agreement.interval, answered.headers.len()), (1800, 0));
}

#[test]
fn what_cannot_be_read_is_400() {
    for lines in ["Session-Expires: soon\r\n", "Session-Expires: 100;refresher=me\r\n", "Min-SE: -1\r\n"] {
        assert_eq!(answer(&request(lines), LIMITS).unwrap_err().status, 400, "{lines}");
    }
}

#[test]
fn the_callee_decides_who_refreshes_and_one_that_cannot_is_refreshed() {
    for (lines, interval, refresher, by) in [
        ("Require: timer\r\nSession-Expires: 600;refresher=uas\r\n", 600, Refresher::Peer, By::Invite),
        ("Session-Expires: 600;refresher=uac\r\nAllow: INVITE, UPDATE\r\n", 600, Refresher::Gateway, By::Update),
        ("Session-Expires: 1;refresher=uac\r\n", 90, Refresher::Gateway, By::Invite),
        ("Allow: UPDATE\r\n", 1800, Refresher::Gateway, By::Update),
        ("", 1800, Refresher::Gateway, By::Invite),
    ] {
        assert_eq!(agreed(&response(lines), LIMITS, None), Agreement { interval, refresher, by }, "{lines}");
    }
    let before = Agreement { interval: 300, refresher: Refresher::Peer, by: By::Update };
    assert_eq!(agreed(&response(""), LIMITS, Some(before)), Agreement { refresher: Refresher::Gateway, ..before });
}

fn timer(refresher: Refresher, interval: u32, now: Instant) -> Timer {
    Timer::new(Agreement { interval, refresher, by: By::Update }, now)
}

#[tokio::test]
async fn a_silent_peer_has_until_a_third_or_32_seconds_before_the_end() {
    let now = Instant::now();
    assert_eq!(timer(Refresher::Peer, 1800, now).next(), (now + Duration::from_secs(1768), Due::Expired));
    assert_eq!(timer(Refresher::Peer, 90, now).next(), (now + Duration::from_mins(1), Due::Expired));
}

#[tokio::test]
async fn the_gateway_refreshes_at_half_time_and_ends_what_is_never_answered() {
    let now = Instant::now();
    let mut timer = timer(Refresher::Gateway, 1800, now);
    assert_eq!(timer.next(), (now + Duration::from_mins(15), Due::Refresh));
    timer.sent();
    assert_eq!(timer.next(), (now + Duration::from_mins(30), Due::Expired));
}

#[tokio::test]
async fn a_peer_without_update_is_refreshed_by_invite_and_one_that_wants_longer_gets_it() {
    let now = Instant::now();
    let mut timer = timer(Refresher::Gateway, 100, now);
    timer.answered(Outcome::NotByUpdate, now);
    assert_eq!((timer.by(), timer.next()), (By::Invite, (now, Due::Refresh)));
    timer.answered(Outcome::TooSmall(200), now);
    assert_eq!(timer.next(), (now, Due::Refresh));
    assert_eq!(texts(&timer.headers(LIMITS)), ["Session-Expires: 200;refresher=uac", "Min-SE: 200"]);
    // Who never has enough is asked at leisure.
    timer.answered(Outcome::TooSmall(200), now);
    assert_eq!(timer.next(), (now + Duration::from_secs(100), Due::Refresh));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Refused),
        Just(Outcome::NotByUpdate),
        (0u32..4000).prop_map(Outcome::TooSmall),
        (0u64..4000).prop_map(|pause| Outcome::Glare(Duration::from_millis(pause))),
    ]
}

proptest! {
    #[test]
    fn a_session_that_nobody_refreshes_ends_and_not_by_a_storm(outcomes in proptest::collection::vec(outcome(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let begun = Instant::now();
            let mut now = begun;
            let mut timer = timer(Refresher::Gateway, 1800, now);
            let mut outcomes = outcomes.into_iter();
            let mut asked = 0;
            loop {
                let (at, due) = timer.next();
                now = now.max(at);
                if due == Due::Expired {
                    break;
                }
                asked += 1;
                timer.sent();
                timer.answered(outcomes.next().unwrap_or(Outcome::Refused), now);
                prop_assert!(asked < 100, "it never ends");
            }
            prop_assert!(now - begun <= Duration::from_secs(4000), "it lasts longer than the longest interval asked for");
            Ok(())
        })?;
    }
}
