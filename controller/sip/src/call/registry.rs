//! The calls under way: how a request within a dialog finds its call, and how all of them are ended.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use svpn_vpn::request::SessionNumber;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::within::Side;
use super::{Event, Input, Sender};
use crate::sessions::HangUp;
use crate::stack::DialogKey;
use crate::stack::sip::Method;

/// More calls than this at a time are turned away.
const MAX_CALLS: usize = 100_000;

/// One leg of a call.
struct Leg {
    call: Sender,
    /// Whose it is.
    side: Side,
    /// The highest `CSeq` this leg has sent.
    sequence: u32,
}

/// What a request within a dialog met.
pub(crate) enum Found {
    /// Its call, and from which end of it the request comes.
    Call(Sender, Side),
    /// Its call, which was told that this end hangs up: this fails when the session is released.
    Leaving(oneshot::Receiver<Infallible>),
    /// A call that has seen a later request: this one is out of order (RFC 3261 section 12.2.2).
    Later,
    /// No call.
    Nothing,
}

/// All calls.
#[derive(Default)]
pub(crate) struct Calls {
    legs: Mutex<HashMap<DialogKey, Leg>>,
    /// Those that have a session.
    sessions: Mutex<HashMap<SessionNumber, Sender>>,
    /// Calls that hold, or may come to hold, a reservation.
    reserved: TaskTracker,
    /// Calls that have something left to say.
    talking: TaskTracker,
    stop: CancellationToken,
}

/// A place among the calls; dropped, it is free again.
pub(crate) struct Place {
    /// Until the reservation is released.
    pub(super) reservation: Option<TaskTrackerToken>,
    /// Until the last BYE is answered.
    pub(super) talk: TaskTrackerToken,
    /// Told when the gateway stops.
    pub(super) stop: CancellationToken,
}

impl Place {
    /// The place, for who goes on with the call; what is left here holds nobody up.
    pub(super) fn take(&mut self) -> Self {
        Self { reservation: self.reservation.take(), talk: self.talk.clone(), stop: self.stop.clone() }
    }
}

impl Calls {
    /// A place for a new call; none if the gateway stops or has too many.
    pub(crate) fn place(&self) -> Option<Place> {
        // The tokens first, then the question: `stop` waits for every token taken before it.
        let place = Place { reservation: Some(self.reserved.token()), talk: self.talking.token(), stop: self.stop.clone() };
        (!self.stop.is_cancelled() && self.talking.len() <= MAX_CALLS).then_some(place)
    }

    /// Requests within the dialog belong to this call from now on.
    pub(super) fn add(&self, key: DialogKey, call: Sender, side: Side, sequence: u32) {
        self.legs().insert(key, Leg { call, side, sequence });
    }

    /// The dialog is over.
    pub(super) fn remove(&self, key: &DialogKey) {
        self.legs().remove(key);
    }

    /// A call has a session.
    pub(super) fn name(&self, session: SessionNumber, call: Sender) {
        self.sessions().insert(session, call);
    }

    /// A call has its session no more. Its number may be another call's by now.
    pub(super) fn forget(&self, session: SessionNumber, call: &Sender) {
        let mut sessions = self.sessions();
        if sessions.get(&session).is_some_and(|known| known.reaches_the_same(call)) {
            sessions.remove(&session);
        }
    }

    /// Ends the call of a session, if there is one.
    pub(crate) fn hang_up(&self, HangUp { session, cause }: HangUp) {
        let call = self.sessions().get(&session).cloned();
        // A call that has ended meanwhile needs to hear nothing.
        let told = call.is_some_and(|call| call.send(Input::Event(Event::HangUp(cause))).is_ok());
        tracing::debug!(session = session.0, ?cause, told, "the gateway ends a session");
    }

    /// Hands a request within a dialog to its call.
    pub(crate) fn request(&self, key: &DialogKey, method: Method, sequence: u32) -> Found {
        let mut legs = self.legs();
        let Some(leg) = legs.get_mut(key) else {
            return Found::Nothing;
        };
        if sequence <= leg.sequence {
            return Found::Later;
        }
        leg.sequence = sequence;
        if method == Method::Bye {
            let (leaving, left) = oneshot::channel();
            // A call that has ended meanwhile needs no BYE.
            let _ = leg.call.send(Input::Bye(leg.side, leaving));
            return Found::Leaving(left);
        }
        Found::Call(leg.call.clone(), leg.side)
    }

    /// Ends every call that is being set up, and leaves those in service as they are; returns when all reservations that go are released.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.reserved.close();
        self.reserved.wait().await;
    }

    /// Returns when every BYE is answered.
    pub(crate) async fn silence(&self) {
        self.talking.close();
        self.talking.wait().await;
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionNumber, Sender>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn legs(&self) -> MutexGuard<'_, HashMap<DialogKey, Leg>> {
        self.legs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
