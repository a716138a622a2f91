//! What goes wrong around a gateway: disks, stores, clocks, routers. Each is said in the log in words a person can act on, and nothing
//! that was accepted is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use svpn_vpn::session::State;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::bench::{Bench, Clock, Gateway, Start};
use crate::life::{LAST, NOW, began, both_register, call};
use crate::matrix::alone;
use crate::provider::Arrival;
use crate::{soon, until, verdict};

const MEGA: u64 = 1_000_000;

/// A gateway, registered applications, and a session of 10 Mbit/s that carried something.
async fn in_service(clock: Clock) -> (Bench, Gateway) {
    let bench = Bench::new(clock).await;
    let gateway = bench.start(&Start::default()).await;
    both_register(&bench).await;
    call(&bench, 4000, 10, NOW).await;
    bench.exchange(4000, [1, 2]);
    (bench, gateway)
}

/// Nothing is lost, nothing is left over, and everything is charged once.
async fn all_is_well(bench: &Bench, gateway: &Gateway) {
    let mut charged = began(bench).await;
    let before = verdict::Before::look(bench).await;
    verdict::judge_running(bench, gateway, &before, &BTreeSet::new()).await;
    charged.extend(began(bench).await);
    verdict::close(bench, gateway, &charged).await;
}

/// A file system of 1 MiB.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(path: &'a Path) -> Self {
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(path).status().unwrap();
        assert!(mounted.success(), "mounting needs root");
        Self(path)
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut ballast = vec![1; 1 << 20];
        while fs::write(self.0.join("ballast"), &ballast).is_err() {
            ballast.truncate(ballast.len() - 4096);
        }
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _left = std::process::Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// The number of the one session there is.
async fn number(bench: &Bench) -> u32 {
    let sessions = bench.sessions().await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    sessions[0].number.0
}

#[test]
fn a_number_used_again_after_a_restart_is_billed_for_its_own_session_alone() {
    alone(async {
        let (bench, mut gateway) = in_service(Clock::System).await;
        let first = number(&bench).await;
        let mut discarded = 0;
        while discarded < 50 {
            discarded += u32::from(matches!(bench.send(4000, true), Arrival::Dropped { .. }));
        }
        assert_eq!(bench.caller.hang_up(4000).await, Some(200));
        gateway.log().says("session settled").await;
        gateway.kill().await;
        let gateway = bench.start(&Start::default()).await;
        call(&bench, 4001, 10, NOW).await;
        assert_eq!(number(&bench).await, first);
        bench.exchange(4001, [7, 5]);
        all_is_well(&bench, &gateway).await;
    });
}

#[test]
fn a_full_disk_refuses_what_is_new_and_loses_nothing() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        let records = bench.records();
        let disk = Disk::mount(&records);
        let mut gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        call(&bench, 4000, 10, NOW).await;
        bench.exchange(4000, [1, 2]);
        call(&bench, 4001, 10, NOW).await;
        bench.exchange(4001, [3, 5]);
        disk.fill();
        assert_eq!(bench.caller.call("backup", 4002, MEGA, NOW).await, Some(503));
        gateway.log().says("the journal does not take it").await;
        assert!(gateway.log().said("database or disk is full") > 0, "{:#?}", gateway.log());
        bench.exchange(4000, [1, 1]);
        // Who hangs up is told so when it is durable, and not before.
        let leaving = async {
            tokio::select! {
                status = bench.caller.hang_up(4001) => panic!("BYE is answered with {status:?} and nobody knows of it"),
                () = gateway.log().says("the journal does not take what must be written") => {}
            }
        };
        leaving.await;
        // Killed in the middle of it, the next one finds what was accepted.
        gateway.kill().await;
        disk.clear();
        let gateway = bench.start(&Start::default()).await;
        all_is_well(&bench, &gateway).await;
        drop(gateway);
        drop(disk);
    });
}

#[test]
fn a_store_of_another_gateway_is_left_alone() {
    alone(async {
        let (bench, mut gateway) = in_service(Clock::System).await;
        let mut second = bench.launch(&Start::default());
        assert!(!second.ends().await, "two gateways have one store");
        second.log().says("is in use by another gateway called gateway").await;
        bench.exchange(4000, [1, 1]);
        assert!(!gateway.is_dead());
        all_is_well(&bench, &gateway).await;
    });
}

/// Holds a store as a person with a shell may, who has begun a transaction and forgotten it.
async fn hold(database: &Path) -> Child {
    let script = "import sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  connection.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()\n";
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(database).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut holder = command.spawn().unwrap();
    let mut word = [0; 4];
    holder.stdout.as_mut().unwrap().read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"held");
    holder
}

#[test]
fn a_store_that_is_held_delays_or_refuses_and_loses_nothing() {
    alone(async {
        let (bench, gateway) = in_service(Clock::System).await;
        call(&bench, 4001, 10, NOW).await;
        bench.exchange(4001, [3, 5]);
        let mut holder = hold(&bench.records().join("svpn.db")).await;
        let leaving = async {
            gateway.log().says("the journal does not take what must be written").await;
            assert!(gateway.log().said("database is locked") > 0, "{:#?}", gateway.log());
            bench.exchange(4000, [1, 1]);
            holder.kill().await.unwrap();
        };
        let (called, left, ()) = tokio::join!(bench.caller.call("backup", 4002, MEGA, NOW), bench.caller.hang_up(4001), leaving);
        assert!(matches!(called, Some(200 | 503)), "{called:?}");
        assert_eq!(left, Some(200));
        all_is_well(&bench, &gateway).await;
    });
}

/// The session that was to make a tunnel cannot be made durable, and another that rides the same tunnel can.
#[test]
fn what_rests_on_what_the_store_did_not_take_is_not_lost() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        let mut gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        let mut holder = hold(&bench.records().join("svpn.db")).await;
        let freed = async {
            gateway.log().says("the session cannot be had").await;
            holder.kill().await.unwrap();
        };
        let second = async {
            // Wherever the other is by now, both wait for the store.
            tokio::time::sleep(Duration::from_millis(500)).await;
            bench.caller.call("backup", 4001, MEGA, NOW).await
        };
        let (first, second, ()) = tokio::join!(bench.caller.call("backup", 4000, MEGA, NOW), second, freed);
        let mut told = [first, second];
        told.sort_unstable();
        assert_eq!(told, [Some(200), Some(503)]);
        let made = if first == Some(200) { 4000 } else { 4001 };
        bench.exchange(made, [1, 2]);
        gateway.kill().await;
        let gateway = bench.start(&Start::default()).await;
        assert_eq!(gateway.log().said("the session cannot go on"), 0, "{:#?}", gateway.log());
        all_is_well(&bench, &gateway).await;
    });
}

#[test]
fn a_damaged_store_stops_the_start_and_nothing_else() {
    alone(async {
        let (bench, mut gateway) = in_service(Clock::System).await;
        assert!(gateway.stop().await);
        let path = bench.records().join("svpn.db");
        let whole = fs::read(&path).unwrap();
        let damaged = [&whole[..whole.len() / 2], &[0x5a; 4096][..], &whole[whole.len() / 2 + 4096..]].concat();
        fs::write(&path, &damaged).unwrap();
        let mut second = bench.launch(&Start::default());
        assert!(!second.ends().await, "a damaged store is believed");
        second.log().says("is damaged").await;
        second.log().says("restore it from a copy").await;
        assert_eq!(fs::read(&path).unwrap(), damaged, "what is left of it is touched");
        bench.exchange(4000, [1, 1]);
        fs::write(&path, &whole).unwrap();
        let gateway = bench.start(&Start::default()).await;
        all_is_well(&bench, &gateway).await;
    });
}

/// How long a session was charged for, by its times and by what was reserved.
async fn charged(bench: &Bench) -> Vec<(Duration, Duration)> {
    let charges = bench.charges().await;
    let length = |charge: &svpn_store::ChargeRecord| {
        let from = charge.established.expect("it was established").milliseconds();
        let length = charge.end.milliseconds() - from;
        let lines = charge.bill.as_ref().expect("there is a price").lines.iter();
        let reserved: u128 = lines
            .map(|line| match line.item {
                svpn_vpn::price::BillItem::Reserved { millibits, .. } => millibits,
                _ => 0,
            })
            .sum();
        let rate =
            charge.from_caller.as_ref().unwrap().policed_bits_per_second + charge.from_callee.as_ref().unwrap().policed_bits_per_second;
        let billed = u64::try_from(reserved / u128::from(rate)).unwrap();
        (Duration::from_millis(u64::try_from(length).expect("it ends after it begins")), Duration::from_millis(billed))
    };
    charges.iter().map(length).collect()
}

/// A clock is set while sessions run: one until hang-up, one with an end, one that is booked, and one that begins afterwards.
async fn clock_set_by(seconds: i64) {
    let bench = Bench::new(Clock::Settable).await;
    let began_at = std::time::Instant::now();
    let gateway = bench.start(&Start::default()).await;
    both_register(&bench).await;
    call(&bench, 4000, 40, NOW).await;
    bench.exchange(4000, [1, 2]);
    // It starts in ten minutes or more, by the clock as it is and as it will be.
    let start = bench.ntp(600) + seconds.max(0).unsigned_abs();
    call(&bench, 4010, 30, (start, start + 100)).await;
    bench.set_clock(seconds);
    gateway.log().says("the clock was set").await;
    // What is reserved is reserved still: one way has 40 of 100 Mbit/s less, and the other is about to be full.
    call(&bench, 4002, 90, NOW).await;
    for stop in [0, bench.ntp(300)] {
        assert_eq!(bench.caller.call("backup", 4001, 70 * MEGA, (0, stop)).await, Some(580));
    }
    call(&bench, 4001, 20, NOW).await;
    bench.exchange(4001, [3, 5]);
    assert_eq!(bench.sessions().await.iter().filter(|record| record.state == State::Booked).count(), 1, "its time has not come");
    assert_eq!(bench.caller.hang_up(4000).await, Some(200));
    gateway.log().says("session settled").await;
    // Its start and its end come by the clock as it is now.
    let start = 600 - seconds.min(0);
    bench.set_clock(seconds + start + 10);
    gateway.log().says("a booked session has started").await;
    bench.exchange(4010, [7, 7]);
    bench.set_clock(seconds + start + 110);
    gateway.log().says_times("session settled", 2).await;
    for port in [4001, 4002] {
        assert_eq!(bench.caller.hang_up(port).await, Some(200));
    }
    gateway.log().says_times("session settled", 4).await;
    let lasted = began_at.elapsed();
    for (length, billed) in charged(&bench).await {
        assert!(length <= lasted && billed <= lasted, "charged for {length:?} and {billed:?} of {lasted:?}: {:#?}", bench.charges().await);
    }
    all_is_well(&bench, &gateway).await;
}

#[test]
fn a_clock_that_is_set_forward_costs_nobody_anything() {
    alone(clock_set_by(3600));
}

#[test]
fn a_clock_that_is_set_back_costs_nobody_anything() {
    alone(clock_set_by(-3600));
}

#[test]
fn a_booking_takes_another_way_or_waits_for_a_repair() {
    alone(async {
        let (bench, mut gateway) = in_service(Clock::System).await;
        let time = (bench.ntp(1000), bench.ntp(2000));
        let way = async |port: u16| {
            let sessions = bench.sessions().await;
            let booked = sessions.into_iter().find(|record| record.state == State::Booked && record.request.media[0].caller.port == port);
            let ways = booked.expect("it is booked").ways;
            ways.iter().flatten().flat_map(|way| &way.route.primary).map(|way| way.link.clone()).collect::<BTreeSet<_>>()
        };
        let [first, second] = [["pe1-p1", "p1-pe2"], ["pe1-p2", "p2-pe2"]].map(|names| BTreeSet::from(names.map(str::to_owned)));
        // They are on the nearer way; beside the session that runs there is room for one of them on the other.
        call(&bench, 4010, 60, time).await;
        call(&bench, 4011, 20, time).await;
        call(&bench, 4012, 50, time).await;
        bench.provider.set_link(0, false);
        gateway.log().says("booked, and without a way until something is repaired").await;
        until("what runs moves", || matches!(bench.send(4000, true), Arrival::At { over, .. } if over[1] == "p2").then_some(())).await;
        assert_eq!((way(4010).await, way(4011).await, way(4012).await), (first.clone(), second.clone(), second.clone()));
        gateway.kill().await;
        let gateway = bench.start(&Start::default()).await;
        assert_eq!(way(4010).await, first, "it waits");
        bench.provider.set_link(0, true);
        gateway.log().says("the link has changed").await;
        assert_eq!((way(4010).await, way(4011).await), (first, second));
        all_is_well(&bench, &gateway).await;
    });
}

#[test]
fn a_router_that_comes_back_empty_gets_what_it_had() {
    alone(async {
        let (bench, gateway) = in_service(Clock::System).await;
        for (times, router) in [(1, 1), (2, 3)] {
            bench.provider.reboot(router).await;
            gateway.log().says_times("the link to the router is down", times).await;
            gateway.log().says_times("the pipeline was put into service", 4 + times).await;
            for from_caller in [true, false] {
                until("it forwards again", || matches!(bench.send(4000, from_caller), Arrival::At { .. }).then_some(())).await;
            }
        }
        call(&bench, 4001, 10, NOW).await;
        bench.exchange(4001, [3, 5]);
        // What the rebooted PE had counted is gone with it: it is not charged, and nothing else is.
        assert_eq!(bench.caller.hang_up(4000).await, Some(200));
        gateway.log().says("session settled").await;
        let charges = bench.charges().await;
        let ways = [&charges[0].from_caller, &charges[0].from_callee].map(|way| way.as_ref().unwrap().carried_packets);
        let (from_caller, to_caller) = bench.carried(4000);
        assert!(ways[0] == from_caller && ways[1] >= 1 && ways[1] < to_caller, "{ways:?} of {from_caller} and {to_caller}");
        assert_eq!(bench.caller.hang_up(4001).await, Some(200));
        soon("the journal has no session", async || bench.sessions().await.is_empty().then_some(())).await;
        soon("the routers hold their base", async || verdict::holds_base(&bench)).await;
        assert_eq!(bench.caller.call("backup", LAST, 90 * MEGA, NOW).await, Some(200));
        bench.exchange(LAST, [1, 1]);
    });
}

/// A session, one that is about to end, and one that is booked; what goes on with them while a PE is away, and forwards.
async fn without_a_router(bench: &Bench, gateway: &Gateway) {
    // Longer than a link may be silent: nobody says that the router's links have failed.
    gateway.log().says("the router does not answer").await;
    assert_eq!(bench.caller.call("backup", 4002, MEGA, NOW).await, Some(503));
    assert_eq!(bench.caller.hang_up(4001).await, Some(200), "who hangs up is heard");
    // What both ends have agreed on holds, and the router gets it when it answers.
    assert_eq!(bench.caller.modify(4000, 20 * MEGA, NOW).await, Some(200));
    // What was promised for now begins, even so.
    bench.set_clock(1001);
    gateway.log().says("a booked session has started, and a router gets it when it answers").await;
}

/// What is so at the end of that, and when the router is back.
async fn with_the_router_again<T>(bench: &Bench, gateway: &Gateway, back: impl FnOnce() -> T) {
    bench.exchange(4000, [1, 1]);
    assert_eq!(gateway.log().said("the link has changed"), 0, "{:#?}", gateway.log());
    assert_eq!(gateway.log().said("session settled"), 0, "it cannot be settled: {:#?}", gateway.log());
    back();
    gateway.log().says("session settled").await;
    until("what has begun forwards", || matches!(bench.send(4010, true), Arrival::At { .. }).then_some(())).await;
    all_is_well(bench, gateway).await;
}

async fn in_service_with_more() -> (Bench, Gateway) {
    let (bench, gateway) = in_service(Clock::Settable).await;
    call(&bench, 4001, 10, NOW).await;
    bench.exchange(4001, [3, 5]);
    call(&bench, 4010, 10, (bench.ntp(1000), bench.ntp(9000))).await;
    (bench, gateway)
}

#[test]
fn a_router_that_does_not_answer_keeps_its_sessions_and_takes_no_new_ones() {
    alone(async {
        let (bench, gateway) = in_service_with_more().await;
        bench.provider.set_silent(0, true);
        without_a_router(&bench, &gateway).await;
        with_the_router_again(&bench, &gateway, || bench.provider.set_silent(0, false)).await;
    });
}

#[test]
fn a_router_that_cannot_be_reached_for_a_minute_keeps_its_sessions_and_takes_no_new_ones() {
    alone(async {
        let (bench, gateway) = in_service_with_more().await;
        let over = tokio::time::Instant::now() + Duration::from_mins(1);
        let away = bench.provider.cut_off(0);
        without_a_router(&bench, &gateway).await;
        tokio::time::sleep_until(over).await;
        gateway.log().says("the link to the router is down").await;
        with_the_router_again(&bench, &gateway, || drop(away)).await;
    });
}
