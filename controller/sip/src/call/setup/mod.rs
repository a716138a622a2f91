//! One task per call: it feeds the machine and carries out its actions. What it says to the callee's contacts is in [`branches`], what the
//! ends tell each other before the callee has answered, in [`early`], and what it asks of the gateway, in [`asking`].

mod asking;
mod branches;
mod early;
mod invitation;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use svpn_vpn::request::{Cause, SessionRequest, Terms};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

pub(super) use self::asking::report;
use self::branches::{Contact, Early, Winner};
use self::early::{Bound, EarlyOffer};
use super::agreed::{Agreed, Origin};
use super::branch::News;
use super::crossing::{Crossing, Exchange};
use super::fork::{Branch, Fork};
use super::group::Member;
use super::inbox::{Inbox, inbox};
use super::machine::{Action, Event, State, Why, begin, step};
use super::registry::Place;
use super::reliable::{Outbox, Timed};
use super::talk::{Ends, Talk};
use super::within::{Asked, Side};
use super::{CallerLeg, Input, Leaving, Sender, reason, timers};
use crate::refusal::Rejection;
use crate::sdp::Offer;
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Method, Response};
use crate::stack::{Dialog, DialogKey, NextHop, Stack, TRANSACTION_TIMEOUT, sequence};

/// A little more than a transaction tries: whoever is waited for this long will not come.
pub(super) const PATIENCE: Duration = TRANSACTION_TIMEOUT.saturating_add(Duration::from_secs(4));

/// How far an ACK may be behind a request that was sent after it.
const ACK_BEHIND: Duration = Duration::from_millis(200);

/// As long as nothing is waited for.
pub(super) const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// Everything known when a call begins.
pub(crate) struct Setup<S: Sessions> {
    pub(crate) services: Arc<Services<S>>,
    pub(crate) place: Place,
    pub(crate) caller: CallerLeg,
    /// The caller's INVITE's Max-Forwards, less one.
    pub(crate) max_forwards: u8,
    pub(crate) offer: Offer,
    pub(crate) request: SessionRequest,
    /// Where the callee is registered, or its gateway is: contacts of one preference together, the most preferred first.
    pub(crate) contacts: Vec<Vec<NextHop>>,
    /// Where one end is at another provider.
    pub(crate) crossing: Option<Crossing>,
    /// Where the session is wanted only together with others.
    pub(crate) member: Option<Member>,
}

struct Call<S: Sessions> {
    setup: Setup<S>,
    sender: Sender,
    origin: Origin,
    contacts: Vec<Contact>,
    early: Vec<Early>,
    /// The answers that are not disposed of yet.
    answers: Vec<Winner>,
    winner: Option<Winner>,
    /// What the caller was told reliably.
    bound: Option<Bound>,
    /// What an end has offered anew before the callee has answered.
    offering: Option<EarlyOffer>,
    /// Reliable responses to the caller, if it knows them.
    outbox: Option<Outbox<Response>>,
    /// What has to wait until the caller has acknowledged them.
    held: Option<Event>,
    terms: Option<Terms>,
    /// The label mappings, where the callee is at another provider.
    exchange: Option<Exchange>,
    /// What the caller hears when they are done.
    ringing: Option<(Branch, u16)>,
    /// What both ends agree on, when the callee has answered.
    agreed: Option<Agreed>,
    /// What happens if nothing else does.
    deadline: Option<(Instant, Event)>,
    /// Why the call ends, for the peers.
    cause: Option<Cause>,
    stopping: bool,
    /// BYE under way.
    farewells: JoinSet<()>,
    /// Who waits for the release.
    leaving: Vec<Leaving>,
    keys: Vec<DialogKey>,
}

/// Begins a call; the caller's transaction is to be attended with the sender returned.
pub(crate) fn spawn<S: Sessions>(setup: Setup<S>) -> Sender {
    let (sender, inputs) = inbox();
    let contacts: Vec<_> = setup.contacts.iter().flatten().cloned().map(Contact::new).collect();
    let towards = contacts.first().map_or_else(|| setup.caller.dialog.next_hop(), |contact| contact.hop.clone());
    let local = setup.services.stack.local(&towards).address.ip();
    let key = setup.caller.dialog.key();
    let sequence = sequence(&setup.caller.invite);
    setup.services.calls.add(key.clone(), sender.clone(), Side::Caller, sequence);
    // Half of the range: it must not come near to its end (RFC 3262 section 3).
    let outbox = setup.caller.knows_reliable().then(|| Outbox::new(sequence, rand::random_range(1..1 << 30)));
    let call = Call {
        setup,
        sender: sender.clone(),
        origin: Origin::new(local),
        contacts,
        early: Vec::new(),
        answers: Vec::new(),
        winner: None,
        bound: None,
        offering: None,
        outbox,
        held: None,
        terms: None,
        exchange: None,
        ringing: None,
        agreed: None,
        deadline: None,
        cause: None,
        stopping: false,
        farewells: JoinSet::new(),
        leaving: Vec::new(),
        keys: vec![key],
    };
    tokio::spawn(Box::new(call).run(inputs));
    sender
}

impl<S: Sessions> Call<S> {
    async fn run(mut self: Box<Self>, mut inputs: Inbox) {
        self.watch_group();
        let (mut state, actions) = begin();
        self.perform(actions).await;
        while state != State::Ended {
            if state == State::InService
                && let Some(talk) = self.talk()
            {
                // A task of its own: what only the set-up needed would stay as long as the call, and the set-up's future is much larger.
                tokio::spawn(Box::new(talk).run(inputs));
                return;
            }
            let Some(event) = self.next(&state, &mut inputs).await else { continue };
            tracing::debug!(?state, ?event, "call");
            let before = std::mem::discriminant(&state);
            let (next, actions) = step(state, event);
            if before != std::mem::discriminant(&next) {
                self.deadline = patience(&next).map(|event| (Instant::now() + PATIENCE, event));
            }
            state = next;
            if matches!(state, State::Reserving { over: Some(_) } | State::Establishing { over: Some(_) } | State::Ended) {
                // The others need not wait for it, nor it for them.
                self.setup.member = None;
            }
            self.perform(actions).await;
        }
        if let Some(terms) = &self.terms {
            self.setup.services.calls.forget(terms.session, &self.sender);
        }
        // Nobody is left to wait for the release.
        self.leaving.clear();
        self.close_offering();
        inputs.close();
        while let Some(input) = inputs.next().await {
            unheard(&self.setup.services, *input, self.cause).await;
        }
        let Setup { services, place, .. } = self.setup;
        drop(place.reservation);
        while self.farewells.join_next().await.is_some() {}
        for key in &self.keys {
            services.calls.remove(key);
        }
        drop(place.talk);
    }

    /// The call as it goes on when it is set up.
    fn talk(&mut self) -> Option<Talk<S>> {
        // All are there, or it would not be in service.
        let (terms, agreed, ends) = (self.terms.clone()?, self.agreed.clone()?, self.ends()?);
        let services = Arc::clone(&self.setup.services);
        self.catch_up();
        let mut talk = Talk::new(services, self.setup.place.take(), self.sender.clone(), ends, terms, agreed);
        talk.farewells = std::mem::take(&mut self.farewells);
        talk.leaving = std::mem::take(&mut self.leaving);
        talk.keys = std::mem::take(&mut self.keys);
        Some(talk)
    }

    /// Both ends, when the callee has answered.
    fn ends(&self) -> Option<Ends> {
        let winner = self.winner.as_ref()?;
        let callee = timers::agreed(&winner.response, self.setup.services.session_timer, None);
        let CallerLeg { dialog, timer, .. } = &self.setup.caller;
        Some(Ends::new([(dialog.clone(), timer.agreement), (winner.dialog.clone()?, callee)]))
    }

    /// The next event, if what happens is one.
    async fn next(&mut self, state: &State, inputs: &mut Inbox) -> Option<Event> {
        let due = self.deadline.clone();
        let patience = pin!(sleep_until(due.as_ref().map_or_else(|| Instant::now() + LOOK_AGAIN, |(at, _)| *at)));
        let again = self.outbox.as_ref().and_then(Outbox::due);
        let repeat = pin!(sleep_until(again.unwrap_or_else(|| Instant::now() + LOOK_AGAIN)));
        let shutdown = self.setup.place.stop.clone();
        tokio::select! {
            input = inputs.next() => match input {
                Some(input) => self.understand(state, *input),
                None => None,
            },
            () = shutdown.cancelled(), if !self.stopping => {
                self.stopping = true;
                Some(Event::Shutdown)
            }
            () = patience, if due.is_some() => {
                self.deadline = None;
                due.map(|(_, event)| event)
            }
            () = repeat, if again.is_some() => self.repeat(),
        }
    }

    /// Sends again what the caller has not acknowledged.
    fn repeat(&mut self) -> Option<Event> {
        match self.outbox.as_mut()?.timed(Instant::now())? {
            Timed::Again(rseq, response) => {
                self.setup.caller.send_reliably(rseq, response);
                None
            }
            Timed::GivenUp => {
                // What waited for the acknowledgement comes behind the end.
                if let Some(held) = self.held.take() {
                    self.tell(Event::Unacknowledged);
                    self.tell(held);
                    return None;
                }
                Some(Event::Unacknowledged)
            }
        }
    }

    /// What an input means; it keeps what the actions will need.
    fn understand(&mut self, state: &State, input: Input) -> Option<Event> {
        match input {
            Input::Event(event) => {
                if event == Event::CallerLost
                    && let Some(held) = self.held.take()
                {
                    // Nobody is left to acknowledge what it waits for.
                    self.tell(held);
                }
                Some(event)
            }
            Input::Mapped(Ok(())) => {
                if let Some((branch, status)) = self.ringing.take() {
                    self.relay(branch, status);
                }
                None
            }
            Input::Mapped(Err(rejection)) => Some(Event::Hindered(rejection)),
            Input::Bye(side, leaving) => {
                self.leaving.push(leaving);
                Some(side.bye())
            }
            Input::Reserved(Ok(terms)) => {
                self.setup.services.calls.name(terms.session, self.sender.clone());
                self.terms = Some(terms);
                Some(Event::Reserved(Fork::new(self.setup.contacts.iter().map(Vec::len))))
            }
            Input::Reserved(Err(refusal)) => Some(Event::ReserveRefused(refusal.into())),
            Input::Established(Ok(terms)) => {
                self.terms = Some(terms);
                if self.outbox.as_ref().is_none_or(Outbox::is_empty) {
                    return Some(Event::Established);
                }
                // RFC 3262 section 3: the answer must have arrived before the 200.
                self.held = Some(Event::Established);
                None
            }
            Input::Established(Err(refusal)) => Some(Event::EstablishRefused(refusal.into())),
            Input::Branch(branch, news) => self.hear(branch, news),
            Input::Asked(asked) => self.asked(state, asked),
            Input::Held(asked) => {
                asked.reject(self.stack(), Rejection::new(491, "the session is being set up"));
                None
            }
            Input::Offered(number, response) => {
                self.early_answered(number, response);
                None
            }
            // All that belongs to a change in service.
            Input::Taken(_)
            | Input::Cancelled(_)
            | Input::Proposed(_)
            | Input::Confirmed(_)
            | Input::Reply(..)
            | Input::Refreshed(..)
            | Input::Change(_) => None,
        }
    }

    /// A request within one of the dialogs.
    fn asked(&mut self, state: &State, asked: Asked) -> Option<Event> {
        match (asked.request.method, state) {
            (Method::PRack, _) => return self.acknowledged(&asked),
            (Method::Update, State::Reserving { .. } | State::Inviting { .. }) => self.early_offer(&asked),
            _ => self.hold(asked),
        }
        None
    }

    /// The INVITE that makes the session is not acknowledged yet, or its ACK is on its way through its transaction, behind this request.
    fn hold(&self, asked: Asked) {
        let (call, services) = (self.sender.clone(), Arc::clone(&self.setup.services));
        tokio::spawn(async move {
            sleep(ACK_BEHIND).await;
            if let Err(unheard) = call.send(Input::Held(asked))
                && let Input::Held(asked) = *unheard
            {
                asked.reject(&services.stack, Rejection::new(481, "the call has ended"));
            }
        });
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        self.cause = actions.iter().find_map(|action| if let Action::Release(cause) = action { Some(*cause) } else { None }).or(self.cause);
        let answered = actions.iter().any(|action| matches!(action, Action::Establish(_)));
        let why = match self.cause {
            _ if answered => reason::elsewhere(),
            Some(cause) => reason::of_cancel(cause),
            None => reason::no_answer(),
        };
        for action in actions {
            match action {
                Action::Reserve => self.reserve(),
                Action::Invite(branch) => self.invite(branch),
                Action::Ring => self.deadline = Some((Instant::now() + self.setup.services.ring_timeout, Event::RingTimeout)),
                Action::Establish(branch) => self.establish(branch),
                Action::Release(cause) => self.release(cause).await,
                // 199 says that an early dialog ended, of which the caller has only ours. Who leaves has nothing to do.
                Action::Relay(_, 199) | Action::Leave => {}
                Action::Relay(branch, status) if self.exchange.as_ref().is_some_and(|exchange| !exchange.is_done()) => {
                    self.ringing = Some((branch, status));
                }
                Action::Relay(branch, status) => self.relay(branch, status),
                Action::Answer => self.answer(),
                Action::Reject(why) => self.reject(why),
                Action::Abandon(branch) => self.abandon(branch, why.clone()),
                Action::ByeLate(branch) => self.bye_late(branch),
                Action::ByeCallee => {
                    if let Some(dialog) = self.winner.as_ref().and_then(|winner| winner.dialog.clone()) {
                        self.hang_up(dialog);
                    }
                }
                Action::ByeCaller => {
                    let dialog = self.setup.caller.dialog.clone();
                    self.hang_up(dialog);
                }
            }
        }
    }

    fn stack(&self) -> &Stack {
        &self.setup.services.stack
    }

    fn answer(&mut self) {
        self.close_offering();
        let (Some(terms), Some(agreed)) = (&self.terms, &self.agreed) else {
            return;
        };
        // What was told reliably is not told in other words.
        let body = self.bound.as_ref().map_or_else(|| agreed.for_caller(terms), |bound| bound.body.clone());
        self.setup.caller.answer(self.stack(), body);
    }

    fn reject(&mut self, why: Why) {
        self.close_offering();
        if let Some(outbox) = &mut self.outbox {
            outbox.clear();
        }
        if let Some(held) = self.held.take() {
            self.tell(held);
        }
        let SessionRequest { caller, callee, .. } = &self.setup.request;
        tracing::info!(%caller, %callee, ?why, "call rejected");
        let failed = self.failed_offer();
        self.setup.caller.reject(self.stack(), why, &callee.to_string(), failed);
    }

    fn hang_up(&mut self, dialog: Dialog) {
        let services = Arc::clone(&self.setup.services);
        let headers = vec![self.cause.map_or_else(reason::elsewhere, reason::of_bye)];
        self.farewells.spawn(async move { services.stack.bye(dialog, headers).await });
    }

    fn tell(&self, event: Event) {
        // The receiver lives as long as this call.
        let _ = self.sender.send(Input::Event(event));
    }

    /// Our Contact towards an end, for whom the other is.
    fn contact(&self, side: Side, hop: &NextHop) -> Header {
        let SessionRequest { caller, callee, .. } = &self.setup.request;
        let other = match side {
            Side::Caller => callee,
            Side::Callee => caller,
        };
        self.stack().contact(&other.name, hop)
    }
}

/// What happens when a call stays in this state for too long.
fn patience(state: &State) -> Option<Event> {
    match state {
        // The transaction says so first, unless it could not send the 200.
        State::Answered | State::HangingUp => Some(Event::CallerLost),
        // How long contacts ring is said with `Action::Ring`.
        State::Inviting { .. } | State::Reserving { .. } | State::Establishing { .. } | State::InService | State::Ended => None,
    }
}

/// What comes when a call has ended: who asks is told so, and who answers is hung up on.
pub(super) async fn unheard<S: Sessions>(services: &Services<S>, input: Input, cause: Option<Cause>) {
    match input {
        Input::Asked(asked) | Input::Held(asked) => asked.reject(&services.stack, Rejection::new(481, "the call has ended")),
        Input::Branch(_, News::Answered(_, Some(dialog))) => {
            services.stack.bye(*dialog, vec![cause.map_or_else(reason::elsewhere, reason::of_bye)]).await;
        }
        _ => {}
    }
}

/// Returns when a call has been over for so long that nothing of its transactions matters any more.
pub(super) async fn abandoned(call: &Sender) {
    call.closed().await;
    tokio::time::sleep(PATIENCE).await;
}
