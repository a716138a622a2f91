//! The machine in a world that keeps its promises and comes in any order.

use super::*;
use proptest::prelude::*;

fn rejection() -> Rejection {
    Rejection::new(580, "full")
}

/// What the ends and the gateway have open.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that is open or not")]
struct World {
    proposing: bool,
    confirming: bool,
    proposed: bool,
    asker_waits: bool,
    other_asked: bool,
    other_heard: bool,
    other_has_new: bool,
    cancelled: bool,
    gone: bool,
    left_alone: bool,
}

impl World {
    fn possible(&self, event: &Event) -> bool {
        match event {
            Event::Asked => !self.asker_waits,
            Event::Proposed | Event::ProposeRefused(_) => self.proposing,
            Event::Confirmed | Event::ConfirmRefused(_) => self.confirming,
            Event::Provisional(_) | Event::Agreed | Event::Declined(_) | Event::Glare | Event::Gone | Event::Failed => self.other_asked,
            Event::Cancel => self.asker_waits,
            Event::Again => self.left_alone,
            Event::Overtime | Event::CallEnds(_) => true,
        }
    }

    fn before(&mut self, state: State, event: &Event) {
        match event {
            // The shell asks the machine only when it is idle.
            Event::Asked => self.asker_waits = state == State::Idle,
            Event::Proposed => (self.proposing, self.proposed) = (false, true),
            Event::ProposeRefused(_) => self.proposing = false,
            Event::Confirmed => (self.confirming, self.proposed, self.other_has_new) = (false, false, false),
            Event::ConfirmRefused(_) => self.confirming = false,
            Event::Provisional(_) => self.other_heard = true,
            Event::Agreed => {
                self.other_has_new = state != State::TakingBack;
                (self.other_asked, self.other_heard) = (false, false);
            }
            // It still has the new terms, if it had them.
            Event::Glare => (self.other_asked, self.other_heard) = (false, false),
            Event::Again => self.left_alone = false,
            Event::Gone | Event::Declined(_) | Event::Failed => {
                self.gone |= *event == Event::Gone;
                // Who will not go back cannot be made to.
                self.other_has_new = false;
                (self.other_asked, self.other_heard) = (false, false);
            }
            Event::Cancel | Event::Overtime | Event::CallEnds(_) => {}
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Propose => {
                assert!(!self.proposed && !self.proposing, "proposed twice");
                self.proposing = true;
            }
            Action::Ask | Action::TakeBack => {
                assert!(!self.other_asked, "two re-INVITEs at once");
                (self.other_asked, self.cancelled, self.left_alone) = (true, false, false);
            }
            Action::Confirm => {
                assert!(self.proposed, "confirmed what is not proposed");
                self.confirming = true;
            }
            Action::Withdraw => {
                assert!(self.proposed && !self.confirming, "withdrawn out of place");
                self.proposed = false;
            }
            Action::Relay(status) => assert!(self.asker_waits && *status > 100, "relayed to nobody"),
            Action::Answer => {
                assert!(self.asker_waits && !self.proposed, "answered without a change");
                self.asker_waits = false;
            }
            Action::Reject(_) => {
                assert!(self.asker_waits, "rejected twice");
                self.asker_waits = false;
            }
            Action::CancelAsked => {
                assert!(self.other_asked && self.other_heard && !self.cancelled, "CANCEL out of place");
                self.cancelled = true;
            }
            Action::BackOff => {
                assert!(!self.other_asked && !self.left_alone, "backed off twice");
                self.left_alone = true;
            }
            Action::HangUp => assert!(self.gone, "hung up on a callee that is there"),
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Asked),
        3 => Just(Event::Proposed),
        1 => Just(Event::ProposeRefused(rejection())),
        1 => (100u16..200).prop_map(Event::Provisional),
        3 => Just(Event::Agreed),
        1 => Just(Event::Declined(488)),
        1 => Just(Event::Gone),
        1 => Just(Event::Glare),
        3 => Just(Event::Again),
        1 => Just(Event::Failed),
        3 => Just(Event::Confirmed),
        1 => Just(Event::ConfirmRefused(rejection())),
        1 => Just(Event::Cancel),
        1 => Just(Event::Overtime),
        1 => Just(Event::CallEnds(Ending::HungUp)),
        1 => Just(Event::CallEnds(Ending::Stopping)),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_everybody_gets_what_is_due(events in proptest::collection::vec(event(), 0..60)) {
        let (mut state, mut world) = (State::Idle, World::default());
        for event in events {
            if !world.possible(&event) || (event == Event::Asked && state != State::Idle) {
                continue;
            }
            world.before(state, &event);
            let (next, actions) = step(state, event);
            state = next;
            // What was to come after a while does not come in another state.
            world.left_alone &= matches!(state, State::BackingOff { .. });
            for action in &actions {
                world.act(action);
            }
            prop_assert_eq!(state.is_with_the_gateway(), world.proposing || world.confirming, "{:?}", state);
            if state == State::Idle {
                prop_assert!(!world.asker_waits && !world.proposed && !world.other_asked, "{:?}", world);
                prop_assert!(!world.other_has_new, "the other end was left with what is not to be: {:?}", world);
            }
            if state == State::Ended {
                prop_assert!(!world.asker_waits, "nobody answered who asked");
            }
        }
    }
}

/// The actions of a run of events.
fn run(events: impl IntoIterator<Item = Event>) -> (State, Vec<Action>) {
    let mut all = Vec::new();
    let state = events.into_iter().fold(State::Idle, |state, event| {
        let (next, actions) = step(state, event);
        all.extend(actions);
        next
    });
    (state, all)
}

#[test]
fn a_change_that_both_agree_to_is_carried_out() {
    let (state, actions) = run([Event::Asked, Event::Proposed, Event::Provisional(180), Event::Agreed, Event::Confirmed]);
    assert_eq!(state, State::Idle);
    assert_eq!(actions, [Action::Propose, Action::Ask, Action::Relay(180), Action::Confirm, Action::Answer]);
}

#[test]
fn a_callee_that_agreed_to_what_is_refused_is_offered_the_old_terms() {
    let (state, actions) = run([Event::Asked, Event::Proposed, Event::Agreed, Event::ConfirmRefused(rejection())]);
    assert_eq!(state, State::TakingBack);
    assert_eq!(actions[3..], [Action::Reject(Why::Refused(rejection())), Action::Withdraw, Action::TakeBack]);
}

#[test]
fn an_answer_that_crosses_cancel_is_taken_back() {
    let (state, actions) = run([Event::Asked, Event::Proposed, Event::Provisional(100), Event::Cancel, Event::Agreed]);
    assert_eq!(state, State::TakingBack);
    assert_eq!(actions[2..], [Action::Reject(Why::Cancelled), Action::CancelAsked, Action::Withdraw, Action::TakeBack]);
}

#[test]
fn a_gateway_that_stops_tells_how_a_change_turned_out() {
    let stop = Event::CallEnds(Ending::Stopping);
    let (state, actions) = run([Event::Asked, Event::Proposed, Event::Agreed, stop, Event::Confirmed]);
    assert_eq!((state, actions.last()), (State::Ended, Some(&Action::Answer)));
}
