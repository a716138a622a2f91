//! A session's life, as `(state, event) → (state, actions)`.
//!
//! ```text
//! Requested → Authorised → Reserved → Programmed → Inviting → Established → Releasing → Released
//!                                                     └─→ Booked ──┘            ↑
//!      └───────────────── any failure: undo in reverse, tell the caller why ────┘
//! ```
//!
//! A session ends in two steps. When it is over, its packets are no longer told from others and its bandwidth is given back; its entry
//! stays in the routers until its counters were read and it is settled.

use serde::{Deserialize, Serialize};

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Asked for and understood.
    Requested,
    /// Covered by the contract, and counted there.
    Authorised,
    /// Paths and bandwidth are taken; what starts now has its numbers too, and the routers are being written to.
    Reserved,
    /// The routers are ready, but for telling its packets from others.
    Programmed,
    /// The callee rings.
    Inviting,
    /// The callee accepted, and it starts later: its bandwidth is reserved, nothing is programmed.
    Booked,
    /// The callee accepted; the session's packets are told from others.
    Established,
    /// Over, but its counters are still to be read.
    Releasing,
    /// Settled; everything is given back.
    Released,
}

/// What happens to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The contract covers it.
    Covered,
    /// Paths and bandwidth are taken.
    Taken,
    /// The routers hold what was planned.
    Written,
    /// The INVITE left for the callee.
    Rang,
    /// The callee accepted, and it starts now.
    Accepted,
    /// The callee accepted, and it starts later.
    Agreed,
    /// Its start has come.
    Begun,
    /// Something went wrong, or someone hung up.
    Ended,
    /// Its counters were read.
    Settled,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Find paths; take bandwidth.
    Take,
    /// Take numbers, and write tunnels and sessions to the routers: at once for what starts now.
    Program,
    /// Ring the callee.
    Invite,
    /// Tell the session's packets from others; what is carried is billed from here on.
    Classify,
    /// Undo [`Action::Classify`].
    Unclassify,
    /// Undo [`Action::Take`].
    GiveBack,
    /// Leave the contract's account.
    Leave,
    /// Undo [`Action::Program`], also where it was done in part.
    Unprogram,
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
        (State::Inviting, Event::Agreed) => (State::Booked, &[]),
        (State::Booked, Event::Begun) => (State::Established, &[Program, Classify]),
        (State::Requested, Event::Ended) => (State::Released, &[]),
        (State::Authorised, Event::Ended) => (State::Released, &[Leave]),
        (State::Reserved | State::Programmed | State::Inviting | State::Booked, Event::Ended) => (State::Releasing, &[GiveBack, Leave]),
        (State::Established, Event::Ended) => (State::Releasing, &[Unclassify, GiveBack, Leave]),
        (State::Releasing, Event::Settled) => (State::Released, &[Unprogram]),
        (state, event) => return Err(OutOfTurn { state, event }),
    })
}

impl State {
    /// Whether the session holds bandwidth, and counts in its contract's account.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Reserved | Self::Programmed | Self::Inviting | Self::Booked | Self::Established)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 9] = [
        State::Requested,
        State::Authorised,
        State::Reserved,
        State::Programmed,
        State::Inviting,
        State::Booked,
        State::Established,
        State::Releasing,
        State::Released,
    ];
    const EVENTS: [Event; 9] = [
        Event::Covered,
        Event::Taken,
        Event::Written,
        Event::Rang,
        Event::Accepted,
        Event::Agreed,
        Event::Begun,
        Event::Ended,
        Event::Settled,
    ];

    /// What a state has that must be undone.
    fn done(state: State) -> &'static [Action] {
        match state {
            State::Requested | State::Released => &[],
            State::Authorised => &[Action::Leave],
            State::Reserved | State::Programmed | State::Inviting | State::Booked => &[Action::GiveBack, Action::Leave, Action::Unprogram],
            State::Established => &[Action::Unclassify, Action::GiveBack, Action::Leave, Action::Unprogram],
            State::Releasing => &[Action::Unprogram],
        }
    }

    #[test]
    fn each_state_has_its_ways_on_and_one_way_out() {
        let on = |state| match state {
            State::Requested => vec![(Event::Covered, State::Authorised)],
            State::Authorised => vec![(Event::Taken, State::Reserved)],
            State::Reserved => vec![(Event::Written, State::Programmed)],
            State::Programmed => vec![(Event::Rang, State::Inviting)],
            State::Inviting => vec![(Event::Accepted, State::Established), (Event::Agreed, State::Booked)],
            State::Booked => vec![(Event::Begun, State::Established)],
            State::Releasing => vec![(Event::Settled, State::Released)],
            State::Established | State::Released => vec![],
        };
        for state in STATES {
            let ways = on(state);
            for event in EVENTS.into_iter().filter(|event| *event != Event::Ended) {
                let expected = ways.iter().find(|(on, _)| *on == event).map(|(_, after)| *after);
                assert_eq!(next(state, event).map(|(after, _)| after), expected.ok_or(OutOfTurn { state, event }));
            }
            let over = matches!(state, State::Releasing | State::Released);
            assert_eq!(next(state, Event::Ended).is_err(), over, "{state:?}");
        }
    }

    #[test]
    fn whatever_was_done_is_undone_once() {
        for state in STATES.into_iter().filter(|state| *state != State::Released) {
            let mut undone = Vec::new();
            let mut last = state;
            for event in [Event::Ended, Event::Settled] {
                if let Ok((after, actions)) = next(last, event) {
                    undone.extend(actions.iter().copied());
                    last = after;
                }
            }
            assert_eq!(last, State::Released);
            assert_eq!(undone, done(state), "{state:?}");
        }
    }

    #[test]
    fn live_is_what_gives_back() {
        for state in STATES {
            let gives_back = next(state, Event::Ended).is_ok_and(|(_, actions)| actions.contains(&Action::GiveBack));
            assert_eq!(state.is_live(), gives_back, "{state:?}");
        }
    }
}
