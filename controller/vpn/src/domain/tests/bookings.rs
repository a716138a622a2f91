//! Booked sessions: they start and stop by themselves, and what fails before that is gone round or waited for.

use super::services::{asked, ways};
use super::world::{Asked, Wanted, World};
use super::*;
use crate::agreement::Protection;
use crate::testing::{MEGA, end};
use crate::topology::Operation;

#[test]
fn a_booking_starts_by_itself() {
    let mut world = World::new();
    let later = Asked { start: Some(39), length: Some(50), ..asked(MEGA) };
    let session = world.agreed(&later, 7);
    assert_eq!(world.state(session), State::Booked);
    assert!(world.domain.expected_entries(id(&world.domain, "pe1")).all(|entry| !matches!(entry, Entry::Session(_) | Entry::Tunnel(_))));
    assert_eq!(world.domain.next_due(), Some(at(100)));
    assert_eq!(world.domain.start(session, at(99)), Err(NotNow::TooEarly { start: at(100) }));
    // The same packets cannot be somebody else's meanwhile, unless it is over before.
    let second = world.request(&asked(MEGA)).unwrap();
    let _facts = (world.domain.programmed(second).unwrap(), world.domain.ringing(second).unwrap());
    let answer = Answer { media: vec![Some(end("10.2.0.7", 6000))] };
    let error = world.domain.answered(second, &answer, at(1)).unwrap_err();
    assert!(error.to_string().contains("session 1 has the same packets"), "{error}");
    world.release(second, Cause::Refused);
    world.settled(second);
    world.restart();
    world.wait(100);
    world.check();
    assert_eq!(world.state(session), State::Established);
    assert_eq!(world.domain.next_due(), Some(at(150)));
    world.wait(50);
    world.check();
    assert_eq!(world.state(session), State::Releasing);
    let summary = world.domain.summary(session).unwrap();
    assert_eq!((summary.established, summary.ended, summary.cause), (Some(at(100)), at(150), Cause::WindowEnd));
}

/// Two bookings over P1, whose link fails, where all other ways have room for one only: the one that moved, and the one that waits.
fn booked_over_a_failed_link(world: &mut World) -> [SessionNumber; 2] {
    let later = Asked { start: Some(39), rates: vec![(40 * MEGA, Direction::FromCaller)], ..asked(MEGA) };
    let [moved, waits] = [7, 8].map(|host| {
        world.now += 1;
        world.agreed(&later, host)
    });
    assert_eq!((world.way(moved), world.way(waits)), (ways([["p1", "pe2"]]), ways([["p1", "pe2"]])));
    world.link(3, |link| link.capacity = BitRate(60 * MEGA));
    let rerouted = world.link(0, |link| link.operation = Operation::Down);
    world.check();
    assert_eq!((rerouted.moved, rerouted.effects.steps), (vec![moved], vec![]), "nothing of it is programmed yet");
    assert_eq!((rerouted.waiting, rerouted.ended), (vec![waits], vec![]), "what failed may be repaired in time");
    assert_eq!((world.state(moved), world.way(moved)), (State::Booked, ways([["p2", "pe2"]])));
    world.restart();
    [moved, waits]
}

#[test]
fn a_booking_whose_path_fails_takes_another_at_once_or_is_released_when_its_time_comes() {
    let mut world = World::new();
    let [moved, lost] = booked_over_a_failed_link(&mut world);
    world.wait(100);
    world.check();
    assert_eq!((world.state(moved), world.state(lost)), (State::Established, State::Releasing));
    assert_eq!(world.domain.summary(lost).unwrap().cause, Cause::Network);
}

#[test]
fn a_booking_whose_path_is_repaired_in_time_starts_as_if_nothing_had_been() {
    let mut world = World::new();
    let [moved, waited] = booked_over_a_failed_link(&mut world);
    let rerouted = world.link(0, |link| link.operation = Operation::Up);
    assert_eq!((rerouted.moved, rerouted.waiting), (vec![], vec![]));
    world.wait(100);
    world.check();
    assert_eq!([moved, waited].map(|session| world.state(session)), [State::Established; 2]);
    assert_eq!([moved, waited].map(|session| world.way(session)), [ways([["p2", "pe2"]]), ways([["p1", "pe2"]])]);
}

#[test]
fn a_booking_that_waits_takes_a_way_that_is_back() {
    let mut world = World::new();
    let [_, waits] = booked_over_a_failed_link(&mut world);
    let rerouted = world.link(3, |link| link.capacity = BitRate(100 * MEGA));
    world.check();
    assert_eq!((rerouted.moved, rerouted.waiting), (vec![waits], vec![]));
    assert_eq!(world.way(waits), ways([["p2", "pe2"]]));
}

#[test]
fn a_booking_that_waits_takes_the_way_of_a_change_when_that_is_agreed_on() {
    let mut world = World::new();
    let later = Asked { start: Some(39), ..asked(20 * MEGA) };
    let session = world.request(&later).unwrap();
    world.link(0, |link| link.operation = Operation::Down);
    while world.state(session) != State::Booked {
        world.proceed(session, 7, 0xff);
    }
    let wanted = Wanted { rates: vec![(30 * MEGA, Direction::FromCaller)], class: None, length: None, mover: None };
    world.propose(session, &wanted);
    assert_eq!(world.way(session), ways([["p1", "pe2"]]));
    // What happens elsewhere is no reason to move it alone.
    let rerouted = world.link(5, |link| link.operation = Operation::Down);
    world.check();
    assert_eq!((rerouted.moved, rerouted.withdrawn, rerouted.waiting), (vec![], vec![], vec![session]));
    world.confirm(session, 7, 1);
    world.check();
    assert_eq!((world.state(session), world.way(session)), (State::Booked, ways([["p2", "pe2"]])));
}

#[test]
fn a_link_that_is_back_before_a_booking_starts_is_free_for_others() {
    let mut world = World::new();
    let later = Asked { start: Some(39), length: Some(50), rates: vec![(90 * MEGA, Direction::FromCaller)], ..asked(MEGA) };
    let session = world.agreed(&later, 7);
    world.link(0, |link| link.operation = Operation::Down);
    assert_eq!(world.way(session), [["p2", "pe2"]]);
    let rerouted = world.link(0, |link| link.operation = Operation::Up);
    world.check();
    assert_eq!((rerouted.moved, rerouted.ended), (vec![], vec![]), "it has a way, and stays there");
    world.restart();
    let other = world.agreed(&later, 8);
    assert_eq!(world.way(other), [["p1", "pe2"]]);
    world.wait(100);
    world.check();
    assert_eq!([session, other].map(|session| world.state(session)), [State::Established; 2]);
    world.wait(50);
    assert_eq!([session, other].map(|session| world.state(session)), [State::Releasing; 2]);
}

#[test]
fn a_booking_whose_end_is_down_waits_for_it() {
    let mut world = World::new();
    let later = Asked { to: 2, start: Some(39), ..asked(MEGA) };
    let session = world.agreed(&later, 7);
    let before = world.way(session);
    let rerouted = world.router("pe3", Operation::Down);
    world.check();
    assert_eq!((rerouted.moved, rerouted.waiting, rerouted.ended), (vec![], vec![session], vec![]));
    assert_eq!(world.state(session), State::Booked);
    world.restart();
    world.router("pe3", Operation::Up);
    world.wait(100);
    world.check();
    assert_eq!((world.state(session), world.way(session)), (State::Established, before));
}

#[test]
fn a_protected_booking_uses_what_is_left_of_its_paths() {
    let mut world = World::new();
    let booked = Asked { start: Some(40), protection: Protection::Disjoint, ..asked(20 * MEGA) };
    let session = world.agreed(&booked, 7);
    let rerouted = world.link(1, |link| link.operation = Operation::Down);
    world.check();
    assert_eq!((world.state(session), world.way(session)), (State::Booked, ways([["p2", "pe2"]])));
    assert_eq!((rerouted.moved, rerouted.unprotected), (vec![session], vec![session]));
    let rerouted = world.link(2, |link| link.capacity = BitRate(8 * MEGA));
    world.check();
    assert_eq!((world.state(session), world.way(session)), (State::Booked, ways([["pe3", "p2", "pe2"]])));
    assert_eq!(rerouted.unprotected, [session]);
    let rerouted = world.link(1, |link| link.operation = Operation::Up);
    world.check();
    assert_eq!((rerouted.moved, rerouted.unprotected), (vec![session], vec![]), "it is protected again before it starts");
}
