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
    callee_ringing: bool,
    callee_heard: bool,
    cancels: usize,
    callee_on_line: bool,
    caller_answers: usize,
    caller_lost: bool,
    caller_on_line: bool,
    unacknowledged: bool,
}

impl World {
    fn possible(&self, event: &Event) -> bool {
        match event {
            Event::Reserved | Event::ReserveRefused(_) => self.reserving,
            Event::Established | Event::EstablishRefused(_) => self.establishing,
            Event::CalleeProvisional(_) | Event::CalleeAnswered | Event::CalleeAgain | Event::CalleeDeclined(_) | Event::CalleeFailed => {
                self.callee_ringing
            }
            Event::CalleeBye => self.callee_on_line,
            Event::Cancel => self.caller_answers == 0 && !self.caller_lost,
            Event::CallerAck => self.unacknowledged,
            Event::CallerBye => !self.caller_lost && (self.caller_answers == 0 || self.caller_on_line),
            Event::CallerLost => !self.caller_lost && (self.caller_answers == 0 || self.unacknowledged),
            Event::RingTimeout | Event::HangUp(_) | Event::Shutdown => true,
        }
    }

    fn before(&mut self, event: &Event) {
        match event {
            Event::Reserved => {
                self.reserving = false;
                self.reserved += 1;
            }
            Event::ReserveRefused(_) => self.reserving = false,
            Event::Established | Event::EstablishRefused(_) => self.establishing = false,
            Event::CalleeProvisional(_) => self.callee_heard = true,
            Event::CalleeAnswered => {
                self.callee_ringing = false;
                self.callee_on_line = true;
            }
            Event::CalleeAgain | Event::CalleeDeclined(_) | Event::CalleeFailed => {
                (self.callee_ringing, self.callee_heard) = (false, false);
            }
            Event::CalleeBye => self.callee_on_line = false,
            Event::CallerAck => self.unacknowledged = false,
            Event::CallerBye => self.caller_on_line = false,
            Event::CallerLost => {
                self.caller_lost = true;
                self.unacknowledged = false;
            }
            Event::Cancel | Event::RingTimeout | Event::HangUp(_) | Event::Shutdown => {}
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Reserve => self.reserving = true,
            Action::Invite => {
                assert!(self.released == 0 && !self.callee_ringing, "invited out of place");
                self.callee_ringing = true;
            }
            Action::Establish => {
                assert_eq!(self.released, 0, "established after release");
                self.establishing = true;
            }
            Action::Release(_) => {
                assert!(!self.establishing && !self.reserving, "released while the gateway is at it");
                self.released += 1;
            }
            Action::Relay(_) => assert_eq!(self.caller_answers, 0, "a provisional response after a final one"),
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
            Action::CancelCallee => {
                assert!(self.callee_heard && self.callee_ringing, "CANCEL out of place");
                self.cancels += 1;
            }
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
        assert!(self.cancels <= 1, "two CANCELs");
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
        let (state, actions) = step(self.state, event);
        self.state = state;
        for action in &actions {
            self.world.act(action);
        }
    }

    /// The gateway stops, and everything under way comes to its end.
    fn finish(&mut self) {
        for event in [Event::Shutdown, Event::Reserved, Event::CalleeFailed, Event::Established, Event::CallerLost] {
            self.send(event);
        }
    }
}

fn rejection() -> Rejection {
    Rejection::new(580, "full")
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Reserved),
        1 => Just(Event::ReserveRefused(rejection())),
        4 => Just(Event::Established),
        1 => Just(Event::EstablishRefused(rejection())),
        2 => (100u16..200).prop_map(Event::CalleeProvisional),
        4 => Just(Event::CalleeAnswered),
        1 => (300u16..700).prop_map(Event::CalleeDeclined),
        1 => Just(Event::CalleeAgain),
        1 => Just(Event::CalleeFailed),
        1 => Just(Event::CalleeBye),
        1 => Just(Event::Cancel),
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
        prop_assert!(!run.world.callee_ringing, "the callee was left ringing");
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
    let mut events = vec![Event::Reserved];
    assert_eq!(after(&events).1, vec![Action::Invite]);
    events.push(Event::CalleeProvisional(180));
    assert_eq!(after(&events).1, vec![Action::Relay(180)]);
    events.push(Event::CalleeAnswered);
    assert_eq!(after(&events).1, vec![Action::Establish]);
    events.push(Event::Established);
    assert_eq!(after(&events).1, vec![Action::Answer]);
    events.push(Event::CallerAck);
    assert_eq!(after(&events).0, State::InService);
    events.push(Event::CallerBye);
    assert_eq!(after(&events), (State::Ended, vec![Action::ByeCallee, Action::Release(Cause::Caller)]));
}

#[test]
fn cancel_waits_for_the_callee_to_be_heard() {
    let mut events = vec![Event::Reserved, Event::Cancel];
    assert_eq!(after(&events).1, vec![Action::Reject(Why::Cancelled), Action::Release(Cause::Caller)]);
    events.push(Event::CalleeProvisional(100));
    assert_eq!(after(&events).1, vec![Action::CancelCallee]);
    events.push(Event::CalleeAnswered);
    assert_eq!(after(&events), (State::Ended, vec![Action::ByeCallee]));
}

#[test]
fn a_refused_answer_ends_both_legs() {
    let events = [Event::Reserved, Event::CalleeAnswered, Event::EstablishRefused(rejection())];
    let expected = vec![Action::Reject(Why::Refused(rejection())), Action::ByeCallee, Action::Release(Cause::Refused)];
    assert_eq!(after(&events), (State::Ended, expected));
}

#[test]
fn a_caller_that_does_not_acknowledge_is_hung_up_on() {
    let events = [Event::Reserved, Event::CalleeAnswered, Event::Established, Event::CallerLost];
    let expected = vec![Action::ByeCaller, Action::ByeCallee, Action::Release(Cause::Signalling)];
    assert_eq!(after(&events), (State::Ended, expected));
}

#[test]
fn bye_to_the_caller_waits_for_its_ack() {
    let mut events = vec![Event::Reserved, Event::CalleeAnswered, Event::Established, Event::CalleeBye];
    assert_eq!(after(&events), (State::HangingUp, vec![Action::Release(Cause::Callee)]));
    events.push(Event::CallerAck);
    assert_eq!(after(&events), (State::Ended, vec![Action::ByeCaller]));
}

#[test]
fn a_session_that_the_gateway_ends_is_hung_up_on_at_both_ends() {
    let events = [Event::Reserved, Event::CalleeAnswered, Event::Established, Event::CallerAck, Event::HangUp(Cause::WindowEnd)];
    let expected = vec![Action::ByeCaller, Action::ByeCallee, Action::Release(Cause::WindowEnd)];
    assert_eq!(after(&events), (State::Ended, expected));
}

#[test]
fn a_gateway_that_stops_leaves_what_was_agreed_on_and_rejects_what_was_not() {
    assert_eq!(after(&[Event::Reserved, Event::CalleeAnswered, Event::Shutdown]).1, vec![Action::Reject(Why::Stopping)]);
    let answered = [Event::Reserved, Event::CalleeAnswered, Event::Established, Event::Shutdown];
    assert_eq!(after(&answered), (State::Ended, vec![Action::Leave]));
    let in_service = [Event::Reserved, Event::CalleeAnswered, Event::Established, Event::CallerAck, Event::Shutdown];
    assert_eq!(after(&in_service), (State::Ended, vec![Action::Leave]));
}
