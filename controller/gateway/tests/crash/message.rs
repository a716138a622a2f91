//! As much of SIP and SDP as the test's applications need, over UDP.

use crate::agent::CALLEE_PORTS;
use crate::life::SITES;

/// A message as it came.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) first: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Message {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a message has a blank line");
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let headers = lines.map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())).unwrap());
        Self { first, headers: headers.collect(), body: body.to_owned() }
    }

    /// The first header field of a name.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        self.first.strip_prefix("SIP/2.0 ").map(|rest| rest[..3].parse().unwrap())
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.first.split(' ').next().unwrap()
    }

    pub(crate) fn branch(&self) -> &str {
        parameter(self.header("Via"), "branch").expect("a Via has a branch")
    }

    /// The URI of the Contact.
    pub(crate) fn contact(&self) -> &str {
        self.header("Contact").split(['<', '>']).nth(1).expect("a Contact has a URI")
    }

    /// The port of the first medium.
    pub(crate) fn media_port(&self) -> u16 {
        let line = self.body.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("a description has a medium");
        line.split(' ').next().unwrap().parse().unwrap()
    }

    /// A response to this request; the To of ours has a tag.
    pub(crate) fn response(&self, status: u16, tag: &str, more: &str, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status} x\r\n");
        for (name, value) in &self.headers {
            let tagged = match name.to_ascii_lowercase().as_str() {
                "via" | "from" | "call-id" | "cseq" => false,
                "to" => parameter(value, "tag").is_none(),
                _ => continue,
            };
            let tag = if tagged { format!(";tag={tag}") } else { String::new() };
            text.extend([name, ": ", value, &tag, "\r\n"]);
        }
        text + &ending(more, body)
    }
}

/// The last header fields, and the body.
pub(crate) fn ending(more: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{more}{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let found = value.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix(name)?.strip_prefix('='));
    found.map(|value| value.trim_end_matches('>'))
}

/// A description of one medium from an address and port.
pub(crate) fn description(address: &str, port: u16, version: u32, time: (u64, u64), rate: u64) -> String {
    let (start, stop) = time;
    let matching = if [SITES, SITES + CALLEE_PORTS].contains(&port) { ";match=sites" } else { "" };
    format!(
        "v=0\r\no=- 1 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt={start} {stop}\r\na=svpn:class=5{matching}\r\n\
         m=audio {port} RTP/AVP 0\r\nb=TIAS:{rate}\r\na=maxprate:50\r\n"
    )
}
