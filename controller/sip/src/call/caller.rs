//! The caller's INVITE: its server transaction, and the responses to it.

use std::pin::pin;

use crate::stack::sip::prelude::HeadersExt;

use super::actor::abandoned;
use super::machine::Why;
use super::{Event, Input, Sender, TimerAnswer};
use crate::options::supported;
use crate::refusal::Rejection;
use crate::sdp::CONTENT_TYPE;
use crate::stack::sip::{Header, Method, Request, SipMessage, StatusCode};
use crate::stack::{ALLOW, Dialog, Stack, Transaction, TransactionEvent, TransactionEventSender};
use svpn_vpn::request::Cause;

/// The caller's INVITE, while it is to be answered.
pub(crate) struct CallerLeg {
    /// The INVITE; its To has our tag.
    pub(crate) invite: Request,
    /// The dialog it makes.
    pub(crate) dialog: Dialog,
    /// Whom the caller called: the user part of our Contact.
    pub(crate) callee: String,
    /// What was agreed on for its session timer.
    pub(crate) timer: TimerAnswer,
    /// The transaction.
    pub(crate) responder: TransactionEventSender,
}

impl CallerLeg {
    /// Relays a provisional response, which makes the early dialog (RFC 3261 section 12.1.1).
    pub(super) fn relay(&self, stack: &Stack, status: u16) {
        let headers = self.dialog_headers(stack);
        self.respond(stack, status, headers, None);
    }

    /// Answers.
    pub(super) fn answer(&self, stack: &Stack, body: Vec<u8>) {
        let mut headers = self.dialog_headers(stack);
        headers.extend([Header::Allow(ALLOW.into()), supported()]);
        headers.extend(self.timer.headers.iter().cloned());
        headers.push(Header::ContentType(CONTENT_TYPE.into()));
        self.respond(stack, 200, headers, Some(body));
    }

    /// Rejects.
    pub(super) fn reject(&self, stack: &Stack, why: Why, callee: &str) {
        let rejection = match why {
            Why::Refused(rejection) => rejection,
            Why::Cancelled => Rejection::new(487, "cancelled by the caller"),
            Why::NoAnswer => Rejection::new(408, format!("{callee} did not answer in time")),
            Why::Unreachable => Rejection::new(480, format!("{callee} is registered but could not be reached")),
            Why::HungUp => Rejection::new(480, format!("{callee} hung up before the session was ready")),
            Why::Ended(cause) => ended(cause),
            Why::Stopping => Rejection::unavailable("the gateway is stopping"),
            Why::Declined(status) => declined(status, callee),
        };
        let status = rejection.status;
        self.respond(stack, status, rejection.into_headers(), None);
    }

    fn respond(&self, stack: &Stack, status: u16, headers: Vec<Header>, body: Option<Vec<u8>>) {
        let mut response = stack.endpoint().make_response(&self.invite, StatusCode::from(status), body);
        response.headers.extend(headers);
        // Fails only when the transaction is gone, which the call hears of by itself.
        let _ = self.responder.send(TransactionEvent::Respond(response));
    }

    fn dialog_headers(&self, stack: &Stack) -> Vec<Header> {
        let mut headers = vec![stack.contact(&self.callee, &self.dialog.next_hop())];
        headers.extend(self.invite.record_route_headers().into_iter().cloned().map(Header::RecordRoute));
        headers
    }
}

/// What the caller is told when the gateway has to take back what it reserved.
fn ended(cause: Cause) -> Rejection {
    match cause {
        Cause::WindowEnd => Rejection::new(488, "the time asked for was over before the callee answered"),
        Cause::Preempted => Rejection::new(580, "a more important session needs the bandwidth"),
        Cause::Network => Rejection::new(580, "the network has failed, and no other path has room"),
        _ => Rejection::unavailable("the session was ended"),
    }
}

/// What the caller is told when the callee declined. Redirections and challenges are for the gateway, which follows neither.
pub(super) fn declined(status: u16, callee: &str) -> Rejection {
    match status {
        486 | 600 | 603 | 604 | 606 => Rejection::new(status, format!("{callee} declined with {status}")),
        300..=399 | 401 | 407 => Rejection::new(480, format!("{callee} answered {status}, which the gateway does not follow")),
        408 | 503 => Rejection::new(480, format!("{callee} is registered but could not be reached ({status})")),
        other => Rejection::new(other, format!("{callee} declined with {other}")),
    }
}

/// Attends the caller's transaction until it ends, and tells the call what comes by it.
pub(crate) async fn attend(mut transaction: Transaction, call: Sender) {
    let mut acknowledged = false;
    let mut given_up = pin!(abandoned(&call));
    loop {
        let message = tokio::select! {
            message = transaction.receive() => message,
            () = &mut given_up => None,
        };
        let Some(message) = message else { break };
        let SipMessage::Request(request) = message else { continue };
        let event = match request.method {
            Method::Cancel => {
                tracing::debug!(call = request.call_id_header().map_or("", |id| id.value()), "cancelled");
                Event::Cancel
            }
            Method::Ack => {
                acknowledged = true;
                Event::CallerAck
            }
            _ => continue,
        };
        // A call that has ended needs to hear nothing.
        let _ = call.send(Input::Event(event));
    }
    if !acknowledged {
        let _ = call.send(Input::Event(Event::CallerLost));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_and_declined_are_told_as_they_are_and_redirections_are_not() {
        for (status, told) in [(486, 486), (603, 603), (302, 480), (407, 480), (488, 488), (500, 500), (408, 480)] {
            let rejection = declined(status, "backup@vpn-a");
            assert_eq!(rejection.status, told);
            assert!(rejection.reason.contains(&status.to_string()));
        }
    }
}
