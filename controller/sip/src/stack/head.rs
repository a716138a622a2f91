//! The header fields and the body of a message (RFC 3261 section 7), and no further.

use super::grammar::{is_blank, is_token};
use super::validate::Fault;

/// More header lines than this is nobody's honest message.
pub(super) const MAX_HEADER_LINES: usize = 256;

/// No header field of an honest message is longer.
pub(super) const MAX_VALUE: usize = 8192;

/// What follows the first line of a message.
pub(super) struct Head<'a> {
    pub(super) fields: Vec<Field<'a>>,
    pub(super) body: &'a [u8],
}

/// A header field, unfolded.
pub(super) struct Field<'a> {
    /// The name as it stands, or the long form of a compact one.
    pub(super) name: &'a str,
    pub(super) value: String,
}

impl<'a> Head<'a> {
    /// Takes a whole message apart.
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Fault> {
        let end = message.windows(4).position(|window| window == b"\r\n\r\n").ok_or(Fault::NoEmptyLine)?;
        let text = std::str::from_utf8(&message[..end]).map_err(|_| Fault::NotText)?;
        let mut fields: Vec<Field<'a>> = Vec::new();
        for (index, line) in text.split("\r\n").skip(1).enumerate() {
            if index >= MAX_HEADER_LINES {
                return Err(Fault::TooManyHeaders);
            }
            if has_stray_control(line) {
                return Err(Fault::HeaderLine);
            }
            if line.starts_with(is_blank) {
                let folded = fields.last_mut().ok_or(Fault::HeaderLine)?;
                folded.value.push(' ');
                folded.value.push_str(line.trim_matches(is_blank));
            } else {
                let (name, value) = split(line).ok_or(Fault::HeaderLine)?;
                fields.push(Field { name: long(name), value: value.to_owned() });
            }
            if fields.last().is_some_and(|field| field.value.len() > MAX_VALUE) {
                return Err(Fault::TooLong);
            }
        }
        Ok(Self { fields, body: &message[end + 4..] })
    }

    /// The value of the only field of this name, if there is one.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.as_str())
    }
}

/// A header line's name and value.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end_matches(is_blank);
    is_token(name).then(|| (name, value.trim_matches(is_blank)))
}

/// Control characters may stand in a quoted string, after a backslash, and nowhere else.
fn has_stray_control(line: &str) -> bool {
    let mut before = ' ';
    line.chars().any(|character| {
        let escaped = std::mem::replace(&mut before, character) == '\\' && !matches!(character, '\r' | '\n');
        character.is_ascii_control() && character != '\t' && !escaped
    })
}

/// The long form of a compact header name (RFC 3261 section 7.3.3 and its extensions).
pub(super) fn long(name: &str) -> &str {
    let &[letter] = name.as_bytes() else {
        return name;
    };
    match letter.to_ascii_lowercase() {
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'v' => "Via",
        b'x' => "Session-Expires",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(message: &[u8]) -> Option<Fault> {
        Head::read(message).err()
    }

    #[test]
    fn folds_and_compact_names_are_undone() {
        let head = Head::read(b"X\r\nm :  a\r\n \tb\r\nSubject:\r\n\r\nbody").unwrap();
        assert_eq!(head.body, b"body");
        let fields: Vec<_> = head.fields.iter().map(|field| (field.name, field.value.as_str())).collect();
        assert_eq!(fields, [("Contact", "a b"), ("Subject", "")]);
    }

    #[test]
    fn what_is_no_header_is_named() {
        assert_eq!(fault(b"X\r\nA: b\r\n"), Some(Fault::NoEmptyLine));
        assert_eq!(fault(b"X\r\nA: \xff\r\n\r\n"), Some(Fault::NotText));
        for line in ["no colon", " fold", "a b: c", ": c", "A: b\nVia: c", "A: b\rc", "A: \u{1}"] {
            assert_eq!(fault(format!("X\r\n{line}\r\n\r\n").as_bytes()), Some(Fault::HeaderLine), "{line}");
        }
        let many = "A: b\r\n".repeat(MAX_HEADER_LINES + 1);
        assert_eq!(fault(format!("X\r\n{many}\r\n").as_bytes()), Some(Fault::TooManyHeaders));
        let long = "b".repeat(MAX_VALUE + 1);
        assert_eq!(fault(format!("X\r\nA: {long}\r\n\r\n").as_bytes()), Some(Fault::TooLong));
    }
}
