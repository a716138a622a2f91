//! What a SIP program meets at the server's door, played by sipp; and that every scenario is played by some test.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::support::{Bench, backup, storage};
use svpn_sip::config::{Carrier, Limits};
use svpn_vpn::request::Cause;

const LONG: Duration = Duration::from_secs(40);

async fn udp() -> Bench {
    Bench::start(Carrier::Udp, LONG).await
}

#[test]
fn every_scenario_is_described_and_played() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = |folder: &str, ending: &str| {
        let folder = std::fs::read_dir(tests.join(folder)).unwrap();
        let paths = folder.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|known| known == ending)).collect::<Vec<_>>()
    };
    let code: String = files("server", "rs").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let readme = std::fs::read_to_string(tests.join("sipp/README.md")).unwrap();
    let scenarios: BTreeSet<String> =
        files("sipp", "xml").iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(scenarios.len() >= 40, "{scenarios:?}");
    for scenario in &scenarios {
        assert!(code.contains(&format!("\"{scenario}\"")), "no test plays {scenario}.xml");
        let line = readme.lines().find(|line| line.starts_with(&format!("| `{scenario}` |")));
        let line = line.unwrap_or_else(|| panic!("README.md does not say what {scenario}.xml is"));
        let test = line.trim_end_matches(" |").rsplit('`').nth(1).unwrap_or_default();
        assert!(code.contains(&format!("fn {test}(")), "{scenario}: there is no test {test}");
    }
    let described = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned);
    assert_eq!(described.collect::<BTreeSet<_>>(), scenarios, "README.md");
}

#[tokio::test]
async fn requests_outside_dialogs_get_their_status() {
    let bench = udp().await;
    let own = "sip:storage@vpn-a.provider.example";
    for (method, uri, extra, status, expected) in [
        ("OPTIONS", own, "Accept: application/sdp", "200", "Allow: .*INVITE"),
        ("OPTIONS", own, "Accept: application/sdp", "200", "Accept: application/sdp"),
        ("MESSAGE", own, "Subject: x", "405", "Allow: .*INVITE"),
        ("FROBNICATE", own, "Subject: x", "501", "Allow: .*INVITE"),
        ("options", own, "Subject: x", "501", "Allow: .*INVITE"),
        ("OPTIONS", "tel:+431234", "Subject: x", "416", "Warning: .*sip:"),
        ("OPTIONS", "sips:storage@vpn-a.provider.example", "Subject: x", "416", "Warning: .*sips:"),
        ("OPTIONS", own, "Require: teleportation", "420", "Unsupported: teleportation"),
        ("OPTIONS", own, "no colon here", "400", "Warning: .*header line"),
        ("OPTIONS", own, "Date: tomorrow", "400", "Warning: .*Date"),
        ("BYE", own, "Subject: x", "481", "Warning: .*no such call"),
    ] {
        let blanks = [("METHOD", method), ("URI", uri), ("EXTRA", extra), ("STATUS", status), ("EXPECTED", expected)];
        bench.play("ask", storage(), &blanks).await;
    }
    bench.play("several_vias", storage(), &[]).await;
    bench.play("route", storage(), &[]).await;
    bench.play("stray_cancel", storage(), &[]).await;
}

#[tokio::test]
async fn a_full_server_says_when_to_come_back() {
    let bench = Bench::limited(Limits { transactions: 0, ..Limits::default() }, LONG).await;
    let blanks = [("METHOD", "OPTIONS"), ("URI", "sip:provider.example"), ("STATUS", "503"), ("EXPECTED", "Retry-After: [0-9]+")];
    bench.play("ask", storage(), &blanks).await;
    let blanks = [
        ("HOPS", "70"),
        ("BODY", "v=0"),
        ("EXTRA", "Content-Type: application/sdp"),
        ("STATUS", "503"),
        ("EXPECTED", "Retry-After: [0-9]+"),
    ];
    bench.play("turned_away", storage(), &blanks).await;
}

#[tokio::test]
async fn registrations_are_made_asked_for_moved_and_taken_back() {
    let bench = udp().await;
    let storage = storage();
    bench.play("brief", storage, &[]).await;
    bench.play("register_compact", storage, &[]).await;
    bench.play("query", storage, &[]).await;
    bench.play("register_elsewhere", storage, &[]).await;
    bench.play("unregister", storage, &[]).await;
    bench.register(backup()).await;
    let blanks = [("STATUS", "403"), ("WARNING", "storage@vpn-a is not registered")];
    bench.play("refused", storage, &blanks).await;
}

#[tokio::test]
async fn a_caller_is_turned_away_before_it_is_asked_who_it_is() {
    let bench = udp().await;
    for (hops, extra, status, expected) in [
        ("0", "Content-Type: application/sdp", "483", "Warning: .*Max-Forwards"),
        ("70", "Content-Type: text/plain", "415", "Accept: application/sdp"),
        ("70", "Content-Type: application/sdp\n    Accept: text/plain", "406", "Warning: .*application/sdp"),
        ("70", "Content-Type: application/sdp\n    Require: teleportation", "420", "Unsupported: teleportation"),
        ("70", "Content-Type: application/sdp", "407", "Proxy-Authenticate: Digest"),
        ("256", "Content-Type: application/sdp", "400", "Warning: .*Max-Forwards"),
    ] {
        let blanks = [("HOPS", hops), ("BODY", "v=0"), ("EXTRA", extra), ("STATUS", status), ("EXPECTED", expected)];
        bench.play("turned_away", storage(), &blanks).await;
    }
    assert!(bench.gateway.records().is_empty());
}

#[tokio::test]
async fn a_busy_callee_is_busy() {
    let bench = udp().await;
    bench.call("refused", "busy", &[("STATUS", "486"), ("WARNING", "backup@vpn-a")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Declined]);
}

#[tokio::test]
async fn a_caller_hears_from_the_gateway_before_it_hears_from_the_callee() {
    let bench = udp().await;
    bench.call("call_told_at_once", "answer_late_ringing", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_caller_gives_up_before_and_after_its_callee_has_spoken() {
    let bench = udp().await;
    bench.call("cancel_at_once", "ring_late", &[]).await;
    bench.call("cancel_too_late", "answer", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller, Cause::Caller]);
}
