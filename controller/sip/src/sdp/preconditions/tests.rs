use super::*;
use proptest::prelude::*;

fn session(lines: &[&str]) -> Session {
    let mut text = "v=0\r\no=a 1 1 IN IP4 10.1.0.5\r\ns=-\r\nc=IN IP4 10.1.0.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n".to_owned();
    text.extend(lines.iter().flat_map(|line| ["a=", line, "\r\n"]));
    Session::parse(text.as_bytes()).unwrap()
}

fn texts(session: &Session) -> Vec<String> {
    let text = |attribute: &Attribute| match &attribute.value {
        Some(value) => format!("{}:{value}", attribute.attribute),
        None => attribute.attribute.clone(),
    };
    session.medias[0].attributes.iter().map(text).collect()
}

#[test]
fn what_is_desired_end_to_end_is_met_and_the_ends_own_segments_are_theirs() {
    let mut both = session(&["curr:qos e2e none", "curr:qos local none", "des:qos mandatory e2e sendrecv", "des:qos optional local send"]);
    assert!(!are_met(&both));
    fulfil(&mut both);
    assert_eq!(
        texts(&both),
        ["curr:qos e2e sendrecv", "curr:qos local none", "des:qos mandatory e2e sendrecv", "des:qos optional local send"]
    );
    assert!(are_met(&both));
    let mut own = session(&["curr:qos local none", "des:qos mandatory local sendrecv"]);
    let before = own.clone();
    fulfil(&mut own);
    assert_eq!(own, before);
    assert!(remain(&own) && !remain(&both));
}

#[test]
fn of_one_direction_that_one_is_reserved() {
    let mut one = session(&["sendonly", "curr:qos e2e none", "des:qos mandatory e2e send"]);
    fulfil(&mut one);
    assert!(texts(&one).contains(&"curr:qos e2e send".to_owned()), "{:?}", texts(&one));
    assert!(are_met(&one));
}

#[test]
fn a_caller_is_told_of_what_it_wanted_though_the_callee_knows_nothing_of_it() {
    let offer = session(&["curr:qos e2e none", "des:qos mandatory e2e send"]);
    let mut answer = session(&["ptime:20"]);
    fulfil_answer(&mut answer, &offer);
    assert_eq!(texts(&answer), ["ptime:20", "curr:qos e2e sendrecv", "des:qos mandatory e2e recv"]);
    let mut plain = session(&["ptime:20"]);
    fulfil_answer(&mut plain, &session(&[]));
    assert_eq!(texts(&plain), ["ptime:20"]);
}

#[test]
fn a_description_without_them_is_the_same_but_for_them() {
    let with = session(&["curr:qos e2e none", "ptime:20", "des:qos mandatory e2e sendrecv", "conf:qos remote sendrecv"]);
    assert!(are_wanted(&with) && !are_wanted(&without(&with)));
    assert_eq!(without(&with), session(&["ptime:20"]));
    let mut taken = session(&["ptime:20", "curr:qos local none"]);
    adopt(&mut taken, &with);
    assert_eq!(texts(&taken), ["ptime:20", "curr:qos e2e none", "des:qos mandatory e2e sendrecv", "conf:qos remote sendrecv"]);
}

#[test]
fn what_failed_is_named_and_what_cannot_be_read_is_left() {
    let mut offer = session(&["curr:qos e2e none", "des:qos mandatory e2e sendrecv", "des:qos sometimes", "des:foo mandatory e2e send"]);
    fail(&mut offer);
    assert_eq!(texts(&offer), ["des:qos sometimes", "des:foo mandatory e2e send", "des:qos failure e2e sendrecv"]);
}

fn text() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("e2e"), Just("local"), Just("remote")];
    let flow = prop_oneof![Just("none"), Just("send"), Just("recv"), Just("sendrecv")];
    let strength = prop_oneof![Just("mandatory"), Just("optional"), Just("none")];
    prop_oneof![
        (segment.clone(), flow.clone()).prop_map(|(segment, flow)| format!("curr:qos {segment} {flow}")),
        (strength, segment.clone(), flow.clone()).prop_map(|(strength, segment, flow)| format!("des:qos {strength} {segment} {flow}")),
        (segment, flow).prop_map(|(segment, flow)| format!("conf:qos {segment} {flow}")),
        Just("sendonly".to_owned()),
        Just("recvonly".to_owned()),
    ]
}

proptest! {
    #[test]
    fn whatever_is_desired_end_to_end_is_met_and_stays_so(lines in proptest::collection::vec(text(), 0..8)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut offer = session(&lines);
        let own = |session: &Session| {
            texts(session).into_iter().filter(|line| !line.starts_with("curr:qos e2e")).collect::<Vec<_>>()
        };
        let before = own(&offer);
        fulfil(&mut offer);
        prop_assert_eq!(own(&offer), before, "more than e2e was touched");
        let once = offer.clone();
        fulfil(&mut offer);
        prop_assert_eq!(&offer, &once);
        // Without the ends' own segments nothing keeps the callee from being alerted.
        for medium in &mut offer.medias {
            medium.attributes.retain(|attribute| !matches!(
                read(attribute),
                Some(Line::Desired { segment: Segment::Local | Segment::Remote, .. })
            ));
        }
        prop_assert!(are_met(&offer));
    }
}
