//! The second look: a parsed request whose header fields are wrong is answered 400 before any transaction is made of it.

use async_trait::async_trait;
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Header, Method, Request, Response, Scheme, SipMessage, StatusCode, Version};
use rsipstack::transaction::endpoint::TransportEventInspector;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};

use super::message::{to_with_new_tag, warning};

/// No header field of an honest message is longer.
const MAX_VALUE: usize = 8192;

/// Sits between the library's transports and its transactions.
pub(super) struct Validator;

#[async_trait]
impl TransportEventInspector for Validator {
    async fn handle(&self, event: TransportEvent) -> Option<TransportEvent> {
        let TransportEvent::Incoming(SipMessage::Request(request), connection, from) = event else {
            return Some(event);
        };
        match check(&request) {
            Ok(()) => Some(TransportEvent::Incoming(SipMessage::Request(request), connection, from)),
            Err(fault) => {
                refuse(&request, &fault, &connection, &from).await;
                None
            }
        }
    }
}

/// What is wrong with a parsed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("Via is missing or malformed")]
    Via,
    #[error("From is missing, malformed or has no tag")]
    From,
    #[error("To is missing or malformed")]
    To,
    #[error("Call-ID is missing or empty")]
    CallId,
    #[error("CSeq is missing, malformed or names another method")]
    CSeq,
    #[error("Max-Forwards is no number from 0 to 255")]
    MaxForwards,
    #[error("{0} occurs more than once")]
    Repeated(&'static str),
    #[error("a header field is too long")]
    TooLong,
    #[error("only sip: addresses are served here")]
    Scheme,
    #[error("only SIP/2.0 is served here")]
    Version,
}

impl Fault {
    fn status(self) -> StatusCode {
        StatusCode::from(match self {
            Self::Scheme => 416u16,
            Self::Version => 505,
            _ => 400,
        })
    }
}

fn check(request: &Request) -> Result<(), Fault> {
    if request.version != Version::V2 {
        return Err(Fault::Version);
    }
    if request.uri.scheme != Some(Scheme::Sip) {
        return Err(Fault::Scheme);
    }
    if request.headers.iter().any(|header| header.value().len() > MAX_VALUE) {
        return Err(Fault::TooLong);
    }
    check_singles(request)?;
    let via = request.top_via_header().map_err(|_| Fault::Via)?;
    via.typed().map_err(|_| Fault::Via)?;
    let from = request.from_header().map_err(|_| Fault::From)?;
    from.typed().map_err(|_| Fault::From)?;
    if !matches!(from.tag(), Ok(Some(tag)) if !tag.value().is_empty()) {
        return Err(Fault::From);
    }
    let to = request.to_header().map_err(|_| Fault::To)?;
    to.typed().map_err(|_| Fault::To)?;
    to.tag().map_err(|_| Fault::To)?;
    let call_id = request.call_id_header().map_err(|_| Fault::CallId)?;
    if call_id.value().is_empty() || call_id.value().contains(char::is_whitespace) {
        return Err(Fault::CallId);
    }
    let cseq = request.cseq_header().map_err(|_| Fault::CSeq)?;
    let number = cseq.seq().map_err(|_| Fault::CSeq)?;
    if number >= 1 << 31 || cseq.method().map_err(|_| Fault::CSeq)? != request.method {
        return Err(Fault::CSeq);
    }
    match request.max_forwards_header() {
        Ok(value) if value.value().parse::<u8>().is_err() => Err(Fault::MaxForwards),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn check_singles(request: &Request) -> Result<(), Fault> {
    let mut seen = [0u8; 5];
    let names = ["From", "To", "Call-ID", "CSeq", "Max-Forwards"];
    for header in request.headers.iter() {
        let which = match header {
            Header::From(_) => 0,
            Header::To(_) => 1,
            Header::CallId(_) => 2,
            Header::CSeq(_) => 3,
            Header::MaxForwards(_) => 4,
            _ => continue,
        };
        if seen[which] > 0 {
            return Err(Fault::Repeated(names[which]));
        }
        seen[which] = 1;
    }
    Ok(())
}

async fn refuse(request: &Request, fault: &Fault, connection: &SipConnection, from: &SipAddr) {
    tracing::debug!(%from, reason = %fault, "malformed request");
    if request.method == Method::Ack || *fault == Fault::Via {
        return;
    }
    let mut headers: Vec<Header> = request
        .headers
        .iter()
        .filter(|header| matches!(header, Header::Via(_) | Header::CallId(_) | Header::From(_) | Header::CSeq(_)))
        .cloned()
        .collect();
    if let Ok(to) = request.to_header() {
        headers.push(Header::To(to_with_new_tag(to)));
    }
    headers.push(warning(399, &fault.to_string()));
    headers.push(Header::ContentLength(0u32.into()));
    let response =
        Response { status_code: fault.status(), wire_reason: None, version: Version::V2, headers: headers.into(), body: Vec::new() };
    if let Err(error) = connection.send(SipMessage::Response(response), Some(from)).await {
        tracing::debug!(%from, %error, "could not answer a malformed request");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(replace: &str, with: &str) -> Request {
        let text = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
                    Call-ID: x\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n"
            .replace(replace, with);
        Request::try_from(SipMessage::try_from(text.as_str()).unwrap()).unwrap()
    }

    #[test]
    fn a_sound_request_is_let_through() {
        assert_eq!(check(&parse("", "")), Ok(()));
    }

    #[test]
    fn each_wrong_header_field_is_named() {
        for (replace, with, expected) in [
            (";tag=1", "", Fault::From),
            ("To: <sip:a@b>\r\n", "", Fault::To),
            ("Call-ID: x\r\n", "", Fault::CallId),
            ("CSeq: 1 OPTIONS", "CSeq: 1 INVITE", Fault::CSeq),
            ("CSeq: 1 ", "CSeq: 36893488147419103232 ", Fault::CSeq),
            ("CSeq: 1 ", "CSeq: 2147483648 ", Fault::CSeq),
            ("Max-Forwards: 70", "Max-Forwards: 300", Fault::MaxForwards),
            ("Call-ID: x\r\n", "Call-ID: x\r\nCall-ID: y\r\n", Fault::Repeated("Call-ID")),
            ("sip:a@b SIP", "tel:+1 SIP", Fault::Scheme),
        ] {
            assert_eq!(check(&parse(replace, with)), Err(expected), "{with}");
        }
    }
}
