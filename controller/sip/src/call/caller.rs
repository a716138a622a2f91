//! The caller's INVITE: its server transaction, and the responses to it.

use std::pin::pin;

use fail::fail_point;

use crate::stack::sip::prelude::HeadersExt;

use super::fork::No;
use super::machine::Why;
use super::setup::abandoned;
use super::{Event, Input, Sender, TimerAnswer};
use crate::options::{PRECONDITION, RELIABLE, allows, requires, supported, supports};
use crate::refusal::Rejection;
use crate::sdp::CONTENT_TYPE;
use crate::stack::sip::{Header, Method, Request, Response, SipMessage, StatusCode};
use crate::stack::{ALLOW, Dialog, Stack, Transaction, TransactionEvent, TransactionEventSender, next_message, with_other_tag};
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
    /// Whether the caller knows reliable provisional responses (RFC 3262).
    pub(super) fn knows_reliable(&self) -> bool {
        supports(&self.invite, RELIABLE)
    }

    /// Whether it wants them all to be so.
    pub(super) fn requires_reliable(&self) -> bool {
        requires(&self.invite, RELIABLE)
    }

    /// Whether it can be offered something before it has its answer.
    pub(super) fn allows_update(&self) -> bool {
        allows(&self.invite, Method::Update)
    }

    /// Another dialog with the caller: what it was told in the one before holds no more.
    pub(super) fn renew(&mut self) {
        let to = self.invite.to_header().ok().map(with_other_tag);
        if let Some(to) = to {
            self.invite.headers.unique_push(Header::To(to));
        }
        match self.dialog.beside(&self.invite) {
            Ok(dialog) => self.dialog = dialog,
            // It made one before.
            Err(error) => tracing::error!(%error, "no second dialog with the caller"),
        }
    }

    /// A provisional response, which makes the early dialog (RFC 3261 section 12.1.1), with an answer where there is one.
    pub(super) fn provisional(&self, stack: &Stack, status: u16, body: Option<Vec<u8>>) -> Response {
        let mut headers = self.dialog_headers(stack);
        headers.extend([Header::Allow(ALLOW.into()), supported()]);
        if body.is_some() {
            headers.push(Header::ContentType(CONTENT_TYPE.into()));
        }
        self.response(stack, status, headers, body)
    }

    /// Sends a response once.
    pub(super) fn send(&self, response: Response) {
        fail_point!("signalling: before an answer to INVITE");
        // Fails only when the transaction is gone, which the call hears of by itself.
        let _ = self.responder.send(TransactionEvent::Respond(response));
    }

    /// Sends a response that is to be acknowledged.
    pub(super) fn send_reliably(&self, rseq: u32, mut response: Response) {
        response.headers.extend(vec![Header::Require(RELIABLE.into()), Header::RSeq(rseq.to_string().into())]);
        self.send(response);
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
    pub(super) fn reject(&self, stack: &Stack, why: Why, callee: &str, failed_offer: Option<Vec<u8>>) {
        let rejection = match why {
            Why::Refused(rejection) => rejection,
            Why::Cancelled => Rejection::new(487, "cancelled by the caller"),
            Why::Unacknowledged => Rejection::new(504, "a reliable provisional response was never acknowledged"),
            Why::No(No::Late) => Rejection::new(408, format!("{callee} did not answer in time")),
            Why::No(No::Unreachable) => Rejection::new(480, format!("{callee} is registered but could not be reached")),
            Why::HungUp => Rejection::new(480, format!("{callee} hung up before the session was ready")),
            Why::Ended(cause) => ended(cause),
            Why::Stopping => Rejection::unavailable("the gateway is stopping"),
            Why::No(No::Declined(status)) => declined(status, callee),
        };
        let status = rejection.status;
        let mut headers = rejection.into_headers();
        // RFC 3312 section 8: what failed of the preconditions.
        let body = failed_offer.filter(|_| status == 580);
        if body.is_some() {
            headers.push(Header::ContentType(CONTENT_TYPE.into()));
        }
        self.respond(stack, status, headers, body);
    }

    fn respond(&self, stack: &Stack, status: u16, headers: Vec<Header>, body: Option<Vec<u8>>) {
        self.send(self.response(stack, status, headers, body));
    }

    fn response(&self, stack: &Stack, status: u16, headers: Vec<Header>, body: Option<Vec<u8>>) -> Response {
        let mut response = stack.endpoint().make_response(&self.invite, StatusCode::from(status), body);
        response.headers.extend(headers);
        response
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
        420 => {
            let reason = format!("{callee} does not know preconditions, and those that are mandatory are not met yet");
            Rejection::new(420, reason).with(Header::Unsupported(PRECONDITION.into()))
        }
        408 | 503 => Rejection::new(480, format!("{callee} is registered but could not be reached ({status})")),
        other => Rejection::new(other, format!("{callee} declined with {other}")),
    }
}

/// Attends the caller's transaction until it ends, and tells the call what comes by it.
pub(crate) async fn attend(mut transaction: Box<Transaction>, call: Sender) {
    let mut acknowledged = false;
    let mut given_up = pin!(abandoned(&call));
    loop {
        let message = tokio::select! {
            message = next_message(&mut transaction) => message,
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
