//! Requests within a call's dialogs that are about its session: re-INVITE, UPDATE and PRACK.

use std::pin::pin;

use fail::fail_point;
use svpn_vpn::request::Cause;

use super::setup::abandoned;
use super::{Event, Input, Sender};
use crate::options::supported;
use crate::refusal::Rejection;
use crate::sdp::CONTENT_TYPE;
use crate::stack::sip::{Header, Method, Request, SipMessage, StatusCode, StatusCodeKind};
use crate::stack::{ALLOW, Dialog, SipConnection, Stack, Transaction, TransactionEvent, TransactionEventSender, next_message, sequence};

/// An end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
}

impl Side {
    /// The other end.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }

    /// What BYE from this end means.
    pub(super) fn bye(self) -> Event {
        match self {
            Self::Caller => Event::CallerBye,
            Self::Callee => Event::CalleeBye,
        }
    }
}

/// A re-INVITE, UPDATE or PRACK that waits for its answer.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Whose it is.
    pub(crate) side: Side,
    pub(crate) request: Request,
    /// The connection it came by.
    pub(crate) connection: Option<SipConnection>,
    /// The transaction; `None` for what an ACK has brought, to which there is no answer.
    pub(crate) responder: Option<TransactionEventSender>,
}

impl Asked {
    pub(super) fn is_invite(&self) -> bool {
        self.request.method == Method::Invite
    }

    /// Its number within the dialog.
    pub(super) fn sequence(&self) -> u32 {
        sequence(&self.request)
    }

    /// Relays a provisional response; only INVITE has one.
    pub(super) fn relay(&self, stack: &Stack, status: u16, contact: Header) {
        if self.is_invite() {
            self.respond(stack, status, vec![contact], None);
        }
    }

    /// Answers with the description that holds now, if a description is due.
    pub(super) fn answer(&self, stack: &Stack, mut headers: Vec<Header>, description: Vec<u8>) {
        headers.extend([Header::Allow(ALLOW.into()), supported()]);
        // RFC 3311 section 5.2: an UPDATE that offers nothing is answered with nothing.
        let description = (self.is_invite() || !self.request.body.is_empty()).then_some(description);
        if description.is_some() {
            headers.push(Header::ContentType(CONTENT_TYPE.into()));
        }
        self.respond(stack, 200, headers, description);
    }

    /// Rejects; the session goes on as it was.
    pub(super) fn reject(&self, stack: &Stack, rejection: Rejection) {
        tracing::info!(side = ?self.side, method = %self.request.method, status = rejection.status, reason = rejection.reason, "not changed");
        self.respond(stack, rejection.status, rejection.into_headers(), None);
    }

    /// The dialog as this request leaves it when it is accepted.
    pub(super) fn refresh(&self, dialog: &Dialog) -> Result<Dialog, Rejection> {
        let refreshed = dialog.refreshed(&self.request).map_err(|error| Rejection::new(400, error.to_string()))?;
        Ok(refreshed.by(self.connection.clone()))
    }

    /// Answers.
    pub(super) fn respond(&self, stack: &Stack, status: u16, headers: Vec<Header>, body: Option<Vec<u8>>) {
        let Some(responder) = &self.responder else { return };
        let mut response = stack.endpoint().make_response(&self.request, StatusCode::from(status), body);
        response.headers.extend(headers);
        fail_point!("signalling: before an answer to a change");
        // Fails only when the transaction is gone, and then nobody waits.
        let _ = responder.send(TransactionEvent::Respond(response));
    }
}

/// Refuses a body that is no session description.
pub(crate) fn check_content_type(request: &Request) -> Result<(), Rejection> {
    let content_type = request.headers.iter().find_map(|header| match header {
        Header::ContentType(value) => Some(value.value().split(';').next().unwrap_or_default().trim()),
        _ => None,
    });
    if content_type.is_some_and(|name| name.eq_ignore_ascii_case(CONTENT_TYPE)) {
        return Ok(());
    }
    let rejection = Rejection::new(415, format!("the body is not {CONTENT_TYPE}"));
    Err(rejection.with(Header::Accept(CONTENT_TYPE.into())))
}

/// Attends the transaction of a re-INVITE, UPDATE or PRACK until it ends, and tells the call what comes by it.
pub(crate) async fn attend_within(mut transaction: Box<Transaction>, call: Sender, side: Side) {
    let (method, number) = (transaction.original.method, sequence(&transaction.original));
    let mut acknowledged = false;
    let mut given_up = pin!(abandoned(&call));
    loop {
        let message = tokio::select! {
            message = next_message(&mut transaction) => message,
            () = &mut given_up => None,
        };
        let Some(message) = message else { break };
        let SipMessage::Request(request) = message else { continue };
        match request.method {
            // A call that has ended needs to hear nothing.
            Method::Cancel => drop(call.send(Input::Cancelled(number))),
            Method::Ack => {
                let offered = !acknowledged && method == Method::Invite && transaction.original.body.is_empty();
                acknowledged = true;
                if offered {
                    // Our 200 had the offer, so the ACK has the answer (RFC 3261 section 14.1).
                    let connection = transaction.connection.clone();
                    drop(call.send(Input::Taken(Asked { side, request, connection, responder: None })));
                }
            }
            _ => {}
        }
    }
    let accepted = transaction.last_response.as_ref().is_some_and(|last| last.status_code.kind() == StatusCodeKind::Successful);
    if method == Method::Invite && accepted && !acknowledged {
        // RFC 3261 section 13.3.1.4: who does not acknowledge is hung up on.
        let _ = call.send(Input::Event(Event::HangUp(Cause::Signalling)));
    }
}
