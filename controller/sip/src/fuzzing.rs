//! What a packet can reach, for the fuzzer (`controller/sip/fuzz`): each takes any bytes, and panics where something is wrong.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Instant, SystemTime};

use crate::config::DigestAlgorithm;
use crate::digest::{Authenticator, Credentials};
use crate::{sdp, serve, stack};

/// A datagram. What is let through must be let through again as it is written, with all the server reads of it.
pub fn messages(bytes: &[u8]) {
    stack::fuzz_datagram(bytes);
}

/// A stream, in pieces of the length that the first byte says; and the same bytes as a WebSocket's handshake and as a message of one.
pub fn streams(bytes: &[u8]) {
    stack::fuzz_stream(bytes);
    stack::fuzz_web_socket(bytes);
}

/// An offer.
///
/// # Panics
/// If nothing is offered by what was read.
pub fn offers(bytes: &[u8]) {
    if let Ok(offer) = sdp::read_offer(bytes, SystemTime::UNIX_EPOCH) {
        assert!(!offer.media.is_empty(), "an offer of nothing");
    }
}

/// Credentials. Without the password nobody gets in.
///
/// # Panics
/// If somebody does.
pub fn credentials(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let now = Instant::now();
    for value in [text.as_ref(), &format!("Digest {text}")] {
        if let Ok(credentials) = Credentials::parse(value) {
            let mut authenticator = Authenticator::new(DigestAlgorithm::BOTH.to_vec(), now);
            assert!(!authenticator.knows(&credentials, IpAddr::V4(Ipv4Addr::LOCALHOST), now), "a nonce was guessed");
            assert!(authenticator.check(&credentials, "REGISTER", Some("s3cret"), now).is_err(), "a password was guessed");
        }
    }
}

/// Header fields of a REGISTER.
pub fn registrations(bytes: &[u8]) {
    let begin = "REGISTER sip:provider.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
                 Call-ID: x\r\nCSeq: 1 REGISTER\r\n";
    let message = [begin.as_bytes(), bytes, b"\r\n\r\n"].concat();
    if let Some(request) = stack::fuzz_datagram(&message) {
        serve::fuzz_register(&request);
    }
}
