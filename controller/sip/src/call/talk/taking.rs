//! Re-INVITEs without an offer, as telephones send them to refresh: our 200 offers what holds, and the ACK has the answer (RFC 3261 section 14.1).
//!
//! What the answer leaves as it is changes nothing. Where it has other ends or directions, it is a change like any other, but for one thing: it cannot
//! be refused, for who answers holds it for agreed. So where it cannot be had, the call ends.

use std::time::SystemTime;

use svpn_vpn::request::Cause;

use super::Talk;
use super::changing::{Pending, Wanted};
use crate::call::change::{Event, State};
use crate::call::machine;
use crate::call::timers::Answered as TimerAnswer;
use crate::call::within::{Asked, Side};
use crate::sdp::{SdpError, as_callers, parse, read_answer, read_change, serialize, with_answer};
use crate::sessions::Sessions;

impl<S: Sessions> Talk<S> {
    /// The ACK has come.
    pub(in crate::call) async fn taken(&mut self, acknowledgement: Asked) {
        let side = acknowledgement.side;
        if acknowledgement.request.body.is_empty() {
            // Who answers nothing, though it must, changes nothing.
            return;
        }
        let wanted = match self.read_taken(side, &acknowledgement.request.body) {
            Ok(None) => return,
            Ok(Some(wanted)) if self.change == State::Idle && !self.is_busy(side) && !self.is_busy(side.other()) => wanted,
            Ok(Some(_)) => return self.untaken(side, "another change is under way").await,
            Err(error) => return self.untaken(side, &error.to_string()).await,
        };
        self.glares = 0;
        self.towards = side.other();
        let end = &self.ends[side];
        let timer = TimerAnswer { agreement: end.timer.agreement, headers: Vec::new() };
        let refreshed = (end.dialog.clone(), timer);
        self.pending = Some(Box::new(Pending { asked: acknowledgement, refreshed, wanted, answer: None, next: None }));
        self.advance(Event::Asked).await;
    }

    /// What an end answers to the description that holds; nothing if it takes it as it is.
    fn read_taken(&self, side: Side, body: &[u8]) -> Result<Option<Wanted>, SdpError> {
        let (agreed, now) = (&self.agreed, SystemTime::now());
        let change = |session| read_change(&serialize(&session), now, &agreed.offer, agreed.fixed);
        match side {
            Side::Caller => {
                let offer = change(with_answer(&agreed.offer, &parse(body)?)?)?;
                Ok((offer.media != agreed.media).then_some(Wanted { offer, callees: None }))
            }
            Side::Callee => {
                let (description, ends) = read_answer(&agreed.offer, body)?;
                let (_, before) = read_answer(&agreed.offer, &serialize(&agreed.answer))?;
                let offer = change(as_callers(&agreed.offer, &description)?)?;
                Ok((offer.media != agreed.media || ends != before).then_some(Wanted { offer, callees: Some((description, ends)) }))
            }
        }
    }

    async fn untaken(&mut self, side: Side, reason: &str) {
        tracing::warn!(session = self.terms.session.0, ?side, reason, "the answer of an ACK cannot be served: the call ends");
        self.end(machine::Event::HangUp(Cause::Refused)).await;
    }
}
