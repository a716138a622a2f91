//! `JsSIP`, which browsers speak SIP over WebSocket with: it registers, places a session and receives one, without a browser.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Bench, config};
use svpn_sip::config::{Carrier, DigestAlgorithm, SipConfig};
use svpn_vpn::request::{Cause, CeName};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A running agent.
struct Agent {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    /// `tests/jssip/agent.js`, which says at its beginning what these are for.
    fn start(bench: &Bench, arguments: &[&str]) -> Self {
        let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().map(|target| target.join("jssip/node_modules")).unwrap();
        assert!(modules.is_dir(), "{} is missing; scripts/setup installs it", modules.display());
        let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/jssip/agent.js"].iter().collect();
        let mut node = Command::new("node");
        node.env("NODE_PATH", modules).arg(script).arg(format!("ws://{}", bench.address())).args(arguments);
        let mut process = node.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("node is installed (Debian: nodejs)");
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, output }
    }

    /// The agent says this next.
    async fn says(&mut self, line: &str) {
        assert_eq!(self.output.next_line().await.unwrap().as_deref(), Some(line));
    }

    async fn finish(mut self) {
        assert!(self.process.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_browser_s_agent_places_and_receives_a_session() {
    // JsSIP gives up where the challenge it reads is not for MD5, the only one it knows.
    let digest = vec![DigestAlgorithm::Md5];
    let bench = Bench::configured(SipConfig { digest, ..config(Carrier::Ws, Duration::from_secs(40)) }).await;
    let mut called = Agent::start(&bench, &["backup", "a-west"]);
    called.says("registered").await;
    let mut calling = Agent::start(&bench, &["storage", "a-east", "backup"]);
    for line in ["registered", "established", "ended", "unregistered"] {
        calling.says(line).await;
    }
    for line in ["established", "ended", "unregistered"] {
        called.says(line).await;
    }
    calling.finish().await;
    called.finish().await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
    let record = bench.gateway.records().remove(0);
    assert_eq!(record.request.caller.to_string(), "storage@vpn-a");
    assert_eq!(record.request.callee_ce, CeName("a-west".to_owned()));
}
