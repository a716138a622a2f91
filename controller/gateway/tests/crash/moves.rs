//! Applications that go where their sessions cannot follow.

use std::collections::BTreeSet;

use crate::agent::End;
use crate::bench::{Bench, Clock, Start};
use crate::life::{self, EAST, NOW, SITES, SOUTH, began, both_register, call};
use crate::matrix::alone;
use crate::provider::Arrival;
use crate::{until, verdict};

const MEGA: u64 = 1_000_000;

/// Everything is over, and was charged.
async fn ended(bench: &Bench, gateway: &crate::bench::Gateway, port: u16) {
    gateway.log().says("session settled").await;
    for agent in [&bench.caller, &bench.callee] {
        until("both ends are told", || agent.dialog(port).filter(|dialog| dialog.end == End::Ended)).await;
    }
    assert!(matches!(bench.send(port, true), Arrival::Dropped { .. }));
    verdict::close(bench, gateway, &BTreeSet::from([port])).await;
}

#[test]
fn who_does_not_say_its_new_addresses_in_time_is_hung_up() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        bench.set_move_timeout(1);
        let gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        call(&bench, 4000, 10, NOW).await;
        bench.exchange(4000, [1, 2]);
        life::go(&bench, SOUTH).await;
        gateway.log().says("cannot follow").await;
        ended(&bench, &gateway, 4000).await;
    });
}

#[test]
fn a_session_that_does_not_fit_where_its_caller_went_is_hung_up() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        let gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        // From p2 to pe2 there is one way only that is not full: over pe1, whose other link is then full as well.
        call(&bench, SITES, 60, NOW).await;
        bench.exchange(SITES, [1, 2]);
        bench.provider.set_link(2, false);
        bench.provider.set_link(3, false);
        gateway.log().says_times("the link has changed", 2).await;
        life::go(&bench, SOUTH).await;
        gateway.log().says("cannot follow").await;
        ended(&bench, &gateway, SITES).await;
    });
}

#[test]
fn a_move_for_which_there_is_no_room_is_580_and_may_be_asked_for_less() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        let gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        call(&bench, 4000, 10, NOW).await;
        bench.exchange(4000, [1, 2]);
        // Not registered there yet.
        bench.caller.go(SOUTH);
        assert_eq!(bench.caller.modify(4000, 10 * MEGA, NOW).await, Some(403));
        life::go(&bench, SOUTH).await;
        assert_eq!(bench.caller.modify(4000, 150 * MEGA, NOW).await, Some(580));
        bench.exchange(4000, [3, 5]);
        assert_eq!(bench.caller.modify(4000, 5 * MEGA, NOW).await, Some(200));
        let charged = began(&bench).await;
        life::follow(&bench).await;
        assert_eq!(bench.exchange(4000, [7, 11]), ["p2", "pe2"]);
        gateway.log().says("counted where it began").await;
        verdict::close(&bench, &gateway, &charged).await;
    });
}

#[test]
fn who_goes_there_and_back_is_charged_once_for_all() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        let gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        call(&bench, 4000, 10, NOW).await;
        call(&bench, SITES, 20, NOW).await;
        for (times, place, way) in [(1, SOUTH, &["p2", "pe2"][..]), (2, EAST, &["pe1", "p1", "pe2"])] {
            bench.exchange(4000, [1, 2]);
            bench.exchange(SITES, [3, 5]);
            life::go(&bench, place).await;
            gateway.log().says_times("the session has followed", times).await;
            assert_eq!(bench.caller.modify(4000, 10 * MEGA, NOW).await, Some(200));
            life::follow(&bench).await;
            assert_eq!(bench.exchange(4000, [7, 11]), way);
            gateway.log().says_times("counted where it began", 2 * times).await;
        }
        bench.exchange(SITES, [13, 17]);
        let charged = began(&bench).await;
        verdict::close(&bench, &gateway, &charged).await;
    });
}
