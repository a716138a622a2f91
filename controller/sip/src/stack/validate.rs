//! What a message must be before the library sees it: each header field that anybody here or in the library reads is held against the grammar,
//! and written again in the form the library reads right.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::escapes::unescaped;
use rsipstack::sip::{Method, SipMessage};

use super::grammar::{self, Hop, UriScheme, address, elements, is_call_id, is_date, is_token, media_type};
use super::head::{Field, Head, MAX_HEADER_LINES, MAX_VALUE};

/// More hops than this nobody has behind him.
const MAX_VIAS: usize = 100;
/// More addresses in one kind of header field than this nobody means.
const MAX_ADDRESSES: usize = 32;
/// Honest tags and Call-IDs are shorter.
const MAX_IDENTIFIER: usize = 256;

/// What the message came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carriage {
    /// A datagram, which ends where it ends.
    Datagram,
    /// A stream, cut by Content-Length.
    Stream,
    /// A message of a WebSocket, which is one of SIP's from its beginning to its end (RFC 7118 section 5.2).
    WebSocket,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the message before its body is not UTF-8 text")]
    NotText,
    #[error("no empty line ends the header fields")]
    NoEmptyLine,
    #[error("the request line is not `METHOD sip:user@host SIP/2.0`")]
    RequestLine,
    #[error("the status line is not `SIP/2.0 code reason`")]
    StatusLine,
    #[error("the Request-URI is malformed")]
    RequestUri,
    #[error("a header line is not `Name: value`")]
    HeaderLine,
    #[error("too many header fields")]
    TooManyHeaders,
    #[error("a header field is too long")]
    TooLong,
    #[error("Content-Length is no number, or missing where the message needs one")]
    ContentLength,
    #[error("Content-Length says more than there is")]
    BodyCutShort,
    #[error("Content-Length says less than there is: one SIP message is sent in each WebSocket message")]
    BodyTooLong,
    #[error("only sip: addresses are served here; sips: promises encryption on every way, which a gateway in between cannot promise")]
    Scheme,
    #[error("this method is not served here, see Allow")]
    Method,
    #[error("only SIP/2.0 is served here")]
    Version,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is malformed")]
    Malformed(&'static str),
    #[error("{0} occurs more than once")]
    Repeated(&'static str),
    #[error("From has no tag")]
    NoTag,
    #[error("CSeq names another method")]
    OtherMethod,
    #[error("the response has gone by somebody else")]
    SeveralVias,
    #[error("the SIP library cannot read the message")]
    Library,
}

impl Fault {
    /// Status code and phrase of the answer.
    pub(super) const fn status(self) -> (u16, &'static str) {
        match self {
            Self::Scheme => (416, "Unsupported URI Scheme"),
            Self::Method => (501, "Not Implemented"),
            Self::Version => (505, "Version Not Supported"),
            _ => (400, "Bad Request"),
        }
    }
}

/// Header fields of which there is one at most.
const SINGLES: [&str; 10] =
    ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type", "Expires", "Date", "Session-Expires"];

/// Those without which a message is none.
const REQUIRED: [&str; 5] = ["Via", "From", "To", "Call-ID", "CSeq"];

/// Holds a message from there against the grammar, and returns it as the library reads it.
pub(super) fn validate(message: &[u8], carriage: Carriage, from: SocketAddr) -> Result<SipMessage, Fault> {
    let canonical = canonical(message, carriage, from)?;
    let mut message = SipMessage::try_from(canonical.as_slice()).map_err(|_| Fault::Library)?;
    if let SipMessage::Request(request) = &mut message {
        request.uri = unescaped(std::mem::take(&mut request.uri));
    }
    Ok(message)
}

/// The message as it is to be read.
pub(super) fn canonical(message: &[u8], carriage: Carriage, from: SocketAddr) -> Result<Vec<u8>, Fault> {
    let (first, rest) = message.split_at(message.windows(2).position(|window| window == b"\r\n").unwrap_or(message.len()));
    // The version first: what another one means by the rest is not known here.
    let is_response = first.starts_with(b"SIP/");
    let first = std::str::from_utf8(first).map_err(|_| if rest.is_empty() { Fault::NoEmptyLine } else { Fault::NotText })?;
    let line = if is_response { status_line(first)? } else { request_line(first)? };
    let head = Head::read(message)?;
    let mut writer = Writer {
        text: line.text + "\r\n",
        method: line.method,
        topmost: if is_response { Hop::Own } else { Hop::Sender(from) },
        counts: [0; COUNTED.len()],
        // Content-Length is always written.
        lines: 1,
    };
    for (at, field) in head.fields.iter().enumerate() {
        let single = SINGLES.iter().find(|name| name.eq_ignore_ascii_case(field.name));
        if let Some(name) = single
            && head.fields[..at].iter().any(|before| before.name.eq_ignore_ascii_case(field.name))
        {
            return Err(Fault::Repeated(name));
        }
        writer.field(field)?;
    }
    if let Some(missing) = REQUIRED.iter().find(|name| head.field(name).is_none()) {
        return Err(Fault::Missing(missing));
    }
    if is_response && writer.counts[0] > 1 {
        return Err(Fault::SeveralVias);
    }
    let body = body(&head, carriage)?;
    if let Some(fault) = line.fault {
        return Err(fault);
    }
    // Writing to a String cannot fail.
    let _ = write!(writer.text, "Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = writer.text.into_bytes();
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// The first line.
struct Line<'a> {
    text: String,
    /// What `CSeq` has to name; `None` in a response.
    method: Option<&'a str>,
    /// What is wrong with it though it is well-formed: to be said if nothing else is wrong.
    fault: Option<Fault>,
}

fn status_line(line: &str) -> Result<Line<'_>, Fault> {
    let mut parts = line.splitn(3, ' ');
    let (version, code, reason) = (parts.next(), parts.next(), parts.next());
    let sound =
        |code: &&str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()) && (b'1'..=b'6').contains(&code.as_bytes()[0]);
    match (version, code.filter(sound), reason) {
        (Some("SIP/2.0"), Some(code), Some(_)) => Ok(Line { text: format!("SIP/2.0 {code} "), method: None, fault: None }),
        _ => Err(Fault::StatusLine),
    }
}

fn request_line(line: &str) -> Result<Line<'_>, Fault> {
    let mut parts = line.split(' ');
    let (Some(method), Some(uri), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::RequestLine);
    };
    if !is_token(method) || !version.starts_with("SIP/") {
        return Err(Fault::RequestLine);
    }
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Fault::Version);
    }
    let uri = grammar::uri(uri).filter(|uri| !uri.headers).ok_or(Fault::RequestUri)?;
    // The library reads methods without regard to case, which RFC 3261 section 7.1 has.
    let known = method.parse::<Method>().is_ok_and(|known| known.to_string() == method);
    let served = uri.scheme == UriScheme::Sip;
    let fault = if !known {
        Some(Fault::Method)
    } else if !served {
        Some(Fault::Scheme)
    } else {
        None
    };
    Ok(Line { text: format!("{method} {} SIP/2.0", uri.canonical), method: Some(method), fault })
}

fn body<'a>(head: &Head<'a>, carriage: Carriage) -> Result<&'a [u8], Fault> {
    let Some(length) = head.field("Content-Length") else {
        // RFC 3261 section 20.14: over a stream it must be there.
        return if carriage == Carriage::Stream { Err(Fault::ContentLength) } else { Ok(head.body) };
    };
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: usize = digits.then(|| length.parse().ok()).flatten().ok_or(Fault::ContentLength)?;
    if carriage == Carriage::WebSocket && length < head.body.len() {
        return Err(Fault::BodyTooLong);
    }
    head.body.get(..length).ok_or(Fault::BodyCutShort)
}

/// Header fields whose elements are counted over all lines.
const COUNTED: [(&str, usize); 4] =
    [("Via", MAX_VIAS), ("Contact", MAX_ADDRESSES), ("Route", MAX_ADDRESSES), ("Record-Route", MAX_ADDRESSES)];

/// Writes header fields again.
struct Writer<'a> {
    text: String,
    method: Option<&'a str>,
    topmost: Hop,
    counts: [usize; COUNTED.len()],
    lines: usize,
}

impl Writer<'_> {
    /// What is written keeps to the bounds of what is read, though a list becomes many lines and a form may be longer than another.
    fn line(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        self.lines += 1;
        if self.lines > MAX_HEADER_LINES {
            return Err(Fault::TooManyHeaders);
        }
        if value.len() > MAX_VALUE {
            return Err(Fault::TooLong);
        }
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{name}: {value}\r\n");
        Ok(())
    }

    fn field(&mut self, Field { name, value }: &Field<'_>) -> Result<(), Fault> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if let Some((which, (name, most))) = COUNTED.iter().enumerate().find(|(_, (known, _))| is(known)) {
            return self.list(which, name, *most, value);
        }
        let written = match () {
            () if is("From") => Some(self.end("From", value)?),
            () if is("To") => Some(self.end("To", value)?),
            () if is("Call-ID") => sound(is_call_id(value) && value.len() <= MAX_IDENTIFIER, value, "Call-ID")?,
            () if is("CSeq") => Some(self.sequence(value)?),
            () if is("Max-Forwards") => Some(number(value, 255).ok_or(Fault::Malformed("Max-Forwards"))?.to_string()),
            () if is("Expires") => Some(saturated(value).ok_or(Fault::Malformed("Expires"))?.to_string()),
            () if is("Date") => sound(is_date(value), value, "Date")?,
            () if is("Content-Type") => sound(media_type(value).is_some(), value, "Content-Type")?,
            // Written last, with what it is.
            () if is("Content-Length") => None,
            () => Some(value.clone()),
        };
        written.map_or(Ok(()), |written| self.line(name, &written))
    }

    /// A list of Vias or addresses, one line each.
    fn list(&mut self, which: usize, name: &'static str, most: usize, value: &str) -> Result<(), Fault> {
        let malformed = Fault::Malformed(name);
        for element in elements(value).ok_or(malformed)? {
            self.counts[which] += 1;
            if self.counts[which] > most {
                return Err(Fault::TooManyHeaders);
            }
            let written = match name {
                "Via" => grammar::via(element, if self.counts[which] == 1 { self.topmost } else { Hop::Further }),
                "Contact" if element == "*" => Some("*".to_owned()),
                "Contact" => address(element).map(|address| address.canonical()),
                _ => address(element)
                    .filter(|address| address.bracketed && address.uri.scheme != UriScheme::Other)
                    .map(|route| route.canonical()),
            };
            self.line(name, &written.ok_or(malformed)?)?;
        }
        Ok(())
    }

    /// From or To.
    fn end(&self, name: &'static str, value: &str) -> Result<String, Fault> {
        let address = address(value).ok_or(Fault::Malformed(name))?;
        let tag = address.parameter("tag");
        match tag {
            None if name == "From" => return Err(Fault::NoTag),
            None => {}
            Some((_, Some(tag))) if is_token(tag) && tag.len() <= MAX_IDENTIFIER => {}
            Some(_) => return Err(Fault::Malformed(name)),
        }
        // RFC 3261 section 10.3: who registers is a sip: address.
        if self.method == Some("REGISTER") && address.uri.scheme == UriScheme::Other {
            return Err(Fault::Malformed(name));
        }
        Ok(address.canonical())
    }

    fn sequence(&self, value: &str) -> Result<String, Fault> {
        let malformed = Fault::Malformed("CSeq");
        let mut parts = value.split_ascii_whitespace();
        let (Some(sequence), Some(method), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed);
        };
        let sequence = number(sequence, (1 << 31) - 1).filter(|_| is_token(method)).ok_or(malformed)?;
        match self.method {
            Some(expected) if expected != method => Err(Fault::OtherMethod),
            None if method.parse::<Method>().is_err() => Err(malformed),
            _ => Ok(format!("{sequence} {method}")),
        }
    }
}

fn sound(is_sound: bool, value: &str, name: &'static str) -> Result<Option<String>, Fault> {
    if is_sound { Ok(Some(value.to_owned())) } else { Err(Fault::Malformed(name)) }
}

/// A number of digits, up to `most`.
fn number(text: &str, most: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| *number <= most)
}

/// A number of seconds; one that is too great is the greatest (RFC 4475 section 3.1.2.4 lets it be).
pub(super) fn saturated(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
