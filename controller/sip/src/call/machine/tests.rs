use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

/// Everything outside the machine that a call touches, kept honest: it lets happen only what can happen.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line or a request that is open or not")]
struct World {
    reserving: bool,
    establishing: bool,
    reserved: usize,
    released: usize,
    left: usize,
    /// The contacts whose INVITE has no final response.
    ringing: BTreeSet<Branch>,
    /// Those of them that are told that they will not have the call.
    abandoned: BTreeSet<Branch>,
    /// The contacts that answered and have to be disposed of.
    late: BTreeSet<Branch>,
    callee_on_line: bool,
    caller_answers: usize,
    caller_lost: bool,
    caller_on_line: bool,
    unacknowledged: bool,
}

impl World {
    fn possible(&self, event: &Event) -> bool {
        match event {
            Event::Reserved(_) | Event::ReserveRefused(_) => self.reserving,
            Event::Established | Event::EstablishRefused(_) => self.establishing,
            // A branch may have spoken before it heard that it is abandoned.
            Event::CalleeProvisional(branch, _)
            | Event::CalleeAnswered(branch)
            | Event::CalleeAgain(branch)
            | Event::CalleeRefused(branch, _)
            | Event::PeerDeclined(branch, _) => self.ringing.contains(branch),
            Event::CalleeBye => self.callee_on_line,
            Event::Cancel | Event::Unacknowledged => self.caller_answers == 0 && !self.caller_lost,
            Event::CallerAck => self.unacknowledged,
            Event::CallerBye => !self.caller_lost && (self.caller_answers == 0 || self.caller_on_line),
            Event::CallerLost => !self.caller_lost && (self.caller_answers == 0 || self.unacknowledged),
            Event::RingTimeout | Event::HangUp(_) | Event::Shutdown | Event::Hindered(_) => true,
        }
    }

    fn before(&mut self, event: &Event) {
        match event {
            Event::Reserved(_) => {
                self.reserving = false;
                self.reserved += 1;
            }
            Event::ReserveRefused(_) => self.reserving = false,
            Event::Established | Event::EstablishRefused(_) => self.establishing = false,
            Event::CalleeAnswered(branch) => {
                self.ringing.remove(branch);
                self.late.insert(*branch);
            }
            Event::CalleeAgain(branch) | Event::CalleeRefused(branch, _) | Event::PeerDeclined(branch, _) => {
                self.ringing.remove(branch);
            }
            Event::CalleeBye => self.callee_on_line = false,
            Event::CallerAck => self.unacknowledged = false,
            Event::CallerBye => self.caller_on_line = false,
            Event::CallerLost => {
                self.caller_lost = true;
                self.unacknowledged = false;
            }
            Event::CalleeProvisional(..)
            | Event::Cancel
            | Event::Unacknowledged
            | Event::RingTimeout
            | Event::HangUp(_)
            | Event::Hindered(_)
            | Event::Shutdown => {}
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Reserve => self.reserving = true,
            Action::Invite(branch) => {
                assert!(self.reserved == 1 && self.released == 0, "alerted without a reservation");
                assert!(self.ringing.insert(*branch), "invited twice");
                assert!(!self.abandoned.contains(branch), "invited again when it was abandoned");
            }
            Action::Ring => assert!(!self.ringing.is_empty(), "nobody rings"),
            Action::Establish(branch) => {
                assert_eq!(self.released, 0, "established after release");
                assert!(self.late.remove(branch), "established with somebody who has not answered");
                self.establishing = true;
                self.callee_on_line = true;
            }
            Action::Release(_) => {
                assert!(!self.establishing && !self.reserving, "released while the gateway is at it");
                self.released += 1;
            }
            Action::Relay(branch, _) => {
                assert_eq!(self.caller_answers, 0, "a provisional response after a final one");
                assert!(!self.abandoned.contains(branch), "relayed of somebody who will not have the call");
            }
            Action::Answer => {
                assert_eq!(self.released, 0, "answered without a reservation");
                self.caller_answers += 1;
                self.caller_on_line = true;
                self.unacknowledged = true;
            }
            Action::Reject(_) => {
                self.caller_answers += 1;
                self.caller_on_line = false;
            }
            Action::Abandon(branch) => assert!(self.abandoned.insert(*branch), "abandoned twice"),
            Action::ByeLate(branch) => assert!(self.late.remove(branch), "BYE to a contact that has not answered"),
            Action::ByeCallee => {
                assert!(self.callee_on_line, "BYE to a callee that is not on the line");
                self.callee_on_line = false;
            }
            Action::Leave => {
                assert!(self.caller_on_line && self.callee_on_line, "left where nobody is");
                self.left += 1;
                self.caller_on_line = false;
                self.callee_on_line = false;
            }
            Action::ByeCaller => {
                assert!(self.caller_on_line && !self.unacknowledged, "BYE to a caller out of place");
                self.caller_on_line = false;
            }
        }
        assert!(self.released + self.left <= self.reserved, "released twice");
        assert!(self.caller_answers <= 1, "two final responses");
    }
}

struct Run {
    state: State,
    world: World,
}

impl Run {
    fn begin() -> Self {
        let (state, actions) = begin();
        let mut world = World::default();
        for action in &actions {
            world.act(action);
        }
        Self { state, world }
    }

    fn send(&mut self, event: Event) {
        if !self.world.possible(&event) {
            return;
        }
        self.world.before(&event);
        let (state, actions) = step(self.state.clone(), event);
        self.state = state;
        for action in &actions {
            self.world.act(action);
        }
    }

    /// The gateway stops, and everything under way comes to its end.
    fn finish(&mut self) {
        for event in [Event::Shutdown, reserved(), Event::Established, Event::CallerLost] {
            self.send(event);
        }
    }
}

/// Two contacts that ring together, and one that rings when they do not answer.
fn reserved() -> Event {
    Event::Reserved(Fork::new([2, 1]))
}

/// The first contact.
const FIRST: Branch = Branch(0);

fn rejection() -> Rejection {
    Rejection::new(580, "full")
}

fn branch() -> impl Strategy<Value = Branch> {
    (0usize..3).prop_map(Branch)
}

fn no() -> impl Strategy<Value = No> {
    prop_oneof![3 => (300u16..700).prop_map(No::Declined), 1 => Just(No::Unreachable)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(reserved()),
        1 => Just(Event::ReserveRefused(rejection())),
        4 => Just(Event::Established),
        1 => Just(Event::EstablishRefused(rejection())),
        2 => (branch(), 101u16..200).prop_map(|(branch, status)| Event::CalleeProvisional(branch, status)),
        4 => branch().prop_map(Event::CalleeAnswered),
        3 => (branch(), no()).prop_map(|(branch, no)| Event::CalleeRefused(branch, no)),
        1 => branch().prop_map(Event::CalleeAgain),
        1 => branch().prop_map(|branch| Event::PeerDeclined(branch, Rejection::new(580, "full"))),
        1 => Just(Event::Hindered(Rejection::new(504, "silent"))),
        1 => Just(Event::CalleeBye),
        1 => Just(Event::Cancel),
        1 => Just(Event::Unacknowledged),
        4 => Just(Event::CallerAck),
        1 => Just(Event::CallerBye),
        1 => Just(Event::CallerLost),
        1 => Just(Event::RingTimeout),
        1 => Just(Event::HangUp(Cause::WindowEnd)),
        1 => Just(Event::Shutdown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn no_reservation_is_lost_and_none_released_twice(events in proptest::collection::vec(event(), 0..24)) {
        let mut run = Run::begin();
        for event in events {
            run.send(event);
        }
        run.finish();
        prop_assert_eq!(&run.state, &State::Ended);
        prop_assert_eq!(run.world.released + run.world.left, run.world.reserved);
        prop_assert!(!run.world.callee_on_line, "the callee was left on the line");
        prop_assert!(run.world.late.is_empty(), "a contact that answered was left on the line");
        prop_assert!(run.world.ringing.is_subset(&run.world.abandoned), "a contact was left ringing");
        prop_assert!(!run.world.caller_on_line, "the caller was left on the line");
        prop_assert!(run.world.caller_lost || run.world.caller_answers == 1, "the caller was left without an answer");
    }
}

fn after(events: &[Event]) -> (State, Vec<Action>) {
    let (mut state, mut actions) = begin();
    for event in events {
        (state, actions) = step(state, event.clone());
    }
    (state, actions)
}

#[test]
fn a_call_that_goes_well() {
    let mut events = vec![reserved()];
    assert_eq!(after(&events).1, vec![Action::Invite(FIRST), Action::Invite(Branch(1)), Action::Ring]);
    events.push(Event::CalleeProvisional(FIRST, 180));
    assert_eq!(after(&events).1, vec![Action::Relay(FIRST, 180)]);
    events.push(Event::CalleeAnswered(FIRST));
    assert_eq!(after(&events).1, vec![Action::Abandon(Branch(1)), Action::Establish(FIRST)]);
    events.push(Event::Established);
    assert_eq!(after(&events).1, vec![Action::Answer]);
    events.push(Event::CallerAck);
    assert_eq!(after(&events).0, State::InService);
    events.push(Event::CallerBye);
    assert_eq!(after(&events), (State::Ended, vec![Action::ByeCallee, Action::Release(Cause::Caller)]));
}

#[test]
fn a_caller_that_cancels_ends_what_rings_and_a_late_answer_is_hung_up_on() {
    let mut events = vec![reserved(), Event::Cancel];
    let abandon = [Action::Abandon(FIRST), Action::Abandon(Branch(1))];
    let expected: Vec<_> = [Action::Reject(Why::Cancelled)].into_iter().chain(abandon).chain([Action::Release(Cause::Caller)]).collect();
    assert_eq!(after(&events), (State::Ended, expected));
    events.push(Event::CalleeAnswered(FIRST));
    assert_eq!(after(&events), (State::Ended, vec![Action::ByeLate(FIRST)]));
}

#[test]
fn the_next_contact_is_invited_when_those_before_it_refused() {
    let no = |branch, no| Event::CalleeRefused(Branch(branch), no);
    let mut events = vec![reserved(), no(0, No::Unreachable), no(1, No::Declined(486))];
    assert_eq!(after(&events).1, vec![Action::Invite(Branch(2)), Action::Ring]);
    events.push(Event::RingTimeout);
    let expected = vec![Action::Abandon(Branch(2)), Action::Reject(Why::No(No::Declined(486))), Action::Release(Cause::Declined)];
    assert_eq!(after(&events), (State::Ended, expected));
}

#[test]
fn a_caller_that_acknowledges_nothing_ends_its_call() {
    let events = [reserved(), Event::CalleeAnswered(FIRST), Event::Unacknowledged, Event::Established];
    assert_eq!(after(&events[..3]).1, vec![Action::Reject(Why::Unacknowledged)]);
    assert_eq!(after(&events), (State::Ended, vec![Action::ByeCallee, Action::Release(Cause::Signalling)]));
}

#[test]
fn a_refused_answer_ends_both_legs() {
    let events = [reserved(), Event::CalleeAnswered(FIRST), Event::EstablishRefused(rejection())];
    let expected = vec![Action::Reject(Why::Refused(rejection())), Action::ByeCallee, Action::Release(Cause::Refused)];
    assert_eq!(after(&events), (State::Ended, expected));
}

#[test]
fn a_caller_that_does_not_acknowledge_is_hung_up_on() {
    let events = [reserved(), Event::CalleeAnswered(FIRST), Event::Established, Event::CallerLost];
    let expected = vec![Action::ByeCaller, Action::ByeCallee, Action::Release(Cause::Signalling)];
    assert_eq!(after(&events), (State::Ended, expected));
}

#[test]
fn bye_to_the_caller_waits_for_its_ack() {
    let mut events = vec![reserved(), Event::CalleeAnswered(FIRST), Event::Established, Event::CalleeBye];
    assert_eq!(after(&events), (State::HangingUp, vec![Action::Release(Cause::Callee)]));
    events.push(Event::CallerAck);
    assert_eq!(after(&events), (State::Ended, vec![Action::ByeCaller]));
}

#[test]
fn a_session_that_the_gateway_ends_is_hung_up_on_at_both_ends() {
    let events = [reserved(), Event::CalleeAnswered(FIRST), Event::Established, Event::CallerAck, Event::HangUp(Cause::WindowEnd)];
    let expected = vec![Action::ByeCaller, Action::ByeCallee, Action::Release(Cause::WindowEnd)];
    assert_eq!(after(&events), (State::Ended, expected));
}

#[test]
fn a_gateway_that_stops_leaves_what_was_agreed_on_and_rejects_what_was_not() {
    assert_eq!(after(&[reserved(), Event::CalleeAnswered(FIRST), Event::Shutdown]).1, vec![Action::Reject(Why::Stopping)]);
    let answered = [reserved(), Event::CalleeAnswered(FIRST), Event::Established, Event::Shutdown];
    assert_eq!(after(&answered), (State::Ended, vec![Action::Leave]));
    let in_service = [reserved(), Event::CalleeAnswered(FIRST), Event::Established, Event::CallerAck, Event::Shutdown];
    assert_eq!(after(&in_service), (State::Ended, vec![Action::Leave]));
}
