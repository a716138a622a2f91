//! Session timers in service: the shell around `timers`.

use std::time::Duration;

use tokio::time::Instant;

use super::Talk;
use crate::call::callee::follow;
use crate::call::timers::{By, Due, Outcome, agreed, told_least};
use crate::call::within::Side;
use crate::call::{Input, machine};
use crate::options::supported;
use crate::sdp::CONTENT_TYPE;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Method, Response, StatusCodeKind};
use crate::stack::{ALLOW, InviteClient, sequence};
use svpn_vpn::request::Cause;

impl<S: Sessions> Talk<S> {
    /// Which timer says something next, and when.
    pub(super) fn due(&self) -> (Instant, Side, Due) {
        let [caller, callee] = [Side::Caller, Side::Callee].map(|side| {
            let (at, due) = self.ends[side].timer.next();
            (at, side, due)
        });
        if callee.0 < caller.0 { callee } else { caller }
    }

    /// A timer has said something.
    pub(super) async fn timed(&mut self, side: Side, due: Due) {
        match due {
            Due::Expired => {
                tracing::info!(session = self.terms.session.0, ?side, "nobody has refreshed the session: it ends");
                self.end(machine::Event::HangUp(Cause::Signalling)).await;
            }
            Due::Refresh if self.is_busy(side) => self.ends[side].timer.postpone(Instant::now()),
            Due::Refresh => self.refresh(side).await,
        }
    }

    /// Whether a re-INVITE of ours refreshes this end now.
    pub(super) fn is_refreshed_by_invite(&self, side: Side) -> bool {
        self.ends[side].refreshing.is_some() && self.ends[side].timer.by() == By::Invite
    }

    async fn refresh(&mut self, side: Side) {
        let limits = self.services.session_timer;
        let (hop, by) = (self.ends[side].dialog.next_hop(), self.ends[side].timer.by());
        let mut headers = vec![self.contact(side), Header::Allow(ALLOW.into()), supported()];
        headers.extend(self.ends[side].timer.headers(limits));
        if by == By::Invite {
            headers.push(Header::ContentType(CONTENT_TYPE.into()));
        }
        let via = self.services.stack.via(&hop);
        let method = if by == By::Invite { Method::Invite } else { Method::Update };
        let end = &mut self.ends[side];
        let mut request = end.dialog.request(method, via, headers);
        let number = sequence(&request);
        end.refreshing = Some(number);
        end.timer.sent();
        if by == By::Invite {
            request.body = self.holds(side);
            match InviteClient::send(&self.services.stack, request, &hop).await {
                Some(client) => follow(client, self.sender.clone(), move |response| Input::Refreshed(side, number, response)),
                None => drop(self.sender.send(Input::Refreshed(side, number, None))),
            }
            return;
        }
        let (services, sender) = (self.services.clone(), self.sender.clone());
        tokio::spawn(async move {
            let response = services.stack.exchange(request, &hop).await;
            // A call that has ended needs to hear nothing.
            let _ = sender.send(Input::Refreshed(side, number, response));
        });
    }

    /// What became of a refresh.
    pub(super) async fn refreshed(&mut self, side: Side, number: u32, response: Option<Response>) {
        let provisional = |response: &Response| response.status_code.kind() == StatusCodeKind::Provisional;
        if self.ends[side].refreshing != Some(number) || response.as_ref().is_some_and(provisional) {
            return;
        }
        self.ends[side].refreshing = None;
        let status = response.as_ref().map_or(408, |response| response.status_code.code());
        let outcome = match (status, &response) {
            (200..=299, Some(response)) => {
                let end = &mut self.ends[side];
                if let Ok(dialog) = end.dialog.refreshed(response) {
                    end.dialog = dialog;
                }
                Outcome::Agreed(agreed(response, self.services.session_timer, Some(end.timer.agreement)))
            }
            // RFC 3261 section 12.2.1.2: it is not there any more.
            (408 | 481, _) => {
                tracing::info!(session = self.terms.session.0, ?side, status, "an end is gone: the session ends");
                self.end(machine::Event::HangUp(Cause::Signalling)).await;
                return;
            }
            (422, Some(response)) => told_least(response).map_or(Outcome::Refused, Outcome::TooSmall),
            (405 | 501, _) => Outcome::NotByUpdate,
            (491, _) => Outcome::Glare(back_off(side)),
            _ => Outcome::Refused,
        };
        self.ends[side].timer.answered(outcome, Instant::now());
    }
}

/// How long the gateway waits after 491 (RFC 3261 section 14.1), in steps of ten milliseconds: the callee's dialog has our Call-ID.
pub(super) fn back_off(side: Side) -> Duration {
    let steps = match side {
        Side::Caller => rand::random_range(0..=200),
        Side::Callee => rand::random_range(210..=400),
    };
    Duration::from_millis(10 * steps)
}
