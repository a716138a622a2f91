//! What an operator does to links and routers while sessions run.

use crate::agent::End;
use crate::bench::{Bench, Clock, Gateway, Start};
use crate::life::{NOW, both_register, call};
use crate::matrix::alone;
use crate::provider::Arrival;
use crate::until;

const READ_AGAIN: &str = "the configuration is read again";

/// The routers that a packet of a session goes by.
fn way(bench: &Bench, port: u16) -> Vec<&'static str> {
    match bench.send(port, true) {
        Arrival::At { over, .. } => over,
        other => panic!("a packet of session {port} is lost: {other:?}"),
    }
}

/// Waits until a session goes this way; no packet is lost meanwhile.
async fn goes(bench: &Bench, port: u16, over: &[&str]) {
    until("it goes another way", || (way(bench, port) == over).then_some(())).await;
}

async fn reload(gateway: &Gateway) {
    let times = gateway.log().said(READ_AGAIN);
    gateway.reload().await;
    gateway.log().says_times(READ_AGAIN, times + 1).await;
}

#[test]
fn a_drained_router_is_emptied_without_a_lost_packet_and_comes_back() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        let mut gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        call(&bench, 4000, 10, NOW).await;
        assert_eq!(way(&bench, 4000), ["pe1", "p1", "pe2"]);
        bench.edit("name = \"p1\"\n", "name = \"p1\"\ndrained = true\n");
        reload(&gateway).await;
        goes(&bench, 4000, &["pe1", "p2", "pe2"]).await;
        call(&bench, 4001, 10, NOW).await;
        assert_eq!(way(&bench, 4001), ["pe1", "p2", "pe2"]);
        // The next gateway keeps to it, and one that finds it otherwise in its file follows that.
        gateway.kill().await;
        let mut gateway = bench.start(&Start::default()).await;
        goes(&bench, 4000, &["pe1", "p2", "pe2"]).await;
        assert!(gateway.stop().await);
        bench.edit("name = \"p1\"\ndrained = true\n", "name = \"p1\"\n");
        let gateway = bench.start(&Start::default()).await;
        call(&bench, 4002, 10, NOW).await;
        assert_eq!(way(&bench, 4002), ["pe1", "p1", "pe2"]);
        assert_eq!(gateway.log().said("the session cannot go on"), 0);
    });
}

#[test]
fn a_link_that_shrinks_keeps_what_fits_and_tells_the_others() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        let gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        bench.edit("name = \"p2\"\n", "name = \"p2\"\ndrained = true\n");
        reload(&gateway).await;
        call(&bench, 4000, 10, NOW).await;
        call(&bench, 4001, 10, NOW).await;
        let (large, small) = ("\"100 Mbit/s\"\na = { router = \"pe1\", port = 3", "\"12 Mbit/s\"\na = { router = \"pe1\", port = 3");
        bench.edit(large, small);
        reload(&gateway).await;
        until("the later one is told", || bench.caller.dialog(4001).filter(|dialog| dialog.end == End::Ended)).await;
        assert_eq!(way(&bench, 4000), ["pe1", "p1", "pe2"]);
        assert_eq!(bench.caller.call("backup", 4002, 10_000_000, NOW).await, Some(580), "there is no room for another");
    });
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    alone(async {
        let bench = Bench::new(Clock::System).await;
        let gateway = bench.start(&Start::default()).await;
        both_register(&bench).await;
        call(&bench, 4000, 10, NOW).await;
        bench.edit("name = \"p1\"\n", "name = \"p1\"\ndrained = \"yes\"\n");
        gateway.reload().await;
        gateway.log().says("the configuration is not taken: all stays as it was").await;
        gateway.log().says("gateway.toml:").await;
        assert_eq!(way(&bench, 4000), ["pe1", "p1", "pe2"]);
    });
}
