use proptest::prelude::*;

use super::*;
use crate::testing::{at, class};
use crate::topology::tests::topology;

const CAPACITIES: [u64; 4] = [100, 100, 70, 70];

/// Two links; both directions of one have the same capacity.
fn calendar() -> Calendar {
    Calendar::new(&topology(3, &[(0, 1, 100, 1), (1, 2, 70, 1)]))
}

fn interval(start: u64, stop: Option<u64>) -> Interval {
    Interval::new(at(start), stop.map(at)).unwrap()
}

#[derive(Debug, Clone)]
enum Operation {
    Reserve { start: u64, length: Option<u64>, class: u8, demands: Vec<(u32, u64)> },
    Cancel(usize),
    Reduce(usize, u64),
    Advance(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let demands = prop::collection::vec((0..4_u32, 0..60_u64), 1..4);
    prop_oneof![
        6 => (0..30_u64, prop::option::of(1..15_u64), 0..8_u8, demands)
            .prop_map(|(start, length, class, demands)| Operation::Reserve { start, length, class, demands }),
        3 => any::<usize>().prop_map(Operation::Cancel),
        1 => (any::<usize>(), 0..60_u64).prop_map(|(which, rate)| Operation::Reduce(which, rate)),
        1 => (0..6_u64).prop_map(Operation::Advance),
    ]
}

/// Every second on its own: what a link has promised then is the sum of the bookings that hold then.
#[derive(Default)]
struct Model {
    bookings: Vec<Booking>,
    now: u64,
}

impl Model {
    const END: u64 = 60;

    fn load(&self, link: u32, second: u64) -> u64 {
        let holds = |interval: Interval| interval.start <= at(second) && interval.stop.is_none_or(|stop| at(second) < stop);
        let held = self.bookings.iter().filter(|booking| holds(booking.interval));
        held.flat_map(|booking| &booking.demands).filter(|(id, _)| id.0 == link).map(|(_, rate)| rate.0).sum()
    }

    fn peak(&self, link: u32, interval: Interval) -> u64 {
        let inside = |second: &u64| interval.start <= at(*second) && interval.stop.is_none_or(|stop| at(*second) < stop);
        (self.now..Self::END).filter(inside).map(|second| self.load(link, second)).max().unwrap_or(0)
    }
}

fn check(calendar: &Calendar, model: &Model) -> Result<(), TestCaseError> {
    for (link, capacity) in (0..).zip(CAPACITIES) {
        for second in model.now..Model::END {
            let load = model.load(link, second);
            prop_assert!(load <= capacity, "link {link} is over-committed");
            let free = calendar.available(DirectedLinkId(link), interval(second, Some(second + 1)));
            prop_assert_eq!(free.0, capacity - load);
        }
    }
    Ok(())
}

fn reserve(calendar: &mut Calendar, model: &mut Model, when: Interval, of: Class, demands: &[(u32, u64)]) -> Result<(), TestCaseError> {
    let asked: Vec<_> = demands.iter().map(|&(link, rate)| (DirectedLinkId(link), BitRate(rate))).collect();
    let before = calendar.clone();
    // A link that is named twice needs room for the sum; what is over needs none.
    let past = when.stop.is_some_and(|stop| stop <= at(model.now));
    let over = !past
        && (0_u32..4).any(|link| {
            let sum: u64 = demands.iter().filter(|(id, _)| *id == link).map(|(_, rate)| rate).sum();
            sum > 0 && model.peak(link, when) + sum > CAPACITIES[link as usize]
        });
    match calendar.reserve(when, of, asked) {
        Ok(booking) => {
            prop_assert!(!over);
            model.bookings.push(booking);
        }
        Err(denial) => {
            prop_assert!(over);
            for (link, capacity) in (0..).zip(CAPACITIES) {
                let all = interval(0, None);
                prop_assert_eq!(calendar.available(DirectedLinkId(link), all), before.available(DirectedLinkId(link), all));
                if denial.link.0 == link && demands.iter().filter(|(id, _)| *id == link).count() == 1 {
                    prop_assert_eq!(denial.fits.0, capacity - model.peak(link, when), "fits is the most that would have");
                    check_stretch(model, &denial, capacity, when)?;
                }
            }
        }
    }
    Ok(())
}

/// The stretch of a denial is too full throughout, and before it there is room.
fn check_stretch(model: &Model, denial: &Denial, capacity: u64, when: Interval) -> Result<(), TestCaseError> {
    let lacks = |second| model.load(denial.link.0, second) + denial.asked.0 > capacity;
    for second in (model.now..Model::END).filter(|&second| when.start <= at(second)) {
        if at(second) < denial.interval.start {
            prop_assert!(!lacks(second));
        } else if denial.interval.stop.is_none_or(|stop| at(second) < stop) {
            prop_assert!(lacks(second));
        } else {
            prop_assert!(when.stop == denial.interval.stop || !lacks(second));
            break;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn it_agrees_with_a_model_that_looks_at_every_second(operations in prop::collection::vec(operation(), 1..60)) {
        let (mut calendar, mut model) = (calendar(), Model::default());
        for operation in operations {
            match operation {
                Operation::Reserve { start, length, class: of, demands } => {
                    let when = interval(start, length.map(|length| start + length));
                    reserve(&mut calendar, &mut model, when, class(of), &demands)?;
                }
                Operation::Cancel(which) => if !model.bookings.is_empty() {
                    let which = which % model.bookings.len();
                    calendar.cancel(model.bookings.swap_remove(which));
                },
                Operation::Reduce(which, rate) => if !model.bookings.is_empty() {
                    let which = which % model.bookings.len();
                    calendar.reduce(&mut model.bookings[which], BitRate(rate));
                },
                Operation::Advance(seconds) => {
                    model.now += seconds;
                    calendar.advance(at(model.now));
                }
            }
            check(&calendar, &model)?;
        }
        for booking in model.bookings {
            calendar.cancel(booking);
        }
        // What is over is forgotten when it is looked at next.
        let horizon = calendar.horizon;
        calendar.ledgers.iter_mut().for_each(|ledger| ledger.forget_before(horizon));
        prop_assert!(calendar.ledgers.iter().all(|ledger| ledger.steps.is_empty()), "nothing is left behind: {:?}", calendar);
    }
}

#[test]
fn a_denial_names_link_interval_and_what_fits() {
    let mut calendar = calendar();
    let [there, back] = [DirectedLinkId(0), DirectedLinkId(1)];
    let rate = BitRate;
    let _long = calendar.reserve(interval(0, Some(100)), class(0), vec![(there, rate(40))]).unwrap();
    let _short = calendar.reserve(interval(20, Some(30)), class(5), vec![(there, rate(40))]).unwrap();
    let denial = calendar.reserve(interval(10, None), class(7), vec![(back, rate(100)), (there, rate(30))]).unwrap_err();
    assert_eq!(denial, Denial { link: there, interval: interval(20, Some(30)), fits: rate(20), asked: rate(30) });
    assert_eq!(calendar.available(back, interval(0, None)), rate(100), "a denial takes nothing");
    assert!(calendar.reserve(interval(30, None), class(7), vec![(there, rate(60))]).is_ok());
}

#[test]
fn an_interval_has_its_start_but_not_its_stop() {
    let mut calendar = calendar();
    let link = DirectedLinkId(2);
    let whole = |from, to| (interval(from, Some(to)), class(1), vec![(link, BitRate(70))]);
    for (interval, class, demands) in [whole(0, 10), whole(10, 20), whole(20, 21)] {
        let _booking = calendar.reserve(interval, class, demands).unwrap();
    }
    assert!(calendar.reserve(interval(20, None), class(1), vec![(link, BitRate(1))]).is_err());
    assert!(calendar.reserve(interval(21, None), class(1), vec![(link, BitRate(70))]).is_ok());
    assert_eq!(Interval::new(at(5), Some(at(5))), Err(EmptyInterval));
}

#[test]
fn sessions_that_started_long_ago_cost_no_steps() {
    let mut calendar = calendar();
    for second in 0..50 {
        calendar.advance(at(second));
        let _held = calendar.reserve(interval(second, None), class(0), vec![(DirectedLinkId(0), BitRate(1))]).unwrap();
    }
    assert_eq!(calendar.ledgers[0].steps.len(), 1);
    assert_eq!(calendar.available(DirectedLinkId(0), interval(0, None)), BitRate(50));
}

#[test]
fn a_clock_set_back_gives_nothing_away() {
    let mut calendar = calendar();
    calendar.advance(at(10));
    let booking = calendar.reserve(interval(10, None), class(0), vec![(DirectedLinkId(0), BitRate(100))]).unwrap();
    calendar.advance(at(5));
    assert!(calendar.reserve(interval(5, Some(20)), class(0), vec![(DirectedLinkId(0), BitRate(1))]).is_err());
    calendar.cancel(booking);
    assert!(calendar.reserve(interval(5, Some(20)), class(0), vec![(DirectedLinkId(0), BitRate(100))]).is_ok());
}
