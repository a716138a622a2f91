//! `SIP-URI`, `SIPS-URI` and other schemes (RFC 3261 sections 19.1 and 25.1).

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;
use rsipstack::sip::{self, Transport};

/// An honest address is shorter.
const MAX_URI: usize = 1024;

/// An honest user part is shorter.
const MAX_USER: usize = 256;

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stack) enum UriScheme {
    Sip,
    Sips,
    /// Anything else, of which only the form is known.
    Other,
}

/// A well-formed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stack) struct Uri {
    pub(in crate::stack) scheme: UriScheme,
    /// As the library reads it right: `;` and `?` of the user part are escaped, and header fields are left out.
    pub(in crate::stack) canonical: String,
    /// Whether it had header fields (`?name=value`), which a Request-URI may not have.
    pub(in crate::stack) headers: bool,
}

/// Reads an address; nothing around it.
pub(in crate::stack) fn uri(text: &str) -> Option<Uri> {
    if text.len() > MAX_URI {
        return None;
    }
    let (scheme, rest) = text.split_once(':')?;
    let kind = match scheme {
        _ if scheme.eq_ignore_ascii_case("sip") => UriScheme::Sip,
        _ if scheme.eq_ignore_ascii_case("sips") => UriScheme::Sips,
        _ => return other(scheme, rest, text),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let (rest, headers) = match rest.split_once('?') {
        Some((rest, headers)) => (rest, Some(headers)),
        None => (rest, None),
    };
    let (place, parameters) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
    let mut canonical = scheme.to_ascii_lowercase() + ":";
    if let Some(user) = user {
        write_user(&mut canonical, user)?;
    }
    canonical.push_str(&host_port(place)?);
    for parameter in parameters.split(';').skip(1) {
        write_parameter(&mut canonical, parameter)?;
    }
    let header = |text: &str| {
        let (name, value) = text.split_once('=')?;
        (!name.is_empty() && is_made_of(name, b"[]/?:+$") && is_made_of(value, b"[]/?:+$")).then_some(())
    };
    if let Some(headers) = headers {
        headers.split('&').map(header).collect::<Option<()>>()?;
    }
    (canonical.len() <= MAX_URI).then_some(Uri { scheme: kind, canonical, headers: headers.is_some() })
}

fn other(scheme: &str, rest: &str, text: &str) -> Option<Uri> {
    let named = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let sound = named && !rest.is_empty() && is_made_of(rest, b";/?:@&=+$,");
    // The library looks for a host behind `@` whatever the scheme.
    let readable = sound && sip::Uri::try_from(text).is_ok();
    readable.then(|| Uri { scheme: UriScheme::Other, canonical: text.to_owned(), headers: false })
}

/// `unreserved`, `escaped`, and these.
fn is_made_of(text: &str, also: &[u8]) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes.len() > at + 2 && bytes[at + 1].is_ascii_hexdigit() && bytes[at + 2].is_ascii_hexdigit(),
        _ => byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(byte) || also.contains(byte),
    })
}

fn write_user(canonical: &mut String, user: &str) -> Option<()> {
    let (name, password) = match user.split_once(':') {
        Some((name, password)) => (name, Some(password)),
        None => (user, None),
    };
    let begin = canonical.len();
    if name.is_empty() || !is_made_of(name, b"&=+$,;?/") || !is_made_of(password.unwrap_or(""), b"&=+$,") {
        return None;
    }
    // RFC 3261 section 19.1.2 has UTF-8 in the user part; what is none has no meaning that could be passed on.
    let is_text = |part: &str| percent_decode_str(part).decode_utf8().is_ok();
    if !is_text(name) || !password.is_none_or(is_text) {
        return None;
    }
    for character in name.chars() {
        match character {
            ';' => canonical.push_str("%3B"),
            '?' => canonical.push_str("%3F"),
            other => canonical.push(other),
        }
    }
    if let Some(password) = password {
        write!(canonical, ":{password}").ok()?;
    }
    // As it is written: what is let through once is let through again.
    if canonical.len() - begin > MAX_USER {
        return None;
    }
    canonical.push('@');
    Some(())
}

fn write_parameter(canonical: &mut String, parameter: &str) -> Option<()> {
    let (name, value) = match parameter.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (parameter, None),
    };
    let sound = |text: &str| !text.is_empty() && is_made_of(text, b"[]/:&+$");
    if !sound(name) || value.is_some_and(|value| !sound(value)) {
        return None;
    }
    if name.eq_ignore_ascii_case("transport") {
        // What cannot be spoken cannot be answered.
        value?.parse::<Transport>().ok()?;
    }
    if name.eq_ignore_ascii_case("method") || name.eq_ignore_ascii_case("rport") {
        // Of no use here, and the library trips over values it does not know.
        return Some(());
    }
    write!(canonical, ";{parameter}").ok()
}

/// `host [ ":" port ]`, as it is to be written.
pub(super) fn host_port(text: &str) -> Option<String> {
    let (host, port) = if let Some(reference) = text.strip_prefix('[') {
        let (reference, port) = reference.split_once(']')?;
        (format!("[{}]", ipv6(reference)?), port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (is_host_name(host).then(|| host.to_owned())?, port)
    };
    if port.is_empty() {
        return Some(host);
    }
    let digits = port.strip_prefix(':')?;
    let number: u16 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (number > 0).then(|| format!("{host}:{number}"))
}

/// An IPv6 address, also with the colon too many that the grammar of RFC 3261 puts before an IPv4 address (RFC 5118 section 4.10).
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().or_else(|_| text.replacen(":::", "::", 1).parse()).ok()
}

/// A name or an IPv4 address. Names with `_` are none by the letter, but people have them.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let within = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.bytes().all(within) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sound_addresses_are_written_for_the_library() {
        for (text, canonical) in [
            ("sip:a@b", "sip:a@b"),
            ("SIPS:a:b@c.:5061;transport=TLS;lr", "sips:a:b@c.:5061;transport=TLS;lr"),
            ("sip:user;par=u%40example.net@example.com", "sip:user%3Bpar=u%40example.net@example.com"),
            ("sip:%c3%a9@b", "sip:%c3%a9@b"),
            ("sip:[2001:DB8::1]:5070", "sip:[2001:db8::1]:5070"),
            ("sip:a@[2001:db8:::192.0.2.1]", "sip:a@[2001:db8::c000:201]"),
            ("sip:a@b?Route=%3Csip:c%3E", "sip:a@b"),
            (
                "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1@e",
                "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy%3F,/%3B%3B*:&it+has=1@e",
            ),
            ("soap.beep://192.0.2.103:3002", "soap.beep://192.0.2.103:3002"),
        ] {
            assert_eq!(uri(text).map(|uri| uri.canonical), Some(canonical.to_owned()), "{text}");
        }
        assert!(uri("sip:a@b?Route=%3Csip:c%3E").unwrap().headers);
    }

    #[test]
    fn malformed_addresses_are_none() {
        for text in [
            "a@b",
            "sip:",
            "sip:@b",
            "sip:a@",
            "sip:a b@c",
            "sip:a@b c",
            "sip:2001:db8::10",
            "sip:a@b:0",
            "sip:a@b:65536",
            "sip:a@b:+5",
            "sip:a@[::1",
            "sip:a@[::g]",
            "sip:a@[::1]5060",
            "sip:%4@b",
            "sip:%zz@b",
            "sip:%80@b",
            "sip:a%c3@b",
            "sip:a:%ff@b",
            "sip:a@b;",
            "sip:a@b;=x",
            "sip:a@b; lr",
            "sip:a@b?x",
            "sip:a@-b",
            "sip:a@b..c",
            "sip:a\"@b",
            "sip:a@b;transport=pigeon",
            "1x:y",
            "x:<y>",
            // Sound, but of no use, and the library does not read them.
            "x:y@",
            "x:y@;z:a",
            "sip:\u{e9}@b",
        ] {
            assert_eq!(uri(text), None, "{text}");
        }
        assert_eq!(uri(&format!("sip:{}@b", "a".repeat(MAX_USER + 1))), None);
        // What is escaped is longer than it was.
        assert_eq!(uri(&format!("sip:{}@b", ";".repeat(MAX_USER / 2))), None);
        assert_eq!(uri(&format!("x:{}", "a".repeat(MAX_URI))), None);
    }

    proptest! {
        /// Whatever is let through, the library reads, and reads the same host.
        #[test]
        fn the_library_reads_what_is_let_through(text in "(sip|x):[ab;?%:&=+$,/3BD]{0,8}@?[a-c.:\\[\\]0-9-]{1,9}[;a-z=?&%]{0,9}") {
            if let Some(read) = uri(&text) {
                let library = sip::Uri::try_from(read.canonical.as_str());
                prop_assert!(library.is_ok(), "{}", read.canonical);
                prop_assert_eq!(uri(&read.canonical).map(|again| again.canonical), Some(read.canonical));
            }
        }
    }
}
