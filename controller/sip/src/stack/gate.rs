//! Between the library's transports and its transactions: requests that begin something are turned away here when there are too many of them,
//! or when they are over and done with one answer. What is answered here leaves nothing behind. Of responses, those are taken out that no transaction waits for any more.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Method, Request, Response, SipMessage, StatusCode, To, Version};
use rsipstack::transaction::endpoint::{EndpointInner, TransportEventInspector};
use rsipstack::transport::{SipAddr, TransportEvent};

use super::forks::Forks;
use super::message::to_with_new_tag;
use crate::refusal::Rejection;

/// The one answer to a request from there that begins something, if it gets no more.
pub(crate) type Judge = Box<dyn Fn(&Request, IpAddr) -> Option<Rejection> + Send + Sync>;

/// Over UDP nobody can be sure who asks: the answer is at most so many times as long as the question.
const MAX_AMPLIFICATION: usize = 3;

/// The gate.
pub(super) struct Gate {
    pub(super) judge: Judge,
    /// Who takes further answers to an INVITE.
    pub(super) forks: Arc<Forks>,
    /// With so many transactions nothing new is begun.
    pub(super) most: usize,
    /// Known as soon as there is one.
    pub(super) endpoint: Arc<OnceLock<Weak<EndpointInner>>>,
}

#[async_trait]
impl TransportEventInspector for Gate {
    async fn handle(&self, event: TransportEvent) -> Option<TransportEvent> {
        let (request, connection, from) = match event {
            TransportEvent::Incoming(SipMessage::Request(request), connection, from) => (request, connection, from),
            TransportEvent::Incoming(SipMessage::Response(response), connection, _) if self.forks.takes(&response, Some(&connection)) => {
                return None;
            }
            other => return Some(other),
        };
        let Some(rejection) = self.rejection(&request, &from) else {
            return Some(TransportEvent::Incoming(SipMessage::Request(request), connection, from));
        };
        tracing::debug!(%from, status = rejection.status, reason = rejection.reason, "answered at the gate");
        let most =
            if connection.is_reliable() { usize::MAX } else { MAX_AMPLIFICATION * SipMessage::from(request.clone()).to_bytes().len() };
        let answer = answer(&request, rejection, most);
        if let Err(error) = connection.send(answer.into(), Some(&from)).await {
            tracing::debug!(%from, %error, "could not answer");
        }
        None
    }
}

impl Gate {
    fn rejection(&self, request: &Request, from: &SipAddr) -> Option<Rejection> {
        let within = matches!(request.to_header().map(To::tag), Ok(Ok(Some(_))));
        if within || matches!(request.method, Method::Ack | Method::Cancel) {
            return None;
        }
        let transactions = self.endpoint.get().and_then(Weak::upgrade);
        let transactions = transactions.map_or(0, |endpoint| endpoint.transactions.len() + endpoint.finished_transactions.len());
        if transactions >= self.most {
            return Some(Rejection::unavailable("too many requests at once"));
        }
        let from = from.get_socketaddr().map_or(IpAddr::from([0, 0, 0, 0]), |from| from.ip());
        (self.judge)(request, from)
    }
}

/// The response, without what would make it longer than `most`: first the reason, then the choice between challenges.
fn answer(request: &Request, rejection: Rejection, most: usize) -> Response {
    let status = rejection.status;
    let copied = |header: &&Header| matches!(header, Header::Via(_) | Header::CallId(_) | Header::From(_) | Header::CSeq(_));
    let mut headers: Vec<Header> = request.headers.iter().filter(copied).cloned().collect();
    headers.extend(request.to_header().map(|to| Header::To(to_with_new_tag(to))));
    headers.extend(rejection.into_headers());
    headers.push(Header::ContentLength(0u32.into()));
    let mut response = Response {
        status_code: StatusCode::from(status),
        wire_reason: None,
        version: Version::V2,
        headers: headers.into(),
        body: Vec::new(),
    };
    let too_long = |response: &Response| SipMessage::from(response.clone()).to_bytes().len() > most;
    if too_long(&response) {
        response.headers.retain(|header| !matches!(header, Header::Warning(_)));
    }
    if too_long(&response) {
        let mut challenged = false;
        response.headers.retain(|header| {
            let challenge = matches!(header, Header::WwwAuthenticate(_) | Header::ProxyAuthenticate(_));
            !challenge || !std::mem::replace(&mut challenged, true)
        });
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Request {
        let text = format!(
            "{line}\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n"
        );
        Request::try_from(SipMessage::try_from(text.as_str()).unwrap()).unwrap()
    }

    fn gate(most: usize) -> Gate {
        let forks = Arc::new(Forks::new(tokio::sync::mpsc::unbounded_channel().0));
        Gate { judge: Box::new(|_, _| None), forks, most, endpoint: Arc::default() }
    }

    #[test]
    fn with_too_many_transactions_only_what_begins_something_is_turned_away() {
        let from = super::super::sip_address(rsipstack::sip::Transport::Udp, ([127, 0, 0, 1], 9).into());
        let full = gate(0);
        let rejection = full.rejection(&request("INVITE sip:a@b SIP/2.0"), &from).unwrap();
        assert_eq!(rejection.status, 503);
        assert!(rejection.into_headers().iter().any(|header| matches!(header, Header::RetryAfter(_))));
        assert_eq!(full.rejection(&request("ACK sip:a@b SIP/2.0"), &from), None);
        assert_eq!(full.rejection(&request("CANCEL sip:a@b SIP/2.0"), &from), None);
        let mut within = request("BYE sip:a@b SIP/2.0");
        within.headers.unique_push(Header::To("<sip:a@b>;tag=2".into()));
        assert_eq!(full.rejection(&within, &from), None);
        assert_eq!(gate(1).rejection(&request("INVITE sip:a@b SIP/2.0"), &from), None);
    }

    #[test]
    fn an_answer_is_cut_to_its_length() {
        let challenge =
            |algorithm: &str| Header::ProxyAuthenticate(format!("Digest algorithm={algorithm}, nonce=\"{}\"", "0".repeat(64)).into());
        let rejection = || Rejection::new(407, "sign in").with(challenge("SHA-256")).with(challenge("MD5"));
        let count = |most: usize| {
            let answer = answer(&request("INVITE sip:a@b SIP/2.0"), rejection(), most);
            let challenges = answer.headers.iter().filter(|header| matches!(header, Header::ProxyAuthenticate(_))).count();
            let warned = answer.headers.iter().any(|header| matches!(header, Header::Warning(_)));
            (challenges, warned)
        };
        let whole = SipMessage::from(answer(&request("INVITE sip:a@b SIP/2.0"), rejection(), usize::MAX)).to_bytes().len();
        assert_eq!(count(whole), (2, true));
        assert_eq!(count(whole - 1), (2, false));
        assert_eq!(count(whole - 60), (1, false));
    }
}
