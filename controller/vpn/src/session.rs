//! A session's life, as `(state, event) → (state, actions)`.
//!
//! ```text
//! Requested → Authorised → Reserved → Programmed → Inviting → Established → Released
//!      └───────────────── any failure: undo in reverse, tell the caller why ──────────┘
//! ```

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Asked for and understood.
    Requested,
    /// Covered by the contract, and counted there.
    Authorised,
    /// Paths, bandwidth and numbers are taken; the routers are being written to.
    Reserved,
    /// The routers are ready, but for telling its packets from others.
    Programmed,
    /// The callee rings.
    Inviting,
    /// The callee accepted; the session's packets are told from others.
    Established,
    /// Over; everything is given back.
    Released,
}

/// What happens to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The contract covers it.
    Covered,
    /// Paths, bandwidth and numbers are taken.
    Taken,
    /// The routers hold what was planned.
    Written,
    /// The INVITE left for the callee.
    Rang,
    /// The callee accepted.
    Accepted,
    /// Something went wrong, or someone hung up.
    Ended,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Find paths; take bandwidth and numbers.
    Take,
    /// Write tunnels and sessions to the routers.
    Program,
    /// Ring the callee.
    Invite,
    /// Tell the session's packets from others; what is carried is billed from here on.
    Classify,
    /// Undo [`Action::Classify`].
    Unclassify,
    /// Undo [`Action::Program`], also where it was done in part.
    Unprogram,
    /// Undo [`Action::Take`].
    GiveBack,
    /// Leave the contract's account.
    Leave,
}

/// An event that a state does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session that is {state:?} cannot have {event:?}")]
pub struct OutOfTurn {
    /// The state.
    pub state: State,
    /// The event.
    pub event: Event,
}

/// What an event makes of a state, and what is to be done then.
///
/// # Errors
/// [`OutOfTurn`] when the event does not belong to the state; nothing changes.
pub fn next(state: State, event: Event) -> Result<(State, &'static [Action]), OutOfTurn> {
    use Action::{Classify, GiveBack, Invite, Leave, Program, Take, Unclassify, Unprogram};
    Ok(match (state, event) {
        (State::Requested, Event::Covered) => (State::Authorised, &[Take]),
        (State::Authorised, Event::Taken) => (State::Reserved, &[Program]),
        (State::Reserved, Event::Written) => (State::Programmed, &[Invite]),
        (State::Programmed, Event::Rang) => (State::Inviting, &[]),
        (State::Inviting, Event::Accepted) => (State::Established, &[Classify]),
        (State::Requested, Event::Ended) => (State::Released, &[]),
        (State::Authorised, Event::Ended) => (State::Released, &[Leave]),
        (State::Reserved | State::Programmed | State::Inviting, Event::Ended) => (State::Released, &[Unprogram, GiveBack, Leave]),
        (State::Established, Event::Ended) => (State::Released, &[Unclassify, Unprogram, GiveBack, Leave]),
        (state, event) => return Err(OutOfTurn { state, event }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] =
        [State::Requested, State::Authorised, State::Reserved, State::Programmed, State::Inviting, State::Established, State::Released];
    const FORWARD: [Event; 5] = [Event::Covered, Event::Taken, Event::Written, Event::Rang, Event::Accepted];

    fn undo(action: Action) -> Option<Action> {
        match action {
            Action::Program => Some(Action::Unprogram),
            Action::Classify => Some(Action::Unclassify),
            _ => None,
        }
    }

    #[test]
    fn each_state_has_one_way_on_and_one_way_out() {
        for (index, state) in STATES.into_iter().enumerate() {
            for event in FORWARD {
                let moved = next(state, event);
                if FORWARD.get(index) == Some(&event) {
                    assert_eq!(moved.unwrap().0, STATES[index + 1]);
                } else {
                    assert_eq!(moved, Err(OutOfTurn { state, event }));
                }
            }
            let ended = next(state, Event::Ended);
            assert_eq!(ended.map(|(state, _)| state).ok(), (state != State::Released).then_some(State::Released));
        }
    }

    #[test]
    fn whatever_was_done_is_undone_in_reverse() {
        let mut state = State::Requested;
        let mut undone = Vec::new();
        for event in FORWARD {
            assert_eq!(next(state, Event::Ended).unwrap().1, undone, "{state:?}");
            let (after, actions) = next(state, event).unwrap();
            // What an event says has happened by the time it comes: the account is entered, bandwidth and numbers are taken.
            match event {
                Event::Covered => undone.insert(0, Action::Leave),
                Event::Taken => undone.insert(0, Action::GiveBack),
                _ => {}
            }
            for action in actions.iter().filter_map(|&action| undo(action)) {
                undone.insert(0, action);
            }
            state = after;
        }
        assert_eq!(next(State::Established, Event::Ended).unwrap().1, undone);
    }
}
