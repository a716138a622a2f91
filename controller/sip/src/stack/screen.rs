//! The first look at a message: what is wrong gets its 4xx or 5xx here, or nothing if it cannot be answered.
//!
//! The answers are stateless (RFC 3261 section 8.2.7): Via, From, To, Call-ID and `CSeq` are copied as they came and nothing is remembered, so
//! that garbage costs no memory.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use fail::fail_point;
use rsipstack::sip::SipMessage;

use super::head::{long, split};
use super::validate::{Carriage, Fault, validate};

/// What the server serves, as in `Allow`.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, UPDATE, PRACK, REGISTER, OPTIONS";

/// No more lines of a malformed message than this are looked at for what to copy.
const MAX_COPIED_FROM: usize = 256;

/// An answer to a malformed message is at most so many times as long as the message: it may go to somebody else than who sent that.
const MAX_AMPLIFICATION: usize = 3;

/// The verdict on a message.
#[derive(Debug, PartialEq)]
pub(super) enum Screened {
    /// Sound.
    Pass(Box<SipMessage>),
    /// Neither a request nor a response, or not answerable.
    Drop,
    /// Answer this and forget it.
    Answer(Vec<u8>),
}

/// Judges one message.
pub(super) fn screen(message: &[u8], carriage: Carriage, from: SocketAddr) -> Screened {
    fail_point!("signalling: after a message");
    // RFC 3261 section 7.5: empty lines before a message are nothing.
    let begin = message.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(message.len());
    let message = &message[begin..];
    if message.is_empty() {
        return Screened::Drop;
    }
    match validate(message, carriage, from) {
        Ok(message) => Screened::Pass(Box::new(message)),
        Err(fault) => {
            tracing::debug!(%fault, "malformed message");
            answer(message, fault).map_or(Screened::Drop, Screened::Answer)
        }
    }
}

/// The answer to a malformed request, if it says enough to be answered and is no ACK.
fn answer(message: &[u8], fault: Fault) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(message);
    let head = text.split("\r\n\r\n").next()?;
    let mut lines = head.split("\r\n");
    let method = lines.next()?.split(' ').next()?;
    if method.eq_ignore_ascii_case("ACK") || method.starts_with("SIP/") {
        return None;
    }
    let (code, phrase) = fault.status();
    let mut answer = format!("SIP/2.0 {code} {phrase}\r\n");
    let mut seen = [false; COPIED.len()];
    let mut hasher = DefaultHasher::new();
    for (name, value) in fields(lines) {
        let Some(which) = COPIED.iter().position(|copied| copied.eq_ignore_ascii_case(name)) else {
            continue;
        };
        // Of what may be there once, the first.
        if std::mem::replace(&mut seen[which], true) && which != VIA {
            continue;
        }
        value.hash(&mut hasher);
        let has_tag = value.contains("tag") || which != TO;
        let tag = if has_tag { String::new() } else { format!(";tag={:x}", hasher.finish()) };
        write!(answer, "{}: {value}{tag}\r\n", COPIED[which]).ok()?;
    }
    if !seen[VIA] || !seen[CSEQ] {
        return None;
    }
    let allow = if matches!(fault, Fault::Method) { format!("Allow: {ALLOW}\r\n") } else { String::new() };
    let most = MAX_AMPLIFICATION * message.len();
    // The reason goes first where there is no room for it.
    let warning = format!("{allow}Warning: 399 svpn-gateway \"{fault}\"\r\n");
    let end = "Content-Length: 0\r\n\r\n";
    if answer.len() + warning.len() + end.len() <= most {
        answer += &warning;
    }
    answer += end;
    (answer.len() <= most).then(|| answer.into_bytes())
}

/// The header fields that an answer copies.
const COPIED: [&str; 5] = ["Via", "CSeq", "From", "To", "Call-ID"];
const VIA: usize = 0;
const CSEQ: usize = 1;
const TO: usize = 3;

/// The header fields of a message that need not be one.
fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(&'a str, String)> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    let mut unread = false;
    for line in lines.take(MAX_COPIED_FROM) {
        let printable = |text: &str| text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect::<String>();
        if line.starts_with([' ', '\t']) {
            if let (Some((_, value)), false) = (fields.last_mut(), unread) {
                value.push(' ');
                value.push_str(printable(line).trim());
            }
        } else {
            let read = split(line);
            unread = read.is_none();
            fields.extend(read.map(|(name, value)| (long(name), printable(value))));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    fn request(line: &str, extra: &str) -> Vec<u8> {
        format!(
            "{line}\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\n\
             CSeq: 1 OPTIONS\r\n{extra}\r\n"
        )
        .into_bytes()
    }

    fn answered(message: &[u8]) -> Option<String> {
        match screen(message, Carriage::Datagram, FROM) {
            Screened::Pass(_) | Screened::Drop => None,
            Screened::Answer(answer) => String::from_utf8(answer).ok(),
        }
    }

    #[test]
    fn a_sound_request_passes() {
        let datagram = request("OPTIONS sip:a@b SIP/2.0", "Subject: folded\r\n  line\r\nContent-Length: 0\r\n");
        assert!(matches!(screen(&datagram, Carriage::Datagram, FROM), Screened::Pass(_)));
        let after_empty_lines = [b"\r\n\r\n".as_slice(), &datagram].concat();
        assert!(matches!(screen(&after_empty_lines, Carriage::Datagram, FROM), Screened::Pass(_)));
        assert_eq!(screen(b"\r\n\r\n", Carriage::Datagram, FROM), Screened::Drop);
    }

    #[test]
    fn an_answer_copies_what_matches_it_to_its_request() {
        let answer = answered(&request("OPTIONS tel:+1 SIP/2.0", "v: SIP/2.0/TCP c\r\n ;d\r\n")).unwrap();
        for line in [
            "SIP/2.0 416 Unsupported URI Scheme",
            "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1",
            "Via: SIP/2.0/TCP c ;d",
            "Call-ID: x",
            "CSeq: 1 OPTIONS",
            "From: <sip:a@b>;tag=1",
        ] {
            assert!(answer.lines().any(|copied| copied == line), "{line} is missing in {answer}");
        }
        let to = answer.lines().find(|line| line.starts_with("To: <sip:a@b>;tag=")).map(str::to_owned);
        assert!(to.is_some(), "{answer}");
        assert_eq!(
            answered(&request("OPTIONS tel:+1 SIP/2.0", "v: SIP/2.0/TCP c\r\n ;d\r\n")),
            Some(answer),
            "a repetition has the same tag"
        );
    }

    #[test]
    fn what_cannot_be_answered_is_dropped() {
        assert_eq!(screen(&request("ACK sip:a@b SIP/9.0", ""), Carriage::Datagram, FROM), Screened::Drop);
        assert_eq!(screen(&request("SIP/2.0 99 x", ""), Carriage::Datagram, FROM), Screened::Drop);
        assert_eq!(screen(b"OPTIONS sip:a@b SIP/9.0\r\n\r\n", Carriage::Datagram, FROM), Screened::Drop);
    }

    #[test]
    fn an_answer_is_not_much_longer_than_its_question() {
        let short = b"A b SIP/7.0\r\nv:x\r\nCSeq:1\r\n\r\n";
        let answer = answered(short);
        assert!(answer.as_ref().is_none_or(|answer| answer.len() <= short.len() * MAX_AMPLIFICATION), "{answer:?}");
        let longer = b"A b SIP/7.0\r\nv:xxxxxxxx\r\nCSeq:1xxxxxxxxxxxxxx\r\n\r\n";
        let answer = answered(longer).unwrap();
        assert!(answer.len() <= longer.len() * MAX_AMPLIFICATION && !answer.contains("Warning"), "{answer}");
    }

    #[test]
    fn an_answer_breaks_into_no_more_lines_than_it_has() {
        let answer = answered(&request("OPTIONS sip:a@b SIP/9.0", "v: SIP/2.0/UDP a\nX-Injected: 1\r\n")).unwrap();
        assert!(!answer.contains("\nX-Injected"), "{answer}");
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = screen(&bytes, Carriage::Datagram, FROM);
        }

        #[test]
        fn a_damaged_request_never_gets_a_malformed_answer(position in 0usize..160, byte in any::<u8>()) {
            let mut datagram = request("OPTIONS sip:a@b SIP/2.0", "Content-Length: 0\r\n");
            let position = position % datagram.len();
            datagram[position] = byte;
            if let Screened::Answer(answer) = screen(&datagram, Carriage::Datagram, FROM) {
                prop_assert!(answer.starts_with(b"SIP/2.0 "));
                prop_assert!(answer.ends_with(b"Content-Length: 0\r\n\r\n"));
                prop_assert!(answer.len() <= datagram.len() * MAX_AMPLIFICATION);
            }
        }
    }
}
