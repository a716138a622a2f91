//! Where a message ends in a stream: at the length that Content-Length gives its body (RFC 3261 section 18.3).

use super::head::{long, split};

/// The longest header section.
pub(super) const MAX_HEAD: usize = 32_768;

/// The longest body: offers are shorter by far.
pub(super) const MAX_BODY: usize = 65_536;

/// What stands at the beginning of a stream's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Nothing whole.
    Incomplete,
    /// A keep-alive that wants an answer (RFC 5626 section 4.4.1).
    Ping,
    /// An empty line: the answer to a keep-alive, or nothing.
    Empty,
    /// A message of this many bytes.
    Message(usize),
    /// Nobody can tell where it ends: the header section of this length is to be answered, and the stream to be closed.
    Endless(usize),
    /// Too much of it, and no end.
    TooLong,
}

/// Looks for the end of what `buffer` begins with.
pub(super) fn frame(buffer: &[u8]) -> Frame {
    if buffer.starts_with(b"\r\n\r\n") {
        return Frame::Ping;
    }
    if buffer == b"\r\n\r" || buffer == b"\r" {
        return Frame::Incomplete;
    }
    if buffer.starts_with(b"\r\n") {
        return Frame::Empty;
    }
    let Some(end) = buffer.windows(4).take(MAX_HEAD).position(|window| window == b"\r\n\r\n") else {
        return if buffer.len() > MAX_HEAD { Frame::TooLong } else { Frame::Incomplete };
    };
    let head = end + 4;
    match content_length(&buffer[..end]) {
        Some(length) if length <= MAX_BODY && buffer.len() >= head + length => Frame::Message(head + length),
        Some(length) if length <= MAX_BODY => Frame::Incomplete,
        Some(_) | None => Frame::Endless(head),
    }
}

/// The first Content-Length; a second one is the validator's business.
fn content_length(head: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(head);
    let length =
        text.split("\r\n").skip(1).filter_map(split).find(|(name, _)| long(name).eq_ignore_ascii_case("Content-Length"))?.1.to_owned();
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| length.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_ends_with_its_body() {
        let message = b"BYE sip:a@b SIP/2.0\r\nl : 3\r\n\r\nabc";
        assert_eq!(frame(message), Frame::Message(message.len()));
        assert_eq!(frame(&[message.as_slice(), b"BYE"].concat()), Frame::Message(message.len()));
        for length in 1..message.len() {
            assert_eq!(frame(&message[..length]), Frame::Incomplete, "{length}");
        }
    }

    #[test]
    fn keep_alives_are_two_empty_lines() {
        assert_eq!(frame(b"\r\n\r\nBYE"), Frame::Ping);
        assert_eq!(frame(b"\r\nBYE"), Frame::Empty);
        assert_eq!(frame(b"\r\n"), Frame::Empty);
        assert_eq!(frame(b"\r\n\r"), Frame::Incomplete);
        assert_eq!(frame(b""), Frame::Incomplete);
    }

    #[test]
    fn what_has_no_end_is_told_from_what_is_not_there_yet() {
        for head in ["BYE sip:a@b SIP/2.0\r\n\r\n", "BYE x\r\nContent-Length: -1\r\n\r\n", "BYE x\r\nContent-Length: 99999999\r\n\r\n"] {
            assert_eq!(frame(head.as_bytes()), Frame::Endless(head.len()), "{head}");
        }
        assert_eq!(frame(&vec![b'x'; MAX_HEAD + 1]), Frame::TooLong);
    }

    proptest! {
        #[test]
        fn no_frame_is_longer_than_the_buffer(bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), any::<u8>()], 0..80)) {
            if let Frame::Message(length) | Frame::Endless(length) = frame(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
