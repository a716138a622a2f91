//! `name-addr` and `addr-spec` with parameters: the values of From, To, Contact, Route and Record-Route.

use std::fmt::Write as _;

use super::{Parameter, Uri, is_blank, is_token, parameters, quoted, uri};

/// An address with what stands around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stack) struct Address<'a> {
    display: &'a str,
    pub(in crate::stack) uri: Uri,
    /// Whether it stood in `<>`.
    pub(in crate::stack) bracketed: bool,
    pub(in crate::stack) parameters: Vec<Parameter<'a>>,
}

/// Reads one element of such a header field.
pub(in crate::stack) fn address(text: &str) -> Option<Address<'_>> {
    let text = text.trim_matches(is_blank);
    let (display, rest) = display_name(text)?;
    if let Some(rest) = rest.strip_prefix('<') {
        let (inside, after) = rest.split_once('>')?;
        return Some(Address { display, uri: uri(inside)?, bracketed: true, parameters: parameters(after)? });
    }
    if !display.is_empty() {
        return None;
    }
    // Without `<>` the parameters are the header field's, and `,` and `?` may not be there (RFC 3261 section 20.10).
    let (inside, after) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
    let uri = uri(inside.trim_end_matches(is_blank))?;
    let bare = !uri.headers && !inside.contains([',', '?']);
    bare.then_some(())?;
    Some(Address { display, uri, bracketed: false, parameters: parameters(after)? })
}

/// What stands before `<`: a quoted string or words.
fn display_name(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('"') {
        let (name, rest) = quoted(text)?;
        let rest = rest.trim_start_matches(is_blank);
        return rest.starts_with('<').then_some((name, rest));
    }
    let Some(bracket) = text.find('<') else {
        return Some(("", text));
    };
    let (name, rest) = text.split_at(bracket);
    let name = name.trim_matches(is_blank);
    let words = name.split(is_blank).filter(|word| !word.is_empty()).all(is_token);
    words.then_some((name, rest))
}

impl Address<'_> {
    /// The parameter of this name.
    pub(in crate::stack) fn parameter(&self, name: &str) -> Option<Parameter<'_>> {
        self.parameters.iter().copied().find(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// As the library reads it right: in `<>`, without a display name or parameters that would mislead it.
    pub(in crate::stack) fn canonical(&self) -> String {
        let inner = self.display.trim_matches('"');
        let mut text = String::new();
        if !inner.is_empty() && !misleading(inner) {
            text = format!("\"{inner}\" ");
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "<{}>", self.uri.canonical);
        write_parameters(&mut text, &self.parameters);
        text
    }
}

/// Appends parameters, but for those that would mislead the library.
pub(super) fn write_parameters(text: &mut String, parameters: &[Parameter<'_>]) {
    for (name, value) in parameters {
        // Writing to a String cannot fail.
        let _ = match value {
            Some(value) if misleading(value.trim_matches('"')) => Ok(()),
            Some(value) => write!(text, ";{name}={value}"),
            None => write!(text, ";{name}"),
        };
    }
}

/// Whether the library would take some of it for punctuation.
fn misleading(text: &str) -> bool {
    text.contains(['<', '>', ',', ';', '"', '\\', '=']) || text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsipstack::sip::typed;

    fn canonical(text: &str) -> Option<String> {
        address(text).map(|address| address.canonical())
    }

    #[test]
    fn sound_addresses_are_written_for_the_library() {
        for (text, expected) in [
            ("sip:a@b ;   tag    = 1n", "<sip:a@b>;tag=1n"),
            ("caller<sip:a@b>;tag=1", "\"caller\" <sip:a@b>;tag=1"),
            ("\"J Rosenberg \\\\\\\"\"       <sip:a@b>  ;  tag = 9", "<sip:a@b>;tag=9"),
            ("\"Watson, <T>\" <sip:a@b>;x=\"a;b\";tag=1", "<sip:a@b>;tag=1"),
            ("token1~` token2'+_ <sip:a@b>", "\"token1~` token2'+_\" <sip:a@b>"),
            ("<sip:a@b;c=d?e=f>;g", "<sip:a@b;c=d>;g"),
            ("isbn:2983792873", "<isbn:2983792873>"),
        ] {
            assert_eq!(canonical(text), Some(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn malformed_addresses_are_none() {
        for text in [
            "",
            "\"Mr. J. User <sip:a@b>",
            "\"x\" sip:a@b",
            "< sip:a@b >",
            "<sip:a@b",
            "Bell, A <sip:a@b>",
            "<sip:a@b>;;;;",
            "sip:a@b?c=d",
            "<sip:a@b> x",
            "x y",
            "<>",
            "sip:a,b@c",
            "\u{e9} <sip:a@b>",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_library_reads_what_is_let_through(text in "[\"\\\\a ,]{0,6}<?(sip|x):[ab;]{0,4}@[ab.;:]{0,4}>?[;a=\" ,]{0,8}") {
            if let Some(read) = address(&text) {
                let canonical = read.canonical();
                prop_assert!(typed::From::parse(&canonical).is_ok(), "{canonical}");
                prop_assert_eq!(typed::Contact::parse_header_list(&canonical).map(|list| list.len()).ok(), Some(1), "{}", canonical);
            }
        }
    }
}
