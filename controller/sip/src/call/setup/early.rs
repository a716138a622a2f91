//! What the ends tell each other before the callee has answered: acknowledgements of reliable responses (RFC 3262), and offers of one end in
//! UPDATE (RFC 3311) or PRACK that say how far its preconditions are met (RFC 3312), and nothing else.
//!
//! They go from end to end through the early dialog whose answer the caller knows. What an end need not hear the gateway answers itself.

use std::sync::Arc;

use sdp_types::Session as Description;
use tokio::time::Instant;

use super::branches::{ByUpdate, Early};
use super::{Call, Event};
use crate::call::Input;
use crate::call::caller::declined;
use crate::call::reliable::{NoSuchResponse, Outbox, Rack};
use crate::call::within::{Asked, Side, check_content_type};
use crate::options::supported;
use crate::refusal::Rejection;
use crate::sdp::{CONTENT_TYPE, answer_for_caller, offer_for_callee, parse, preconditions, same};
use crate::sessions::Sessions;
use crate::stack::sip::prelude::HeadersExt;
use crate::stack::sip::{Header, Method, Response};
use crate::stack::{ALLOW, DialogKey, NextHop, sequence};

/// What the caller was told reliably before the callee has answered.
pub(super) struct Bound {
    /// The callee's early dialog.
    pub(super) key: DialogKey,
    /// The answer, as it holds now.
    pub(super) body: Vec<u8>,
}

/// An offer that waits for the other end's answer.
pub(super) struct EarlyOffer {
    asked: Asked,
    offer: Description,
    /// The number of our UPDATE.
    number: u32,
}

impl<S: Sessions> Call<S> {
    /// PRACK.
    pub(super) fn acknowledged(&mut self, asked: &Asked) -> Option<Event> {
        let rack = asked.request.rack_value().map(|(rseq, cseq, method)| Rack { rseq, cseq, method });
        let taken = match (&mut self.outbox, rack) {
            (Some(outbox), Some(rack)) if asked.side == Side::Caller => outbox.acknowledged(rack, Instant::now()),
            _ => Err(NoSuchResponse),
        };
        let Ok(next) = taken else {
            asked.reject(self.stack(), Rejection::new(481, "no response waits for this PRACK"));
            return None;
        };
        if asked.request.body.is_empty() {
            asked.respond(self.stack(), 200, vec![supported()], None);
        } else {
            self.early_offer(asked);
        }
        if let Some((rseq, response)) = next {
            self.setup.caller.send_reliably(rseq, response);
        }
        self.held.take_if(|_| self.outbox.as_ref().is_none_or(Outbox::is_empty))
    }

    /// An offer of one end, or the news that it is at another Contact.
    pub(super) fn early_offer(&mut self, asked: &Asked) {
        let rejected = match self.read_early_offer(asked) {
            Ok(None) => {
                let contact = self.contact(asked.side, &self.hop(asked.side));
                return asked.respond(self.stack(), 200, vec![contact, Header::Allow(ALLOW.into()), supported()], None);
            }
            Ok(Some(offer)) => self.pass_on(asked.clone(), offer),
            Err(rejection) => Err(rejection),
        };
        if let Err(rejection) = rejected {
            asked.reject(self.stack(), rejection);
        }
    }

    /// Checks an offer; nothing if there is none.
    fn read_early_offer(&mut self, asked: &Asked) -> Result<Option<Description>, Rejection> {
        let bound = self.bound_early();
        if asked.side == Side::Caller {
            self.setup.caller.dialog = asked.refresh(&self.setup.caller.dialog)?;
        } else if let Some(index) = bound {
            self.early[index].dialog = asked.refresh(&self.early[index].dialog)?;
        }
        if asked.request.body.is_empty() {
            return Ok(None);
        }
        check_content_type(&asked.request)?;
        if self.offering.as_ref().is_some_and(|offering| offering.asked.side == asked.side) {
            return Err(Rejection::overlapping());
        }
        if self.offering.is_some() {
            return Err(Rejection::new(491, "an offer of the other end is under way"));
        }
        // RFC 3311 section 5.2: the offer of the INVITE has no answer yet.
        let Some(early) = bound.map(|index| &self.early[index]) else {
            return Err(Rejection::overlapping());
        };
        let holds = match asked.side {
            Side::Caller => Some(&self.setup.offer.session),
            Side::Callee => early.answer.as_ref().filter(|_| DialogKey::of_request(&asked.request) == Some(early.dialog.key())),
        };
        let holds = holds.ok_or_else(Rejection::overlapping)?;
        let offer = parse(&asked.request.body).map_err(|error| Rejection::new(error.status(), error.to_string()))?;
        if !same(&preconditions::without(&offer), &preconditions::without(holds)) {
            return Err(Rejection::new(488, "before the callee has answered only preconditions can change"));
        }
        Ok(Some(offer))
    }

    /// The early dialog whose answer the caller knows.
    fn bound_early(&self) -> Option<usize> {
        let bound = self.bound.as_ref()?;
        self.early.iter().position(|early| early.dialog.key() == bound.key)
    }

    /// Offers the other end what one has offered; where that has no preconditions, there is nothing to ask it.
    fn pass_on(&mut self, asked: Asked, offer: Description) -> Result<(), Rejection> {
        let Some(index) = self.bound_early() else {
            return Err(Rejection::overlapping());
        };
        let to = asked.side.other();
        let Early { answer: Some(answer), by_update, .. } = &self.early[index] else {
            return Err(Rejection::overlapping());
        };
        let asks = match to {
            Side::Callee => *by_update == ByUpdate::Allowed && preconditions::are_wanted(answer),
            Side::Caller => self.setup.caller.allows_update() && preconditions::are_wanted(&self.setup.offer.session),
        };
        if !asks {
            self.agree(&asked, &offer, None);
            return Ok(());
        }
        if to == Side::Caller && !self.outbox.as_ref().is_none_or(Outbox::is_empty) {
            return Err(Rejection::new(491, "the caller has not acknowledged the answer yet"));
        }
        let body = match to {
            Side::Callee => offer_for_callee(&offer, self.origin.offered_anew().to_callee()),
            Side::Caller => self.for_caller(&offer, self.origin.answered_anew()),
        };
        let number = self.send_update(to, index, body);
        self.offering = Some(EarlyOffer { asked, offer, number });
        Ok(())
    }

    fn send_update(&mut self, to: Side, index: usize, body: Vec<u8>) -> u32 {
        let dialog = match to {
            Side::Callee => &self.early[index].dialog,
            Side::Caller => &self.setup.caller.dialog,
        };
        let hop = dialog.next_hop();
        let headers = vec![self.contact(to, &hop), Header::Allow(ALLOW.into()), supported(), Header::ContentType(CONTENT_TYPE.into())];
        let via = self.stack().via(&hop);
        let dialog = match to {
            Side::Callee => &mut self.early[index].dialog,
            Side::Caller => &mut self.setup.caller.dialog,
        };
        let mut update = dialog.request(Method::Update, via, headers);
        update.body = body;
        let number = sequence(&update);
        let (services, call) = (Arc::clone(&self.setup.services), self.sender.clone());
        tokio::spawn(async move {
            let response = services.stack.exchange(update, &hop).await;
            // A call that has ended needs to hear nothing.
            let _ = call.send(Input::Offered(number, response));
        });
        number
    }

    /// What became of our UPDATE.
    pub(super) fn early_answered(&mut self, number: u32, response: Option<Response>) {
        let Some(EarlyOffer { asked, offer, .. }) = self.offering.take_if(|offering| offering.number == number) else { return };
        let callee = self.setup.request.callee.to_string();
        let status = response.as_ref().map_or(408, |response| response.status_code.code());
        let (Some(response), 200..=299) = (response, status) else {
            // 491 is for who asks to try again.
            return asked
                .reject(self.stack(), if status == 491 { Rejection::new(491, "an offer crossed it") } else { declined(status, &callee) });
        };
        match parse(&response.body) {
            Ok(answer) if self.is_known(asked.side.other(), &answer) => self.agree(&asked, &offer, Some(&answer)),
            Ok(_) => asked.reject(self.stack(), Rejection::new(502, "the answer changes more than preconditions")),
            Err(error) => asked.reject(self.stack(), Rejection::new(502, format!("the answer cannot be used: {error}"))),
        }
    }

    /// Whether an end's description is the one that holds, but for preconditions.
    fn is_known(&self, side: Side, description: &Description) -> bool {
        let holds = match side {
            Side::Caller => Some(&self.setup.offer.session),
            Side::Callee => self.bound_early().and_then(|index| self.early[index].answer.as_ref()),
        };
        holds.is_some_and(|holds| holds.medias.len() == description.medias.len())
    }

    /// One end's offer and the other's answer hold; without an answer the gateway gives the one that holds.
    fn agree(&mut self, asked: &Asked, offer: &Description, answer: Option<&Description>) {
        let Some(index) = self.bound_early() else { return };
        let (callers, callees) = match asked.side {
            Side::Caller => (Some(offer), answer),
            Side::Callee => (answer, Some(offer)),
        };
        if let Some(description) = callers {
            preconditions::adopt(&mut self.setup.offer.session, description);
        }
        if let (Some(holds), Some(description)) = (&mut self.early[index].answer, callees) {
            preconditions::adopt(holds, description);
        }
        let told = |side| asked.side == side || answer.is_some();
        if told(Side::Callee) {
            self.origin = self.origin.offered_anew();
        }
        if told(Side::Caller) {
            self.origin = self.origin.answered_anew();
            let body = self.early[index].answer.as_ref().map(|answer| self.for_caller(answer, self.origin));
            if let (Some(bound), Some(body)) = (&mut self.bound, body) {
                bound.body = body;
            }
        }
        let body = match asked.side {
            Side::Caller => self.bound.as_ref().map(|bound| bound.body.clone()),
            Side::Callee => Some(offer_for_callee(&self.setup.offer.session, self.origin.to_callee())),
        };
        let contact = self.contact(asked.side, &self.hop(asked.side));
        let headers = vec![contact, Header::Allow(ALLOW.into()), supported(), Header::ContentType(CONTENT_TYPE.into())];
        asked.respond(self.stack(), 200, headers, body);
    }

    /// Where an end is.
    fn hop(&self, side: Side) -> NextHop {
        let callee = self.bound_early().filter(|_| side == Side::Callee);
        callee.map_or_else(|| self.setup.caller.dialog.next_hop(), |index| self.early[index].dialog.next_hop())
    }

    /// The callee's description as the caller gets it.
    fn for_caller(&self, description: &Description, origin: crate::call::agreed::Origin) -> Vec<u8> {
        let offer = &self.setup.offer;
        let terms = self.terms.as_ref();
        terms.map_or_else(Vec::new, |terms| answer_for_caller(description, &offer.session, &offer.media, terms, origin.to_caller()))
    }

    /// Nothing comes of an offer under way: the callee has answered, or the call is over.
    pub(super) fn close_offering(&mut self) {
        if let Some(EarlyOffer { asked, .. }) = self.offering.take() {
            asked.reject(self.stack(), Rejection::new(491, "the call has gone on"));
        }
    }
}
