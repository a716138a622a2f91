use super::*;
use crate::agreement::Consent;
use crate::request::{ApplicationId, Bandwidth, CeName, Match, MediaEnd, TunnelType};
use crate::session::OutOfTurn;
use crate::testing::{MEGA, application, class, end, medium, request};

fn answer(ends: &[Option<MediaEnd>]) -> Answer {
    Answer { media: ends.to_vec() }
}

fn west() -> Answer {
    answer(&[Some(end("10.2.0.7", 6000))])
}

/// What a request is refused with; it leaves nothing behind.
fn refused(change: impl FnOnce(&mut SessionRequest)) -> Refusal {
    let mut domain = domain();
    let before = taken(&domain);
    let mut request = request("a-east", "a-west", MEGA);
    change(&mut request);
    let refusal = domain.request(request, at(0)).unwrap_err();
    assert_eq!(taken(&domain), before);
    assert_eq!(domain.sessions().len(), 0);
    refusal
}

#[test]
fn who_and_where() {
    let ce = |name: &str| CeName(name.into());
    assert_eq!(refused(|r| r.caller = application("stranger", "vpn-a")).to_string(), "not found: application stranger@vpn-a");
    assert_eq!(refused(|r| r.callee = application("storage", "vpn-c")).to_string(), "not found: VPN vpn-c");
    let other: ApplicationId = application("backup", "vpn-b");
    assert_eq!(refused(|r| r.callee = other).to_string(), "forbidden: storage@vpn-a and backup@vpn-b are in different VPNs");
    assert_eq!(refused(|r| r.caller_ce = ce("nowhere")).to_string(), "not found: CE nowhere of storage@vpn-a");
    let other = refused(|r| r.callee_ce = ce("b-west"));
    assert_eq!(other.to_string(), "forbidden: CE b-west of backup@vpn-a is not attached to VPN vpn-a");
    let same = refused(|r| r.callee_ce = ce("a-lab"));
    assert!(matches!(same, Refusal::NotAcceptable(_)) && same.to_string().contains("a-east and CE a-lab are on one router, pe1"), "{same}");
}

#[test]
fn what_and_how() {
    assert_eq!(refused(|r| r.class = Some(class(3))).to_string(), "forbidden: contract gold does not cover class 3, only 0, 5");
    assert!(matches!(refused(|r| r.media.clear()), Refusal::NotAcceptable(_)));
    let backwards = refused(|r| (r.window.start, r.window.stop) = (Some(at(3600)), Some(at(3600))));
    assert_eq!(backwards.to_string(), "not acceptable: the session stops before it starts");
    let important = refused(|r| r.priority = Some(1));
    assert_eq!(important.to_string(), "forbidden: contract gold allows priorities up to 0, and 1 was asked");
    assert!(matches!(refused(|r| r.window.stop = Some(at(0))), Refusal::NotAcceptable(_)));
    let none = Bandwidth::ApplicationSpecific { rate: BitRate(0), packets_per_second: None };
    assert!(matches!(refused(|r| r.media[0].bandwidth = none), Refusal::NotAcceptable(_)));
    let huge = Bandwidth::ApplicationSpecific { rate: BitRate(u64::MAX), packets_per_second: Some(u64::MAX) };
    assert!(matches!(refused(|r| r.media[0].bandwidth = huge), Refusal::NotAcceptable(_)));
    assert!(matches!(refused(|r| r.media[0].caller.port = 0), Refusal::NotAcceptable(_)));
    let foreign = refused(|r| r.media[0].caller = end("10.2.0.5", 5004));
    assert_eq!(foreign.to_string(), "forbidden: address 10.2.0.5 is not behind CE a-east");
    let foreign = refused(|r| {
        r.media.push(medium(end("10.4.0.5", 1), MEGA, Direction::Both));
        r.matching = Match::Hosts;
    });
    assert_eq!(foreign.to_string(), "forbidden: address 10.4.0.5 is not behind CE a-east");
}

#[test]
fn a_start_a_moment_away_is_now() {
    let mut soon = request("a-east", "a-west", MEGA);
    soon.window.start = Some(at(30));
    assert!(domain().request(soon, at(0)).is_ok());
}

#[test]
fn no_bandwidth_names_the_link_and_what_fits() {
    let mut domain = domain();
    let asked = BitRate(12_500 * (1042 + 4) * 8);
    let refused = domain.request(request("a-east", "a-south", 100 * MEGA), at(0)).unwrap_err();
    let full = (at(0), None);
    assert_eq!(refused, Refusal::NoBandwidth { link: "pe1-pe3".into(), asked, fits: BitRate(50 * MEGA), full, next_start: None });
    // The way there fits and the way back does not: neither is taken.
    let mut one_way = request("a-east", "a-west", 60 * MEGA);
    one_way.media[0].direction = Direction::FromCallee;
    let _first = domain.request(one_way.clone(), at(0)).unwrap();
    let _second = domain.request(one_way, at(0)).unwrap();
    let before = taken(&domain);
    let refused = domain.request(request("a-east", "a-west", 60 * MEGA), at(0)).unwrap_err();
    assert!(matches!(&refused, Refusal::NoBandwidth { link, .. } if link == "p1-pe2"), "{refused}");
    assert_eq!(taken(&domain), before);
}

#[test]
fn no_path_at_all() {
    let mut spec = crate::testing::spec();
    spec.attachments[1].router = "p4".into();
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    let refused = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap_err();
    assert_eq!(refused, Refusal::NoPath { from: "pe1".into(), to: "p4".into(), why: "no links lead there".into() });
    let mut spec = crate::testing::spec();
    spec.links.iter_mut().for_each(|link| link.mtu = Some(svpn_contract::wire::Mtu::new(1500).unwrap()));
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    let refused = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap_err();
    let told =
        "not acceptable: no path from pe1 to pe2 takes packets of 1508 bytes, the 1500 of the attachments and what is put before them";
    assert_eq!(refused.to_string(), told);
    // Labels would fit, GRE does not.
    let mut spec = crate::testing::spec();
    spec.links.iter_mut().for_each(|link| link.mtu = Some(svpn_contract::wire::Mtu::new(1527).unwrap()));
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap();
    let gre = SessionRequest { tunnel: TunnelType::Gre, ..request("a-east", "a-west", MEGA) };
    assert_eq!(domain.request(gre, at(0)).unwrap_err().to_string(), told.replace("1508", "1528"));
}

#[test]
fn a_contract_has_its_limits() {
    let mut domain = domain();
    let bronze = |rate| {
        let mut request = request("b-east", "b-west", rate);
        (request.caller, request.callee) = (application("storage", "vpn-b"), application("backup", "vpn-b"));
        request
    };
    let refused = domain.request(bronze(5 * MEGA), at(0)).unwrap_err();
    assert!(matches!(&refused, Refusal::Forbidden(why) if why.contains("bronze allows 5000000 bit/s")), "{refused}");
    let first = domain.request(bronze(MEGA), at(0)).unwrap();
    domain.request(bronze(MEGA), at(0)).unwrap();
    let refused = domain.request(bronze(MEGA), at(0)).unwrap_err();
    assert!(matches!(&refused, Refusal::Forbidden(why) if why.contains("2 sessions at one time")), "{refused}");
    // One tag on the circuits is four bytes of each packet.
    assert_eq!(first.terms.policed, BitRate(125 * 1046 * 8));
    let _undo = domain.programming_failed(first.session, at(1)).unwrap();
    assert!(domain.request(bronze(MEGA), at(0)).is_ok());
}

#[test]
fn session_numbers_run_out() {
    let mut spec = crate::testing::spec();
    spec.last_session = Some(1);
    let mut domain = Domain::new(Network::build(spec).unwrap()).unwrap();
    domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap();
    let refused = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap_err();
    assert_eq!(refused, Refusal::Unavailable("sessions: all numbers from 1 to 1 are in use".into()));
}

#[test]
fn an_answer_that_cannot_be_served_changes_nothing() {
    let mut domain = domain();
    let session = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap().session;
    let _facts = (domain.programmed(session).unwrap(), domain.ringing(session).unwrap());
    let before = taken(&domain);
    for (answer, reason) in [
        (answer(&[]), "the offer has 1 media and the answer 0"),
        (answer(&[None]), "the callee refused every medium"),
        (answer(&[Some(end("10.1.0.7", 6000))]), "address 10.1.0.7 is not behind CE a-west"),
        (answer(&[Some(end("10.2.0.7", 0))]), "has port 0"),
    ] {
        let error = domain.answered(session, &answer, at(1)).unwrap_err();
        assert!(matches!(&error, AnswerError::Refused(why) if why.to_string().contains(reason)), "{error}");
        assert_eq!(taken(&domain), before);
    }
    assert!(domain.answered(session, &west(), at(1)).is_ok());
}

#[test]
fn closed_user_groups_are_closed() {
    let grouped = |members: &[&str]| {
        let mut spec = crate::testing::spec();
        let members = members.iter().map(|name| application(name, "vpn-a")).collect();
        spec.groups.push(crate::network::GroupSpec { name: "finance".into(), members });
        Domain::new(Network::build(spec).unwrap()).unwrap().request(request("a-east", "a-west", MEGA), at(0)).map(|_| ())
    };
    assert_eq!(grouped(&["storage", "backup"]), Ok(()));
    let told =
        "forbidden: storage@vpn-a and backup@vpn-a are in no closed user group together: storage@vpn-a is in none, backup@vpn-a in finance";
    assert_eq!(grouped(&["backup"]).unwrap_err().to_string(), told);
    assert!(grouped(&["storage"]).is_err());
}

#[test]
fn where_consent_is_asked_for_a_callee_is_reached_by_those_it_has_named() {
    let asked = |consent, accepts: &[&str]| {
        let mut spec = crate::testing::spec();
        spec.vpns[0].policy.consent = consent;
        let callee = spec.applications.iter_mut().find(|each| each.id == application("backup", "vpn-a")).unwrap();
        callee.accepts = accepts.iter().map(|name| application(name, "vpn-a")).collect();
        Domain::new(Network::build(spec).unwrap()).unwrap().request(request("a-east", "a-west", MEGA), at(0)).map(|_| ())
    };
    assert_eq!(asked(Consent::Named, &["storage"]), Ok(()));
    let told = "forbidden: backup@vpn-a has not agreed to sessions with storage@vpn-a, which the policy of VPN vpn-a asks for";
    assert_eq!(asked(Consent::Named, &[]).unwrap_err().to_string(), told);
    assert_eq!(asked(Consent::Named, &["backup"]).unwrap_err().to_string(), told);
    assert_eq!(asked(Consent::Answer, &[]), Ok(()), "it agrees by answering");
}

#[test]
fn who_is_accepted_must_be_known() {
    let mut spec = crate::testing::spec();
    spec.applications[0].accepts = vec![application("stranger", "vpn-a")];
    assert!(matches!(Network::build(spec), Err(crate::network::InvalidNetwork::Missing { .. })));
}

#[test]
fn packets_have_one_session() {
    let mut domain = domain();
    establish(&mut domain, request("a-east", "a-west", MEGA), &west());
    let second = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap().session;
    let _facts = (domain.programmed(second).unwrap(), domain.ringing(second).unwrap());
    let before = taken(&domain);
    let error = domain.answered(second, &west(), at(1)).unwrap_err();
    assert!(error.to_string().contains("session 1 has the same packets"), "{error}");
    assert_eq!(taken(&domain), before);
    // Another port is another flow, and all between the hosts is another match.
    let _answered = domain.answered(second, &answer(&[Some(end("10.2.0.7", 6001))]), at(1)).unwrap();
    let with = |matching| {
        let mut request = request("a-east", "a-west", MEGA);
        request.matching = matching;
        request
    };
    establish(&mut domain, with(Match::Hosts), &west());
    establish(&mut domain, with(Match::Sites), &west());
    // What is known before the callee rings is said before.
    let refused = domain.request(with(Match::Sites), at(0)).unwrap_err();
    assert!(refused.to_string().contains("session 4 has the same packets"), "{refused}");
    // Seen from the other end it is the same.
    let mut reverse = request("a-west", "a-east", MEGA);
    reverse.matching = Match::Sites;
    assert!(domain.request(reverse, at(0)).is_err());
}

#[test]
fn everything_in_its_turn() {
    let mut domain = domain();
    let nobody = SessionNumber(7);
    assert_eq!(domain.programmed(nobody), Err(NotNow::Unknown(nobody)));
    assert_eq!(domain.answered(nobody, &west(), at(0)), Err(AnswerError::NotNow(NotNow::Unknown(nobody))));
    assert_eq!(domain.released(nobody, Cause::Caller, at(0)), Err(NotNow::Unknown(nobody)));
    assert_eq!(domain.programming_failed(nobody, at(0)), Err(NotNow::Unknown(nobody)));
    let session = domain.request(request("a-east", "a-west", MEGA), at(0)).unwrap().session;
    let early = |event| NotNow::OutOfTurn(OutOfTurn { state: State::Reserved, event });
    assert_eq!(domain.ringing(session), Err(early(Event::Rang)));
    assert_eq!(domain.answered(session, &west(), at(0)), Err(AnswerError::NotNow(early(Event::Accepted))));
    let _facts = domain.programmed(session).unwrap();
    assert!(matches!(domain.programmed(session), Err(NotNow::OutOfTurn(_))));
    assert_eq!(
        domain.settled(session, Carried::default()),
        Err(NotNow::OutOfTurn(OutOfTurn { state: State::Programmed, event: Event::Settled }))
    );
    let _release = domain.released(session, Cause::Caller, at(1)).unwrap();
    let late = NotNow::OutOfTurn(OutOfTurn { state: State::Releasing, event: Event::Ended });
    assert_eq!(domain.released(session, Cause::Caller, at(1)), Err(late));
    let _gone = domain.settled(session, Carried::default()).unwrap();
    assert_eq!(domain.released(session, Cause::Caller, at(1)), Err(NotNow::Unknown(session)));
}
