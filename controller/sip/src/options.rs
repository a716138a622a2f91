//! Option tags (RFC 3261 section 19.2): what a message says its sender supports, requires and allows.

use crate::stack::sip::prelude::HeadersExt;
use crate::stack::sip::{Header, Method};

/// Session timers (RFC 4028).
pub(crate) const TIMER: &str = "timer";

/// Reliable provisional responses (RFC 3262).
pub(crate) const RELIABLE: &str = "100rel";

/// Preconditions (RFC 3312).
pub(crate) const PRECONDITION: &str = "precondition";

/// All that may be required here.
const SERVED: [&str; 3] = [TIMER, RELIABLE, PRECONDITION];

/// What is supported here, for `Supported`.
pub(crate) fn supported() -> Header {
    Header::Supported(SERVED.join(", ").into())
}

/// Those of the required tags that are not served here.
pub(crate) fn not_served(message: &impl HeadersExt) -> Vec<&str> {
    let required = |header: &Header| matches!(header, Header::Require(_) | Header::ProxyRequire(_));
    tags(message, required).filter(|tag| !SERVED.iter().any(|served| served.eq_ignore_ascii_case(tag))).collect()
}

/// Whether the sender supports an extension.
pub(crate) fn supports(message: &impl HeadersExt, tag: &str) -> bool {
    let supported = |header: &Header| matches!(header, Header::Supported(_) | Header::Require(_));
    tags(message, supported).any(|known| known.eq_ignore_ascii_case(tag))
}

/// Whether the sender requires an extension.
pub(crate) fn requires(message: &impl HeadersExt, tag: &str) -> bool {
    tags(message, |header| matches!(header, Header::Require(_))).any(|known| known.eq_ignore_ascii_case(tag))
}

/// Whether the sender says that it serves requests of this method. Who says nothing of methods is taken to know those of RFC 3261.
pub(crate) fn allows(message: &impl HeadersExt, method: Method) -> bool {
    let name = method.to_string();
    tags(message, |header| matches!(header, Header::Allow(_))).any(|allowed| allowed.eq_ignore_ascii_case(&name))
}

/// Whether the sender says at all which methods it serves.
pub(crate) fn states_methods(message: &impl HeadersExt) -> bool {
    message.headers().iter().any(|header| matches!(header, Header::Allow(_)))
}

/// The comma-separated values of some header fields.
fn tags<M: HeadersExt>(message: &M, wanted: impl Fn(&Header) -> bool) -> impl Iterator<Item = &str> {
    let values = message.headers().iter().filter(move |header| wanted(header)).flat_map(|header| header.value().split(','));
    values.map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::sip::{Request, SipMessage};

    fn request(lines: &str) -> Request {
        let text = format!(
            "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: x\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n"
        );
        Request::try_from(SipMessage::try_from(text.as_str()).unwrap()).unwrap()
    }

    #[test]
    fn what_is_required_and_not_served_is_named() {
        let request = request("Require: Timer, foo\r\nProxy-Require: bar ,\r\n");
        assert_eq!(not_served(&request), ["foo", "bar"]);
    }

    #[test]
    fn support_is_read_in_its_compact_form_and_from_what_is_required() {
        assert!(supports(&request("k: replaces, TIMER\r\n"), TIMER));
        assert!(supports(&request("Require: timer\r\n"), TIMER));
        assert!(!supports(&request("Supported: timers\r\n"), TIMER));
    }

    #[test]
    fn methods_are_allowed_by_name() {
        assert!(allows(&request("Allow: INVITE,UPDATE\r\n"), Method::Update));
        assert!(!allows(&request("Allow: INVITE\r\n"), Method::Update));
        assert!(!allows(&request(""), Method::Update));
    }
}
