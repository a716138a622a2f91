//! Changes in service: the shell around the machine of `change`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use svpn_vpn::domain::{Mover, Proposal};
use svpn_vpn::request::{Answer, ApplicationId, CeName, Refusal, Terms};
use tokio::time::Instant;

use super::refreshing::back_off;
use super::{Ends, Talk};
use crate::call::agreed::Agreed;
use crate::call::callee::follow;
use crate::call::caller::declined;
use crate::call::change::{Action, Event, State, Why, step};
use crate::call::reason::no_answer;
use crate::call::setup::{PATIENCE, report};
use crate::call::timers::{Answered as TimerAnswer, agreed, answer as answer_timer, told_least};
use crate::call::within::{Asked, Side, check_content_type};
use crate::call::{Input, machine};
use crate::options::supported;
use crate::refusal::Rejection;
use crate::sdp::{CONTENT_TYPE, Offer, SdpError, as_callers, parse, read_answer, read_change, same, serialize};
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Method, Request, Response, StatusCodeKind};
use crate::stack::{ALLOW, Dialog, InviteClient, NextHop, Stack, sequence};
use sdp_types::Session as Description;
use svpn_vpn::request::Cause;

/// How long the other end may take when it is asked for by UPDATE, whose transaction ends after 32 seconds.
const UPDATE_PATIENCE: Duration = Duration::from_secs(20);

/// So often an end with an offer of its own under way is asked again.
const MAX_GLARES: u32 = 3;

/// A change that one end waits for.
pub(super) struct Pending {
    pub(super) asked: Asked,
    /// The dialog of who asked, refreshed, and its session timer.
    pub(super) refreshed: (Dialog, TimerAnswer),
    pub(super) wanted: Wanted,
    /// The 2xx of the other end.
    pub(super) answer: Option<Response>,
    /// What holds when it is confirmed.
    pub(super) next: Option<Agreed>,
}

/// What an end wants.
pub(super) struct Wanted {
    /// The offer, as the caller makes it, or would have to make it.
    pub(super) offer: Offer,
    /// The callee's description, and its ends in that, where it is the callee's wish.
    pub(super) callees: Option<(Description, Answer)>,
}

/// A re-INVITE of ours under way.
pub(super) struct Asking {
    to: Side,
    invite: Request,
    hop: NextHop,
}

impl<S: Sessions> Talk<S> {
    /// A re-INVITE or UPDATE has come.
    pub(super) async fn asked(&mut self, asked: Asked) {
        let timer = match answer_timer(&asked.request, self.services.session_timer) {
            Ok(timer) => timer,
            Err(rejection) => return asked.reject(self.stack(), rejection),
        };
        match self.read(&asked) {
            Ok((dialog, Some(wanted))) => {
                self.glares = 0;
                self.towards = asked.side.other();
                self.pending = Some(Box::new(Pending { asked, refreshed: (dialog, timer), wanted, answer: None, next: None }));
                self.advance(Event::Asked).await;
            }
            Ok((dialog, None)) => {
                self.ends[asked.side].dialog = dialog;
                self.present(&asked, timer);
            }
            Err(rejection) => asked.reject(self.stack(), rejection),
        }
    }

    /// What an end asks for; nothing if it only refreshes its target.
    fn read(&self, asked: &Asked) -> Result<(Dialog, Option<Wanted>), Rejection> {
        let side = asked.side;
        if self.pending.as_ref().is_some_and(|pending| pending.asked.side == side) {
            return Err(Rejection::overlapping());
        }
        let refreshed = asked.is_invite() && self.is_refreshed_by_invite(side);
        if refreshed || self.asking.as_ref().is_some_and(|asking| asking.to == side) {
            return Err(Rejection::new(491, "an offer of ours is under way"));
        }
        let dialog = asked.refresh(&self.ends[side].dialog)?;
        if asked.request.body.is_empty() {
            return Ok((dialog, None));
        }
        check_content_type(&asked.request)?;
        let wanted = self.read_offer(side, &asked.request.body).map_err(|error| Rejection::new(error.status(), error.to_string()))?;
        if wanted.is_some() && self.change != State::Idle {
            return Err(Rejection::new(491, "another change is under way"));
        }
        if wanted.is_some() && self.is_refreshed_by_invite(side.other()) {
            return Err(Rejection::new(491, "a re-INVITE of ours to the other end is under way"));
        }
        Ok((dialog, wanted))
    }

    fn read_offer(&self, side: Side, body: &[u8]) -> Result<Option<Wanted>, SdpError> {
        let Agreed { offer: agreed, answer, fixed, .. } = &self.agreed;
        let now = SystemTime::now();
        match side {
            Side::Caller => {
                let offer = read_change(body, now, agreed, *fixed)?;
                Ok((!same(&offer.session, agreed)).then_some(Wanted { offer, callees: None }))
            }
            Side::Callee => {
                let callees = parse(body)?;
                if same(&callees, answer) {
                    return Ok(None);
                }
                let offer = read_change(&serialize(&as_callers(agreed, &callees)?), now, agreed, *fixed)?;
                // The ends it names must be good for an answer.
                let (_, ends) = read_answer(&offer.session, body)?;
                Ok(Some(Wanted { offer, callees: Some((callees, ends)) }))
            }
        }
    }

    /// Whether something else is under way with this end.
    pub(super) fn is_busy(&self, side: Side) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.to == side)
            || self.pending.as_ref().is_some_and(|pending| pending.asked.side == side)
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
        if self.pending.as_deref().is_some_and(ours) {
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
                    self.ends[pending.asked.side].dialog = pending.refreshed.0.clone();
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
        let Some(side) = self.asking.as_ref().filter(|asking| sequence(&asking.invite) == number).map(|asking| asking.to) else { return };
        let status = response.as_ref().map_or(408, |response| response.status_code.code());
        if let Some(least) = response.as_ref().filter(|_| status == 422).and_then(told_least)
            && let Some(asking) = self.asking.take_if(|_| self.ends[side].timer.lengthen(least))
        {
            return self.ask(asking.invite.body).await;
        }
        let event = match response {
            Some(response) if response.status_code.kind() == StatusCodeKind::Provisional => Event::Provisional(status),
            Some(response) if response.status_code.kind() == StatusCodeKind::Successful => {
                self.agreed.taken(side);
                let limits = self.services.session_timer;
                let end = &mut self.ends[side];
                match end.dialog.refreshed(&response) {
                    Ok(dialog) => end.dialog = dialog,
                    Err(error) => tracing::warn!(%error, ?side, "the 200 does not say where its sender is"),
                }
                end.timer.renew(agreed(&response, limits, Some(end.timer.agreement)), Instant::now());
                if let Some(pending) = &mut self.pending {
                    pending.answer = Some(response);
                }
                Event::Agreed
            }
            Some(_) if status == 491 && self.glares < MAX_GLARES => {
                self.glares += 1;
                Event::Glare
            }
            // 408 and 503 are also what the library says of a callee it could not reach.
            Some(_) if status == 481 => Event::Gone,
            Some(_) if !matches!(status, 408 | 503) => Event::Declined(status),
            Some(_) | None => Event::Failed,
        };
        if !matches!(event, Event::Provisional(_)) {
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
            State::Withdrawing { .. } => Some((PATIENCE, Event::Failed)),
            State::BackingOff { .. } => Some((back_off(self.towards), Event::Again)),
            State::Idle | State::Proposing { .. } | State::Confirming { .. } | State::TakingBack | State::Ended => None,
        }
    }

    async fn carry_out(&mut self, action: Action) {
        match action {
            Action::Propose => self.propose(),
            Action::Ask => {
                if let Some(Pending { wanted: Wanted { offer, callees }, .. }) = self.pending.as_deref() {
                    let callees = callees.as_ref().map(|(callees, _)| callees);
                    let body = self.agreed.anew(self.towards, offer, callees, &self.terms);
                    self.ask(body).await;
                }
            }
            Action::TakeBack => {
                let body = self.agreed.again(self.towards, &self.terms);
                self.ask(body).await;
            }
            // The deadline of the state says when.
            Action::BackOff => {}
            Action::Confirm => self.confirm(),
            Action::Withdraw => self.services.sessions.withdraw(self.terms.session).await,
            Action::Relay(status) => {
                if let Some(pending) = self.pending.as_deref() {
                    pending.asked.relay(self.stack(), status, self.contact(pending.asked.side));
                }
            }
            Action::Answer => {
                if let Some(pending) = self.pending.take() {
                    self.present(&pending.asked, pending.refreshed.1);
                }
            }
            Action::Reject(why) => self.reject(why),
            Action::CancelAsked => self.cancel_asked(),
            // The call hears of it like of everything else; it lives as long as its sender.
            Action::HangUp => drop(self.sender.send(Input::Event(machine::Event::HangUp(Cause::Signalling)))),
        }
    }

    fn propose(&self) {
        let Some(Pending { wanted: Wanted { offer, callees }, .. }) = self.pending.as_deref() else { return };
        // Who asks says where it is now.
        let mover = match callees {
            None => self.whereabouts(&self.agreed.caller).map(Mover::Caller),
            Some((_, ends)) => self.whereabouts(&self.agreed.callee).map(|ce| Mover::Callee(ce, ends.clone())),
        };
        let proposal = Proposal { media: offer.media.clone(), class: offer.class, window: offer.window, mover };
        let (services, session) = (Arc::clone(&self.services), self.terms.session);
        let work = async move { services.sessions.propose(session, proposal).await };
        report(self.sender.clone(), work, Input::Proposed);
    }

    /// Where an application has registered, if it has.
    fn whereabouts(&self, application: &ApplicationId) -> Option<CeName> {
        self.services.registrar().latest(application, std::time::Instant::now()).map(|binding| binding.ce)
    }

    /// Offers these terms to the end that is asked.
    async fn ask(&mut self, body: Vec<u8>) {
        let side = self.towards;
        let hop = self.ends[side].dialog.next_hop();
        let mut headers = vec![self.contact(side), Header::Allow(ALLOW.into()), supported(), Header::ContentType(CONTENT_TYPE.into())];
        headers.extend(self.ends[side].timer.headers(self.services.session_timer));
        let via = self.stack().via(&hop);
        let mut invite = self.ends[side].dialog.request(Method::Invite, via, headers);
        invite.body = body;
        let number = sequence(&invite);
        self.asking = Some(Box::new(Asking { to: side, invite: invite.clone(), hop: hop.clone() }));
        match InviteClient::send(self.stack(), invite, &hop).await {
            Some(client) => follow(client, self.sender.clone(), move |response| Input::Reply(number, response)),
            None => drop(self.sender.send(Input::Reply(number, None))),
        }
    }

    fn confirm(&mut self) {
        match self.read_answer() {
            Ok((next, answer)) => {
                let Some(pending) = &mut self.pending else { return };
                let (dialog, timer) = &pending.refreshed;
                let end = |side| {
                    let end = &self.ends[side];
                    if pending.asked.side == side { (dialog, timer.agreement) } else { (&end.dialog, end.timer.agreement) }
                };
                let [(caller, callers), (callee, callees)] = [end(Side::Caller), end(Side::Callee)];
                let kept = Ends::kept([caller, callee], [callers, callees], &next);
                pending.next = Some(next);
                let (services, session) = (Arc::clone(&self.services), self.terms.session);
                let work = async move { services.sessions.confirm(session, answer, kept).await };
                report(self.sender.clone(), work, Input::Confirmed);
            }
            Err(rejection) => drop(self.sender.send(Input::Change(Event::ConfirmRefused(rejection)))),
        }
    }

    fn read_answer(&self) -> Result<(Agreed, Answer), Rejection> {
        let bad = |reason: String| Rejection::new(502, format!("the answer cannot be used: {reason}"));
        let Some(Pending { wanted: Wanted { offer, callees }, answer: Some(response), .. }) = self.pending.as_deref() else {
            return Err(bad("there is none".to_owned()));
        };
        let read = |body: &[u8]| read_answer(&offer.session, body).map_err(|error| bad(error.to_string()));
        let (description, answer) = read(&response.body)?;
        let Some((callees, ends)) = callees else {
            return Ok((self.agreed.changed(offer, description), answer));
        };
        // The callee's wish: the caller has said which media it takes, at the ends that it has.
        let mut ends = ends.clone();
        for ((end, callers), medium) in ends.media.iter_mut().zip(answer.media).zip(&offer.media) {
            match callers {
                None => *end = None,
                Some(callers) if callers == medium.caller => {}
                Some(_) => return Err(bad("the caller has moved meanwhile".to_owned())),
            }
        }
        Ok((self.agreed.changed_by_callee(offer, callees.clone()), ends))
    }

    fn reject(&mut self, why: Why) {
        let Some(Pending { asked, .. }) = self.pending.take().map(|pending| *pending) else { return };
        let other = match asked.side {
            Side::Caller => self.agreed.callee.to_string(),
            Side::Callee => self.agreed.caller.to_string(),
        };
        let rejection = match why {
            Why::Refused(rejection) => rejection,
            Why::Cancelled => Rejection::new(487, "cancelled by who asked"),
            Why::Declined(status) => declined(status, &other),
            // RFC 3311 section 5.2: an UPDATE does not wait for people.
            Why::NoAnswer if !asked.is_invite() => Rejection::new(504, format!("{other} did not answer in time; ask by INVITE")),
            Why::NoAnswer => Rejection::new(408, format!("{other} did not answer in time")),
            Why::Unreachable => Rejection::new(480, format!("{other} could not be reached")),
            Why::CallOver => Rejection::new(487, "the call has ended"),
            Why::Stopping => Rejection::unavailable("the gateway is stopping"),
        };
        if asked.responder.is_none() {
            // An answer cannot be refused: the end holds for agreed what is not (RFC 3261 section 14.1).
            tracing::warn!(session = self.terms.session.0, side = ?asked.side, reason = rejection.reason, "what an ACK says cannot be had: the call ends");
            let _ = self.sender.send(Input::Event(machine::Event::HangUp(Cause::Refused)));
            return;
        }
        asked.reject(self.stack(), rejection);
    }

    fn cancel_asked(&mut self) {
        let Some(Asking { invite, hop, .. }) = self.asking.as_deref() else { return };
        let services = Arc::clone(&self.services);
        let (invite, hop) = (invite.clone(), hop.clone());
        self.farewells.spawn(async move { services.stack.cancel(&invite, &hop, Some(no_answer())).await });
    }

    fn stack(&self) -> &Stack {
        &self.services.stack
    }
}
