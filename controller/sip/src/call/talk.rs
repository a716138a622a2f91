//! A call in service: both ends talk, and the gateway waits for one of them to hang up or to ask for a change ([`changing`]). Calls that
//! were set up come here, and those that a gateway before this one had set up.

mod changing;
mod ends;
mod refreshing;
mod taking;

use std::sync::Arc;

use svpn_vpn::request::{Cause, Terms};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::changing::{Asking, Pending};
pub(super) use self::ends::Ends;
use super::agreed::Agreed;
use super::inbox::{Inbox, inbox};
use super::machine::{Action, Event, State, step};
use super::registry::Place;
use super::setup::{LOOK_AGAIN, unheard};
use super::within::Side;
use super::{Input, Leaving, Sender, change, reason};
use crate::refusal::Rejection;
use crate::sdp::SdpError;
use crate::services::Services;
use crate::sessions::{Resumed, Sessions};
use crate::stack::sip::Method;
use crate::stack::{DialogError, DialogKey};

/// Why a call cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResumeError {
    #[error("what was kept cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Dialog(#[from] DialogError),
    #[error(transparent)]
    Description(#[from] SdpError),
    #[error("there are too many calls")]
    TooMany,
}

/// A call in service.
pub(super) struct Talk<S: Sessions> {
    pub(super) services: Arc<Services<S>>,
    pub(super) place: Place,
    sender: Sender,
    ends: Ends,
    pub(super) terms: Terms,
    pub(super) agreed: Agreed,
    /// BYE and CANCEL under way.
    pub(super) farewells: JoinSet<()>,
    /// Who waits for the release.
    pub(super) leaving: Vec<Leaving>,
    pub(super) keys: Vec<DialogKey>,
    change: change::State,
    /// What an end waits for.
    pending: Option<Box<Pending>>,
    /// What the other is asked.
    asking: Option<Box<Asking>>,
    /// Who is, or was last, asked.
    towards: Side,
    /// How often it had an offer of its own under way.
    glares: u32,
    /// When it took too long, and what that means.
    deadline: Option<(Instant, change::Event)>,
    /// How the call ends when the gateway is done with a change.
    ending: Option<Event>,
    stopping: bool,
}

/// Goes on with a call of the gateway before this one.
pub(crate) fn resume<S: Sessions>(services: &Arc<Services<S>>, resumed: &Resumed) -> Result<(), ResumeError> {
    let (ends, agreed) = Ends::resume(&resumed.kept, services.session_timer)?;
    let place = services.calls.place().ok_or(ResumeError::TooMany)?;
    let (sender, inputs) = inbox();
    let keys = [Side::Caller, Side::Callee].map(|side| {
        let key = ends[side].dialog.key();
        // What the peers sent last is not known, so any number of theirs is taken for a new one.
        services.calls.add(key.clone(), sender.clone(), side, 0);
        key
    });
    services.calls.name(resumed.terms.session, sender.clone());
    let mut talk = Talk::new(Arc::clone(services), place, sender, ends, resumed.terms.clone(), agreed);
    talk.keys = keys.into();
    tokio::spawn(Box::new(talk).run(inputs));
    Ok(())
}

impl<S: Sessions> Talk<S> {
    /// A call in service between these ends.
    pub(super) fn new(services: Arc<Services<S>>, place: Place, sender: Sender, ends: Ends, terms: Terms, agreed: Agreed) -> Self {
        Self {
            services,
            place,
            sender,
            ends,
            terms,
            agreed,
            farewells: JoinSet::new(),
            leaving: Vec::new(),
            keys: Vec::new(),
            change: change::State::Idle,
            pending: None,
            asking: None,
            towards: Side::Callee,
            glares: 0,
            deadline: None,
            ending: None,
            stopping: false,
        }
    }

    /// Until somebody hangs up, or the gateway stops.
    ///
    /// Nearly all the time it waits: what it does when something happens lies on the heap meanwhile, so that a waiting call takes no room
    /// for it.
    pub(super) async fn run(mut self: Box<Self>, mut inputs: Inbox) {
        let mut state = State::InService;
        while state != State::Ended {
            let Some(event) = self.next(&mut inputs).await else { continue };
            tracing::debug!(session = self.terms.session.0, ?event, "call in service");
            let (next, actions) = step(state, event);
            state = next;
            Box::pin(self.perform(actions)).await;
        }
        Box::pin(self.leave(inputs)).await;
    }

    async fn leave(mut self: Box<Self>, mut inputs: Inbox) {
        // Nobody is left to wait for the release, and who asked too late is told so.
        self.leaving.clear();
        inputs.close();
        while let Some(input) = inputs.next().await {
            unheard(&self.services, *input, None).await;
        }
        let Self { services, place, sender, terms, mut farewells, keys, .. } = *self;
        services.calls.forget(terms.session, &sender);
        drop(place.reservation);
        while farewells.join_next().await.is_some() {}
        for key in &keys {
            services.calls.remove(key);
        }
        drop(place.talk);
    }

    /// How the call ends, if what happens ends it.
    async fn next(&mut self, inputs: &mut Inbox) -> Option<Event> {
        let overtime = self.deadline.clone();
        let (at, side, due) = self.due();
        // Who is about to end has refreshed for the last time.
        let lasting = self.ending.is_none();
        let patience = sleep_until(overtime.as_ref().map_or_else(|| Instant::now() + LOOK_AGAIN, |(at, _)| *at));
        tokio::select! {
            Some(input) = inputs.next() => Box::pin(self.understand(*input)).await,
            () = self.place.stop.cancelled(), if !self.stopping => {
                self.stopping = true;
                Box::pin(self.end(Event::Shutdown)).await;
            }
            () = patience, if overtime.is_some() => {
                self.deadline = None;
                if let Some((_, event)) = overtime {
                    Box::pin(self.advance(event)).await;
                }
            }
            () = sleep_until(at), if lasting => Box::pin(self.timed(side, due)).await,
        }
        if self.change.is_with_the_gateway() { None } else { self.ending.take() }
    }

    async fn understand(&mut self, input: Input) {
        match input {
            Input::Event(event @ (Event::HangUp(_) | Event::Shutdown)) => self.end(event).await,
            Input::Bye(side, leaving) => {
                self.leaving.push(leaving);
                self.end(side.bye()).await;
            }
            Input::Asked(asked) | Input::Held(asked) if asked.request.method == Method::PRack => {
                asked.reject(&self.services.stack, Rejection::new(481, "no response waits for this PRACK"));
            }
            Input::Asked(asked) | Input::Held(asked) => self.asked(asked).await,
            // Another contact that answered too late.
            late @ Input::Branch(..) => {
                let services = Arc::clone(&self.services);
                self.farewells.spawn(async move { unheard(&services, late, None).await });
            }
            Input::Taken(acknowledgement) => self.taken(acknowledgement).await,
            Input::Cancelled(number) => self.cancelled(number).await,
            Input::Proposed(result) => self.proposed(result).await,
            Input::Confirmed(result) => self.confirmed(result).await,
            Input::Reply(number, response) => self.replied(number, response).await,
            Input::Refreshed(side, number, response) => self.refreshed(side, number, response).await,
            Input::Change(event) => self.advance(event).await,
            // What was asked of the gateway or the callee for the set-up has been answered before.
            Input::Event(_) | Input::Reserved(_) | Input::Established(_) | Input::Mapped(_) | Input::Offered(..) => {}
        }
    }

    /// The call ends, when no change is with the gateway any more. Who hangs up while it stops ends the session too.
    async fn end(&mut self, event: Event) {
        let ending = if event == Event::Shutdown { change::Ending::Stopping } else { change::Ending::HungUp };
        if matches!(self.ending, None | Some(Event::Shutdown)) {
            self.ending = Some(event);
        }
        self.advance(change::Event::CallEnds(ending)).await;
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        let cause = actions.iter().find_map(|action| if let Action::Release(cause) = action { Some(*cause) } else { None });
        for action in actions {
            match action {
                Action::ByeCaller => self.hang_up(Side::Caller, cause),
                Action::ByeCallee => self.hang_up(Side::Callee, cause),
                Action::Release(cause) => {
                    self.services.sessions.release(self.terms.session, cause).await;
                    self.leaving.clear();
                    self.place.reservation.take();
                }
                Action::Leave => tracing::debug!(session = self.terms.session.0, "left to the next gateway"),
                // All that belongs to the set-up.
                Action::Reserve
                | Action::Invite(_)
                | Action::Ring
                | Action::Establish(_)
                | Action::Relay(..)
                | Action::Answer
                | Action::Reject(_)
                | Action::Abandon(_)
                | Action::ByeLate(_) => {}
            }
        }
    }

    fn hang_up(&mut self, side: Side, cause: Option<Cause>) {
        let dialog = self.ends[side].dialog.clone();
        let services = Arc::clone(&self.services);
        let headers = cause.map(reason::of_bye).into_iter().collect();
        self.farewells.spawn(async move { services.stack.bye(dialog, headers).await });
    }
}
