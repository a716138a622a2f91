//! Datagrams on their way out, one behind the other in one buffer.

use std::fmt::{self, Write as _};

use super::message::Message;

/// Datagrams that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    text: String,
    ends: Vec<usize>,
}

impl Outbox {
    /// Writes a datagram; the text of it is returned, for who may have to send it again.
    pub(super) fn put(&mut self, datagram: fmt::Arguments<'_>) -> &str {
        let start = self.text.len();
        // Writing to a String cannot fail.
        let _ = self.text.write_fmt(datagram);
        self.ends.push(self.text.len());
        &self.text[start..]
    }

    /// Answers a request: what an answer copies is copied (RFC 3261 section 8.2.6), `tag` is the end of To where it has none yet, and
    /// `rest` is all that follows.
    pub(super) fn answer(&mut self, request: Message<'_>, status: &str, tag: &str, rest: fmt::Arguments<'_>) -> &str {
        let start = self.text.len();
        let text = &mut self.text;
        let _ = write!(text, "SIP/2.0 {status}\r\n");
        for via in request.all("Via") {
            let _ = write!(text, "Via: {via}\r\n");
        }
        let field = |name| request.header(name).unwrap_or_default();
        let tag = if request.to_tag().is_some() { String::new() } else { format!(";tag={tag}") };
        let (from, to, call, sequence) = (field("From"), field("To"), field("Call-ID"), field("CSeq"));
        let _ = write!(text, "From: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call}\r\nCSeq: {sequence}\r\n{rest}");
        self.ends.push(text.len());
        &self.text[start..]
    }

    /// The datagrams, in order.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text.as_bytes()[start..*end])
    }

    /// They are sent.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}
