//! What the gateway thinks of its links, with and without probes.

use std::path::Path;
use std::time::Duration;

use svpn_store::Kept;
use svpn_switch::ElectionId;
use svpn_vpn::durable::{Fact, LinkRecord};

use super::*;
use crate::config;
use crate::gateway::Begun;

/// A gateway without routers that finds in its journal that a link had failed.
async fn with_a_failed_link(name: &str, journal: svpn_store::Journal) -> (Network, Begun) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/svpn.toml");
    let mut config = config::load(&file).expect("it is good");
    config.routers.clear();
    let failed = Fact::Link(LinkRecord { link: name.to_owned(), failed: true, drained: false, capacity: None });
    let kept = Kept { facts: vec![failed], ..Kept::default() };
    let election = ElectionId::try_from(1).expect("it is not 0");
    let begun = Gateway::start(&config, election, kept, journal).await;
    (config.network, begun.expect("it starts"))
}

async fn journal(folder: &Path) -> (svpn_store::Journal, svpn_store::Writer) {
    let address = format!("sqlite:{}", folder.join("svpn.db").display());
    let (_, journal, writer) = svpn_store::open(&address, "gateway").await.expect("the store opens");
    (journal, writer)
}

fn health(gateway: &Gateway, network: &Network, name: &str) -> Operation {
    gateway.operation(network.topology().link_named(name).expect("it is configured"))
}

#[tokio::test]
async fn without_probes_every_link_counts_as_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _writer) = journal(folder.path()).await;
    let (network, begun) = with_a_failed_link("west", journal).await;
    assert_eq!(health(&begun.gateway, &network, "west"), Operation::Down, "as the journal says");
    let settings = Settings { probes: Probes::Off, ..Settings::default() };
    let liveness = Liveness::new(&begun.gateway, settings);
    let watching = tokio::spawn(liveness.watch(begun.gateway.clone(), begun.notices));
    while health(&begun.gateway, &network, "west") == Operation::Down {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    watching.abort();
}

#[tokio::test]
async fn a_failed_link_stays_down_until_its_probes_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _writer) = journal(folder.path()).await;
    let (network, begun) = with_a_failed_link("west", journal).await;
    let mut liveness = Liveness::new(&begun.gateway, Settings { interval: Duration::from_millis(1), ..Settings::default() });
    for _ in 0..20 {
        liveness.tick(&begun.gateway);
    }
    assert_eq!(health(&begun.gateway, &network, "west"), Operation::Down);
    assert_eq!(health(&begun.gateway, &network, "pe1-p1"), Operation::Up, "no router speaks with us, so nothing is known of it");
}

#[tokio::test]
async fn a_link_that_came_back_while_there_was_no_gateway_is_up_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _writer) = journal(folder.path()).await;
    let (network, begun) = with_a_failed_link("west", journal).await;
    let mut liveness = Liveness::new(&begun.gateway, Settings::default());
    let west = network.topology().link_named("west").expect("it is configured").index();
    for direction in 0..2 {
        liveness.monitor.probe(west, direction, Able::Yes);
        liveness.monitor.heard(west, direction);
    }
    assert_eq!(liveness.monitor.changes(), [(west, Health::Up)]);
}
