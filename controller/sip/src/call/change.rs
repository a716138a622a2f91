//! A change in service as a pure machine: `(state, event) -> (state, actions)`.
//!
//! One end offers anew within the dialog (re-INVITE, RFC 3261 section 14, or UPDATE, RFC 3311); the gateway proposes, the other end is asked
//! by a re-INVITE, and what it answers is confirmed. What the machine guarantees, whatever arrives in whatever order: the request
//! gets exactly one final response; every successful `propose` is followed by exactly one `confirm` that succeeds or one `withdraw`, unless
//! the call ends, which releases everything; and an end that agreed to what is not to be is offered the old terms again. Where the end that
//! is asked has an offer of its own under way (491), it is asked again after a while.
//!
//! ```text
//!         ┌──────────────────────────────────────────────────────────┐
//!         ▼                                                          │
//!       Idle ──▶ Proposing ──▶ Asking ──▶ Confirming ────────────────┤
//!                    │           │            └───────▶ TakingBack ──┤
//!                    │           └▶ Withdrawing ───────────┴─────────┤
//!                    └──────────────────────────────────────────────▶┘      Asking, TakingBack ◀──▶ BackingOff; from everywhere ──▶ Ended
//! ```

use crate::refusal::Rejection;

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
    Idle,
    /// The gateway reserves what is asked for; `over` if it is not wanted any more.
    Proposing { over: Option<Over> },
    /// The other end is asked.
    Asking { asked: Progress },
    /// It is asked again after a while.
    BackingOff { then: Then },
    /// Withdrawn while the other end was being asked: what it answers now is to be taken back.
    Withdrawing { cancel: CancelProgress },
    /// Both ends have agreed, and the gateway carries the change out; `ending` if the call ends meanwhile.
    Confirming { ending: Option<Ending> },
    /// The other end is offered the old terms again.
    TakingBack,
    /// The call has ended.
    Ended,
}

impl State {
    /// Whether the gateway is at it, so that the session must not be released.
    pub(crate) fn is_with_the_gateway(self) -> bool {
        matches!(self, Self::Proposing { .. } | Self::Confirming { .. })
    }
}

/// What an end is asked when it has been left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Whether it agrees.
    Ask,
    /// To take the old terms again.
    TakeBack,
}

/// Whether the end that is asked was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No response yet: CANCEL has to wait (RFC 3261 section 9.1).
    Silent,
    /// It has sent a provisional response.
    Heard,
}

/// Whether CANCEL went to the end that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelProgress {
    /// Not yet: it waits for a provisional response.
    Waiting,
    /// It was sent.
    Sent,
}

/// Why a change is not wanted any more while the gateway still reserves for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Who asked has cancelled it.
    Cancelled,
    /// The call has ended.
    CallEnded,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody hung up.
    HungUp,
    /// The gateway stops; the session goes on without it.
    Stopping,
}

/// What happens to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// An end offers anew.
    Asked,
    /// `propose` returned terms.
    Proposed,
    /// `propose` was refused.
    ProposeRefused(Rejection),
    /// The other end's provisional response, 100 to 199.
    Provisional(u16),
    /// Its 2xx.
    Agreed,
    /// Its final response that is no success.
    Declined(u16),
    /// It has an offer of its own under way: 491.
    Glare,
    /// It has been left alone for long enough.
    Again,
    /// It knows nothing of the call: 481.
    Gone,
    /// The re-INVITE got no final response.
    Failed,
    /// `confirm` returned terms.
    Confirmed,
    /// `confirm` was refused, or the answer cannot be used.
    ConfirmRefused(Rejection),
    /// CANCEL from who asked.
    Cancel,
    /// The other end took too long to answer.
    Overtime,
    /// The call ends.
    CallEnds(Ending),
}

/// Why the request is rejected. The session goes on as it was, unless the call is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// The gateway refused.
    Refused(Rejection),
    /// Who asked has cancelled.
    Cancelled,
    /// The other end declined with this status.
    Declined(u16),
    /// The other end took too long.
    NoAnswer,
    /// The other end could not be reached.
    Unreachable,
    /// The call has ended.
    CallOver,
    /// The gateway stops.
    Stopping,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Call `propose`; answer with [`Event::Proposed`] or [`Event::ProposeRefused`].
    Propose,
    /// Offer the other end the new terms, and send [`Event::Overtime`] when it has taken too long.
    Ask,
    /// Call `confirm`; answer with [`Event::Confirmed`] or [`Event::ConfirmRefused`].
    Confirm,
    /// Call `withdraw`.
    Withdraw,
    /// Relay a provisional response to who asked.
    Relay(u16),
    /// Send who asked its 200.
    Answer,
    /// Reject the request.
    Reject(Why),
    /// Cancel the re-INVITE.
    CancelAsked,
    /// Send [`Event::Again`] after a while (RFC 3261 section 14.1).
    BackOff,
    /// Offer the other end the old terms again.
    TakeBack,
    /// End the call: the other end's dialog is gone (RFC 3261 section 12.2.1.2).
    HangUp,
}

/// One step.
pub(crate) fn step(state: State, event: Event) -> (State, Vec<Action>) {
    match state {
        State::Idle => idle(&event),
        State::Proposing { over } => proposing(over, event),
        State::Asking { asked } => asking(asked, &event),
        State::BackingOff { then } => backing_off(then, &event),
        State::Withdrawing { cancel } => withdrawing(cancel, &event),
        State::Confirming { ending } => confirming(ending, event),
        State::TakingBack => taking_back(&event),
        State::Ended => (State::Ended, Vec::new()),
    }
}

fn because(ending: Ending) -> Action {
    Action::Reject(match ending {
        Ending::HungUp => Why::CallOver,
        Ending::Stopping => Why::Stopping,
    })
}

fn idle(event: &Event) -> (State, Vec<Action>) {
    match event {
        Event::Asked => (State::Proposing { over: None }, vec![Action::Propose]),
        Event::CallEnds(_) => (State::Ended, Vec::new()),
        _ => (State::Idle, Vec::new()),
    }
}

fn proposing(over: Option<Over>, event: Event) -> (State, Vec<Action>) {
    let after = if over == Some(Over::CallEnded) { State::Ended } else { State::Idle };
    match (over, event) {
        (None, Event::Proposed) => (State::Asking { asked: Progress::Silent }, vec![Action::Ask]),
        (Some(_), Event::Proposed) => (after, vec![Action::Withdraw]),
        (None, Event::ProposeRefused(rejection)) => (after, vec![Action::Reject(Why::Refused(rejection))]),
        (Some(_), Event::ProposeRefused(_)) => (after, Vec::new()),
        (None, Event::Cancel) => (State::Proposing { over: Some(Over::Cancelled) }, vec![Action::Reject(Why::Cancelled)]),
        (None, Event::CallEnds(ending)) => (State::Proposing { over: Some(Over::CallEnded) }, vec![because(ending)]),
        (Some(_), Event::CallEnds(_)) => (State::Proposing { over: Some(Over::CallEnded) }, Vec::new()),
        (over, _) => (State::Proposing { over }, Vec::new()),
    }
}

fn asking(asked: Progress, event: &Event) -> (State, Vec<Action>) {
    let rejected = |why| (State::Idle, vec![Action::Reject(why), Action::Withdraw]);
    match event {
        Event::Provisional(status) => {
            // 100 is between neighbours, and 199 is of early dialogs.
            let relay = if matches!(status, 100 | 199) { Vec::new() } else { vec![Action::Relay(*status)] };
            (State::Asking { asked: Progress::Heard }, relay)
        }
        Event::Agreed => (State::Confirming { ending: None }, vec![Action::Confirm]),
        Event::Declined(status) => rejected(Why::Declined(*status)),
        Event::Failed => rejected(Why::Unreachable),
        Event::Glare => (State::BackingOff { then: Then::Ask }, vec![Action::BackOff]),
        Event::Gone => (State::Idle, vec![Action::Reject(Why::CallOver), Action::Withdraw, Action::HangUp]),
        Event::Cancel => withdraw(asked, Why::Cancelled),
        Event::Overtime => withdraw(asked, Why::NoAnswer),
        Event::CallEnds(ending) => {
            let mut actions = vec![because(*ending)];
            // Who is hung up on ends its INVITE itself (RFC 3261 section 15.1.2).
            if *ending == Ending::Stopping && asked == Progress::Heard {
                actions.push(Action::CancelAsked);
            }
            actions.push(Action::Withdraw);
            (State::Ended, actions)
        }
        _ => (State::Asking { asked }, Vec::new()),
    }
}

fn backing_off(then: Then, event: &Event) -> (State, Vec<Action>) {
    match (then, event) {
        (Then::Ask, Event::Again) => (State::Asking { asked: Progress::Silent }, vec![Action::Ask]),
        (Then::TakeBack, Event::Again) => (State::TakingBack, vec![Action::TakeBack]),
        (Then::Ask, Event::Cancel) => (State::Idle, vec![Action::Reject(Why::Cancelled), Action::Withdraw]),
        (Then::Ask, Event::CallEnds(ending)) => (State::Ended, vec![because(*ending), Action::Withdraw]),
        (Then::TakeBack, Event::CallEnds(_)) => (State::Ended, Vec::new()),
        (then, _) => (State::BackingOff { then }, Vec::new()),
    }
}

fn withdraw(asked: Progress, why: Why) -> (State, Vec<Action>) {
    let mut actions = vec![Action::Reject(why)];
    let cancel = match asked {
        Progress::Silent => CancelProgress::Waiting,
        Progress::Heard => {
            actions.push(Action::CancelAsked);
            CancelProgress::Sent
        }
    };
    actions.push(Action::Withdraw);
    (State::Withdrawing { cancel }, actions)
}

fn withdrawing(cancel: CancelProgress, event: &Event) -> (State, Vec<Action>) {
    match (cancel, event) {
        (CancelProgress::Waiting, Event::Provisional(_)) => {
            (State::Withdrawing { cancel: CancelProgress::Sent }, vec![Action::CancelAsked])
        }
        (_, Event::Agreed) => (State::TakingBack, vec![Action::TakeBack]),
        (_, Event::Declined(_) | Event::Glare | Event::Failed) => (State::Idle, Vec::new()),
        (_, Event::Gone) => (State::Idle, vec![Action::HangUp]),
        (_, Event::CallEnds(_)) => (State::Ended, Vec::new()),
        (cancel, _) => (State::Withdrawing { cancel }, Vec::new()),
    }
}

fn confirming(ending: Option<Ending>, event: Event) -> (State, Vec<Action>) {
    match (ending, event) {
        (None, Event::Confirmed) => (State::Idle, vec![Action::Answer]),
        (None, Event::ConfirmRefused(rejection)) => {
            (State::TakingBack, vec![Action::Reject(Why::Refused(rejection)), Action::Withdraw, Action::TakeBack])
        }
        (Some(Ending::Stopping), Event::Confirmed) => (State::Ended, vec![Action::Answer]),
        (Some(Ending::Stopping), Event::ConfirmRefused(rejection)) => {
            (State::Ended, vec![Action::Reject(Why::Refused(rejection)), Action::Withdraw])
        }
        (Some(Ending::HungUp), Event::Confirmed | Event::ConfirmRefused(_)) => (State::Ended, Vec::new()),
        (None | Some(Ending::Stopping), Event::CallEnds(Ending::HungUp)) => {
            (State::Confirming { ending: Some(Ending::HungUp) }, vec![because(Ending::HungUp)])
        }
        // The caller is to hear how it turned out: the session goes on.
        (None, Event::CallEnds(Ending::Stopping)) => (State::Confirming { ending: Some(Ending::Stopping) }, Vec::new()),
        // CANCEL comes too late: both ends have agreed (RFC 3261 section 9.2).
        (ending, _) => (State::Confirming { ending }, Vec::new()),
    }
}

fn taking_back(event: &Event) -> (State, Vec<Action>) {
    match event {
        Event::Agreed | Event::Declined(_) | Event::Failed => (State::Idle, Vec::new()),
        Event::Glare => (State::BackingOff { then: Then::TakeBack }, vec![Action::BackOff]),
        Event::Gone => (State::Idle, vec![Action::HangUp]),
        Event::CallEnds(_) => (State::Ended, Vec::new()),
        _ => (State::TakingBack, Vec::new()),
    }
}

#[cfg(test)]
mod tests;
