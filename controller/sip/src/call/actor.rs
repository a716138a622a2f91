//! One task per call: it feeds the machine and carries out its actions.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sdp_types::Session as Description;
use svpn_vpn::request::{Answer, ApplicationId, Cause, Refusal, SessionRequest, Terms};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::machine::{Action, Event, State, Why, begin, step};
use super::registry::Place;
use super::{CallerLeg, Input, Sender};
use crate::refusal::Rejection;
use crate::sdp::{CONTENT_TYPE, Offer, OriginIdentity, answer_for_caller, offer_for_callee, read_answer};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Auth, CallId, Header, Method, Request, Response, StatusCodeKind, Uri, Version, typed};
use crate::stack::{ALLOW, Dialog, DialogKey, InviteClient, Stack, TRANSACTION_TIMEOUT, make_tag, quotable, sequence};

/// A little more than a transaction tries: whoever is waited for this long will not come.
const PATIENCE: Duration = TRANSACTION_TIMEOUT.saturating_add(Duration::from_secs(4));

/// Clocks are set; the end of a session's time is looked at again at least this often.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

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
    origin: OriginIdentity,
    callee: Option<CalleeLeg>,
    terms: Option<Terms>,
    /// The callee's answer, when the flows are programmed.
    description: Option<Description>,
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
    setup.services.calls.add(key.clone(), sender.clone(), Event::CallerBye, sequence);
    let call = Call {
        setup,
        sender: sender.clone(),
        origin: origin(local),
        callee: None,
        terms: None,
        description: None,
        deadline: None,
        cause: None,
        stopping: false,
        farewells: JoinSet::new(),
        keys: vec![key],
    };
    tokio::spawn(call.run(inputs));
    sender
}

fn origin(address: IpAddr) -> OriginIdentity {
    // 62 bits: a session id of SDP fits a signed 64-bit number everywhere.
    OriginIdentity { id: rand::random::<u64>() >> 2, address }
}

impl<S: Sessions> Call<S> {
    async fn run(mut self, mut inputs: UnboundedReceiver<Input>) {
        let (mut state, actions) = begin();
        self.perform(actions).await;
        while state != State::Ended {
            let Some(event) = self.next(&mut inputs, state).await else { continue };
            tracing::debug!(?state, ?event, "call");
            let (next, actions) = step(state, event);
            if std::mem::discriminant(&state) != std::mem::discriminant(&next) {
                self.deadline = self.patience(next).map(|(patience, event)| (Instant::now() + patience, event));
            }
            state = next;
            self.perform(actions).await;
        }
        let Setup { services, place, .. } = self.setup;
        drop(place.reservation);
        while self.farewells.join_next().await.is_some() {}
        for key in &self.keys {
            services.calls.remove(key);
        }
        drop(place.talk);
    }

    /// The next event, if what happens is one.
    async fn next(&mut self, inputs: &mut UnboundedReceiver<Input>, state: State) -> Option<Event> {
        let stop = self.stop_time(state);
        let far = Instant::now() + LOOK_AGAIN;
        let deadline = pin!(sleep_until(stop.unwrap_or(far).min(far)));
        let due = self.deadline.clone();
        let patience = pin!(sleep_until(due.as_ref().map_or(far, |(at, _)| *at)));
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
            () = deadline => stop.filter(|stop| *stop <= Instant::now()).map(|_| Event::StopTime),
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

    /// When the time asked for is over, if the session runs.
    fn stop_time(&self, state: State) -> Option<Instant> {
        if !matches!(state, State::Answered | State::InService) {
            return None;
        }
        let stop = self.setup.offer.window.stop?;
        let left = stop.duration_since(SystemTime::now()).unwrap_or_default();
        Some(Instant::now() + left.min(2 * LOOK_AGAIN))
    }

    /// What an input means; it keeps what the actions will need.
    fn understand(&mut self, input: Input) -> Option<Event> {
        match input {
            Input::Event(event) => Some(event),
            Input::Reserved(Ok(terms)) => {
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
        }
    }

    fn understand_response(&mut self, response: Response) -> Option<Event> {
        let status = response.status_code.code();
        match response.status_code.kind() {
            StatusCodeKind::Provisional => Some(Event::CalleeProvisional(status)),
            StatusCodeKind::Successful => self.understand_answer(response),
            // 408 and 503 are also what the library says of a callee it could not reach.
            _ if matches!(status, 408 | 503) => Some(Event::CalleeFailed),
            _ => Some(Event::CalleeDeclined(status)),
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
                self.setup.services.calls.add(key.clone(), self.sender.clone(), Event::CalleeBye, 0);
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
                // 199 says that an early dialog ended, of which the caller has only ours.
                Action::Relay(199) => {}
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
            (Ok((description, answer)), Some(terms)) => {
                self.description = Some(description);
                let session = terms.session;
                let services = Arc::clone(&self.setup.services);
                let work = async move { services.sessions.establish(session, answer).await };
                report(self.sender.clone(), work, Input::Established);
            }
            (Err(rejection), _) => self.tell(Event::EstablishRefused(rejection)),
            (Ok(_), None) => self.tell(Event::EstablishRefused(Rejection::new(500, "no terms to establish"))),
        }
    }

    fn read_answer(&self) -> Result<(Description, Answer), Rejection> {
        let callee = &self.setup.request.callee;
        let bad = |reason: String| Rejection::new(502, format!("the answer of {callee} cannot be used: {reason}"));
        let leg = self.callee.as_ref().ok_or_else(|| bad("there is none".to_owned()))?;
        if leg.dialog.is_none() {
            return Err(bad("it makes no dialog".to_owned()));
        }
        let body = leg.answer.as_ref().map(|answer| answer.body.as_slice()).unwrap_or_default();
        if body.is_empty() {
            return Err(bad("it has no session description".to_owned()));
        }
        read_answer(&self.setup.offer.session, body).map_err(|error| bad(error.to_string()))
    }

    async fn release(&mut self, cause: Cause) {
        if let Some(terms) = &self.terms {
            self.setup.services.sessions.release(terms.session, cause).await;
        }
        self.setup.place.reservation.take();
    }

    async fn invite(&mut self) {
        let hop = self.setup.contact.clone();
        let invite = self.invitation(&hop);
        self.callee = Some(CalleeLeg { invite: invite.clone(), hop: hop.clone(), answer: None, dialog: None });
        let Some(mut client) = InviteClient::send(self.stack(), invite, &hop).await else {
            self.tell(Event::CalleeFailed);
            return;
        };
        let call = self.sender.clone();
        tokio::spawn(async move {
            let mut last = None;
            let mut given_up = pin!(abandoned(&call));
            loop {
                let response = tokio::select! {
                    response = client.next() => response,
                    () = &mut given_up => None,
                };
                let Some(response) = response else { break };
                last = Some(response.status_code.kind());
                // A call that has ended needs to hear nothing.
                let _ = call.send(Input::Response(response));
            }
            if matches!(last, None | Some(StatusCodeKind::Provisional)) {
                let _ = call.send(Input::Event(Event::CalleeFailed));
            }
        });
    }

    /// The INVITE to the callee: nothing in it says where the caller is but the media.
    fn invitation(&self, hop: &Uri) -> Request {
        let Setup { services, request, offer, max_forwards, .. } = &self.setup;
        let domain = services.domain.name();
        let address = |application: &ApplicationId| {
            let user = Auth { user: application.name.clone(), password: None };
            format!("<sip:{user}@{}.{domain}>", application.vpn.0)
        };
        let stack = &services.stack;
        Request {
            method: Method::Invite,
            uri: Uri { headers: Vec::new(), ..hop.clone() },
            version: Version::V2,
            headers: vec![
                Header::Via(stack.via(hop).into()),
                Header::MaxForwards(max_forwards.to_string().into()),
                Header::From(format!("{};tag={}", address(&request.caller), make_tag()).into()),
                Header::To(address(&request.callee).into()),
                Header::CallId(CallId::new(make_tag().to_string() + &make_tag())),
                Header::CSeq(typed::CSeq { seq: 1, method: Method::Invite }.into()),
                stack.contact(&request.caller.name, hop),
                Header::Allow(ALLOW.into()),
                Header::ContentType(CONTENT_TYPE.into()),
            ]
            .into(),
            body: offer_for_callee(&offer.session, self.origin),
        }
    }

    fn answer(&mut self) {
        let (Some(terms), Some(description)) = (&self.terms, &self.description) else {
            return;
        };
        let Setup { offer, caller, .. } = &self.setup;
        let body = answer_for_caller(description, &offer.session, &offer.media, terms, self.origin);
        caller.answer(self.stack(), body);
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
fn report<F>(call: UnboundedSender<Input>, work: F, input: fn(Result<Terms, Refusal>) -> Input)
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
fn reason(cause: Cause) -> Option<Header> {
    let (code, text) = match cause {
        Cause::Shutdown => (503, "the gateway is stopping"),
        Cause::WindowEnd => (200, "the time asked for is over"),
        Cause::Refused => (488, "the answer cannot be served"),
        Cause::Signalling => (408, "the other end does not respond"),
        Cause::Caller | Cause::Callee | Cause::Declined | Cause::NoAnswer => return None,
    };
    Some(Header::Reason(format!("SIP;cause={code};text=\"{}\"", quotable(text)).into()))
}
