//! The handshake of WebSocket, from HTTP (RFC 6455 section 4.2), for the subprotocol `sip` (RFC 7118 section 4). Whoever asks for something else is told by an HTTP status
//! what was expected.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// The longest request that is read; browsers send cookies with theirs, but none of ours.
const MAX_REQUEST: usize = 8192;

/// The header field in which subprotocols are offered and confirmed.
const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol";

/// The one that is spoken here.
const SIP: &str = "sip";

/// Why a connection became no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("the handshake was broken off")]
    BrokenOff,
    #[error("the handshake was answered {}: {}", .0.status(), .0)]
    Refused(Fault),
    #[error("{0}")]
    Stream(#[from] io::Error),
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the request is no HTTP, or its key is missing")]
    Malformed,
    #[error("a WebSocket is asked for by GET")]
    Method,
    #[error("HTTP/1.1 is needed")]
    Version,
    #[error("the request is too long")]
    TooLong,
    #[error("only SIP over WebSocket is served here")]
    NoWebSocket,
    #[error("version 13 of WebSocket is needed")]
    WebSocketVersion,
    #[error("Sec-WebSocket-Protocol has to offer sip")]
    NoSubprotocol,
}

impl Fault {
    /// Status code and phrase.
    const fn status(self) -> &'static str {
        match self {
            Self::Malformed | Self::NoSubprotocol => "400 Bad Request",
            Self::Method => "405 Method Not Allowed",
            Self::Version => "505 HTTP Version Not Supported",
            Self::TooLong => "431 Request Header Fields Too Large",
            Self::NoWebSocket | Self::WebSocketVersion => "426 Upgrade Required",
        }
    }

    /// The header field that says what would be right.
    const fn header(self) -> &'static str {
        match self {
            Self::Method => "Allow: GET\r\n",
            Self::NoWebSocket => "Upgrade: websocket\r\n",
            Self::WebSocketVersion => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            Self::NoSubprotocol => "Sec-WebSocket-Protocol: sip\r\n",
            Self::Malformed | Self::Version | Self::TooLong => "",
        }
    }

    /// The response.
    fn response(self) -> String {
        let (status, header, reason) = (self.status(), self.header(), format!("{self}\r\n"));
        format!(
            "HTTP/1.1 {status}\r\n{header}Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{reason}",
            reason.len()
        )
    }
}

/// What a request so far comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// More of it has to come.
    Incomplete,
    /// It is so long, and is to be answered so.
    Accepted(usize, Vec<u8>),
    /// It is not served.
    Refused(Fault),
}

/// Reads the request and answers it; what came after it is returned.
pub(super) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<Vec<u8>, UpgradeError> {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let room = u64::try_from(MAX_REQUEST + 1 - buffer.len()).unwrap_or_default();
        if (&mut *stream).take(room).read_buf(&mut buffer).await? == 0 {
            return Err(UpgradeError::BrokenOff);
        }
        match judge(&buffer) {
            Judged::Incomplete => {}
            Judged::Accepted(length, response) => {
                stream.write_all(&response).await?;
                stream.flush().await?;
                return Ok(buffer.split_off(length));
            }
            Judged::Refused(fault) => {
                stream.write_all(fault.response().as_bytes()).await?;
                stream.shutdown().await?;
                return Err(UpgradeError::Refused(fault));
            }
        }
    }
}

/// Judges what has come of a request.
pub(super) fn judge(buffer: &[u8]) -> Judged {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4);
    let Some(end) = end.filter(|end| *end <= MAX_REQUEST) else {
        return if buffer.len() > MAX_REQUEST { Judged::Refused(Fault::TooLong) } else { Judged::Incomplete };
    };
    match read(&buffer[..end]) {
        Ok(response) => Judged::Accepted(end, response),
        Err(fault) => Judged::Refused(fault),
    }
}

/// The answer to a whole request.
fn read(request: &[u8]) -> Result<Vec<u8>, Fault> {
    let (_, request) = Request::try_parse(request).map_err(|error| fault(&error))?.ok_or(Fault::Malformed)?;
    let mut response = create_response(&request).map_err(|error| fault(&error))?;
    let offered = request.headers().get_all(SUBPROTOCOL).into_iter().filter_map(|offered| offered.to_str().ok());
    if !offered.flat_map(|offered| offered.split(',')).any(|offered| offered.trim() == SIP) {
        return Err(Fault::NoSubprotocol);
    }
    response.headers_mut().insert(SUBPROTOCOL, HeaderValue::from_static(SIP));
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).map_err(|error| fault(&error))?;
    Ok(bytes)
}

fn fault(error: &Error) -> Fault {
    match error {
        Error::Protocol(ProtocolError::WrongHttpMethod) => Fault::Method,
        Error::Protocol(ProtocolError::WrongHttpVersion) => Fault::Version,
        Error::Protocol(ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader) => Fault::NoWebSocket,
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => Fault::WebSocketVersion,
        _ => Fault::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The request of RFC 7118 section 4.1, with these lines.
    fn request(first: &str, lines: &str) -> Vec<u8> {
        format!("{first}\r\nHost: sip-ws.example.com\r\n{lines}\r\n").into_bytes()
    }

    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn sound(protocol: &str) -> Vec<u8> {
        request("GET / HTTP/1.1", &format!("{UPGRADE}{KEY}Sec-WebSocket-Version: 13\r\n{protocol}"))
    }

    #[test]
    fn sip_is_confirmed_among_what_is_offered() {
        for protocol in [
            "Sec-WebSocket-Protocol: sip\r\n",
            "Sec-WebSocket-Protocol: chat, sip\r\n",
            "Sec-WebSocket-Protocol: chat\r\nsec-websocket-protocol: sip\r\n",
        ] {
            let request = sound(protocol);
            let Judged::Accepted(length, response) = judge(&[request.as_slice(), b"more"].concat()) else { panic!("{protocol}") };
            assert_eq!(length, request.len());
            let response = String::from_utf8(response).unwrap().to_ascii_lowercase();
            assert!(response.starts_with("http/1.1 101 ") && response.ends_with("\r\n\r\n"), "{response}");
            // RFC 6455 section 1.3 has this key and its answer.
            for line in ["sec-websocket-protocol: sip", "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=", "upgrade: websocket"] {
                assert!(response.lines().any(|found| found == line), "{line} is missing in {response}");
            }
        }
    }

    #[test]
    fn what_is_not_sip_over_web_socket_is_refused() {
        let lines = |lines: &str| request("GET / HTTP/1.1", lines);
        for (request, fault) in [
            (sound(""), Fault::NoSubprotocol),
            (sound("Sec-WebSocket-Protocol: sips, SIP/2.0\r\n"), Fault::NoSubprotocol),
            (lines(""), Fault::NoWebSocket),
            (lines("Connection: Upgrade\r\nUpgrade: h2c\r\n"), Fault::NoWebSocket),
            (lines(&format!("{UPGRADE}{KEY}Sec-WebSocket-Version: 8\r\n")), Fault::WebSocketVersion),
            (lines(&format!("{UPGRADE}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n")), Fault::Malformed),
            (request("POST / HTTP/1.1", UPGRADE), Fault::Method),
            (request("GET / HTTP/1.0", UPGRADE), Fault::Version),
            (request("OPTIONS sip:a@b SIP/2.0", UPGRADE), Fault::Malformed),
            (b"\r\n\r\n".to_vec(), Fault::Malformed),
            (vec![b'x'; MAX_REQUEST + 1], Fault::TooLong),
        ] {
            assert_eq!(judge(&request), Judged::Refused(fault), "{}", String::from_utf8_lossy(&request));
        }
    }

    #[test]
    fn a_refusal_is_a_whole_response() {
        let response = Fault::NoSubprotocol.response();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Protocol: sip\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())) && body.contains("has to offer sip"), "{response}");
    }

    #[tokio::test]
    async fn a_request_is_read_in_pieces_and_no_longer_than_it_may_be() {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let asking = tokio::spawn(async move {
            let request = [sound("Sec-WebSocket-Protocol: sip\r\n").as_slice(), b"frame"].concat();
            for piece in request.chunks(request.len() - 7) {
                far.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            far
        });
        let rest = upgrade(&mut near).await.unwrap();
        let _far = asking.await.unwrap();
        assert_eq!(rest, b"frame");
        let endless = [b'x'; 64].repeat(MAX_REQUEST);
        let mut stream = tokio::io::join(endless.as_slice(), Vec::new());
        assert!(matches!(upgrade(&mut stream).await, Err(UpgradeError::Refused(Fault::TooLong))));
        assert_eq!(stream.reader().len(), endless.len() - MAX_REQUEST - 1, "no more of it was read");
        let mut stream = tokio::io::join(b"GET /".as_slice(), Vec::new());
        assert!(matches!(upgrade(&mut stream).await, Err(UpgradeError::BrokenOff)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!matches!(judge(&[bytes.as_slice(), b"\r\n\r\n"].concat()), Judged::Incomplete));
        }
    }
}
