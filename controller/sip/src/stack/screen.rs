//! The first look at a datagram, before it is parsed: what is no SIP request gets its 4xx or 5xx here, or nothing if it cannot be answered.
//!
//! The answers are stateless (RFC 3261 section 8.2.7): Via, From, To, Call-ID and `CSeq` are copied as they came and nothing is remembered, so
//! that garbage costs no memory.

use std::fmt::Write as _;

use rsipstack::sip::{Method, Scheme, Uri};

/// What the server serves, as in `Allow`.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, UPDATE, REGISTER, OPTIONS";

/// More header lines than this is nobody's honest message.
const MAX_HEADER_LINES: usize = 256;

/// The verdict on a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Screened {
    /// Worth parsing.
    Pass,
    /// Neither a request nor a response, or not answerable.
    Drop,
    /// Answer this and forget it.
    Answer(Vec<u8>),
}

/// Why a request is not worth parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    NotText,
    NoEmptyLine,
    RequestLine,
    RequestUri,
    HeaderLine,
    TooManyHeaders,
    ContentLength,
    BodyCutShort,
    Scheme,
    Method,
    Version,
}

impl Fault {
    const fn status(self) -> (u16, &'static str) {
        match self {
            Self::Scheme => (416, "Unsupported URI Scheme"),
            Self::Method => (501, "Not Implemented"),
            Self::Version => (505, "Version Not Supported"),
            _ => (400, "Bad Request"),
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::NotText => "the message before its body is not UTF-8 text",
            Self::NoEmptyLine => "no empty line ends the header fields",
            Self::RequestLine => "the request line is not `METHOD sip:user@host SIP/2.0`",
            Self::RequestUri => "the Request-URI is malformed",
            Self::HeaderLine => "a header line is not `Name: value`",
            Self::TooManyHeaders => "too many header fields",
            Self::ContentLength => "Content-Length is no number",
            Self::BodyCutShort => "Content-Length says more than the datagram holds",
            Self::Scheme => "only sip: addresses are served here",
            Self::Method => "this method is not served here, see Allow",
            Self::Version => "only SIP/2.0 is served here",
        }
    }
}

/// Judges one datagram.
pub(super) fn screen(datagram: &[u8]) -> Screened {
    if datagram.iter().all(u8::is_ascii_whitespace) || datagram.starts_with(b"SIP/") {
        // Keep-alives and responses: the library absorbs or matches them.
        return Screened::Pass;
    }
    match check(datagram) {
        Ok(()) => Screened::Pass,
        Err(fault) => answer(datagram, fault).map_or(Screened::Drop, Screened::Answer),
    }
}

fn check(datagram: &[u8]) -> Result<(), Fault> {
    let end = datagram.windows(4).position(|window| window == b"\r\n\r\n").ok_or(Fault::NoEmptyLine)?;
    let head = std::str::from_utf8(&datagram[..end]).map_err(|_| Fault::NotText)?;
    let mut lines = head.split("\r\n");
    check_request_line(lines.next().unwrap_or_default())?;
    let mut content_length = None;
    for (index, line) in lines.enumerate() {
        if index >= MAX_HEADER_LINES {
            return Err(Fault::TooManyHeaders);
        }
        if line.starts_with([' ', '\t']) && index > 0 {
            continue;
        }
        let (name, value) = header(line).ok_or(Fault::HeaderLine)?;
        if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l") {
            content_length = Some(value.parse::<usize>().map_err(|_| Fault::ContentLength)?);
        }
    }
    if content_length.is_some_and(|length| length > datagram.len() - end - 4) {
        return Err(Fault::BodyCutShort);
    }
    Ok(())
}

fn check_request_line(line: &str) -> Result<(), Fault> {
    let mut parts = line.split(' ');
    let (Some(method), Some(uri), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::RequestLine);
    };
    if !is_token(method) || !version.starts_with("SIP/") {
        return Err(Fault::RequestLine);
    }
    if version != "SIP/2.0" {
        return Err(Fault::Version);
    }
    // The library reads methods without regard to case, which RFC 3261 section 7.1 has.
    if method.parse::<Method>().map_or(true, |known| known.to_string() != method) {
        return Err(Fault::Method);
    }
    if uri.contains(['<', '>', '"', '\t']) {
        return Err(Fault::RequestUri);
    }
    match Uri::try_from(uri).map_err(|_| Fault::RequestUri)?.scheme {
        Some(Scheme::Sip) => Ok(()),
        Some(Scheme::Sips | Scheme::Other(_)) => Err(Fault::Scheme),
        None => Err(Fault::RequestUri),
    }
}

/// A header line's name and value.
fn header(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end_matches([' ', '\t']);
    is_token(name).then(|| (name, value.trim()))
}

/// `token` of RFC 3261 section 25.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// The answer to a malformed request, if it says enough to be answered and is no ACK.
fn answer(datagram: &[u8], fault: Fault) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(datagram);
    let head = text.split("\r\n\r\n").next()?;
    let mut lines = head.split("\r\n");
    if lines.next()?.split(' ').next()?.eq_ignore_ascii_case("ACK") {
        return None;
    }
    let (code, phrase) = fault.status();
    let mut answer = format!("SIP/2.0 {code} {phrase}\r\n");
    let mut seen = [false; 5];
    let mut copying = false;
    for line in lines.take(MAX_HEADER_LINES) {
        if line.starts_with([' ', '\t']) {
            if copying {
                write!(answer, "{line}\r\n").ok()?;
            }
            continue;
        }
        let which = header(line).and_then(|(name, _)| copied(name));
        copying = which.is_some_and(|which| which == 0 || !seen[which]);
        if let (true, Some(which)) = (copying, which) {
            seen[which] = true;
            write!(answer, "{line}\r\n").ok()?;
        }
    }
    if seen != [true; 5] {
        return None;
    }
    write!(answer, "Warning: 399 svpn-gateway \"{}\"\r\nAllow: {ALLOW}\r\nContent-Length: 0\r\n\r\n", fault.reason()).ok()?;
    Some(answer.into_bytes())
}

/// Which of the header fields that an answer copies this is.
fn copied(name: &str) -> Option<usize> {
    const COPIED: [[&str; 2]; 5] = [["via", "v"], ["from", "f"], ["to", "t"], ["call-id", "i"], ["cseq", "cseq"]];
    COPIED.iter().position(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(line: &str, extra: &str) -> Vec<u8> {
        format!(
            "{line}\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\n\
             CSeq: 1 OPTIONS\r\n{extra}\r\n"
        )
        .into_bytes()
    }

    fn status(datagram: &[u8]) -> Option<u16> {
        match screen(datagram) {
            Screened::Pass | Screened::Drop => None,
            Screened::Answer(answer) => String::from_utf8(answer).ok()?.split(' ').nth(1)?.parse().ok(),
        }
    }

    #[test]
    fn a_sound_request_passes() {
        let datagram = request("OPTIONS sip:a@b SIP/2.0", "Subject: folded\r\n  line\r\nContent-Length: 0\r\n");
        assert_eq!(screen(&datagram), Screened::Pass);
    }

    #[test]
    fn each_fault_has_its_status() {
        for (line, extra, expected) in [
            ("OPTIONS sip:a@b SIP/7.0", "", 505),
            ("FOO sip:a@b SIP/2.0", "", 501),
            ("options sip:a@b SIP/2.0", "", 501),
            ("OPTIONS tel:+1 SIP/2.0", "", 416),
            ("OPTIONS sips:a@b SIP/2.0", "", 416),
            ("OPTIONS <sip:a@b> SIP/2.0", "", 400),
            ("OPTIONS sip:a@b; SIP/2.0 x", "", 400),
            ("OPTIONS sip:a@b", "", 400),
            ("OPTIONS sip:a@b SIP/2.0", "no colon\r\n", 400),
            ("OPTIONS sip:a@b SIP/2.0", "Content-Length: -1\r\n", 400),
            ("OPTIONS sip:a@b SIP/2.0", "Content-Length: 9\r\n", 400),
        ] {
            assert_eq!(status(&request(line, extra)), Some(expected), "{line} {extra}");
        }
    }

    #[test]
    fn an_answer_copies_what_matches_it_to_its_request() {
        let Screened::Answer(answer) = screen(&request("FOO sip:a@b SIP/2.0", "")) else {
            panic!("no answer");
        };
        let answer = String::from_utf8(answer).unwrap();
        for line in ["Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1", "Call-ID: x", "CSeq: 1 OPTIONS", "From: <sip:a@b>;tag=1"] {
            assert!(answer.lines().any(|copied| copied == line), "{line} is missing in {answer}");
        }
    }

    #[test]
    fn neither_an_ack_nor_a_request_without_a_way_back_is_answered() {
        assert_eq!(screen(&request("ACK sip:a@b SIP/9.0", "")), Screened::Drop);
        assert_eq!(screen(b"OPTIONS sip:a@b SIP/9.0\r\n\r\n"), Screened::Drop);
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = screen(&bytes);
        }

        #[test]
        fn a_damaged_request_never_gets_a_malformed_answer(position in 0usize..160, byte in any::<u8>()) {
            let mut datagram = request("OPTIONS sip:a@b SIP/2.0", "Content-Length: 0\r\n");
            let position = position % datagram.len();
            datagram[position] = byte;
            if let Screened::Answer(answer) = screen(&datagram) {
                prop_assert!(answer.starts_with(b"SIP/2.0 "));
                prop_assert!(answer.ends_with(b"Content-Length: 0\r\n\r\n"));
            }
        }
    }
}
