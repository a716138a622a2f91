//! What happens to a gateway, and when it is killed meanwhile: scripts that reach every point.

use std::collections::BTreeSet;
use std::ops::Range;

use svpn_contract::EntryKey;

use crate::agent::{End, Manner};
use crate::bench::{Bench, Clock, Log, Start};
use crate::provider::Arrival;
use crate::until;

/// The calls' media ports: each call has one of its own, and is known by it.
pub(crate) const PORTS: Range<u16> = 4000..4020;
/// Those of sessions that are booked.
pub(crate) const BOOKED: Range<u16> = 4010..4020;
/// That of a call when all others are over.
pub(crate) const LAST: u16 = 4030;
/// That of a call for everything between two sites.
pub(crate) const SITES: u16 = 4009;
/// The CE where the caller is at first, and its host there.
pub(crate) const EAST: (&str, &str) = ("a-east", "10.1.0.5");
/// Where it goes.
pub(crate) const SOUTH: (&str, &str) = ("a-south", "10.3.0.5");

const MEGA: u64 = 1_000_000;
/// By so many seconds the clock is set to stop what is booked.
const STOPPED: i64 = 220;
pub(crate) const NOW: (u64, u64) = (0, 0);

/// A script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Calls that are made, changed, declined, cancelled and ended.
    Calls,
    /// Sessions that start and stop by themselves.
    Bookings,
    /// Links that fail and come back.
    Failures,
    /// A caller that goes to another CE.
    Moves,
    /// A gateway that is killed comes back.
    Return,
}

impl Life {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Calls, Self::Bookings, Self::Failures, Self::Moves, Self::Return];

    pub(crate) fn clock(self) -> Clock {
        if self == Self::Bookings { Clock::Settable } else { Clock::System }
    }

    /// Calls that may end by themselves, as far as it has come.
    pub(crate) fn ends_by_itself(self, bench: &Bench) -> BTreeSet<u16> {
        match self {
            Self::Bookings if bench.offset() >= STOPPED => BTreeSet::from([4010]),
            Self::Failures if !bench.provider.is_up(2) => BTreeSet::from([4000]),
            _ => BTreeSet::new(),
        }
    }

    /// Goes through it, or as far as the gateway lives.
    pub(crate) async fn go(self, bench: &Bench, end: Option<(usize, String)>) {
        let mut gateway = if self == Self::Return {
            killed_with_all_kinds(bench).await;
            bench.launch(&Start { kill: end, armed: true })
        } else {
            let gateway = bench.start(&Start { kill: end, armed: false }).await;
            if self != Self::Moves {
                bench.arm();
            }
            gateway
        };
        let log = gateway.log().clone();
        let dead = until("the gateway dies", || gateway.is_dead().then_some(()));
        tokio::select! {
            () = dead => {}
            () = self.play(bench, &log) => {}
        }
        gateway.kill().await;
    }

    async fn play(self, bench: &Bench, gateway: &Log) {
        match self {
            Self::Calls => calls(bench, gateway).await,
            Self::Bookings => bookings(bench, gateway).await,
            Self::Failures => failures(bench, gateway).await,
            Self::Moves => moves(bench, gateway).await,
            Self::Return => {
                gateway.says("every router is ready").await;
                gateway.says("session settled").await;
            }
        }
    }
}

pub(crate) async fn both_register(bench: &Bench) {
    for agent in [&bench.caller, &bench.callee] {
        assert_eq!(agent.register().await, Some(200));
    }
}

pub(crate) async fn call(bench: &Bench, port: u16, rate: u64, time: (u64, u64)) {
    assert_eq!(bench.caller.call("backup", port, rate * MEGA, time).await, Some(200));
}

async fn calls(bench: &Bench, gateway: &Log) {
    both_register(bench).await;
    call(bench, 4000, 10, NOW).await;
    bench.exchange(4000, [1, 2]);
    call(bench, 4001, 10, NOW).await;
    bench.exchange(4001, [3, 5]);
    assert_eq!(bench.caller.modify(4001, 20 * MEGA, NOW).await, Some(200));
    bench.callee.set_manner(Manner::Declines);
    assert_eq!(bench.caller.modify(4001, 30 * MEGA, NOW).await, Some(488));
    assert_eq!(bench.caller.call("backup", 4002, MEGA, NOW).await, Some(486));
    bench.callee.set_manner(Manner::Rings);
    let ringing = async {
        until("it rings", || bench.callee.rings().then_some(())).await;
        assert_eq!(bench.caller.hang_up(4000).await, Some(200));
        // The one that was declined is the first.
        gateway.says_times("session settled", 2).await;
        bench.callee.decline().await;
    };
    let (status, ()) = tokio::join!(bench.caller.call("backup", 4003, MEGA, NOW), ringing);
    assert_eq!(status, Some(486));
    assert_eq!(bench.callee.hang_up(4001).await, Some(200));
    gateway.says_times("session settled", 4).await;
    until("the caller is told", || bench.caller.dialog(4001).filter(|dialog| dialog.end == End::Ended)).await;
}

async fn bookings(bench: &Bench, gateway: &Log) {
    both_register(bench).await;
    call(bench, 4000, 10, NOW).await;
    bench.exchange(4000, [1, 2]);
    call(bench, 4010, 40, (bench.ntp(100), bench.ntp(200))).await;
    call(bench, 4011, 30, (bench.ntp(300), bench.ntp(400))).await;
    bench.set_clock(120);
    gateway.says("a booked session has started").await;
    bench.exchange(4010, [3, 5]);
    assert_eq!(bench.caller.hang_up(4011).await, Some(200));
    gateway.says("session settled").await;
    bench.set_clock(STOPPED);
    gateway.says_times("session settled", 2).await;
    until("the caller is told", || bench.caller.dialog(4010).filter(|dialog| dialog.end == End::Ended)).await;
}

async fn failures(bench: &Bench, gateway: &Log) {
    both_register(bench).await;
    call(bench, 4000, 60, NOW).await;
    call(bench, 4001, 30, NOW).await;
    assert_eq!(bench.exchange(4000, [1, 2]), ["pe1", "p1", "pe2"]);
    bench.exchange(4001, [3, 5]);
    // Both move to the other way.
    bench.provider.set_link(0, false);
    gateway.says("what=\"moved\"").await;
    for port in [4000, 4001] {
        for from_caller in [true, false] {
            let arrives = || matches!(bench.send(port, from_caller), Arrival::At { over, .. } if over[1] == "p2");
            until("they go another way", || arrives().then_some(())).await;
        }
    }
    bench.provider.set_link(0, true);
    gateway.says_times("the link has changed", 2).await;
    assert_eq!(bench.caller.hang_up(4001).await, Some(200));
    gateway.says("session settled").await;
    // There is no other way left for what is larger than nothing.
    bench.provider.set_link(1, false);
    gateway.says_times("the link has changed", 3).await;
    bench.provider.set_link(2, false);
    gateway.says_times("session settled", 2).await;
    until("the caller is told", || bench.caller.dialog(4000).filter(|dialog| dialog.end == End::Ended)).await;
    bench.provider.set_link(1, true);
    bench.provider.set_link(2, true);
    gateway.says_times("the link has changed", 6).await;
}

/// The caller is at another CE now, and registers there.
pub(crate) async fn go(bench: &Bench, place: (&'static str, &'static str)) {
    bench.caller.go(place);
    assert_eq!(bench.caller.register().await, Some(200));
}

/// All calls' callers are where the journal says.
pub(crate) async fn follow(bench: &Bench) {
    for record in bench.sessions().await {
        bench.follow(&record);
    }
}

async fn moves(bench: &Bench, gateway: &Log) {
    both_register(bench).await;
    call(bench, 4000, 10, NOW).await;
    call(bench, SITES, 20, NOW).await;
    assert_eq!(bench.exchange(4000, [1, 2]), ["pe1", "p1", "pe2"]);
    bench.exchange(SITES, [3, 5]);
    // What is passed until then is passed in other scripts, too.
    bench.arm();
    go(bench, SOUTH).await;
    // What is between sites follows by itself, the other when its addresses are known.
    gateway.says("the session has followed").await;
    assert_eq!(bench.exchange(4000, [7, 11])[0], "pe1");
    assert_eq!(bench.caller.modify(4000, 20 * MEGA, NOW).await, Some(200));
    follow(bench).await;
    assert_eq!(bench.exchange(4000, [13, 17]), ["p2", "pe2"]);
    assert_eq!(bench.exchange(SITES, [19, 23]), ["p2", "pe2"]);
    gateway.says_times("counted where it began", 2).await;
    assert!(bench.provider.entries(0).keys().all(|key| !matches!(key, EntryKey::Session(_))), "pe1 has nothing of them any more");
    assert_eq!(bench.caller.hang_up(SITES).await, Some(200));
    gateway.says("session settled").await;
}

/// A gateway that leaves a session established, one that is being set up, and one that is over and not settled.
async fn killed_with_all_kinds(bench: &Bench) {
    let point = "gateway: surely between journal and routers".to_owned();
    let mut gateway = bench.start(&Start { kill: Some((1, point)), armed: true }).await;
    both_register(bench).await;
    call(bench, 4000, 10, NOW).await;
    bench.exchange(4000, [1, 2]);
    call(bench, 4001, 10, NOW).await;
    bench.exchange(4001, [3, 5]);
    bench.callee.set_manner(Manner::Rings);
    tokio::select! {
        _ = bench.caller.call("backup", 4002, MEGA, NOW) => panic!("it rings"),
        () = async { until("it rings", || bench.callee.rings().then_some(())).await } => {}
    }
    tokio::select! {
        _ = bench.caller.hang_up(4001) => {}
        () = async { until("the gateway dies", || gateway.is_dead().then_some(())).await } => {}
    }
    until("the gateway dies", || gateway.is_dead().then_some(())).await;
    bench.forget_passed();
}

/// The calls that must be charged by now: those that began to carry packets.
pub(crate) async fn began(bench: &Bench) -> BTreeSet<u16> {
    let told = (PORTS.start..BOOKED.start).filter(|&port| bench.caller.dialog(port).is_some_and(|dialog| dialog.agreed));
    let carried = PORTS.filter(|&port| bench.carried(port) != (0, 0));
    let sessions = bench.sessions().await;
    let kept = sessions.iter().filter(|record| record.established.is_some()).map(|record| record.request.media[0].caller.port);
    told.chain(carried).chain(kept).collect()
}
