//! The life of a call as a pure machine: `(state, event) -> (state, actions)`.
//!
//! What it guarantees, whatever arrives in whatever order: every successful `reserve` is followed by exactly one `release`, not while
//! `establish` is under way, or left as it is when the gateway stops; the caller's INVITE gets exactly one final response unless the caller
//! is lost; no contact of the callee is invited before the reservation; and every contact that was invited is abandoned or hung up on unless it
//! ended the call itself. How a contact is abandoned is its `branch`'s business.
//!
//! ```text
//!  Reserving ──▶ Inviting ──▶ Establishing ──▶ Answered ──▶ InService ──▶ Ended
//!      │             │              │              │             │          ▲
//!      │             │              │              └▶ HangingUp ─┼──────────┤
//!      └─────────────┴──────────────┴────────────────────────────┴──────────┘
//! ```

use svpn_vpn::request::Cause;

use super::fork::{Branch, Fork, Next, No};
use crate::refusal::Rejection;

/// Where a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// The gateway is reserving; `over` if the call has ended meanwhile.
    Reserving { over: Option<Cause> },
    /// Reserved, and the callee's contacts are invited.
    Inviting { fork: Fork },
    /// The callee has answered, and the gateway is programming; `over` if the call has ended meanwhile.
    Establishing { over: Option<Over> },
    /// The caller has our 200 and has not acknowledged it yet.
    Answered,
    /// Released before the caller acknowledged our 200; it may be sent BYE only then (RFC 3261 section 15).
    HangingUp,
    /// Both ends talk.
    InService,
    /// Nothing is left to do.
    Ended,
}

/// How a call ended while the gateway was still programming it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over {
    /// Why.
    pub(crate) cause: Cause,
    /// Whether the callee is still on the line.
    pub(crate) callee: CalleeLine,
}

/// Whether the callee's dialog exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CalleeLine {
    /// It has to be hung up on.
    Open,
    /// It hung up itself.
    Closed,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// `reserve` returned terms; these are the callee's contacts.
    Reserved(Fork),
    /// `reserve` was refused.
    ReserveRefused(Rejection),
    /// `establish` returned terms.
    Established,
    /// `establish` was refused, or the callee's answer cannot be used.
    EstablishRefused(Rejection),
    /// A contact's provisional response, 101 to 199.
    CalleeProvisional(Branch, u16),
    /// A contact's 2xx.
    CalleeAnswered(Branch),
    /// A contact wants to be invited in other words.
    CalleeAgain(Branch),
    /// A contact does not take the call.
    CalleeRefused(Branch, No),
    /// The callee's contact is another provider's gateway, which refused or did not answer.
    PeerDeclined(Branch, Rejection),
    /// What it waits for cannot be had: the label mappings of a session to another provider, or the other sessions of its group.
    Hindered(Rejection),
    /// BYE from the callee.
    CalleeBye,
    /// CANCEL from the caller.
    Cancel,
    /// ACK of our 200.
    CallerAck,
    /// BYE from the caller.
    CallerBye,
    /// The caller's INVITE transaction ended without an ACK of our 200.
    CallerLost,
    /// The caller never acknowledged a reliable provisional response.
    Unacknowledged,
    /// The contacts that ring took too long to answer.
    RingTimeout,
    /// The gateway ends the session: its time is over, or the network has no room for it any more.
    HangUp(Cause),
    /// The gateway stops. What was agreed on goes on without it.
    Shutdown,
}

/// Why the caller's INVITE is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// The gateway refused.
    Refused(Rejection),
    /// The caller cancelled.
    Cancelled,
    /// The callee does not take the call.
    No(No),
    /// It never acknowledged a reliable provisional response.
    Unacknowledged,
    /// The callee hung up before the session was ready.
    HungUp,
    /// The gateway ended the session before it was ready.
    Ended(Cause),
    /// The gateway stops.
    Stopping,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Call `reserve`; answer with [`Event::Reserved`] or [`Event::ReserveRefused`].
    Reserve,
    /// Invite a contact.
    Invite(Branch),
    /// Those invited ring from now on: send [`Event::RingTimeout`] when they have taken too long.
    Ring,
    /// Call `establish` with what this contact answered; reply with [`Event::Established`] or [`Event::EstablishRefused`].
    Establish(Branch),
    /// Call `release`.
    Release(Cause),
    /// Relay a contact's provisional response to the caller.
    Relay(Branch, u16),
    /// Send the caller its 200.
    Answer,
    /// Reject the caller's INVITE.
    Reject(Why),
    /// The contact will not have the call.
    Abandon(Branch),
    /// Hang up on a contact that answered too late.
    ByeLate(Branch),
    /// Hang up on the callee.
    ByeCallee,
    /// Hang up on the caller.
    ByeCaller,
    /// Leave the session as it is: another gateway goes on with it.
    Leave,
}

/// The beginning of every call.
pub(crate) fn begin() -> (State, Vec<Action>) {
    (State::Reserving { over: None }, vec![Action::Reserve])
}

/// One step.
pub(crate) fn step(state: State, event: Event) -> (State, Vec<Action>) {
    if let Event::CalleeAnswered(branch) = event
        && !matches!(&state, State::Inviting { fork } if fork.is_ringing(branch))
    {
        return (state, vec![Action::ByeLate(branch)]);
    }
    match state {
        State::Reserving { over } => reserving(over, event),
        State::Inviting { fork } => inviting(fork, event),
        State::Establishing { over } => establishing(over, event),
        State::Answered => answered(&event),
        State::HangingUp => hanging_up(&event),
        State::InService => in_service(&event),
        State::Ended => (State::Ended, Vec::new()),
    }
}

/// How an event of any time ends a call that the caller has not been answered for yet; the caller is told, unless it is lost.
fn ended_by(event: &Event) -> Option<(Cause, Option<Why>)> {
    match event {
        Event::Cancel | Event::CallerBye => Some((Cause::Caller, Some(Why::Cancelled))),
        Event::CallerLost => Some((Cause::Signalling, None)),
        Event::Unacknowledged => Some((Cause::Signalling, Some(Why::Unacknowledged))),
        Event::HangUp(cause) => Some((*cause, Some(Why::Ended(*cause)))),
        Event::Shutdown => Some((Cause::Shutdown, Some(Why::Stopping))),
        _ => None,
    }
}

fn reject(why: Option<Why>) -> Vec<Action> {
    why.map(Action::Reject).into_iter().collect()
}

fn reserving(over: Option<Cause>, event: Event) -> (State, Vec<Action>) {
    if let (None, Some((cause, why))) = (over, ended_by(&event)) {
        return (State::Reserving { over: Some(cause) }, reject(why));
    }
    match (over, event) {
        (None, Event::Reserved(mut fork)) => {
            let next = fork.next();
            go_on(fork, next)
        }
        (Some(cause), Event::Reserved(_)) => (State::Ended, vec![Action::Release(cause)]),
        (None, Event::ReserveRefused(rejection)) => (State::Ended, vec![Action::Reject(Why::Refused(rejection))]),
        (Some(_), Event::ReserveRefused(_)) => (State::Ended, Vec::new()),
        (over, _) => (State::Reserving { over }, Vec::new()),
    }
}

fn inviting(mut fork: Fork, event: Event) -> (State, Vec<Action>) {
    match event {
        Event::CalleeProvisional(branch, status) if fork.is_ringing(branch) => {
            (State::Inviting { fork }, vec![Action::Relay(branch, status)])
        }
        Event::CalleeAnswered(branch) => {
            let others = fork.abandon().into_iter().filter(|other| *other != branch).map(Action::Abandon);
            (State::Establishing { over: None }, others.chain([Action::Establish(branch)]).collect())
        }
        Event::CalleeAgain(branch) if fork.is_ringing(branch) => (State::Inviting { fork }, vec![Action::Invite(branch)]),
        Event::CalleeRefused(branch, why) => {
            let next = fork.refused(branch, why);
            go_on(fork, next)
        }
        Event::RingTimeout => {
            let (silent, next) = fork.overtime();
            let (state, actions) = go_on(fork, next);
            (state, silent.into_iter().map(Action::Abandon).chain(actions).collect())
        }
        Event::PeerDeclined(branch, rejection) if fork.is_ringing(branch) => {
            let (state, mut actions) = given_up(fork, Some(Why::Refused(rejection)), Cause::Declined);
            actions.retain(|action| *action != Action::Abandon(branch));
            (state, actions)
        }
        Event::Hindered(rejection) => given_up(fork, Some(Why::Refused(rejection)), Cause::Signalling),
        other => match ended_by(&other) {
            Some((cause, why)) => given_up(fork, why, cause),
            None => (State::Inviting { fork }, Vec::new()),
        },
    }
}

/// Nobody is to have the call.
fn given_up(mut fork: Fork, why: Option<Why>, cause: Cause) -> (State, Vec<Action>) {
    let mut actions = reject(why);
    actions.extend(fork.abandon().into_iter().map(Action::Abandon));
    actions.push(Action::Release(cause));
    (State::Ended, actions)
}

fn go_on(fork: Fork, next: Next) -> (State, Vec<Action>) {
    match next {
        Next::Wait => (State::Inviting { fork }, Vec::new()),
        Next::Invite(group) => (State::Inviting { fork }, group.into_iter().map(Action::Invite).chain([Action::Ring]).collect()),
        Next::Refuse(others, no) => {
            let cause = match no {
                No::Declined(_) => Cause::Declined,
                No::Late => Cause::NoAnswer,
                No::Unreachable => Cause::Signalling,
            };
            let mut actions: Vec<_> = others.into_iter().map(Action::Abandon).collect();
            actions.extend([Action::Reject(Why::No(no)), Action::Release(cause)]);
            (State::Ended, actions)
        }
    }
}

fn establishing(over: Option<Over>, event: Event) -> (State, Vec<Action>) {
    let Some(over) = over else {
        return establishing_live(event);
    };
    match event {
        Event::Established | Event::EstablishRefused(_) => {
            let mut actions = Vec::new();
            if over.callee == CalleeLine::Open {
                actions.push(Action::ByeCallee);
            }
            actions.push(Action::Release(over.cause));
            (State::Ended, actions)
        }
        Event::CalleeBye => {
            let callee = CalleeLine::Closed;
            (State::Establishing { over: Some(Over { callee, ..over }) }, Vec::new())
        }
        _ => (State::Establishing { over: Some(over) }, Vec::new()),
    }
}

fn establishing_live(event: Event) -> (State, Vec<Action>) {
    match event {
        Event::Established => (State::Answered, vec![Action::Answer]),
        Event::EstablishRefused(rejection) => {
            (State::Ended, vec![Action::Reject(Why::Refused(rejection)), Action::ByeCallee, Action::Release(Cause::Refused)])
        }
        Event::CalleeBye => {
            let over = Over { cause: Cause::Callee, callee: CalleeLine::Closed };
            (State::Establishing { over: Some(over) }, reject(Some(Why::HungUp)))
        }
        other => match ended_by(&other) {
            Some((cause, why)) => {
                let callee = CalleeLine::Open;
                (State::Establishing { over: Some(Over { cause, callee }) }, reject(why))
            }
            None => (State::Establishing { over: None }, Vec::new()),
        },
    }
}

fn answered(event: &Event) -> (State, Vec<Action>) {
    let hanging_up = |cause| (State::HangingUp, vec![Action::ByeCallee, Action::Release(cause)]);
    match event {
        Event::CallerAck => (State::InService, Vec::new()),
        Event::CallerBye => (State::Ended, vec![Action::ByeCallee, Action::Release(Cause::Caller)]),
        Event::CallerLost => (State::Ended, vec![Action::ByeCaller, Action::ByeCallee, Action::Release(Cause::Signalling)]),
        Event::CalleeBye => (State::HangingUp, vec![Action::Release(Cause::Callee)]),
        Event::HangUp(cause) => hanging_up(*cause),
        Event::Shutdown => (State::Ended, vec![Action::Leave]),
        // CANCEL comes too late (RFC 3261 section 9.2): the caller gets its 200 and hangs up.
        _ => (State::Answered, Vec::new()),
    }
}

fn hanging_up(event: &Event) -> (State, Vec<Action>) {
    match event {
        Event::CallerAck | Event::CallerLost => (State::Ended, vec![Action::ByeCaller]),
        Event::CallerBye => (State::Ended, Vec::new()),
        _ => (State::HangingUp, Vec::new()),
    }
}

fn in_service(event: &Event) -> (State, Vec<Action>) {
    let both = |cause| {
        let actions = vec![Action::ByeCaller, Action::ByeCallee, Action::Release(cause)];
        (State::Ended, actions)
    };
    match event {
        Event::CallerBye => (State::Ended, vec![Action::ByeCallee, Action::Release(Cause::Caller)]),
        Event::CalleeBye => (State::Ended, vec![Action::ByeCaller, Action::Release(Cause::Callee)]),
        Event::HangUp(cause) => both(*cause),
        Event::Shutdown => (State::Ended, vec![Action::Leave]),
        _ => (State::InService, Vec::new()),
    }
}

#[cfg(test)]
mod tests;
