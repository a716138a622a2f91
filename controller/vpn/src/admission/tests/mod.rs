mod model;
mod properties;

use proptest::prelude::*;

use super::*;
use crate::testing::{at, class};
use crate::topology::tests::pooled_topology;
use crate::topology::{Administration, LinkId, LinkState, Operation};

const CAPACITIES: [u64; 2] = [100, 70];

/// Two links; the first has a pool of two classes and one of half the link for one of them.
fn network() -> Topology {
    let pool = |classes: &[u8], share| Pool { classes: classes.iter().map(|&number| class(number)).collect(), share };
    let half = Share::Part(Part::from_millionths(500_000).unwrap());
    let pools = vec![pool(&[4, 5], Share::Rate(BitRate(60))), pool(&[5, 6], half)];
    pooled_topology(3, &[(0, 1, CAPACITIES[0], 1), (1, 2, CAPACITIES[1], 1)], &[pools, Vec::new()])
}

fn interval(start: u64, stop: Option<u64>) -> Interval {
    Interval::new(at(start), stop.map(at)).unwrap()
}

fn claim(start: u64, stop: Option<u64>, number: u8, demands: &[(u32, u64)]) -> Claim {
    let demands = demands.iter().map(|&(link, rate)| (DirectedLinkId(link), BitRate(rate))).collect();
    Claim::new(interval(start, stop), class(number), demands)
}

fn free(calendar: &Calendar, link: u32, start: u64, stop: Option<u64>) -> u64 {
    calendar.available(DirectedLinkId(link), interval(start, stop)).0
}

#[test]
fn a_denial_names_link_interval_what_fits_and_when_all_would() {
    let mut calendar = Calendar::new(&network());
    let _long = calendar.reserve(claim(0, Some(100), 0, &[(0, 40)])).unwrap();
    let _short = calendar.reserve(claim(20, Some(30), 0, &[(0, 40)])).unwrap();
    let denial = calendar.reserve(claim(10, Some(70), 7, &[(1, 100), (0, 30)])).unwrap_err();
    let [link, other] = [DirectedLinkId(0), DirectedLinkId(1)];
    let expected = Denial {
        link,
        pool: ClassSet::ALL,
        interval: interval(20, Some(30)),
        fits: BitRate(20),
        asked: BitRate(30),
        next_start: Some(at(30)),
    };
    assert_eq!(denial, expected);
    assert_eq!(calendar.available(other, interval(0, None)), BitRate(100), "a denial takes nothing");
    assert!(calendar.reserve(claim(30, Some(90), 7, &[(1, 100), (0, 30)])).is_ok());
    // For good there is room for so much when the long one has ended; for more there never is.
    assert_eq!(calendar.next_start(&claim(10, None, 7, &[(0, 100)])), Some(at(100)));
    assert_eq!(calendar.reserve(claim(10, None, 7, &[(0, 101)])).unwrap_err().next_start, None);
    let _for_good = calendar.reserve(claim(200, None, 7, &[(0, 1)])).unwrap();
    assert_eq!(calendar.next_start(&claim(10, None, 7, &[(0, 100)])), None);
    assert_eq!(calendar.next_start(&claim(10, Some(60), 7, &[(0, 100)])), Some(at(100)));
}

#[test]
fn what_asks_for_nothing_fits_at_once_where_more_is_promised_than_there_is() {
    let (mut topology, link) = (network(), LinkId(1));
    let mut calendar = Calendar::new(&topology);
    let _later = calendar.reserve(claim(17, None, 3, &[(3, 1)])).unwrap();
    topology.set_state(link, LinkState { operation: Operation::Down, administration: Administration::InService, capacity: BitRate(0) });
    calendar.follow(&topology);
    let nothing = claim(4, None, 3, &[(3, 0)]);
    assert_eq!(calendar.next_start(&nothing), Some(at(4)));
    assert!(calendar.reserve(nothing).is_ok());
}

#[test]
fn classes_share_as_the_pools_say() {
    let mut calendar = Calendar::new(&network());
    let room = |calendar: &Calendar, number| calendar.room(DirectedLinkId(0), class(number).into(), interval(0, None)).0;
    assert_eq!([4, 5, 6, 0].map(|number| room(&calendar, number)), [60, 50, 50, 100]);
    let five = calendar.reserve(claim(0, None, 5, &[(0, 50)])).unwrap();
    assert_eq!([4, 5, 6, 0].map(|number| room(&calendar, number)), [10, 0, 0, 50]);
    let denial = calendar.reserve(claim(0, None, 6, &[(0, 1)])).unwrap_err();
    assert_eq!((denial.pool, denial.fits), ([class(5), class(6)].into_iter().collect(), BitRate(0)));
    // What is in several classes while it changes from one to another counts in the pools of both.
    calendar.cancel(five);
    let both = ClassSet::from(class(4)).with(class(6).into());
    let _changing = calendar.reserve(Claim::new(interval(0, None), both, vec![(DirectedLinkId(0), BitRate(40))])).unwrap();
    assert_eq!([4, 5, 6, 0].map(|number| room(&calendar, number)), [20, 10, 10, 60]);
}

#[test]
fn the_allocation_models_of_the_rfcs_are_pools() {
    let part = |percent: u32| Share::Part(Part::from_millionths(percent * 10_000).unwrap());
    let rooms = |pools: Vec<Pool>, taken: [u64; 2]| {
        let mut calendar = Calendar::new(&pooled_topology(2, &[(0, 1, 100, 1)], &[pools]));
        let _seven = calendar.reserve(claim(0, None, 7, &[(0, taken[0])])).unwrap();
        let _zero = calendar.reserve(claim(0, None, 0, &[(0, taken[1])])).unwrap();
        [7, 0].map(|number| calendar.room(DirectedLinkId(0), class(number).into(), interval(0, None)).0)
    };
    let [seven, zero] = [7, 0].map(|number| ClassSet::from(class(number)));
    // Maximum allocation (RFC 4125): each has its own ceiling, whatever the other leaves.
    let maximum = || vec![Pool { classes: seven, share: part(30) }, Pool { classes: zero, share: part(70) }];
    assert_eq!(rooms(maximum(), [0, 0]), [30, 70]);
    assert_eq!(rooms(maximum(), [30, 20]), [0, 50]);
    // Russian dolls (RFC 4127): class 0 may have what class 7 leaves.
    let dolls = || vec![Pool { classes: seven, share: part(30) }, Pool { classes: seven.with(zero), share: part(100) }];
    assert_eq!(rooms(dolls(), [0, 60]), [30, 40]);
    assert_eq!(rooms(dolls(), [0, 90]), [10, 10]);
}

#[test]
fn an_interval_has_its_start_but_not_its_stop() {
    let mut calendar = Calendar::new(&network());
    for (from, to) in [(0, 10), (10, 20), (20, 21)] {
        let _booking = calendar.reserve(claim(from, Some(to), 1, &[(2, 70)])).unwrap();
    }
    assert!(calendar.reserve(claim(20, None, 1, &[(2, 1)])).is_err());
    assert!(calendar.reserve(claim(21, None, 1, &[(2, 70)])).is_ok());
    assert_eq!(Interval::new(at(5), Some(at(5))), Err(EmptyInterval));
}

#[test]
fn sessions_that_started_long_ago_cost_no_steps() {
    let mut calendar = Calendar::new(&network());
    for second in 0..50 {
        calendar.advance(at(second));
        let _held = calendar.reserve(claim(second, None, 0, &[(0, 1)])).unwrap();
    }
    assert_eq!(calendar.ledgers[0].steps(), 0);
    assert_eq!(free(&calendar, 0, 0, None), 50);
}

#[test]
fn a_clock_set_back_gives_nothing_away() {
    let mut calendar = Calendar::new(&network());
    calendar.advance(at(10));
    let booking = calendar.reserve(claim(10, None, 0, &[(0, 100)])).unwrap();
    calendar.advance(at(5));
    assert!(calendar.reserve(claim(5, Some(20), 0, &[(0, 1)])).is_err());
    calendar.cancel(booking);
    assert!(calendar.reserve(claim(5, Some(20), 0, &[(0, 100)])).is_ok());
}

#[test]
fn a_change_does_not_stand_in_its_own_way() {
    let mut calendar = Calendar::new(&network());
    let mut booking = calendar.reserve(claim(0, Some(10), 0, &[(0, 60)])).unwrap();
    calendar.change(&mut booking, claim(5, Some(20), 0, &[(0, 90), (2, 70)])).unwrap();
    assert_eq!([free(&calendar, 0, 0, Some(5)), free(&calendar, 0, 5, None), free(&calendar, 2, 0, None)], [100, 10, 0]);
    let before = calendar.clone();
    let denial = calendar.change(&mut booking, claim(5, Some(20), 0, &[(0, 101), (2, 70)])).unwrap_err();
    assert_eq!((denial.link, denial.fits), (DirectedLinkId(0), BitRate(100)));
    assert!(calendar == before && *booking.claim() == claim(5, Some(20), 0, &[(0, 90), (2, 70)]), "nothing changed");
    // Held for either, then settled for one.
    let wanted = claim(0, Some(30), 1, &[(0, 50), (1, 5)]);
    let covering = booking.claim().cover(&wanted);
    calendar.change(&mut booking, covering).unwrap();
    assert_eq!([free(&calendar, 0, 0, Some(30)), free(&calendar, 1, 0, None), free(&calendar, 2, 0, None)], [10, 95, 0]);
    calendar.keep(&mut booking, &wanted);
    assert_eq!(*booking.claim(), wanted);
    assert_eq!([free(&calendar, 0, 0, None), free(&calendar, 1, 0, None), free(&calendar, 2, 0, None)], [50, 95, 70]);
}

#[test]
fn instants_out_of_reach_are_counted_as_one() {
    let mut calendar = Calendar::new(&network());
    let years = |years: u64| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(years * 31_557_600);
    let far = |start, stop: Option<SystemTime>| Interval::new(start, stop).unwrap();
    let ask = |interval| Claim::new(interval, class(0), vec![(DirectedLinkId(0), BitRate(60))]);
    let first = calendar.reserve(ask(far(years(700), Some(years(701))))).unwrap();
    // It may be another time, but the calendar cannot tell: it never promises too much.
    for interval in [far(years(900), Some(years(901))), far(at(0), Some(years(650))), far(at(0), None)] {
        assert!(calendar.reserve(ask(interval)).is_err());
    }
    let near = calendar.reserve(ask(far(at(0), Some(years(500))))).unwrap();
    calendar.cancel(first);
    calendar.cancel(near);
    assert_eq!(calendar, Calendar::new(&network()));
    let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(9);
    let _old = calendar.reserve(ask(far(before, Some(at(5))))).unwrap();
    assert_eq!(free(&calendar, 0, 0, None), 40);
}

#[test]
fn rates_beyond_counting_are_refused() {
    let huge = pooled_topology(2, &[(0, 1, u64::MAX, 1)], &[vec![Pool { classes: ClassSet::ALL, share: Share::Part(Part::WHOLE) }]]);
    let mut calendar = Calendar::new(&huge);
    let most = (1 << 62) - 1;
    assert!(calendar.reserve(claim(0, None, 0, &[(0, u64::MAX)])).is_err());
    assert!(calendar.reserve(claim(0, None, 0, &[(0, u64::MAX), (0, u64::MAX)])).is_err());
    let _all = calendar.reserve(claim(0, Some(9), 0, &[(0, most)])).unwrap();
    assert_eq!(free(&calendar, 0, 0, None), 0);
    let one = DirectedLinkId(0);
    assert_eq!(calendar.restore(claim(5, None, 0, &[(0, 1)])), Err(Uncountable { link: one }));
    assert_eq!(calendar.restore(claim(9, None, 0, &[(0, u64::MAX)])), Err(Uncountable { link: one }));
    let _restored = calendar.restore(claim(9, None, 0, &[(0, most)])).unwrap();
    assert_eq!(free(&calendar, 0, 9, None), 0);
}

/// Who holds what, as the calendar is told.
fn holders(bookings: &[(u8, u64, Booking)]) -> Vec<Holder<'_, usize>> {
    bookings
        .iter()
        .enumerate()
        .map(|(key, (priority, since, booking))| Holder { key, standing: Standing { priority: *priority, since: at(*since) }, booking })
        .collect()
}

#[test]
fn the_least_important_and_the_youngest_give_way() {
    let mut topology = network();
    let mut calendar = Calendar::new(&topology);
    let mut book = |priority, since, rate, stop| (priority, since, calendar.reserve(claim(0, stop, 0, &[(2, rate)])).unwrap());
    let bookings = [book(3, 9, 20, None), book(0, 1, 10, None), book(0, 2, 15, None), book(1, 3, 25, Some(5))];
    let shrunk = LinkState { capacity: BitRate(50), ..topology.state(LinkId(1)) };
    topology.set_state(LinkId(1), shrunk);
    assert_eq!(calendar.follow(&topology), [DirectedLinkId(2), DirectedLinkId(3)]);
    // 70 were promised, and 50 are left: without the younger of the least important it is 55, without both 45.
    assert_eq!(calendar.displaced(&holders(&bookings)), [2, 1]);
    topology.set_state(LinkId(1), LinkState { capacity: BitRate(55), ..shrunk });
    assert_eq!(calendar.follow(&topology), []);
    assert_eq!(calendar.displaced(&holders(&bookings)), [2]);
    topology.set_state(LinkId(1), LinkState { operation: Operation::Down, ..shrunk });
    calendar.follow(&topology);
    assert_eq!(calendar.displaced(&holders(&bookings)), [2, 1, 3, 0]);
    topology.set_state(LinkId(1), LinkState { administration: Administration::Drained, ..shrunk });
    assert_eq!(calendar.follow(&topology), []);
    assert_eq!(calendar.displaced(&holders(&bookings)).len(), 4);
    calendar.advance(at(6));
    assert_eq!(calendar.displaced(&holders(&bookings)), [2, 1, 0], "what is over needs nothing");
}

#[test]
fn none_is_ousted_in_vain() {
    let mut calendar = Calendar::new(&network());
    let mut book = |priority, since, rate| (priority, since, calendar.reserve(claim(0, None, 0, &[(2, rate)])).unwrap());
    let bookings = [book(2, 0, 30), book(0, 1, 30), book(0, 2, 5), book(1, 3, 5)];
    let before = calendar.clone();
    // The younger of the least important is too small to help.
    assert_eq!(calendar.ousted(&claim(0, None, 0, &[(2, 30)]), &holders(&bookings)), Some(vec![1]));
    assert_eq!(calendar.ousted(&claim(0, None, 0, &[(2, 5)]), &holders(&bookings)), Some(vec![2]));
    assert_eq!(calendar.ousted(&claim(0, None, 0, &[(2, 36)]), &holders(&bookings)), Some(vec![2, 1, 3]));
    assert_eq!(calendar.ousted(&claim(0, None, 0, &[(2, 41)]), &holders(&bookings[1..])), None);
    assert_eq!(calendar.ousted(&claim(0, None, 0, &[(0, 100)]), &holders(&bookings)), Some(vec![]));
    assert_eq!(calendar, before);
}
