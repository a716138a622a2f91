//! Reliable provisional responses (RFC 3262), pure: what the gateway has to repeat until the caller acknowledges it, and which of the
//! callee's the gateway acknowledges.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::stack::sip::Method;

/// T1 of RFC 3261: the first repetition comes after this.
const T1: Duration = Duration::from_millis(500);

/// Who has not acknowledged for 64 * T1 never will.
const LAST: Duration = T1.saturating_mul(64);

/// `RAck`: the response and the request that a PRACK is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rack {
    pub(super) rseq: u32,
    pub(super) cseq: u32,
    pub(super) method: Method,
}

/// What time brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Timed<P> {
    /// This is to be sent again, with this `RSeq`.
    Again(u32, P),
    /// It was never acknowledged.
    GivenUp,
}

/// PRACK is about no response that waits for one: 481.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoSuchResponse;

/// One that was sent and waits for its PRACK.
#[derive(Debug, Clone)]
struct Sent<P> {
    rseq: u32,
    response: P,
    since: Instant,
    /// When it is sent again, and how long after that once more.
    again: Instant,
    pause: Duration,
}

/// Those of one INVITE that go to the caller, one at a time and in order.
#[derive(Debug, Clone)]
pub(super) struct Outbox<P> {
    /// `CSeq` of the INVITE.
    cseq: u32,
    next: u32,
    sent: Option<Sent<P>>,
    waiting: VecDeque<P>,
}

impl<P: Clone> Outbox<P> {
    /// That of the INVITE with this `CSeq`; `first` is the first `RSeq`, from 1 to 2^31 - 1.
    pub(super) fn new(cseq: u32, first: u32) -> Self {
        Self { cseq, next: first, sent: None, waiting: VecDeque::new() }
    }

    /// A response is to be sent: at once, with the `RSeq` returned, unless another waits for its PRACK.
    pub(super) fn push(&mut self, response: P, now: Instant) -> Option<(u32, P)> {
        self.waiting.push_back(response);
        if self.sent.is_some() { None } else { self.send(now) }
    }

    /// A PRACK has come: what is to be sent now.
    pub(super) fn acknowledged(&mut self, rack: Rack, now: Instant) -> Result<Option<(u32, P)>, NoSuchResponse> {
        let about = |sent: &mut Sent<P>| rack == Rack { rseq: sent.rseq, cseq: self.cseq, method: Method::Invite };
        self.sent.take_if(about).ok_or(NoSuchResponse)?;
        Ok(self.send(now))
    }

    /// Whether all has been acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_none()
    }

    /// When time brings something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.sent.as_ref().map(|sent| sent.again)
    }

    /// What it brings.
    pub(super) fn timed(&mut self, now: Instant) -> Option<Timed<P>> {
        let sent = self.sent.as_mut().filter(|sent| sent.again <= now)?;
        if now >= sent.since + LAST {
            self.clear();
            return Some(Timed::GivenUp);
        }
        sent.pause *= 2;
        sent.again = (now + sent.pause).min(sent.since + LAST);
        Some(Timed::Again(sent.rseq, sent.response.clone()))
    }

    /// A final response has been sent: nothing is repeated any more.
    pub(super) fn clear(&mut self) {
        self.sent = None;
        self.waiting.clear();
    }

    fn send(&mut self, now: Instant) -> Option<(u32, P)> {
        let response = self.waiting.pop_front()?;
        let rseq = self.next;
        self.next += 1;
        self.sent = Some(Sent { rseq, response: response.clone(), since: now, again: now + T1, pause: T1 });
        Some((rseq, response))
    }
}

/// Those of one early dialog that come from the callee: each is taken once and in order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inbox {
    last: Option<u32>,
}

impl Inbox {
    /// Whether the response with this `RSeq` is a new one, and not one repeated or one that came before its turn.
    pub(super) fn takes(&mut self, rseq: u32) -> bool {
        let new = self.last.is_none_or(|last| rseq == last.wrapping_add(1));
        if new {
            self.last = Some(rseq);
        }
        new
    }

    /// Whether this one was taken already, and is repeated because our PRACK is lost or on its way.
    pub(super) fn has_taken(self, rseq: u32) -> bool {
        self.last.is_some_and(|last| rseq <= last)
    }
}

#[cfg(test)]
mod tests;
