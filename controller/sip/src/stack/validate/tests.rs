use super::*;

/// Where messages come from here.
const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

const SOUND: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
                     Call-ID: x\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n";

fn check(replace: &str, with: &str) -> Result<SipMessage, Fault> {
    assert!(SOUND.contains(replace), "{replace}");
    validate(SOUND.replacen(replace, with, 1).as_bytes(), Carriage::Datagram, FROM)
}

#[test]
fn a_sound_message_is_let_through() {
    assert_eq!(
        check("", "").unwrap().to_string(),
        SOUND.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n").replace("z9hG4bK1", "z9hG4bK1;received=127.0.0.1;rport=9")
    );
    let response = "SIP/2.0 180 Ringing";
    assert!(check("OPTIONS sip:a@b SIP/2.0", response).is_ok());
    assert!(check("OPTIONS sip:a@b SIP/2.0", "SIP/2.0 100 ").is_ok());
}

#[test]
fn each_wrong_header_field_is_named() {
    for (replace, with, expected) in [
        ("sip:a@b SIP/2.0", "sip:a@b SIP/7.0", Fault::Version),
        ("OPTIONS sip", "FOO sip", Fault::OtherMethod),
        ("sip:a@b SIP", "tel:+1 SIP", Fault::Scheme),
        ("sip:a@b SIP", "sips:a@b SIP", Fault::Scheme),
        ("sip:a@b SIP", "<sip:a@b> SIP", Fault::RequestUri),
        ("sip:a@b SIP", "sip:a@b?c=d SIP", Fault::RequestUri),
        ("sip:a@b SIP", "sip:a@b  SIP", Fault::RequestLine),
        ("SIP/2.0\r\nVia", "SIP/2.0 \r\nVia", Fault::RequestLine),
        ("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\n", "", Fault::Missing("Via")),
        ("127.0.0.1:9", "127.0.0.1:99999", Fault::Malformed("Via")),
        (";tag=1", "", Fault::NoTag),
        (";tag=1", ";tag=\"x\"", Fault::Malformed("From")),
        ("To: <sip:a@b>", "To: <sip:a@b>;tag", Fault::Malformed("To")),
        ("To: <sip:a@b>\r\n", "", Fault::Missing("To")),
        ("Call-ID: x\r\n", "", Fault::Missing("Call-ID")),
        ("Call-ID: x", "Call-ID: x y", Fault::Malformed("Call-ID")),
        ("Call-ID: x\r\n", "Call-ID: x\r\ni: y\r\n", Fault::Repeated("Call-ID")),
        ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE", Fault::OtherMethod),
        ("CSeq: 1 ", "CSeq: 36893488147419103232 ", Fault::Malformed("CSeq")),
        ("CSeq: 1 ", "CSeq: 2147483648 ", Fault::Malformed("CSeq")),
        ("CSeq: 1 ", "CSeq: +1 ", Fault::Malformed("CSeq")),
        ("Max-Forwards: 70", "Max-Forwards: 300", Fault::Malformed("Max-Forwards")),
        ("Max-Forwards: 70", "Content-Length: -1", Fault::ContentLength),
        ("Max-Forwards: 70", "Content-Length: 9", Fault::BodyCutShort),
        ("Max-Forwards: 70", "Content-Length: 0\r\nl: 0", Fault::Repeated("Content-Length")),
        ("Max-Forwards: 70", "Contact: <sip:a@b>, x", Fault::Malformed("Contact")),
        ("Max-Forwards: 70", "Route: sip:a@b", Fault::Malformed("Route")),
        ("Max-Forwards: 70", "Record-Route: <tel:+1>", Fault::Malformed("Record-Route")),
        ("Max-Forwards: 70", "Expires: soon", Fault::Malformed("Expires")),
        ("Max-Forwards: 70", "Date: today", Fault::Malformed("Date")),
        ("Max-Forwards: 70", "c: sdp", Fault::Malformed("Content-Type")),
        ("OPTIONS sip:a@b SIP/2.0", "SIP/2.0 4294967301 x", Fault::StatusLine),
        ("OPTIONS sip:a@b SIP/2.0", "SIP/2.0 700 x", Fault::StatusLine),
    ] {
        assert_eq!(check(replace, with).err(), Some(expected), "{with}");
    }
}

#[test]
fn what_is_well_formed_but_not_served_is_said_last() {
    let unknown = SOUND.replace("OPTIONS", "FOO");
    assert_eq!(canonical(unknown.as_bytes(), Carriage::Datagram, FROM), Err(Fault::Method));
    let lower = SOUND.replace("OPTIONS", "options");
    assert_eq!(canonical(lower.as_bytes(), Carriage::Datagram, FROM), Err(Fault::Method));
}

#[test]
fn lists_are_bounded() {
    let contacts = "Contact: <sip:a@b>\r\n".repeat(MAX_ADDRESSES + 1) + "Max-Forwards: 70";
    assert_eq!(check("Max-Forwards: 70", &contacts).err(), Some(Fault::TooManyHeaders));
    let vias = format!("Via: {}SIP/2.0/UDP b\r\nMax-Forwards: 70", "SIP/2.0/UDP a, ".repeat(MAX_VIAS));
    assert_eq!(check("Max-Forwards: 70", &vias).err(), Some(Fault::TooManyHeaders));
    assert_eq!(check(";tag=1", &format!(";tag={}", "1".repeat(MAX_IDENTIFIER + 1))).err(), Some(Fault::Malformed("From")));
}

/// Those of `SOUND`, and the Content-Length that is written.
const LINES: usize = 7;

#[test]
fn what_is_written_keeps_to_the_bounds_of_what_is_read() {
    let with = |fields: &str| check("Max-Forwards: 70\r\n", &format!("Max-Forwards: 70\r\n{fields}"));
    let read_again = |message: &SipMessage| validate(message.to_string().as_bytes(), Carriage::Stream, FROM);
    let most = with(&"E: x\r\n".repeat(MAX_HEADER_LINES - LINES)).unwrap();
    assert_eq!(read_again(&most), Ok(most));
    assert_eq!(with(&"E: x\r\n".repeat(MAX_HEADER_LINES - LINES + 1)), Err(Fault::TooManyHeaders));
    // A list is written a line for each of its elements.
    let list = format!("Contact: {}<sip:a@b>\r\n", "<sip:a@b>,".repeat(MAX_ADDRESSES - 1));
    let others = MAX_HEADER_LINES - LINES - MAX_ADDRESSES;
    let most = with(&(list.clone() + &"E: x\r\n".repeat(others))).unwrap();
    assert_eq!(read_again(&most), Ok(most));
    assert_eq!(with(&(list + &"E: x\r\n".repeat(others + 1))), Err(Fault::TooManyHeaders));
}

#[test]
fn over_a_stream_content_length_must_be_there() {
    assert_eq!(canonical(SOUND.as_bytes(), Carriage::Stream, FROM), Err(Fault::ContentLength));
}

#[test]
fn over_a_web_socket_content_length_may_be_left_out_and_is_right_if_not() {
    let with = |length: &str| canonical(SOUND.replace("\r\n\r\n", &format!("\r\n{length}\r\nhello")).as_bytes(), Carriage::WebSocket, FROM);
    let read = with("Content-Length: 5\r\n").unwrap();
    assert!(read.ends_with(b"\r\nContent-Length: 5\r\n\r\nhello"));
    assert_eq!(with(""), Ok(read));
    assert_eq!(with("Content-Length: 4\r\n"), Err(Fault::BodyTooLong));
    assert_eq!(with("Content-Length: 6\r\n"), Err(Fault::BodyCutShort));
}

#[test]
fn a_response_that_went_by_somebody_else_is_none_of_ours() {
    let response =
        SOUND.replace("OPTIONS sip:a@b SIP/2.0", "SIP/2.0 200 OK").replace("Max-Forwards: 70", "Via: SIP/2.0/UDP 255.255.255.255");
    assert_eq!(canonical(response.as_bytes(), Carriage::Datagram, FROM), Err(Fault::SeveralVias));
}

#[test]
fn a_body_without_length_is_the_rest_of_the_datagram() {
    let with_body = SOUND.to_owned() + "hello";
    let SipMessage::Request(request) = validate(with_body.as_bytes(), Carriage::Datagram, FROM).unwrap() else {
        panic!("no request");
    };
    assert_eq!(request.body, b"hello");
}
