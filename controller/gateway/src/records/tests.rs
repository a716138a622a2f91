//! What is listed of a gateway with two sessions, one of them protected, in the lab's network.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};
use svpn_store::Change;
use svpn_vpn::Domain;
use svpn_vpn::durable::LinkRecord;
use svpn_vpn::request::{
    Answer, ApplicationId, Bandwidth, BitRate, CeName, Direction, Match, MediaEnd, Medium, SessionRequest, Transport, TunnelType, VpnName,
    Window,
};

use super::*;
use crate::config;

const DIALOG: &str = r#""local_tag":"a","remote_tag":"b","route":[],"sequence":1"#;

fn lab(folder: &Path) -> Config {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lab/gateway.toml");
    let mut config = config::load(&file).expect("it is good");
    config.records.database = format!("sqlite:{}", folder.join("svpn.db").display());
    config
}

fn application(name: &str) -> ApplicationId {
    ApplicationId { name: name.to_owned(), vpn: VpnName("vpn-a".to_owned()) }
}

fn request(caller: &str, port: u16) -> SessionRequest {
    let medium = Medium {
        transport: Transport::Udp,
        caller: MediaEnd { address: [10, 1, 0, 2].into(), port },
        direction: Direction::Both,
        bandwidth: Bandwidth::TransportIndependent { rate: BitRate(8_000_000), packets_per_second: Some(1000) },
    };
    SessionRequest {
        caller: application(caller),
        caller_ce: CeName("a-east".to_owned()),
        callee: application("backup"),
        callee_ce: CeName("a-west".to_owned()),
        media: vec![medium],
        class: None,
        priority: None,
        matching: Match::Ports,
        tunnel: TunnelType::Mpls,
        window: Window { start: None, stop: None },
    }
}

/// A session of each caller is established, and the link from P1 to PE2 has failed, all of it in the store.
async fn keep(config: &Config) {
    let mut domain = Domain::new(config.network.clone()).expect("it has numbers enough");
    let (_, journal, writer) = svpn_store::open(&config.records.database, &config.records.gateway).await.expect("the store opens");
    let mut changes = Vec::new();
    for (caller, port) in [("storage", 5000), ("mirror", 6000)] {
        let now = SystemTime::now();
        let admission = domain.request(request(caller, port), now).expect("there is room");
        let mut effects = admission.effects;
        effects.append(domain.programmed(admission.session).expect("it was not"));
        effects.append(domain.ringing(admission.session).expect("it was not"));
        let answer = Answer { media: vec![Some(MediaEnd { address: [10, 2, 0, 2].into(), port: port + 1 })] };
        effects.append(domain.answered(admission.session, &answer, now).expect("it is in order").effects);
        changes.extend(effects.facts.into_iter().map(Change::from));
        let end = |who: &str| {
            format!(r#"{{"call_id":"{caller}-{who}","local":"sip:gw","remote":"sip:{who}","target":"sip:{who}@10.254.0.11",{DIALOG}}}"#)
        };
        let body = format!(r#"{{"caller":{},"callee":{}}}"#, end("caller"), end("callee"));
        changes.push(Change::Dialogs { session: admission.session, body });
    }
    let failed = LinkRecord { link: "p1-pe2".to_owned(), failed: true, drained: false, capacity: None };
    changes.push(Fact::Link(failed).into());
    journal.append(changes).await.expect("it is durable");
    drop(journal);
    writer.close().await;
}

async fn listed(config: &Config, listing: Listing) -> Vec<Value> {
    let lines = list(config, listing).await.expect("it can be read");
    lines.iter().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// The first line of which some fields are thus.
fn find<'a>(lines: &'a [Value], fields: &[(&str, Value)]) -> &'a Value {
    let found = lines.iter().find(|line| fields.iter().all(|(name, value)| line[*name] == *value));
    found.unwrap_or_else(|| panic!("no line has {fields:?}: {lines:#?}"))
}

#[tokio::test]
async fn sessions_and_tunnels_are_told_of_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = lab(folder.path());
    keep(&config).await;

    let ways = listed(&config, Listing::SessionTunnels).await;
    assert_eq!(ways.len(), 4, "two sessions, both ways: {ways:#?}");
    let plain = find(&ways, &[("call_id", json!("storage-caller")), ("way", json!("from_caller"))]);
    assert_eq!((&plain["ingress"], &plain["links"], &plain["backup"]), (&json!("pe1"), &json!(["pe1-p1", "p1-pe2"]), &Value::Null));
    let protected = find(&ways, &[("call_id", json!("mirror-caller")), ("way", json!("from_callee"))]);
    assert_eq!((&protected["links"], &protected["backup"]), (&json!(["p1-pe2", "pe1-p1"]), &json!(["p2-pe2", "pe1-p2"])));

    let tunnels = listed(&config, Listing::TunnelSessions).await;
    assert_eq!(tunnels.len(), 4);
    let of_plain = find(&tunnels, &[("ingress", json!("pe1")), ("tunnel", plain["tunnel"].clone())]);
    assert_eq!((&of_plain["sessions"], &of_plain["members"]), (&json!([plain["session"]]), &json!([["pe1-p1", "p1-pe2"]])));

    let status = listed(&config, Listing::Status).await;
    let session = find(&status, &[("session", plain["session"].clone())]);
    assert_eq!((&session["state"], &session["stop"]), (&json!("Established"), &Value::Null));
    let of_plain = find(&status, &[("ingress", json!("pe1")), ("tunnel", plain["tunnel"].clone())]);
    assert_eq!((&of_plain["ways"], &of_plain["ways_that_work"], &of_plain["sessions"]), (&json!(1), &json!(0), &json!(1)));
    let of_protected = find(&status, &[("ingress", json!("pe2")), ("tunnel", protected["tunnel"].clone())]);
    assert_eq!((&of_protected["ways"], &of_protected["ways_that_work"]), (&json!(2), &json!(1)), "P1 to PE2 has failed");
}

#[tokio::test]
async fn what_sip_says_is_told_with_what_the_network_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = lab(folder.path());
    keep(&config).await;

    let qos = listed(&config, Listing::Qos).await;
    let way = find(&qos, &[("way", json!("from_caller"))]);
    assert_eq!((&way["granted"]["class"], &way["granted"]["tc"], &way["asked"]["class"]), (&json!(5), &json!(5), &Value::Null));
    // 8 Mbit/s above UDP, and 42 bytes of headers a packet.
    assert_eq!(way["granted"]["policed"]["policed"], json!(8_000_000 + 1000 * 42 * 8));
    assert_eq!(way["asked"]["media"][0][1]["TransportIndependent"]["rate"], json!(8_000_000));

    let addresses = listed(&config, Listing::Addresses).await;
    let one = &addresses[0];
    assert_eq!((&one["media"][0]["caller"]["port"], &one["media"][0]["callee"]["port"]), (&json!(5000), &json!(5001)));
    assert_eq!((&one["callee"]["ce"], &one["callee"]["router"], &one["callee"]["port"]), (&json!("a-west"), &json!("pe2"), &json!(1)));
    assert_eq!((&one["caller"]["vrf"], &one["caller"]["prefixes"]), (&json!(10), &json!(["10.1.0.0/24"])));

    let control = listed(&config, Listing::Control).await;
    let names =
        |line: &Value| line["routers"].as_array().map(|routers| routers.iter().map(|router| router["name"].clone()).collect::<Vec<_>>());
    assert_eq!(control[0]["callee"]["call_id"], json!("storage-callee"));
    assert_eq!(names(&control[0]), Some(vec![json!("pe1"), json!("p1"), json!("pe2")]));
    assert_eq!(names(&control[1]).map(|names| names.len()), Some(4), "a protected session has routers on two ways");
    assert_eq!(control[0]["routers"][1]["device_id"], json!(2));

    assert_eq!((listed(&config, Listing::Sessions).await.len(), listed(&config, Listing::Network).await.len()), (2, 1));
}

#[tokio::test]
async fn what_was_agreed_is_told_from_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = lab(folder.path());

    let applications = listed(&config, Listing::Applications).await;
    let mirror = find(&applications, &[("address_of_record", json!("sip:mirror@vpn-a.provider.example"))]);
    let ces = json!(["a-east", "a-west", "a-south"]);
    assert_eq!((&mirror["vrf"], &mirror["contract"], &mirror["ces"]), (&json!(10), &json!("protected"), &ces));
    assert_eq!(applications.len(), 5);

    let groups = listed(&config, Listing::ComponentGroups).await;
    let b = find(&groups, &[("group", json!("vpn-b")), ("kind", json!("vpn"))]);
    assert_eq!(b["components"], json!(["sip:backup@vpn-b.provider.example", "sip:storage@vpn-b.provider.example"]));

    let policies = listed(&config, Listing::Policies).await;
    let protected = find(&policies, &[("contract", json!("protected"))]);
    assert_eq!((&protected["protected"], &protected["max_sessions"], &protected["classes"]), (&json!(true), &json!(100), &json!([0, 5])));
    assert_eq!(find(&policies, &[("vpn", json!("vpn-a"))])["contracts"], json!(["gold", "protected"]));
}

#[tokio::test]
async fn hours_quotas_and_closed_user_groups_are_told() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/svpn.toml");
    let config = config::load(&file).expect("it is good");
    let policies = listed(&config, Listing::Policies).await;
    let gold = find(&policies, &[("contract", json!("gold"))]);
    assert_eq!(gold["hours"], json!(["mon tue wed thu fri 07:00-19:00", "sat 08:00-12:00"]));
    assert_eq!(
        (&gold["quota"]["megabit_hours"], &gold["may_be_preempted"], &gold["price"]),
        (&json!(50_000), &json!("never"), &json!("standard"))
    );
    let groups = listed(&config, Listing::ComponentGroups).await;
    let closed = find(&groups, &[("kind", json!("closed user group"))]);
    assert_eq!(closed["components"], json!(["sip:backup@vpn-a.provider.example", "sip:storage@vpn-a.provider.example"]));
}
