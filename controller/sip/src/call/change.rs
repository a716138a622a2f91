//! A change in service as a pure machine: `(state, event) -> (state, actions)`.
//!
//! The caller offers anew within the dialog (re-INVITE, RFC 3261 section 14, or UPDATE, RFC 3311); the gateway proposes, the callee is asked
//! by a re-INVITE, and what it answers is confirmed. What the machine guarantees, whatever arrives in whatever order: the caller's request
//! gets exactly one final response; every successful `propose` is followed by exactly one `confirm` that succeeds or one `withdraw`, unless
//! the call ends, which releases everything; and a callee that agreed to what is not to be is offered the old terms again.
//!
//! ```text
//!         ┌──────────────────────────────────────────────────────────┐
//!         ▼                                                          │
//!       Idle ──▶ Proposing ──▶ Asking ──▶ Confirming ────────────────┤
//!                    │           │            └───────▶ TakingBack ──┤
//!                    │           └▶ Withdrawing ───────────┴─────────┤
//!                    └──────────────────────────────────────────────▶┘      from everywhere ──▶ Ended
//! ```

use crate::refusal::Rejection;

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
    Idle,
    /// The gateway reserves what is asked for; `over` if it is not wanted any more.
    Proposing { over: Option<Over> },
    /// The callee is asked.
    Asking { callee: CalleeProgress },
    /// Withdrawn while the callee was being asked: what it answers now is to be taken back.
    Withdrawing { cancel: CancelProgress },
    /// The callee has agreed, and the gateway carries the change out; `ending` if the call ends meanwhile.
    Confirming { ending: Option<Ending> },
    /// The callee is offered the old terms again.
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

/// Whether the callee was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CalleeProgress {
    /// No response yet: CANCEL has to wait (RFC 3261 section 9.1).
    Silent,
    /// It has sent a provisional response.
    Heard,
}

/// Whether CANCEL went to the callee.
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
    /// The caller cancelled it.
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
    /// The caller offers anew.
    Asked,
    /// `propose` returned terms.
    Proposed,
    /// `propose` was refused.
    ProposeRefused(Rejection),
    /// The callee's provisional response, 100 to 199.
    CalleeProvisional(u16),
    /// The callee's 2xx.
    CalleeAgreed,
    /// The callee's final response that is no success.
    CalleeDeclined(u16),
    /// The callee knows nothing of the call: 481.
    CalleeGone,
    /// The callee's re-INVITE got no final response.
    CalleeFailed,
    /// `confirm` returned terms.
    Confirmed,
    /// `confirm` was refused, or the callee's answer cannot be used.
    ConfirmRefused(Rejection),
    /// CANCEL from the caller.
    Cancel,
    /// The callee took too long to answer.
    Overtime,
    /// The call ends.
    CallEnds(Ending),
}

/// Why the caller's request is rejected. The session goes on as it was, unless the call is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// The gateway refused.
    Refused(Rejection),
    /// The caller cancelled.
    Cancelled,
    /// The callee declined with this status.
    Declined(u16),
    /// The callee took too long.
    NoAnswer,
    /// The callee could not be reached.
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
    /// Offer the callee the new terms, and send [`Event::Overtime`] when it has taken too long.
    Ask,
    /// Call `confirm`; answer with [`Event::Confirmed`] or [`Event::ConfirmRefused`].
    Confirm,
    /// Call `withdraw`.
    Withdraw,
    /// Relay a provisional response to the caller.
    Relay(u16),
    /// Send the caller its 200.
    Answer,
    /// Reject the caller's request.
    Reject(Why),
    /// Cancel the callee's re-INVITE.
    CancelCallee,
    /// Offer the callee the old terms again.
    TakeBack,
    /// End the call: the callee's dialog is gone (RFC 3261 section 12.2.1.2).
    HangUp,
}

/// One step.
pub(crate) fn step(state: State, event: Event) -> (State, Vec<Action>) {
    match state {
        State::Idle => idle(&event),
        State::Proposing { over } => proposing(over, event),
        State::Asking { callee } => asking(callee, &event),
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
        (None, Event::Proposed) => (State::Asking { callee: CalleeProgress::Silent }, vec![Action::Ask]),
        (Some(_), Event::Proposed) => (after, vec![Action::Withdraw]),
        (None, Event::ProposeRefused(rejection)) => (after, vec![Action::Reject(Why::Refused(rejection))]),
        (Some(_), Event::ProposeRefused(_)) => (after, Vec::new()),
        (None, Event::Cancel) => (State::Proposing { over: Some(Over::Cancelled) }, vec![Action::Reject(Why::Cancelled)]),
        (None, Event::CallEnds(ending)) => (State::Proposing { over: Some(Over::CallEnded) }, vec![because(ending)]),
        (Some(_), Event::CallEnds(_)) => (State::Proposing { over: Some(Over::CallEnded) }, Vec::new()),
        (over, _) => (State::Proposing { over }, Vec::new()),
    }
}

fn asking(callee: CalleeProgress, event: &Event) -> (State, Vec<Action>) {
    let rejected = |why| (State::Idle, vec![Action::Reject(why), Action::Withdraw]);
    match event {
        Event::CalleeProvisional(status) => {
            // 100 is between neighbours, and 199 is of early dialogs.
            let relay = if matches!(status, 100 | 199) { Vec::new() } else { vec![Action::Relay(*status)] };
            (State::Asking { callee: CalleeProgress::Heard }, relay)
        }
        Event::CalleeAgreed => (State::Confirming { ending: None }, vec![Action::Confirm]),
        Event::CalleeDeclined(status) => rejected(Why::Declined(*status)),
        Event::CalleeFailed => rejected(Why::Unreachable),
        Event::CalleeGone => (State::Idle, vec![Action::Reject(Why::CallOver), Action::Withdraw, Action::HangUp]),
        Event::Cancel => withdraw(callee, Why::Cancelled),
        Event::Overtime => withdraw(callee, Why::NoAnswer),
        Event::CallEnds(ending) => {
            let mut actions = vec![because(*ending)];
            // Who is hung up on ends its INVITE itself (RFC 3261 section 15.1.2).
            if *ending == Ending::Stopping && callee == CalleeProgress::Heard {
                actions.push(Action::CancelCallee);
            }
            actions.push(Action::Withdraw);
            (State::Ended, actions)
        }
        _ => (State::Asking { callee }, Vec::new()),
    }
}

fn withdraw(callee: CalleeProgress, why: Why) -> (State, Vec<Action>) {
    let mut actions = vec![Action::Reject(why)];
    let cancel = match callee {
        CalleeProgress::Silent => CancelProgress::Waiting,
        CalleeProgress::Heard => {
            actions.push(Action::CancelCallee);
            CancelProgress::Sent
        }
    };
    actions.push(Action::Withdraw);
    (State::Withdrawing { cancel }, actions)
}

fn withdrawing(cancel: CancelProgress, event: &Event) -> (State, Vec<Action>) {
    match (cancel, event) {
        (CancelProgress::Waiting, Event::CalleeProvisional(_)) => {
            (State::Withdrawing { cancel: CancelProgress::Sent }, vec![Action::CancelCallee])
        }
        (_, Event::CalleeAgreed) => (State::TakingBack, vec![Action::TakeBack]),
        (_, Event::CalleeDeclined(_) | Event::CalleeFailed) => (State::Idle, Vec::new()),
        (_, Event::CalleeGone) => (State::Idle, vec![Action::HangUp]),
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
        Event::CalleeAgreed | Event::CalleeDeclined(_) | Event::CalleeFailed => (State::Idle, Vec::new()),
        Event::CalleeGone => (State::Idle, vec![Action::HangUp]),
        Event::CallEnds(_) => (State::Ended, Vec::new()),
        _ => (State::TakingBack, Vec::new()),
    }
}

#[cfg(test)]
mod tests;
