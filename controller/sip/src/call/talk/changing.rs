//! Changes in service: the shell around the machine of `change`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use svpn_vpn::domain::Proposal;
use svpn_vpn::request::{Answer, Refusal, Terms};
use tokio::time::Instant;

use super::{Ends, Talk};
use crate::call::agreed::Agreed;
use crate::call::callee::follow;
use crate::call::caller::declined;
use crate::call::change::{Action, Event, State, Why, step};
use crate::call::setup::{PATIENCE, report};
use crate::call::timers::{Answered as TimerAnswer, agreed, answer as answer_timer, told_least};
use crate::call::within::{Asked, Side, check_content_type};
use crate::call::{Input, machine};
use crate::options::supported;
use crate::refusal::Rejection;
use crate::sdp::{CONTENT_TYPE, Offer, parse, read_answer, read_change, same};
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Method, Request, Response, StatusCodeKind, Uri};
use crate::stack::{ALLOW, Dialog, InviteClient, Stack, sequence};
use svpn_vpn::request::Cause;

/// How long the callee may take when the caller asks by UPDATE, whose transaction ends after 32 seconds.
const UPDATE_PATIENCE: Duration = Duration::from_secs(20);

/// A change that the caller waits for.
pub(super) struct Pending {
    asked: Asked,
    /// The caller's dialog, refreshed, and its session timer.
    caller: (Dialog, TimerAnswer),
    offer: Offer,
    /// The callee's 2xx.
    answer: Option<Response>,
    /// What holds when it is confirmed.
    next: Option<Agreed>,
}

/// A re-INVITE of ours under way.
pub(super) struct Asking {
    invite: Request,
    hop: Uri,
}

impl<S: Sessions> Talk<S> {
    /// A re-INVITE or UPDATE has come.
    pub(super) async fn asked(&mut self, asked: Asked) {
        let timer = match answer_timer(&asked.request, self.services.session_timer) {
            Ok(timer) => timer,
            Err(rejection) => return asked.reject(self.stack(), rejection),
        };
        let served = match asked.side {
            _ if asked.is_invite() && self.is_refreshed_by_invite(asked.side) => {
                Err(Rejection::new(491, "a re-INVITE of ours is under way"))
            }
            Side::Caller => self.read_caller(&asked),
            Side::Callee => self.read_callee(&asked).map(|()| None),
        };
        match served {
            Ok(Some((dialog, offer))) => {
                self.pending = Some(Pending { asked, caller: (dialog, timer), offer, answer: None, next: None });
                self.advance(Event::Asked).await;
            }
            Ok(None) => self.present(&asked, timer),
            Err(rejection) => asked.reject(self.stack(), rejection),
        }
    }

    /// What the caller asks for; nothing if it only refreshes its target.
    fn read_caller(&mut self, asked: &Asked) -> Result<Option<(Dialog, Offer)>, Rejection> {
        if self.pending.is_some() {
            return Err(Rejection::overlapping());
        }
        if self.change != State::Idle {
            return Err(Rejection::new(491, "another change is under way"));
        }
        let caller = asked.refresh(&self.ends[Side::Caller].dialog)?;
        let body = &asked.request.body;
        if !body.is_empty() {
            check_content_type(&asked.request)?;
            let Agreed { offer: agreed, fixed, .. } = &self.agreed;
            let offer = read_change(body, SystemTime::now(), agreed, *fixed);
            let offer = offer.map_err(|error| Rejection::new(error.status(), error.to_string()))?;
            if !same(&offer.session, agreed) {
                if self.is_refreshed_by_invite(Side::Callee) {
                    return Err(Rejection::new(491, "a re-INVITE of ours to the callee is under way"));
                }
                return Ok(Some((caller, offer)));
            }
        }
        self.ends[Side::Caller].dialog = caller;
        Ok(None)
    }

    /// The callee may refresh its target, and change nothing.
    fn read_callee(&mut self, asked: &Asked) -> Result<(), Rejection> {
        if self.asking.is_some() {
            return Err(Rejection::new(491, "an offer of ours is under way"));
        }
        let callee = asked.refresh(&self.ends[Side::Callee].dialog)?;
        if !asked.request.body.is_empty() {
            check_content_type(&asked.request)?;
            let offer = parse(&asked.request.body).map_err(|error| Rejection::new(error.status(), error.to_string()))?;
            if !same(&offer, &self.agreed.answer) {
                return Err(Rejection::new(488, "only the caller can change the session"));
            }
        }
        self.ends[Side::Callee].dialog = callee;
        Ok(())
    }

    /// Answers with what holds, and begins the session timer anew.
    fn present(&mut self, asked: &Asked, timer: TimerAnswer) {
        self.ends[asked.side].timer.renew(timer.agreement, Instant::now());
        let mut headers = timer.headers;
        headers.push(self.contact(asked.side));
        asked.answer(self.stack(), headers, self.holds(asked.side));
    }

    /// The description that holds, for this end.
    pub(super) fn holds(&self, side: Side) -> Vec<u8> {
        match side {
            Side::Caller => self.agreed.for_caller(&self.terms),
            Side::Callee => self.agreed.for_callee(),
        }
    }

    /// Our Contact towards one end, for whom the other is.
    pub(super) fn contact(&self, side: Side) -> Header {
        let other = match side {
            Side::Caller => &self.agreed.callee,
            Side::Callee => &self.agreed.caller,
        };
        self.stack().contact(&other.name, &self.ends[side].dialog.next_hop())
    }

    pub(super) async fn cancelled(&mut self, number: u32) {
        let ours = |pending: &Pending| pending.asked.is_invite() && pending.asked.sequence() == number;
        if self.pending.as_ref().is_some_and(ours) {
            self.advance(Event::Cancel).await;
        }
    }

    pub(super) async fn proposed(&mut self, result: Result<Terms, Refusal>) {
        let event = match result {
            Ok(_) => Event::Proposed,
            Err(refusal) => Event::ProposeRefused(refusal.into()),
        };
        self.advance(event).await;
    }

    pub(super) async fn confirmed(&mut self, result: Result<Terms, Refusal>) {
        let event = match result {
            Ok(terms) => {
                self.terms = terms;
                if let Some(pending) = &mut self.pending {
                    self.ends[Side::Caller].dialog = pending.caller.0.clone();
                    self.agreed = pending.next.take().unwrap_or_else(|| self.agreed.clone());
                }
                Event::Confirmed
            }
            Err(refusal) => Event::ConfirmRefused(refusal.into()),
        };
        self.advance(event).await;
    }

    /// A response to the re-INVITE with this number; of an older one nothing is waited for.
    pub(super) async fn replied(&mut self, number: u32, response: Option<Response>) {
        if self.asking.as_ref().is_none_or(|asking| sequence(&asking.invite) != number) {
            return;
        }
        let status = response.as_ref().map_or(408, |response| response.status_code.code());
        if let Some(least) = response.as_ref().filter(|_| status == 422).and_then(told_least)
            && let Some(asking) = self.asking.take_if(|_| self.ends[Side::Callee].timer.lengthen(least))
        {
            return self.ask(asking.invite.body).await;
        }
        let event = match response {
            Some(response) if response.status_code.kind() == StatusCodeKind::Provisional => Event::CalleeProvisional(status),
            Some(response) if response.status_code.kind() == StatusCodeKind::Successful => {
                self.agreed.taken();
                let limits = self.services.session_timer;
                let callee = &mut self.ends[Side::Callee];
                match callee.dialog.refreshed(&response) {
                    Ok(dialog) => callee.dialog = dialog,
                    Err(error) => tracing::warn!(%error, "the callee's 200 does not say where it is"),
                }
                callee.timer.renew(agreed(&response, limits, Some(callee.timer.agreement)), Instant::now());
                if let Some(pending) = &mut self.pending {
                    pending.answer = Some(response);
                }
                Event::CalleeAgreed
            }
            // 408 and 503 are also what the library says of a callee it could not reach.
            Some(_) if status == 481 => Event::CalleeGone,
            Some(_) if !matches!(status, 408 | 503) => Event::CalleeDeclined(status),
            Some(_) | None => Event::CalleeFailed,
        };
        if !matches!(event, Event::CalleeProvisional(_)) {
            self.asking = None;
        }
        self.advance(event).await;
    }

    /// One step of the machine.
    pub(super) async fn advance(&mut self, event: Event) {
        tracing::debug!(session = self.terms.session.0, state = ?self.change, ?event, "change in service");
        let (next, actions) = step(self.change, event);
        if std::mem::discriminant(&self.change) != std::mem::discriminant(&next) {
            self.deadline = self.patience(next).map(|(patience, event)| (Instant::now() + patience, event));
        }
        self.change = next;
        for action in actions {
            self.carry_out(action).await;
        }
    }

    /// How long a change stays in this state, and what happens then.
    fn patience(&self, state: State) -> Option<(Duration, Event)> {
        let ring = self.services.ring_timeout;
        match state {
            State::Asking { .. } if self.pending.as_ref().is_some_and(|pending| pending.asked.is_invite()) => Some((ring, Event::Overtime)),
            State::Asking { .. } => Some((ring.min(UPDATE_PATIENCE), Event::Overtime)),
            // RFC 3261 section 9.1: who does not even answer CANCEL is cancelled all the same.
            State::Withdrawing { .. } => Some((PATIENCE, Event::CalleeFailed)),
            State::Idle | State::Proposing { .. } | State::Confirming { .. } | State::TakingBack | State::Ended => None,
        }
    }

    async fn carry_out(&mut self, action: Action) {
        match action {
            Action::Propose => self.propose(),
            Action::Ask => {
                if let Some(pending) = &self.pending {
                    let body = self.agreed.anew_for_callee(&pending.offer.session);
                    self.ask(body).await;
                }
            }
            Action::TakeBack => {
                let body = self.agreed.anew_for_callee(&self.agreed.offer);
                self.ask(body).await;
            }
            Action::Confirm => self.confirm(),
            Action::Withdraw => self.services.sessions.withdraw(self.terms.session).await,
            Action::Relay(status) => {
                if let Some(pending) = &self.pending {
                    pending.asked.relay(self.stack(), status, self.contact(Side::Caller));
                }
            }
            Action::Answer => {
                if let Some(Pending { asked, caller: (_, timer), .. }) = self.pending.take() {
                    self.present(&asked, timer);
                }
            }
            Action::Reject(why) => self.reject(why),
            Action::CancelCallee => self.cancel_callee(),
            // The call hears of it like of everything else; it lives as long as its sender.
            Action::HangUp => drop(self.sender.send(Input::Event(machine::Event::HangUp(Cause::Signalling)))),
        }
    }

    fn propose(&self) {
        let Some(Pending { offer, .. }) = &self.pending else { return };
        let proposal = Proposal { media: offer.media.clone(), class: offer.class, window: offer.window };
        let (services, session) = (Arc::clone(&self.services), self.terms.session);
        let work = async move { services.sessions.propose(session, proposal).await };
        report(self.sender.clone(), work, Input::Proposed);
    }

    /// Offers the callee these terms.
    async fn ask(&mut self, body: Vec<u8>) {
        let hop = self.ends[Side::Callee].dialog.next_hop();
        let mut headers =
            vec![self.contact(Side::Callee), Header::Allow(ALLOW.into()), supported(), Header::ContentType(CONTENT_TYPE.into())];
        headers.extend(self.ends[Side::Callee].timer.headers(self.services.session_timer));
        let via = self.stack().via(&hop);
        let mut invite = self.ends[Side::Callee].dialog.request(Method::Invite, via, headers);
        invite.body = body;
        let number = sequence(&invite);
        self.asking = Some(Asking { invite: invite.clone(), hop: hop.clone() });
        match InviteClient::send(self.stack(), invite, &hop).await {
            Some(client) => follow(client, self.sender.clone(), move |response| Input::Reply(number, response)),
            None => drop(self.sender.send(Input::Reply(number, None))),
        }
    }

    fn confirm(&mut self) {
        match self.read_answer() {
            Ok((next, answer)) => {
                let Some(pending) = &mut self.pending else { return };
                let (dialog, timer) = &pending.caller;
                let callee = &self.ends[Side::Callee];
                let kept = Ends::kept([dialog, &callee.dialog], [timer.agreement, callee.timer.agreement], &next);
                pending.next = Some(next);
                let (services, session) = (Arc::clone(&self.services), self.terms.session);
                let work = async move { services.sessions.confirm(session, answer, kept).await };
                report(self.sender.clone(), work, Input::Confirmed);
            }
            Err(rejection) => drop(self.sender.send(Input::Change(Event::ConfirmRefused(rejection)))),
        }
    }

    fn read_answer(&self) -> Result<(Agreed, Answer), Rejection> {
        let bad = |reason: String| Rejection::new(502, format!("the answer of {} cannot be used: {reason}", self.agreed.callee));
        let Some(Pending { offer, answer: Some(response), .. }) = &self.pending else {
            return Err(bad("there is none".to_owned()));
        };
        let (description, answer) = read_answer(&offer.session, &response.body).map_err(|error| bad(error.to_string()))?;
        Ok((self.agreed.changed(offer, description), answer))
    }

    fn reject(&mut self, why: Why) {
        let Some(Pending { asked, .. }) = self.pending.take() else { return };
        let callee = self.agreed.callee.to_string();
        let rejection = match why {
            Why::Refused(rejection) => rejection,
            Why::Cancelled => Rejection::new(487, "cancelled by the caller"),
            Why::Declined(status) => declined(status, &callee),
            // RFC 3311 section 5.2: an UPDATE does not wait for people.
            Why::NoAnswer if !asked.is_invite() => Rejection::new(504, format!("{callee} did not answer in time; ask by INVITE")),
            Why::NoAnswer => Rejection::new(408, format!("{callee} did not answer in time")),
            Why::Unreachable => Rejection::new(480, format!("{callee} could not be reached")),
            Why::CallOver => Rejection::new(487, "the call has ended"),
            Why::Stopping => Rejection::unavailable("the gateway is stopping"),
        };
        asked.reject(self.stack(), rejection);
    }

    fn cancel_callee(&mut self) {
        let Some(Asking { invite, hop }) = &self.asking else { return };
        let services = Arc::clone(&self.services);
        let (invite, hop) = (invite.clone(), hop.clone());
        self.farewells.spawn(async move { services.stack.cancel(&invite, &hop, None).await });
    }

    fn stack(&self) -> &Stack {
        &self.services.stack
    }
}
