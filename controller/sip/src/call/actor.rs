//! One task per call: it feeds the machine and carries out its actions.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use svpn_vpn::request::{Answer, ApplicationId, Cause, Refusal, SessionRequest, Terms};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::agreed::{Agreed, Origin};
use super::callee::follow;
use super::machine::{Action, Event, State, Why, begin, step};
use super::registry::Place;
use super::talk::{Ends, Talk};
use super::timers;
use super::within::{Asked, Side};
use super::{CallerLeg, Input, Sender};
use crate::options::supported;
use crate::refusal::Rejection;
use crate::sdp::{CONTENT_TYPE, Offer, offer_for_callee, read_answer};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::prelude::HeadersExt;
use crate::stack::sip::{Auth, CallId, Header, Method, Request, Response, StatusCodeKind, Uri, Version, typed};
use crate::stack::{ALLOW, Dialog, DialogKey, InviteClient, Stack, TRANSACTION_TIMEOUT, make_tag, quotable, sequence};

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
    /// Where the callee is registered.
    pub(crate) contact: Uri,
}

/// The callee's end of a call.
struct CalleeLeg {
    invite: Request,
    hop: Uri,
    answer: Option<Response>,
    dialog: Option<Dialog>,
}

struct Call<S: Sessions> {
    setup: Setup<S>,
    sender: Sender,
    origin: Origin,
    callee: Option<CalleeLeg>,
    /// The least session interval that the callee asked for, in seconds.
    least: Option<u32>,
    terms: Option<Terms>,
    /// What both ends agree on, when the callee has answered.
    agreed: Option<Agreed>,
    /// What happens if nothing else does.
    deadline: Option<(Instant, Event)>,
    /// Why the call ends, for the peers.
    cause: Option<Cause>,
    stopping: bool,
    /// BYE and CANCEL under way.
    farewells: JoinSet<()>,
    keys: Vec<DialogKey>,
}

/// Begins a call; the caller's transaction is to be attended with the sender returned.
pub(crate) fn spawn<S: Sessions>(setup: Setup<S>) -> Sender {
    let (sender, inputs) = unbounded_channel();
    let local = setup.services.stack.local(&setup.contact).address.ip();
    let key = setup.caller.dialog.key();
    let sequence = sequence(&setup.caller.invite);
    setup.services.calls.add(key.clone(), sender.clone(), Side::Caller, sequence);
    let call = Call {
        setup,
        sender: sender.clone(),
        origin: Origin::new(local),
        callee: None,
        least: None,
        terms: None,
        agreed: None,
        deadline: None,
        cause: None,
        stopping: false,
        farewells: JoinSet::new(),
        keys: vec![key],
    };
    tokio::spawn(call.run(inputs));
    sender
}

impl<S: Sessions> Call<S> {
    async fn run(mut self, mut inputs: UnboundedReceiver<Input>) {
        let (mut state, actions) = begin();
        self.perform(actions).await;
        while state != State::Ended {
            if state == State::InService
                && let Some(talk) = self.talk()
            {
                return talk.run(inputs).await;
            }
            let Some(event) = self.next(&mut inputs).await else { continue };
            tracing::debug!(?state, ?event, "call");
            let (next, actions) = step(state, event);
            if std::mem::discriminant(&state) != std::mem::discriminant(&next) {
                self.deadline = self.patience(next).map(|(patience, event)| (Instant::now() + patience, event));
            }
            state = next;
            self.perform(actions).await;
        }
        if let Some(terms) = &self.terms {
            self.setup.services.calls.forget(terms.session, &self.sender);
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
        let mut talk = Talk::new(services, self.setup.place.take(), self.sender.clone(), ends, terms, agreed);
        talk.farewells = std::mem::take(&mut self.farewells);
        talk.keys = std::mem::take(&mut self.keys);
        Some(talk)
    }

    /// Both ends, when the callee has answered.
    fn ends(&self) -> Option<Ends> {
        let leg = self.callee.as_ref()?;
        let limits = self.setup.services.session_timer;
        let callee = timers::agreed(leg.answer.as_ref()?, limits, None);
        let CallerLeg { dialog, timer, .. } = &self.setup.caller;
        Some(Ends::new([(dialog.clone(), timer.agreement), (leg.dialog.clone()?, callee)]))
    }

    /// The next event, if what happens is one.
    async fn next(&mut self, inputs: &mut UnboundedReceiver<Input>) -> Option<Event> {
        let due = self.deadline.clone();
        let patience = pin!(sleep_until(due.as_ref().map_or_else(|| Instant::now() + LOOK_AGAIN, |(at, _)| *at)));
        let shutdown = self.setup.place.stop.clone();
        tokio::select! {
            input = inputs.recv() => input.and_then(|input| self.understand(input)),
            () = shutdown.cancelled(), if !self.stopping => {
                self.stopping = true;
                Some(Event::Shutdown)
            }
            () = patience, if due.is_some() => {
                self.deadline = None;
                due.map(|(_, event)| event)
            }
        }
    }

    /// How long the call stays in this state, and what happens then.
    fn patience(&self, state: State) -> Option<(Duration, Event)> {
        match state {
            State::Inviting { .. } => Some((self.setup.services.ring_timeout, Event::RingTimeout)),
            // RFC 3261 section 9.1: who does not even answer CANCEL is cancelled all the same.
            State::Withdrawing { .. } => Some((PATIENCE, Event::CalleeFailed)),
            // The transaction says so first, unless it could not send the 200.
            State::Answered | State::HangingUp => Some((PATIENCE, Event::CallerLost)),
            State::Reserving { .. } | State::Establishing { .. } | State::InService | State::Ended => None,
        }
    }

    /// What an input means; it keeps what the actions will need.
    fn understand(&mut self, input: Input) -> Option<Event> {
        match input {
            Input::Event(event) => Some(event),
            Input::Reserved(Ok(terms)) => {
                self.setup.services.calls.name(terms.session, self.sender.clone());
                self.terms = Some(terms);
                Some(Event::Reserved)
            }
            Input::Reserved(Err(refusal)) => Some(Event::ReserveRefused(refusal.into())),
            Input::Established(Ok(terms)) => {
                self.terms = Some(terms);
                Some(Event::Established)
            }
            Input::Established(Err(refusal)) => Some(Event::EstablishRefused(refusal.into())),
            Input::Response(response) => self.understand_response(response),
            Input::Asked(asked) => {
                self.hold(asked);
                None
            }
            Input::Held(asked) => {
                asked.reject(self.stack(), Rejection::new(491, "the session is being set up"));
                None
            }
            // All that belongs to a change in service.
            Input::Cancelled(_) | Input::Proposed(_) | Input::Confirmed(_) | Input::Reply(..) | Input::Refreshed(..) | Input::Change(_) => {
                None
            }
        }
    }

    /// The INVITE that makes the session is not acknowledged yet, or its ACK is on its way through its transaction, behind this request.
    fn hold(&self, asked: Asked) {
        let (call, services) = (self.sender.clone(), Arc::clone(&self.setup.services));
        tokio::spawn(async move {
            sleep(ACK_BEHIND).await;
            if let Err(SendError(Input::Held(asked))) = call.send(Input::Held(asked)) {
                asked.reject(&services.stack, Rejection::new(481, "the call has ended"));
            }
        });
    }

    fn understand_response(&mut self, response: Response) -> Option<Event> {
        let status = response.status_code.code();
        match response.status_code.kind() {
            StatusCodeKind::Provisional => Some(Event::CalleeProvisional(status)),
            StatusCodeKind::Successful => self.understand_answer(response),
            // 408 and 503 are also what the library says of a callee it could not reach.
            _ if matches!(status, 408 | 503) => Some(Event::CalleeFailed),
            _ if status == 422 => Some(self.understand_too_small(&response)),
            _ => Some(Event::CalleeDeclined(status)),
        }
    }

    /// 422: again with the interval that the callee wants, unless it had it.
    fn understand_too_small(&mut self, response: &Response) -> Event {
        match timers::told_least(response) {
            Some(least) if self.least.is_none_or(|before| before < least) => {
                self.least = Some(least);
                Event::CalleeAgain
            }
            _ => Event::CalleeDeclined(422),
        }
    }

    fn understand_answer(&mut self, response: Response) -> Option<Event> {
        let leg = self.callee.as_mut()?;
        let dialog = Dialog::as_caller(&leg.invite, &response);
        if let Some(first) = &leg.dialog {
            // Repeated, or of a fork: only one answer is served.
            if let Ok(other) = dialog
                && other.key() != first.key()
            {
                self.hang_up(other);
            }
            return None;
        }
        if leg.answer.is_some() {
            return None;
        }
        match dialog {
            Ok(dialog) => {
                let key = dialog.key();
                self.setup.services.calls.add(key.clone(), self.sender.clone(), Side::Callee, 0);
                self.keys.push(key);
                leg.dialog = Some(dialog);
            }
            Err(error) => tracing::warn!(%error, "the callee's 200 makes no dialog"),
        }
        leg.answer = Some(response);
        Some(Event::CalleeAnswered)
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        self.cause = actions.iter().find_map(|action| if let Action::Release(cause) = action { Some(*cause) } else { None }).or(self.cause);
        for action in actions {
            match action {
                Action::Reserve => self.reserve(),
                Action::Invite => self.invite().await,
                Action::Establish => self.establish(),
                Action::Release(cause) => self.release(cause).await,
                // 199 says that an early dialog ended, of which the caller has only ours. Who leaves has nothing to do.
                Action::Relay(199) | Action::Leave => {}
                Action::Relay(status) => self.setup.caller.relay(self.stack(), status),
                Action::Answer => self.answer(),
                Action::Reject(why) => self.reject(why),
                Action::CancelCallee => self.cancel_callee(),
                Action::ByeCallee => self.bye_callee(),
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

    fn reserve(&self) {
        let services = Arc::clone(&self.setup.services);
        let request = self.setup.request.clone();
        let work = async move { services.sessions.reserve(request).await };
        report(self.sender.clone(), work, Input::Reserved);
    }

    fn establish(&mut self) {
        let read = self.read_answer();
        match (read, &self.terms) {
            (Ok((agreed, answer, ends)), Some(terms)) => {
                let session = terms.session;
                let services = Arc::clone(&self.setup.services);
                let kept = ends.keep(&agreed);
                self.agreed = Some(agreed);
                let work = async move { services.sessions.establish(session, answer, kept).await };
                report(self.sender.clone(), work, Input::Established);
            }
            (Err(rejection), _) => self.tell(Event::EstablishRefused(rejection)),
            (Ok(_), None) => self.tell(Event::EstablishRefused(Rejection::new(500, "no terms to establish"))),
        }
    }

    fn read_answer(&self) -> Result<(Agreed, Answer, Ends), Rejection> {
        let callee = &self.setup.request.callee;
        let bad = |reason: String| Rejection::new(502, format!("the answer of {callee} cannot be used: {reason}"));
        let leg = self.callee.as_ref().ok_or_else(|| bad("there is none".to_owned()))?;
        let ends = self.ends().ok_or_else(|| bad("it makes no dialog".to_owned()))?;
        let body = leg.answer.as_ref().map(|answer| answer.body.as_slice()).unwrap_or_default();
        if body.is_empty() {
            return Err(bad("it has no session description".to_owned()));
        }
        let (description, answer) = read_answer(&self.setup.offer.session, body).map_err(|error| bad(error.to_string()))?;
        let agreed = Agreed::new(&self.setup.request, &self.setup.offer, description, self.origin);
        Ok((agreed, answer, ends))
    }

    async fn release(&mut self, cause: Cause) {
        if let Some(terms) = &self.terms {
            self.setup.services.sessions.release(terms.session, cause).await;
        }
        self.setup.place.reservation.take();
    }

    async fn invite(&mut self) {
        let hop = self.setup.contact.clone();
        let before = self.callee.take().map(|leg| leg.invite);
        let invite = self.invitation(&hop, before.as_ref());
        self.callee = Some(CalleeLeg { invite: invite.clone(), hop: hop.clone(), answer: None, dialog: None });
        let Some(client) = InviteClient::send(self.stack(), invite, &hop).await else {
            self.tell(Event::CalleeFailed);
            return;
        };
        follow(client, self.sender.clone(), |response| match response {
            Some(response) => Input::Response(response),
            None => Input::Event(Event::CalleeFailed),
        });
    }

    /// The INVITE to the callee: nothing in it says where the caller is but the media. It goes on where the one before it was refused.
    fn invitation(&self, hop: &Uri, before: Option<&Request>) -> Request {
        let Setup { services, request, offer, max_forwards, .. } = &self.setup;
        let domain = services.domain.name();
        let address = |application: &ApplicationId| {
            let user = Auth { user: application.name.clone(), password: None };
            format!("<sip:{user}@{}.{domain}>", application.vpn.0)
        };
        let stack = &services.stack;
        let seq = before.map_or(0, sequence) + 1;
        let from = before.and_then(|before| before.from_header().ok().cloned());
        let call_id = before.and_then(|before| before.call_id_header().ok().cloned());
        let mut headers = vec![
            Header::Via(stack.via(hop).into()),
            Header::MaxForwards(max_forwards.to_string().into()),
            Header::From(from.unwrap_or_else(|| format!("{};tag={}", address(&request.caller), make_tag()).into())),
            Header::To(address(&request.callee).into()),
            Header::CallId(call_id.unwrap_or_else(|| CallId::new(make_tag().to_string() + &make_tag()))),
            Header::CSeq(typed::CSeq { seq, method: Method::Invite }.into()),
            stack.contact(&request.caller.name, hop),
            Header::Allow(ALLOW.into()),
            supported(),
            Header::ContentType(CONTENT_TYPE.into()),
        ];
        headers.extend(timers::offer(services.session_timer, self.least));
        Request {
            method: Method::Invite,
            uri: Uri { headers: Vec::new(), ..hop.clone() },
            version: Version::V2,
            headers: headers.into(),
            body: offer_for_callee(&offer.session, self.origin.to_callee()),
        }
    }

    fn answer(&mut self) {
        let (Some(terms), Some(agreed)) = (&self.terms, &self.agreed) else {
            return;
        };
        self.setup.caller.answer(self.stack(), agreed.for_caller(terms));
    }

    fn reject(&self, why: Why) {
        let SessionRequest { caller, callee, .. } = &self.setup.request;
        tracing::info!(%caller, %callee, ?why, "call rejected");
        self.setup.caller.reject(self.stack(), why, &callee.to_string());
    }

    fn cancel_callee(&mut self) {
        let Some(leg) = &self.callee else { return };
        let services = Arc::clone(&self.setup.services);
        let (invite, hop) = (leg.invite.clone(), leg.hop.clone());
        self.farewells.spawn(async move { services.stack.cancel(&invite, &hop).await });
    }

    fn bye_callee(&mut self) {
        if let Some(dialog) = self.callee.as_ref().and_then(|leg| leg.dialog.clone()) {
            self.hang_up(dialog);
        }
    }

    fn hang_up(&mut self, dialog: Dialog) {
        let services = Arc::clone(&self.setup.services);
        let headers = self.cause.and_then(reason).into_iter().collect();
        self.farewells.spawn(async move { services.stack.bye(dialog, headers).await });
    }

    fn tell(&self, event: Event) {
        // The receiver lives as long as this call.
        let _ = self.sender.send(Input::Event(event));
    }
}

/// Returns when a call has been over for so long that nothing of its transactions matters any more.
pub(super) async fn abandoned(call: &Sender) {
    call.closed().await;
    tokio::time::sleep(PATIENCE).await;
}

/// Runs a request to the gateway aside, so that the call goes on hearing; should it panic, the call hears a refusal.
pub(super) fn report<F>(call: UnboundedSender<Input>, work: F, input: fn(Result<Terms, Refusal>) -> Input)
where
    F: Future<Output = Result<Terms, Refusal>> + Send + 'static,
{
    tokio::spawn(async move {
        let result = tokio::spawn(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the gateway failed");
            Err(Refusal::Unavailable("the gateway failed".to_owned()))
        });
        let _ = call.send(input(result));
    });
}

/// Why the gateway hangs up (RFC 3326), where it is not because the other end did.
pub(super) fn reason(cause: Cause) -> Option<Header> {
    let (code, text) = match cause {
        Cause::Shutdown => (503, "the gateway is stopping"),
        Cause::WindowEnd => (200, "the time asked for is over"),
        Cause::Refused => (488, "the answer cannot be served"),
        Cause::Network => (503, "the network has no room for the session any more"),
        Cause::Preempted => (503, "a more important session needs the room"),
        Cause::Signalling => (408, "the other end does not respond"),
        Cause::Caller | Cause::Callee | Cause::Declined | Cause::NoAnswer => return None,
    };
    Some(Header::Reason(format!("SIP;cause={code};text=\"{}\"", quotable(text)).into()))
}
