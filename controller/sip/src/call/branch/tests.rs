use super::*;
use proptest::prelude::*;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![Just(Event::Provisional), Just(Event::Answered), Just(Event::Refused), Just(Event::Abandon)]
}

proptest! {
    #[test]
    fn a_branch_is_cancelled_once_when_it_was_heard_and_no_answer_is_lost(events in proptest::collection::vec(event(), 0..12)) {
        let mut line = Line::Ringing { heard: Heard::No };
        let (mut heard, mut ended, mut abandoned, mut told, mut cancels) = (false, false, false, 0, 0);
        for event in events {
            // A final response is the last, and a branch is abandoned once.
            if ended && event != Event::Abandon || event == Event::Abandon && abandoned {
                continue;
            }
            heard |= event == Event::Provisional;
            ended |= matches!(event, Event::Answered | Event::Refused);
            abandoned |= event == Event::Abandon;
            let (next, action) = step(line, event);
            line = next;
            match action {
                Some(Action::Tell) => {
                    prop_assert!(!abandoned, "told of a branch that is not wanted");
                    told += usize::from(event == Event::Answered);
                }
                Some(Action::Cancel) => {
                    prop_assert!(heard && abandoned && !ended, "CANCEL out of place");
                    cancels += 1;
                }
                Some(Action::HangUp) => prop_assert_eq!(event, Event::Answered),
                None => prop_assert_ne!(event, Event::Answered, "an answer was lost"),
            }
        }
        prop_assert!(told <= 1 && cancels <= 1);
        prop_assert!(!(abandoned && heard && !ended) || cancels == 1, "CANCEL was forgotten");
    }
}
