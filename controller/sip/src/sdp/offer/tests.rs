use super::*;
use crate::sdp::svpn::SvpnError;
use crate::sdp::{OriginIdentity, answer_for_caller, offer_for_callee, offer_for_peer, read_answer, same};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use svpn_vpn::request::{MediaEnd, SessionNumber, Terms};

const NOW_UNIX: u64 = 1_800_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_UNIX)
}

fn offer(session_lines: &str, media_lines: &str) -> String {
    format!(
        "v=0\r\no=alice 1 1 IN IP4 10.1.0.5\r\ns=-\r\ne=alice@example.com\r\nc=IN IP4 10.1.0.5\r\n{session_lines}\
         t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n{media_lines}"
    )
}

fn read(text: &str) -> Result<Offer, SdpError> {
    read_offer(text.as_bytes(), now())
}

fn medium_error(session_lines: &str, media_lines: &str) -> MediumError {
    match read(&offer(session_lines, media_lines)) {
        Err(SdpError::Medium(1, error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_plainest_offer_is_understood() {
    let offer = read(&offer("", "b=TIAS:50000000\r\n")).unwrap();
    assert_eq!(
        offer.media,
        vec![Medium {
            transport: Transport::Udp,
            caller: MediaEnd { address: Ipv4Addr::new(10, 1, 0, 5).into(), port: 4000 },
            direction: Direction::Both,
            bandwidth: Bandwidth::TransportIndependent { rate: BitRate(50_000_000), packets_per_second: None },
        }]
    );
    assert_eq!((offer.class, offer.priority), (None, None));
    assert_eq!((offer.matching, offer.tunnel), (Match::Ports, TunnelType::Mpls));
    assert_eq!(offer.window, Window { start: None, stop: None });
}

#[test]
fn everything_that_can_be_asked_for_is_read() {
    let text =
        offer("", "c=IN IP4 10.1.0.6\r\nb=AS:64\r\na=maxprate:50.5\r\na=recvonly\r\na=svpn:class=5;tunnel=gre;match=sites;priority=7\r\n");
    let offer = read(&text).unwrap();
    assert_eq!(offer.media[0].caller.address, Ipv4Addr::new(10, 1, 0, 6));
    assert_eq!(offer.media[0].direction, Direction::FromCallee);
    assert_eq!(offer.media[0].bandwidth, Bandwidth::ApplicationSpecific { rate: BitRate(64_000), packets_per_second: Some(51) });
    assert_eq!(offer.class.map(Class::get), Some(5));
    assert_eq!((offer.priority, offer.tunnel, offer.matching), (Some(7), TunnelType::Gre, Match::Sites));
}

#[test]
fn tias_is_preferred_to_as_and_session_lines_serve_one_medium() {
    let offer = read(&offer("b=AS:1\r\nb=TIAS:7000\r\na=sendonly\r\na=maxprate:9\r\n", "")).unwrap();
    assert_eq!(offer.media[0].bandwidth, Bandwidth::TransportIndependent { rate: BitRate(7000), packets_per_second: Some(9) });
    assert_eq!(offer.media[0].direction, Direction::FromCaller);
}

#[test]
fn transports_are_told_apart() {
    for (proto, transport) in [
        ("RTP/SAVPF", Transport::Udp),
        ("udp", Transport::Udp),
        ("TCP/RTP/AVP", Transport::Tcp),
        ("tcp", Transport::Tcp),
        ("SCTP", Transport::Sctp),
    ] {
        let text = offer("", "b=TIAS:1000\r\n").replace("RTP/AVP", proto);
        assert_eq!(read(&text).unwrap().media[0].transport, transport, "{proto}");
    }
    let text = offer("", "b=TIAS:1000\r\n").replace("RTP/AVP", "ATM/AAL5");
    assert!(matches!(read(&text), Err(SdpError::Medium(1, MediumError::Transport(_)))));
}

#[test]
fn each_impossible_medium_is_explained() {
    assert_eq!(medium_error("", ""), MediumError::NoBandwidth);
    assert_eq!(medium_error("", "b=TIAS:0\r\n"), MediumError::Bandwidth);
    assert_eq!(medium_error("", "b=AS:18446744073709551615\r\n"), MediumError::Bandwidth);
    assert_eq!(medium_error("", "b=TIAS:9\r\na=inactive\r\n"), MediumError::Inactive);
    assert_eq!(medium_error("", "b=TIAS:9\r\na=maxprate:fast\r\n"), MediumError::PacketRate("fast".to_owned()));
    for address in ["0.0.0.0", "239.1.2.3", "10.1.0.0/24", "host.example"] {
        let lines = format!("c=IN IP4 {address}\r\nb=TIAS:9\r\n");
        assert_eq!(medium_error("", &lines), MediumError::Address(address.to_owned()));
    }
    for address in ["::", "ff02::1", "fe80::1", "::ffff:10.1.0.5", "10.1.0.5", "2001:db8::1/64"] {
        let lines = format!("c=IN IP6 {address}\r\nb=TIAS:9\r\n");
        assert_eq!(medium_error("", &lines), MediumError::Address(address.to_owned()));
    }
    assert_eq!(medium_error("", "c=IN IP4 2001:db8::1\r\nb=TIAS:9\r\n"), MediumError::Address("2001:db8::1".to_owned()));
    let ports = offer("", "b=TIAS:9\r\n").replace("4000", "4000/2");
    assert_eq!(read(&ports), Err(SdpError::Medium(1, MediumError::PortRange)));
    let active = offer("", "b=TIAS:9\r\na=setup:active\r\n").replace("4000 RTP/AVP", "9 TCP");
    assert_eq!(read(&active), Err(SdpError::Medium(1, MediumError::NoPort)));
    assert!(read(&(active + "a=svpn:match=hosts\r\n")).is_ok());
}

#[test]
fn one_bandwidth_for_two_media_is_refused_and_a_refused_medium_does_not_count() {
    let two = offer("b=TIAS:9\r\n", "") + "m=video 4002 RTP/AVP 31\r\n";
    assert_eq!(read(&two), Err(SdpError::Medium(1, MediumError::SharedBandwidth)));
    assert_eq!(read(&two.replace("4002", "0")).unwrap().media.len(), 1);
    let none = offer("b=TIAS:9\r\n", "").replace("4000", "0");
    assert_eq!(read(&none), Err(SdpError::NoMedia));
}

#[test]
fn times_are_held_against_the_clock() {
    let at = |start: u64, stop: u64| read(&offer("", "b=TIAS:9\r\n").replace("t=0 0", &format!("t={start} {stop}")));
    let ntp = NOW_UNIX + NTP_TO_UNIX;
    let stop = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_UNIX + 60);
    assert_eq!(at(ntp - 10, ntp + 60).unwrap().window, Window { start: None, stop: Some(stop) });
    let later = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_UNIX + seconds));
    assert_eq!(at(ntp + 3600, ntp + 7200).unwrap().window, Window { start: later(3600), stop: later(7200) });
    assert_eq!(at(ntp + 3600, 0).unwrap().window, Window { start: later(3600), stop: None });
    assert_eq!(at(ntp + 5, 0).unwrap().window, Window { start: None, stop: None }, "clocks differ by as much");
    assert_eq!(at(ntp + 3600, ntp + 3600), Err(SdpError::Time(TimeError::Backwards)));
    assert_eq!(at(0, ntp), Err(SdpError::Time(TimeError::Past)));
    assert_eq!(at(5, 0), Err(SdpError::Time(TimeError::Range)));
    assert_eq!(at(u64::MAX, 0), Err(SdpError::Time(TimeError::Range)));
    let repeated = offer("", "b=TIAS:9\r\n").replace("t=0 0\r\n", "t=0 0\r\nr=7d 1h 0\r\n");
    assert_eq!(read(&repeated), Err(SdpError::Time(TimeError::Several)));
}

#[test]
fn what_cannot_be_read_is_400_and_what_cannot_be_had_488() {
    assert_eq!(read("hello").unwrap_err().status(), 400);
    assert_eq!(read(&offer("", "")).unwrap_err().status(), 488);
    let unknown = read(&offer("a=svpn:colour=red\r\n", "b=TIAS:9\r\n")).unwrap_err();
    assert_eq!(unknown, SdpError::Svpn(SvpnError::Unknown("colour".to_owned())));
    assert_eq!(unknown.status(), 488);
}

fn origin() -> OriginIdentity {
    OriginIdentity { id: 77, version: 1, address: IpAddr::from([10, 255, 0, 1]) }
}

#[test]
fn the_callee_sees_the_same_media_but_not_who_wrote_the_offer() {
    let offer = read(&offer("", "b=TIAS:1000\r\n")).unwrap();
    let text = String::from_utf8(offer_for_callee(&offer.session, origin())).unwrap();
    assert!(text.contains("o=svpn-gateway 77 1 IN IP4 10.255.0.1\r\n"), "{text}");
    assert!(!text.contains("alice"), "{text}");
    assert!(text.contains("m=audio 4000 RTP/AVP 0\r\n"), "{text}");
    assert_eq!(read(&text).unwrap().media, offer.media);
}

#[test]
fn a_peer_is_told_the_class_that_the_contract_has_said() {
    let offer = read(&offer("a=svpn:match=hosts\r\n", "b=TIAS:1000\r\n")).unwrap();
    let text = String::from_utf8(offer_for_peer(&offer.session, Class::new(3).unwrap(), origin())).unwrap();
    let told = read(&text).unwrap();
    assert_eq!((told.class, told.matching, told.media), (Class::new(3).ok(), Match::Hosts, offer.media));
    assert!(!text.contains("alice"), "{text}");
}

fn terms() -> Terms {
    Terms {
        session: SessionNumber(41),
        class: Class::new(5).unwrap(),
        policed: BitRate(1_100_000),
        tunnels: vec![7, 8],
        labels: vec![100, 101],
        cost: Some("1.50 EUR/h".to_owned()),
        mapping: None,
    }
}

#[test]
fn the_caller_is_told_the_terms() {
    let text = offer("", "b=AS:64\r\na=maxprate:50\r\n") + "m=video 4002 RTP/AVP 31\r\nb=TIAS:2000\r\n";
    let offer = read(&text).unwrap();
    let answer = "v=0\r\no=bob 1 1 IN IP4 10.2.0.5\r\ns=-\r\nc=IN IP4 10.2.0.5\r\nb=TIAS:5\r\na=svpn-session:999\r\nt=0 0\r\n\
                  m=audio 5000 RTP/AVP 0\r\nb=TIAS:3\r\nm=video 0 RTP/AVP 31\r\n";
    let (session, ends) = read_answer(&offer.session, answer.as_bytes()).unwrap();
    let address = Ipv4Addr::new(10, 2, 0, 5).into();
    assert_eq!(ends.media, vec![Some(MediaEnd { address, port: 5000 }), None]);
    let text = String::from_utf8(answer_for_caller(&session, &offer.session, &offer.media, &terms(), origin())).unwrap();
    for line in [
        "a=svpn:class=5",
        "a=svpn-session:41",
        "a=svpn-tunnel:7 8",
        "a=svpn-label:100 101",
        "a=svpn-cost:1.50 EUR/h",
        "b=AS:64",
        "b=TIAS:52800",
        "a=maxprate:50",
    ] {
        assert!(text.lines().any(|given| given == line), "{line} is missing in {text}");
    }
    for gone in ["bob", "999", "b=TIAS:5\r", "b=TIAS:3\r", "b=TIAS:2000"] {
        assert!(!text.contains(gone), "{gone} is left in {text}");
    }
}

#[test]
fn an_answer_that_does_not_fit_its_offer_is_refused() {
    let offer = read(&offer("", "b=TIAS:9\r\n")).unwrap();
    let answer = |media: &str| {
        let text = format!("v=0\r\no=- 1 1 IN IP4 10.2.0.5\r\ns=-\r\nc=IN IP4 10.2.0.5\r\nt=0 0\r\n{media}");
        read_answer(&offer.session, text.as_bytes()).unwrap_err()
    };
    assert_eq!(answer(""), SdpError::MediaCount { offered: 1, answered: 0 });
    assert_eq!(answer("m=audio 0 RTP/AVP 0\r\n"), SdpError::AllRefused);
    assert_eq!(answer("m=audio 5000 TCP 0\r\n"), SdpError::Medium(1, MediumError::TransportChanged));
    let hold = answer("m=audio 5000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n");
    assert_eq!(hold, SdpError::Medium(1, MediumError::Address("0.0.0.0".to_owned())));
}

proptest! {
    #[test]
    fn any_body_is_judged(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_offer(&body, now());
    }

    #[test]
    fn a_damaged_offer_is_judged(at in 0usize..200, byte in any::<u8>()) {
        let mut body = offer("", "b=TIAS:50000000\r\na=maxprate:9.5\r\na=svpn:class=5\r\n").into_bytes();
        let at = at % body.len();
        body[at] = byte;
        if let Ok(offer) = read_offer(&body, now()) {
            prop_assert!(!offer.media.is_empty());
            prop_assert!(read_answer(&offer.session, &body).is_ok());
        }
    }

    #[test]
    fn what_is_asked_is_what_is_read(
        rate in 1u64..1 << 48, port in 1u16.., packets in proptest::option::of(1u64..1 << 30), class in 0u8..8, priority in any::<u8>(),
    ) {
        let maxprate = packets.map(|packets| format!("a=maxprate:{packets}\r\n")).unwrap_or_default();
        let text = offer("", &format!("b=TIAS:{rate}\r\n{maxprate}a=svpn:class={class};priority={priority}\r\n"))
            .replace("audio 4000", &format!("audio {port}"));
        let offer = read(&text).unwrap();
        prop_assert_eq!(
            offer.media[0].bandwidth,
            Bandwidth::TransportIndependent { rate: BitRate(rate), packets_per_second: packets }
        );
        prop_assert_eq!(offer.media[0].caller.port, port);
        prop_assert_eq!(offer.class.map(Class::get), Some(class));
        prop_assert_eq!(offer.priority, Some(priority));
    }
}

#[test]
fn a_change_keeps_what_it_leaves_out() {
    let agreed = read(&offer("a=svpn:priority=3;match=hosts;tunnel=gre\r\n", "b=TIAS:50000000\r\n")).unwrap();
    let changed = offer("a=svpn:class=2\r\n", "b=TIAS:80000000\r\n");
    let changed = read_change(changed.as_bytes(), now(), &agreed.session, agreed.fixed()).unwrap();
    assert_eq!(changed.fixed(), agreed.fixed());
    assert_eq!(changed.class, Class::new(2).ok());
    assert!(!same(&changed.session, &agreed.session));
}

#[test]
fn what_cannot_change_in_service_is_named() {
    let agreed = read(&offer("a=svpn:priority=3\r\n", "b=TIAS:50000000\r\n")).unwrap();
    let change = |lines: &str| {
        let text = offer(lines, "b=TIAS:50000000\r\n");
        read_change(text.as_bytes(), now(), &agreed.session, agreed.fixed()).map(|offer| same(&offer.session, &agreed.session))
    };
    assert_eq!(change("a=svpn:priority=3\r\n"), Ok(true));
    assert_eq!(change("a=svpn:priority=4\r\n"), Err(SdpError::Fixed("priority")));
    assert_eq!(change("a=svpn:match=hosts\r\n"), Err(SdpError::Fixed("match")));
    assert_eq!(change("a=svpn:tunnel=gre\r\n"), Err(SdpError::Fixed("tunnel")));
    let none = "v=0\r\no=alice 1 2 IN IP4 10.1.0.5\r\ns=-\r\nt=0 0\r\n";
    let fewer = read_change(none.as_bytes(), now(), &agreed.session, agreed.fixed());
    assert_eq!(fewer, Err(SdpError::FewerMedia { agreed: 1, offered: 0 }));
}

#[test]
fn a_raised_version_alone_changes_nothing() {
    let text = offer("", "b=TIAS:50000000\r\n");
    let (one, other) = (read(&text).unwrap(), read(&text.replace("alice 1 1", "alice 1 2")).unwrap());
    assert_ne!(one.session, other.session);
    assert!(same(&one.session, &other.session));
}
