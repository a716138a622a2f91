//! The requests of the calling applications, as templates.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use super::digest::Signer;
use super::outbox::Outbox;

/// The one VPN of the load.
pub(super) const VPN: &str = "load";
/// The host part of every application's address, and the realm of its digest.
pub(super) const HOST: &str = "load.provider.example";
/// The password of every application.
pub(super) const PASSWORD: &str = "a-secret-of-the-load";
/// The CE of the callers.
pub(super) const EAST: &str = "east";
/// The CE of the called.
pub(super) const WEST: &str = "west";

/// An application: its number, and on which side it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Application {
    Caller(u32),
    Callee(u32),
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(number) => write!(f, "caller-{number}"),
            Self::Callee(number) => write!(f, "callee-{number}"),
        }
    }
}

/// What names a request: its sender, place and serial number of its call, and its `CSeq`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) from: Application,
    pub(super) place: usize,
    pub(super) serial: u64,
    pub(super) sequence: u32,
}

impl fmt::Display for Name {
    /// As in Call-ID, where the call is found again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@svpn-bench", self.place, self.serial)
    }
}

/// Place and serial number of a Call-ID.
pub(super) fn read_name(call_id: &str) -> Option<(usize, u64)> {
    let (place, serial) = call_id.strip_suffix("@svpn-bench")?.split_once('-')?;
    Some((place.parse().ok()?, serial.parse().ok()?))
}

/// The nonce to sign with, and how often it has been signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nonce {
    pub(super) text: String,
    pub(super) count: u32,
}

/// Who writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer {
    /// The socket of the callers.
    pub(super) callers: SocketAddr,
    /// The socket of the called.
    pub(super) callees: SocketAddr,
}

impl Writer {
    fn head(self, method: &str, uri: &str, name: Name, to: &str) -> String {
        let (local, Name { from, place, serial, sequence }) = (self.callers, name);
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{place}-{serial}-{sequence};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{from}@{HOST}>;tag={serial}\r\nTo: {to}\r\nCall-ID: {name}\r\nCSeq: {sequence} {method}\r\n"
        )
    }

    /// REGISTER.
    pub(super) fn register<'o>(self, out: &'o mut Outbox, name: Name, nonce: Option<&Nonce>) -> &'o str {
        let (contact, ce) = match name.from {
            Application::Caller(_) => (self.callers, EAST),
            Application::Callee(_) => (self.callees, WEST),
        };
        let uri = format!("sip:{HOST}");
        let from = name.from;
        let head = self.head("REGISTER", &uri, name, &format!("<sip:{from}@{HOST}>"));
        let signature = signature("Authorization", "REGISTER", &uri, from, nonce);
        out.put(format_args!("{head}Contact: <sip:{from}@{contact}>;svpn-ce={ce}\r\nExpires: 7200\r\n{signature}Content-Length: 0\r\n\r\n"))
    }

    /// INVITE: the callee with the caller's number, for media of this rate at addresses that no other call has.
    pub(super) fn invite<'o>(self, out: &'o mut Outbox, name: Name, nonce: Option<&Nonce>, rate: u64) -> &'o str {
        let (Application::Caller(number) | Application::Callee(number)) = name.from;
        let callee = Application::Callee(number);
        let uri = format!("sip:{callee}@{HOST}");
        let head = self.head("INVITE", &uri, name, &format!("<{uri}>"));
        let signature = signature("Proxy-Authorization", "INVITE", &uri, name.from, nonce);
        let (address, port) = media(name.serial);
        let (from, local) = (name.from, self.callers);
        let mut description = String::with_capacity(192);
        // Writing to a String cannot fail.
        let _ = write!(
            description,
            "v=0\r\no=caller 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
             b=TIAS:{rate}\r\na=maxprate:50\r\n"
        );
        let length = description.len();
        out.put(format_args!(
            "{head}Contact: <sip:{from}@{local}>\r\n{signature}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{description}"
        ))
    }

    /// ACK or BYE. The ACK of a refusal goes where the INVITE went, in its transaction; that of a 200 where its Contact says. That it has
    /// the INVITE's branch, too, is against RFC 3261 section 17.1.1.3 and for nobody to see: a 200 ends the INVITE's transaction.
    pub(super) fn bare<'o>(self, out: &'o mut Outbox, method: &str, uri: &str, name: Name, to: &str) -> &'o str {
        let head = self.head(method, uri, name, to);
        out.put(format_args!("{head}Content-Length: 0\r\n\r\n"))
    }
}

/// Where the caller of a call sends from.
fn media(serial: u64) -> (std::net::Ipv4Addr, u64) {
    const PORTS: u64 = 60_000;
    let host = u16::try_from(serial / PORTS % 60_000).unwrap_or(0) + 256;
    let [high, low] = host.to_be_bytes();
    (std::net::Ipv4Addr::new(10, 1, high, low), 2_000 + serial % PORTS)
}

fn signature(header: &str, method: &str, uri: &str, who: Application, nonce: Option<&Nonce>) -> String {
    let Some(Nonce { text, count }) = nonce else { return String::new() };
    let user = who.to_string();
    let signer = Signer { user: &user, realm: HOST, password: PASSWORD };
    format!("{header}: {}\r\n", signer.sign(method, uri, text, *count))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_calls_have_one_flow() {
        let flows: HashSet<_> = (0..200_000).map(media).collect();
        assert_eq!(flows.len(), 200_000);
        assert_eq!(media(0), ("10.1.1.0".parse().unwrap(), 2_000));
    }

    #[test]
    fn a_call_is_found_by_its_call_id() {
        let name = Name { from: Application::Caller(3), place: 17, serial: 123_456_789_012, sequence: 2 };
        assert_eq!(read_name(&name.to_string()), Some((17, 123_456_789_012)));
        assert_eq!(read_name("17-x@svpn-bench"), None);
        assert_eq!(read_name("17-1@elsewhere"), None);
    }
}
