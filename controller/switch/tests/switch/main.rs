//! The client against a P4Runtime server over loopback: [`router::Router`] is a double that arbitrates and stores as the standard
//! says, and fails when it is told to.

mod entries;
mod mastership;
mod reconcile;
mod router;
mod service;
mod traffic;
mod write;

use std::future::Future;
use std::time::Duration;

use svpn_contract::Entry;
use svpn_switch::{Backoff, ElectionId, Event, Settings, State, Switch};
use tokio::sync::mpsc;

use router::Router;

/// Settings with short waits.
fn settings(router: &Router, election: u128) -> Settings {
    let election = ElectionId::try_from(election).expect("an election id");
    let mut settings = Settings::new(router.endpoint(), router::DEVICE, election);
    settings.backoff = Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(50) };
    settings
}

/// A client that is ready.
async fn ready(router: &Router, desired: Vec<Entry>) -> (Switch, mpsc::Receiver<Event>) {
    let (switch, events) = Switch::start(settings(router, 1), desired);
    soon(switch.ready()).await;
    (switch, events)
}

/// Waits for a state, however short it lasts.
async fn reaches(switch: &Switch, state: State) {
    let mut states = switch.watch();
    soon(states.wait_for(|now| *now == state)).await.expect("the switch is there");
}

/// Nothing here takes long; a test that waits for what never comes ends anyway.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("it happens at all")
}

/// Waits until something holds of the router, which tells nobody.
async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
