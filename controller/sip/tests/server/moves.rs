//! Applications that go to another CE.

use svpn_vpn::domain::Mover;
use svpn_vpn::request::{Cause, CeName};

use crate::calls::udp;
use crate::support::{Bench, storage};

fn told(bench: &Bench) -> Vec<(String, String)> {
    bench.gateway.moved.lock().unwrap().clone()
}

fn at(name: &str, ce: &str) -> (String, String) {
    (name.to_owned(), ce.to_owned())
}

#[tokio::test]
async fn the_gateway_is_told_who_has_moved_once() {
    let bench = udp().await;
    bench.register(storage()).await;
    bench.register(storage()).await;
    assert_eq!(told(&bench), [at("storage", "a-east")], "a registration that is repeated moves nobody");
    bench.play("register_elsewhere", storage(), &[]).await;
    assert_eq!(told(&bench), [at("storage", "a-east"), at("storage", "a-west")]);
    let bench = bench.restart().await;
    assert_eq!(told(&bench)[2..], [at("storage", "a-west")], "who was moving when the gateway ended still is");
}

#[tokio::test]
async fn a_ce_of_another_vpn_is_refused_and_moves_nobody() {
    let bench = udp().await;
    bench.register(storage()).await;
    let blanks = [("PARAMETERS", ";svpn-ce=b-east"), ("STATUS", "403"), ("WARNING", "not in vpn-a")];
    bench.play("registration_refused", storage(), &blanks).await;
    assert_eq!(told(&bench), [at("storage", "a-east")]);
}

#[tokio::test]
async fn a_caller_says_where_it_is_when_it_has_moved() {
    let bench = udp().await;
    bench.call("move", "agree", &[("THERE", "a-west")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
    let change = &bench.gateway.records()[0].changes[0];
    assert_eq!(change.mover, Some(Mover::Caller(CeName("a-west".to_owned()))));
    assert_eq!(change.media[0].caller.address.to_string(), "10.2.0.66");
}

#[tokio::test]
async fn a_callee_says_where_it_is_when_it_has_moved() {
    let bench = udp().await;
    bench.call("call_consents", "callee_moves", &[("THERE", "a-east")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
    let change = &bench.gateway.records()[0].changes[0];
    let Some(Mover::Callee(ce, ends)) = &change.mover else { panic!("{change:?}") };
    assert_eq!((ce.0.as_str(), ends.media[0].unwrap().port), ("a-east", 5002));
}
