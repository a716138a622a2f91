//! SIP messages as far as the load needs them: header fields are found by their long names, and copied as they came.

/// What a message begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start<'a> {
    Request { method: &'a str },
    Response { status: u16 },
}

/// A message, in the datagram it came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) start: Start<'a>,
    head: &'a str,
}

impl<'a> Message<'a> {
    /// Reads a datagram; `None` for keep-alives and for what is no SIP.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let end = datagram.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&datagram[..end]).ok()?;
        let (line, head) = head.split_once("\r\n")?;
        let start = match line.strip_prefix("SIP/2.0 ") {
            Some(rest) => Start::Response { status: rest.get(..3)?.parse().ok()? },
            None => Start::Request { method: line.strip_suffix(" SIP/2.0")?.split(' ').next()? },
        };
        Some(Self { start, head })
    }

    /// Every value of a header field, in order.
    pub(super) fn all(self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.head.split("\r\n").filter_map(move |line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The value of a header field that is there once.
    pub(super) fn header(self, name: &'static str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The number and the method of `CSeq`.
    pub(super) fn sequence(self) -> Option<(u32, &'a str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The tag of `To`.
    pub(super) fn to_tag(self) -> Option<&'a str> {
        let (_, tag) = self.header("To")?.split_once(";tag=")?;
        tag.split(';').next()
    }

    /// The address in `Contact`.
    pub(super) fn contact(self) -> Option<&'a str> {
        self.header("Contact")?.split_once('<')?.1.split('>').next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nvia: SIP/2.0/UDP 127.0.0.1:8\r\n\
        To: <sip:b@c>;tag=7x;other=1\r\nCSeq: 12 INVITE\r\nContact: \"B\" <sip:b@127.0.0.1:8>;expires=9\r\n\r\nv=0\r\n";

    #[test]
    fn an_answer_is_read() {
        let answer = Message::parse(ANSWER).unwrap();
        assert_eq!(answer.start, Start::Response { status: 200 });
        assert_eq!(answer.sequence(), Some((12, "INVITE")));
        assert_eq!((answer.to_tag(), answer.contact()), (Some("7x"), Some("sip:b@127.0.0.1:8")));
        assert_eq!(answer.all("Via").count(), 2);
        assert_eq!(answer.header("Record-Route"), None);
    }

    #[test]
    fn a_request_is_told_from_an_answer_and_from_noise() {
        let request = Message::parse(b"BYE sip:b@127.0.0.1:8 SIP/2.0\r\nTo: <sip:b@c>\r\n\r\n").unwrap();
        assert_eq!((request.start, request.to_tag()), (Start::Request { method: "BYE" }, None));
        for noise in [&b"\r\n\r\n"[..], b"BYE sip:b@c SIP/3.0\r\n\r\n", b"SIP/2.0 2\r\nTo: x\r\n\r\n", b"\xff\xff\r\n\r\n\r\n"] {
            assert!(Message::parse(noise).is_none());
        }
    }
}
