//! `%41` in the user part of an address. The library leaves it as it reads it, and escapes the `%` when it writes it: so what is read is
//! unescaped here, once, and is then what people mean by it (RFC 3261 section 19.1.4), and written as it was.

use percent_encoding::percent_decode_str;
use rsipstack::sip::Uri;
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};

use super::grammar::uri;

/// An address as it was read, with a user part and a password that mean what they say. What is no text stays as it is.
pub(crate) fn unescaped(mut uri: Uri) -> Uri {
    let plain = |text: &mut String| {
        if let Ok(decoded) = percent_decode_str(text).decode_utf8() {
            *text = decoded.into_owned();
        }
    };
    if let Some(auth) = &mut uri.auth {
        plain(&mut auth.user);
        auth.password.as_mut().map(plain);
    }
    uri
}

/// Reads an address that the library wrote: it leaves `;` and `?` in a user part, and then reads them as what comes after it.
pub(crate) fn read_again(text: &str) -> Option<Uri> {
    Uri::try_from(uri(text)?.canonical.as_str()).ok().map(unescaped)
}

/// The address in From, unless it is malformed.
pub(crate) fn from_uri(message: &impl HeadersExt) -> Option<Uri> {
    Some(unescaped(message.from_header().ok()?.typed().ok()?.uri))
}

/// The address in To, unless it is malformed.
pub(crate) fn to_uri(message: &impl HeadersExt) -> Option<Uri> {
    Some(unescaped(message.to_header().ok()?.typed().ok()?.uri))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_undone_and_written_again() {
        for (read, user, written) in [
            ("sip:%61lice@b", "alice", "sip:alice@b"),
            ("sip:a%40b%3Bc@d;x=%41", "a@b;c", "sip:a%40b;c@d;x=%41"),
            ("sip:50%25@b", "50%", "sip:50%25@b"),
            ("sip:%ff@b", "%ff", "sip:%25ff@b"),
            ("sip:b", "", "sip:b"),
        ] {
            let uri = unescaped(Uri::try_from(read).unwrap());
            assert_eq!(uri.user().unwrap_or_default(), user);
            assert_eq!(uri.to_string(), written);
        }
        let secret = unescaped(Uri::try_from("sip:a:%3Ab@c").unwrap());
        assert_eq!(secret.auth.as_ref().and_then(|auth| auth.password.as_deref()), Some(":b"));
        assert_eq!(secret.to_string(), "sip:a:%3Ab@c");
    }

    proptest! {
        /// What is written is read as it was.
        #[test]
        fn what_was_read_and_written_is_the_same(text in "sip:(%4[0-9A-F]|%3[AB]|%2[05]|%7F|a|1){1,6}@b") {
            let plain = unescaped(Uri::try_from(text.as_str()).unwrap());
            prop_assert_eq!(read_again(&plain.to_string()), Some(plain));
        }
    }
}
