//! The grammar of RFC 3261 section 25, as far as the server reads it: strict in what it accepts, and each thing accepted is written again in the
//! one form that the library reads right (no spaces where they may be left out, `<>` around every address, long names).
//!
//! Pure: text in, text or nothing out.

mod address;
mod uri;
mod via;

pub(in crate::stack) use address::address;
pub(in crate::stack) use uri::{Uri, UriScheme, uri};
pub(in crate::stack) use via::{Hop, via};

/// No parameter list of an honest message has more.
const MAX_PARAMETERS: usize = 64;

/// A parameter after `;`: a name, and a value unless it stands alone.
pub(in crate::stack) type Parameter<'a> = (&'a str, Option<&'a str>);

/// `token` of RFC 3261 section 25.1.
pub(in crate::stack) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Linear white space, as it is after unfolding.
pub(in crate::stack) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// `callid`: `word [ "@" word ]`.
pub(in crate::stack) fn is_call_id(text: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~()<>:\\\"/[]?{}".contains(&byte))
    };
    match text.split_once('@') {
        Some((left, right)) => word(left) && word(right),
        None => word(text),
    }
}

/// `media-type` with parameters, such as `application/sdp`; its type and subtype.
pub(in crate::stack) fn media_type(text: &str) -> Option<(&str, &str)> {
    let (names, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
    parameters(rest)?;
    let (kind, subtype) = names.split_once('/')?;
    let (kind, subtype) = (kind.trim_matches(is_blank), subtype.trim_matches(is_blank));
    (is_token(kind) && is_token(subtype)).then_some((kind, subtype))
}

/// `SIP-date` (RFC 3261 section 25.1): the RFC 1123 form, in GMT.
pub(in crate::stack) fn is_date(text: &str) -> bool {
    let template = "Www, dd Mmm dddd dd:dd:dd GMT";
    text.len() == template.len()
        && text.bytes().zip(template.bytes()).enumerate().all(|(index, (byte, wanted))| match wanted {
            b'd' => byte.is_ascii_digit(),
            b'W' | b'M' if index < 12 => byte.is_ascii_uppercase(),
            b'w' | b'm' => byte.is_ascii_lowercase(),
            literal => byte == literal,
        })
}

/// A quoted string at the beginning of `text`: with its quotes, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some(text.split_at(at + 2)),
            '\\' => {
                let (_, escaped) = characters.next()?;
                if !escaped.is_ascii() || matches!(escaped, '\r' | '\n') {
                    return None;
                }
            }
            other if other.is_ascii_control() && other != '\t' => return None,
            _ => {}
        }
    }
    None
}

/// Splits a list at its commas, which are not those in quotes or between `<` and `>`.
pub(in crate::stack) fn elements(text: &str) -> Option<Vec<&str>> {
    let mut elements = Vec::new();
    let (mut begin, mut at, mut bracketed) = (0, 0, false);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'"' if !bracketed => at += quoted(&text[at..])?.0.len() - 1,
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            b',' if !bracketed => {
                elements.push(text[begin..at].trim_matches(is_blank));
                begin = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    elements.push(text[begin..].trim_matches(is_blank));
    elements.iter().all(|element| !element.is_empty()).then_some(elements)
}

/// `*( SEMI generic-param )`, to the end of the text.
fn parameters(text: &str) -> Option<Vec<Parameter<'_>>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        rest = rest.strip_prefix(';')?.trim_start_matches(is_blank);
        let end = rest.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() || found.len() == MAX_PARAMETERS {
            return None;
        }
        let after = after.trim_start_matches(is_blank);
        let Some(value) = after.strip_prefix('=') else {
            found.push((name, None));
            rest = after;
            continue;
        };
        let value = value.trim_start_matches(is_blank);
        let (value, after) = if value.starts_with('"') {
            quoted(value)?
        } else {
            // A token or a host, which may be an IPv6 reference, with or without its brackets (RFC 5118 section 4.5).
            let end = value.bytes().position(|byte| !is_token_byte(byte) && !b"[]:".contains(&byte)).unwrap_or(value.len());
            value.split_at(end)
        };
        if value.is_empty() {
            return None;
        }
        found.push((name, Some(value)));
        rest = after.trim_start_matches(is_blank);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_date_is_in_gmt() {
        assert!(is_date("Sat, 15 Oct 2005 04:44:56 GMT"));
        for wrong in ["Fri, 01 Jan 2010 16:00:00 EST", "Sat, 15 Oct 2005 04:44:56", "", "sat, 15 Oct 2005 04:44:56 GMT"] {
            assert!(!is_date(wrong), "{wrong}");
        }
    }

    #[test]
    fn commas_in_quotes_and_brackets_separate_nothing() {
        assert_eq!(elements("\"a, \\\" b\" <sip:a,b@c>, <sip:d@e>"), Some(vec!["\"a, \\\" b\" <sip:a,b@c>", "<sip:d@e>"]));
        for wrong in ["a,,b", "", "a,", "\"a"] {
            assert_eq!(elements(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parameters_have_names_and_perhaps_values() {
        assert_eq!(parameters("; a ; b = c;d=\"e;f\""), Some(vec![("a", None), ("b", Some("c")), ("d", Some("\"e;f\""))]));
        for wrong in [";;", ";", "a", ";a=", ";a b", ";a=\"b", ";=b"] {
            assert_eq!(parameters(wrong), None, "{wrong}");
        }
        assert_eq!(parameters(&";a".repeat(MAX_PARAMETERS + 1)), None);
    }

    #[test]
    fn a_media_type_has_two_parts() {
        assert_eq!(media_type("application / sdp;charset=\"x\""), Some(("application", "sdp")));
        for wrong in ["sdp", "a/", "a/b;", "a b/c"] {
            assert_eq!(media_type(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,60}") {
            let _ = (elements(&text), parameters(&text), media_type(&text), is_call_id(&text), quoted(&text), is_date(&text));
        }
    }
}
