use super::*;
use crate::stack::sip::SipMessage;

fn peers() -> Peers {
    at("udp:192.0.2.2:5060")
}

/// Those whose gateway has this address.
fn at(address: &str) -> Peers {
    let peer = PeerConfig {
        domain: "b.example".to_owned(),
        address: address.parse().unwrap(),
        from: vec![IpAddr::from([192, 0, 2, 3])],
        nnis: vec![CeName("a-b".to_owned())],
        vpns: vec![(VpnName("vpn-a".to_owned()), VpnName("acme".to_owned()))],
    };
    Peers::new(Peering { peers: vec![peer], ..Peering::default() })
}

fn request(uri: &str, from: &str, via: &str, more: &str) -> Request {
    let text = format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1\r\nFrom: <{from}>;tag=1\r\nTo: <sip:x@a.example>\r\n\
         Call-ID: x\r\nCSeq: 1 INVITE\r\n{more}\r\n"
    );
    Request::try_from(SipMessage::try_from(text.as_str()).unwrap()).unwrap()
}

fn called(uri: &str) -> Option<Result<String, u16>> {
    let vpn = VpnName("vpn-a".to_owned());
    let found = peers().application(&Uri::try_from(uri).unwrap(), Some(&vpn));
    found.map(|found| found.map(|beyond| beyond.application.to_string()).map_err(|rejection| rejection.status))
}

#[test]
fn a_callee_of_a_peer_is_known_by_our_name_of_its_vpn() {
    assert_eq!(called("sip:backup@acme.b.example"), Some(Ok("backup@vpn-a".to_owned())));
    assert_eq!(called("sip:backup@ACME.B.example:5060;transport=tcp"), Some(Ok("backup@vpn-a".to_owned())));
    assert_eq!(called("sip:backup@b.example"), Some(Ok("backup@vpn-a".to_owned())), "the only VPN of the caller");
    assert_eq!(called("sip:backup@vpn-a.b.example"), Some(Err(404)), "ours is not theirs");
    assert_eq!(called("sip:b.example"), Some(Err(404)));
    for elsewhere in ["sip:backup@vpn-a.a.example", "sip:backup@192.0.2.2", "sip:backup@notb.example"] {
        assert_eq!(called(elsewhere), None, "{elsewhere}");
    }
    let (peers, application) = (peers(), ApplicationId { name: "backup".to_owned(), vpn: VpnName("vpn-a".to_owned()) });
    let uri = peers.known[0].uri(&application, &CeName("a-b".to_owned()));
    assert_eq!(uri.to_string(), "sip:backup@acme.b.example;svpn-nni=a-b");
    assert_eq!(peers.known[0].location().uri().to_string(), "sip:192.0.2.2:5060");
}

#[test]
fn a_peer_is_reached_by_what_its_address_says() {
    for (address, location) in
        [("tcp:192.0.2.2:5060", "sip:192.0.2.2:5060;transport=tcp"), ("tls:192.0.2.2:5061", "sip:192.0.2.2:5061;transport=tls")]
    {
        assert_eq!(at(address).known[0].location().uri().to_string().to_ascii_lowercase(), location);
    }
}

#[test]
fn a_caller_of_a_peer_comes_from_its_gateway() {
    let peers = peers();
    let from = "sip:storage@acme.b.example";
    let caller = |from: &str, via: &str| {
        let found = peers.caller(&request("sip:backup@vpn-a.a.example", from, via, ""));
        found.map(|found| found.map(|beyond| beyond.application.to_string())).map_err(|rejection| rejection.status)
    };
    for via in ["192.0.2.2", "192.0.2.2:5061", "192.0.2.3", "192.0.2.9;received=192.0.2.3"] {
        assert_eq!(caller(from, via), Ok(Some("storage@vpn-a".to_owned())), "{via}");
    }
    for via in ["192.0.2.9", "192.0.2.2;received=192.0.2.9", "gateway.b.example"] {
        assert_eq!(caller(from, via), Err(403), "{via}");
    }
    assert_eq!(caller("sip:storage@other.b.example", "192.0.2.2"), Err(404));
    assert_eq!(caller("sip:storage@vpn-a.a.example", "192.0.2.9"), Ok(None), "whoever is not a peer's has a password");
}

#[test]
fn a_peer_names_its_link_and_its_session() {
    let peers = peers();
    let id = "ab30317f1a784dc48ff824d0d3715d86";
    let found = |uri: &str, more: &str| {
        let found = crossing(&peers.known[0], &request(uri, "sip:s@acme.b.example", "192.0.2.2", more));
        found.map_err(|rejection| rejection.status)
    };
    let header = |id: &str| format!("Session-ID: {id};remote=00000000000000000000000000000000\r\n");
    let expected = (CeName("a-b".to_owned()), SessionId(id.to_owned()));
    assert_eq!(found("sip:x@a.example;svpn-nni=a-b", &header(id)), Ok(expected.clone()));
    assert_eq!(found("sip:x@a.example;svpn-nni=a-b", &header(&id.to_uppercase())), Ok(expected));
    assert_eq!(found("sip:x@a.example", &header(id)), Err(400));
    assert_eq!(found("sip:x@a.example;svpn-nni=other", &header(id)), Err(403));
    for wrong in ["", &header("0123"), &header(&"0".repeat(32)), &header(&"g".repeat(32))] {
        assert_eq!(found("sip:x@a.example;svpn-nni=a-b", wrong), Err(400), "{wrong}");
    }
    let header = SessionId::new().header();
    assert_eq!(header.to_string().len(), "Session-ID: ".len() + 32 + ";remote=".len() + 32);
}
