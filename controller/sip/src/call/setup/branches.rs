//! What a call says to the callee's contacts, and what it hears of them.

use std::sync::Arc;

use sdp_types::Session as Description;
use tokio::time::Instant;

use super::early::Bound;
use super::{Call, Event};
use crate::call::branch::{self, Hold, News};
use crate::call::fork::{Branch, No};
use crate::call::reliable::Inbox;
use crate::call::within::Side;
use crate::call::{reason, timers};
use crate::options::{RELIABLE, allows, requires};
use crate::sdp::{answer_for_caller, preconditions, read_answer, serialize};
use crate::sessions::Sessions;
use crate::stack::sip::prelude::HeadersExt;
use crate::stack::sip::{Header, Method, Request, Response};
use crate::stack::{Dialog, DialogKey, NextHop, sequence};

/// More early dialogs than this are not kept: what more forks say is relayed, and that is all.
const MAX_EARLY: usize = 16;

/// A contact of the callee.
pub(super) struct Contact {
    pub(super) hop: NextHop,
    /// The INVITE sent last.
    invite: Option<Request>,
    /// The least session interval that it asked for, in seconds.
    least: Option<u32>,
    hold: Option<Hold>,
    /// The early dialog of its last provisional response, and how that was sent.
    last: Option<(DialogKey, Sent)>,
}

/// How a provisional response was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Reliably,
    Once,
}

impl Contact {
    pub(super) fn new(hop: NextHop) -> Self {
        Self { hop, invite: None, least: None, hold: None, last: None }
    }
}

/// A dialog that a provisional response made.
pub(super) struct Early {
    branch: Branch,
    pub(super) dialog: Dialog,
    inbox: Inbox,
    /// The answer, if it came reliably.
    pub(super) answer: Option<Description>,
    pub(super) by_update: ByUpdate,
}

/// Whether the callee can be offered something before it has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByUpdate {
    Allowed,
    Unknown,
}

/// A contact's 2xx.
pub(super) struct Winner {
    branch: Branch,
    pub(super) response: Response,
    /// The dialog it makes, if it makes one.
    pub(super) dialog: Option<Dialog>,
}

impl<S: Sessions> Call<S> {
    pub(super) fn invite(&mut self, branch: Branch) {
        self.exchange();
        let Some(contact) = self.contacts.get(branch.0) else { return };
        let hop = contact.hop.clone();
        let invite = self.invitation(&hop, contact.invite.as_ref(), contact.least);
        let services = Arc::clone(&self.setup.services);
        let talking = self.setup.place.talk.clone();
        let (hold, follower) = branch::invite(services, self.sender.clone(), branch, invite.clone(), hop, talking);
        let contact = &mut self.contacts[branch.0];
        (contact.invite, contact.hold, contact.last) = (Some(invite), Some(hold), None);
        tokio::spawn(follower);
    }

    /// What a contact's word means for the call.
    pub(super) fn hear(&mut self, branch: Branch, news: News) -> Option<Event> {
        match news {
            News::Provisional(response) => self.hear_provisional(branch, &response),
            News::Answered(response, dialog) => {
                self.answers.push(Winner { branch, response, dialog: dialog.map(|dialog| *dialog) });
                Some(Event::CalleeAnswered(branch))
            }
            News::Refused(response) => {
                let status = response.status_code.code();
                self.forget(branch);
                if status != 422
                    && let Some(crossing) = self.to_peer()
                {
                    return Some(Event::PeerDeclined(branch, crossing.declined(&response)));
                }
                Some(match status {
                    422 => self.hear_too_small(branch, &response),
                    // 408 and 503 are also what the library says of a contact it could not reach.
                    408 | 503 => Event::CalleeRefused(branch, No::Unreachable),
                    _ => Event::CalleeRefused(branch, No::Declined(status)),
                })
            }
            News::Failed => {
                self.forget(branch);
                let silent = self.to_peer().map(|crossing| Event::PeerDeclined(branch, crossing.silent()));
                Some(silent.unwrap_or(Event::CalleeRefused(branch, No::Unreachable)))
            }
        }
    }

    /// 422: again with the interval that the contact wants, unless it had it.
    fn hear_too_small(&mut self, branch: Branch, response: &Response) -> Event {
        let contact = self.contacts.get_mut(branch.0);
        match (contact, timers::told_least(response)) {
            (Some(contact), Some(least)) if contact.least.is_none_or(|before| before < least) => {
                contact.least = Some(least);
                Event::CalleeAgain(branch)
            }
            _ => Event::CalleeRefused(branch, No::Declined(422)),
        }
    }

    /// A provisional response: a reliable one is acknowledged, and an answer in it is the answer.
    fn hear_provisional(&mut self, branch: Branch, response: &Response) -> Option<Event> {
        let status = response.status_code.code();
        let contact = self.contacts.get(branch.0)?;
        let (invite, hop) = (contact.invite.clone()?, contact.hop.clone());
        if status == 100 {
            return None;
        }
        let rseq = response.rseq_value().filter(|_| requires(response, RELIABLE));
        let early = Dialog::as_caller(&invite, response, &hop).ok().and_then(|dialog| self.early_dialog(branch, dialog));
        if let Some(index) = early {
            let early = &mut self.early[index];
            if allows(response, Method::Update) {
                early.by_update = ByUpdate::Allowed;
            }
            self.contacts[branch.0].last = Some((early.dialog.key(), if rseq.is_some() { Sent::Reliably } else { Sent::Once }));
        }
        let Some(rseq) = rseq else {
            return Some(Event::CalleeProvisional(branch, status));
        };
        // Without a dialog it cannot be acknowledged, and one that came twice or too early is not served.
        let index = early?;
        if !self.early[index].inbox.takes(rseq) {
            tracing::debug!(rseq, repeated = self.early[index].inbox.has_taken(rseq), "a reliable response out of turn");
            return None;
        }
        self.acknowledge(index, rseq, sequence(&invite));
        if !response.body.is_empty() && self.early[index].answer.is_none() {
            match read_answer(&self.setup.offer.session, &response.body) {
                Ok((description, _)) => self.early[index].answer = Some(description),
                Err(error) => tracing::warn!(%error, "an early answer cannot be used"),
            }
        }
        Some(Event::CalleeProvisional(branch, status))
    }

    /// The early dialog of a provisional response.
    fn early_dialog(&mut self, branch: Branch, dialog: Dialog) -> Option<usize> {
        let key = dialog.key();
        if let Some(known) = self.early.iter().position(|early| early.dialog.key() == key) {
            return Some(known);
        }
        if self.early.len() >= MAX_EARLY {
            return None;
        }
        self.setup.services.calls.add(key.clone(), self.sender.clone(), Side::Callee, 0);
        self.keys.push(key);
        self.early.push(Early { branch, dialog, inbox: Inbox::default(), answer: None, by_update: ByUpdate::Unknown });
        Some(self.early.len() - 1)
    }

    /// PRACK (RFC 3262 section 4).
    fn acknowledge(&mut self, index: usize, rseq: u32, cseq: u32) {
        let dialog = &mut self.early[index].dialog;
        let hop = dialog.next_hop();
        let rack = Header::RAck(format!("{rseq} {cseq} INVITE").into());
        let prack = dialog.request(Method::PRack, self.setup.services.stack.via(&hop), vec![rack]);
        let services = Arc::clone(&self.setup.services);
        tokio::spawn(async move { services.stack.exchange(prack, &hop).await });
    }

    /// A contact's early dialogs are over. Of what the caller was told of them nothing holds.
    fn forget(&mut self, branch: Branch) {
        if let Some(contact) = self.contacts.get_mut(branch.0) {
            contact.hold = None;
        }
        let bound = self.bound.as_ref().map(|bound| bound.key.clone());
        let over = |early: &Early| early.branch == branch;
        if bound.is_some_and(|key| self.early.iter().any(|early| over(early) && early.dialog.key() == key)) {
            self.unbind();
        }
        self.early.retain(|early| !over(early));
    }

    pub(super) fn abandon(&mut self, branch: Branch, why: Header) {
        if let Some(hold) = self.contacts.get_mut(branch.0).and_then(|contact| contact.hold.take()) {
            hold.abandon(Some(why));
        }
        self.forget(branch);
    }

    pub(super) fn bye_late(&mut self, branch: Branch) {
        let late = self.answers.iter().position(|answer| answer.branch == branch).map(|at| self.answers.swap_remove(at));
        if let Some(dialog) = late.and_then(|late| late.dialog) {
            let services = Arc::clone(&self.setup.services);
            let why = self.cause.filter(|_| self.winner.is_none()).map_or_else(reason::elsewhere, reason::of_cancel);
            self.farewells.spawn(async move { services.stack.bye(dialog, vec![why]).await });
        }
    }

    /// A contact has the call.
    pub(super) fn establish(&mut self, branch: Branch) {
        let answer = self.answers.iter().position(|answer| answer.branch == branch).map(|at| self.answers.swap_remove(at));
        let Some(mut winner) = answer else { return };
        if let Some(dialog) = winner.dialog.take() {
            let key = dialog.key();
            let early = self.early.iter().find(|early| early.dialog.key() == key);
            if early.is_none() {
                self.setup.services.calls.add(key.clone(), self.sender.clone(), Side::Callee, 0);
                self.keys.push(key.clone());
            }
            winner.dialog = Some(early.map_or_else(|| dialog.clone(), |early| dialog.clone().after(&early.dialog)));
            if self.bound.as_ref().is_some_and(|bound| bound.key != key) {
                // Another fork than the one that the caller knows the answer of.
                self.unbind();
            }
        }
        self.winner = Some(winner);
        self.program();
    }

    /// The winner's answer: that of its 200, unless it came reliably before (RFC 3261 section 13.2.1).
    pub(super) fn winning_answer(&self) -> Vec<u8> {
        let Some(winner) = &self.winner else { return Vec::new() };
        let key = winner.dialog.as_ref().map(Dialog::key);
        let early = self.early.iter().find(|early| Some(early.dialog.key()) == key).and_then(|early| early.answer.as_ref());
        early.map_or_else(|| winner.response.body.clone(), serialize)
    }

    /// Relays a contact's provisional response, with its answer where both came reliably and can go on so.
    pub(super) fn relay(&mut self, branch: Branch, status: u16) {
        let last = self.contacts.get(branch.0).and_then(|contact| contact.last.clone());
        let body = self.bind(last.as_ref().map(|(key, _)| key));
        let reliably = body.is_some() || self.setup.caller.requires_reliable() || matches!(last, Some((_, Sent::Reliably)));
        let response = self.setup.caller.provisional(self.stack(), status, body);
        match self.outbox.as_mut().filter(|_| reliably) {
            Some(outbox) => {
                if let Some((rseq, response)) = outbox.push(response, Instant::now()) {
                    self.setup.caller.send_reliably(rseq, response);
                }
            }
            None => self.setup.caller.send(response),
        }
    }

    /// The answer of an early dialog for the caller, if it has to be told: it can have only one (RFC 3264 section 4).
    fn bind(&mut self, key: Option<&DialogKey>) -> Option<Vec<u8>> {
        let (Some(key), Some(terms), Some(_), None) = (key, &self.terms, &self.outbox, &self.bound) else {
            return None;
        };
        let early = self.early.iter().find(|early| early.dialog.key() == *key)?;
        let offer = &self.setup.offer;
        let body = answer_for_caller(early.answer.as_ref()?, &offer.session, &offer.media, terms, self.origin.to_caller());
        self.bound = Some(Bound { key: key.clone(), body: body.clone() });
        Some(body)
    }

    /// What the caller was told of an early dialog holds no more: it is told the next answer in a dialog of its own, as if a proxy had forked.
    fn unbind(&mut self) {
        self.bound = None;
        self.close_offering();
        let caller = &mut self.setup.caller;
        caller.renew();
        let key = caller.dialog.key();
        let number = sequence(&caller.invite);
        self.setup.services.calls.add(key.clone(), self.sender.clone(), Side::Caller, number);
        self.keys.push(key);
        self.origin = self.origin.answered_anew();
    }

    /// The offer as the caller gets it back with 580, if it has preconditions.
    pub(super) fn failed_offer(&self) -> Option<Vec<u8>> {
        let offer = &self.setup.offer.session;
        preconditions::are_wanted(offer).then(|| crate::sdp::failed_offer(offer, self.origin.to_caller()))
    }
}
