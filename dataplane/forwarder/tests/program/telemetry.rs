//! `dpdk-telemetry.py` and a running forwarder.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::forwarder::{Forwarder, skip};
use crate::interface::{namespace, send};

/// What `dpdk-telemetry.py` says to questions, one a line; `None` if it is not installed.
fn ask(forwarder: &Forwarder, questions: &[&str]) -> Option<Vec<String>> {
    let mut child =
        Command::new("dpdk-telemetry.py").args(["-f", forwarder.prefix()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    writeln!(child.stdin.take().expect("its input is piped"), "{}", questions.join("\n")).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stdout).expect("it answers in text");
    // Its greeting differs between versions; answers begin with their question.
    Some(said.lines().filter(|line| line.starts_with("{\"/")).map(str::to_owned).collect())
}

#[test]
fn dpdks_own_tool_asks() {
    namespace();
    let forwarder = Forwarder::start(&["3=net_af_packet0,iface=router0", "9=net_ring0"]);
    let Some(answers) = ask(&forwarder, &["/svpn/sessions"]) else {
        return skip("dpdks_own_tool_asks", "there is no dpdk-telemetry.py (Debian: dpdk)");
    };
    assert_eq!(answers, [r#"{"/svpn/sessions": {"sessions": 0, "packets": 0, "bytes": 0, "discards": {"packets": 0, "bytes": 0}}}"#]);
    send("host0", &[&[2; 12][..], &[0x12, 0x34], &[0; 46]].concat());
    let one = r#""unknown_attachment": {"packets": 1, "bytes": 60}"#;
    loop {
        let answers = ask(&forwarder, &["/svpn/drops"]).expect("it is installed");
        if answers[0].contains(one) {
            break;
        }
        assert!(answers[0].contains(r#""unknown_attachment": {"packets": 0, "bytes": 0}"#), "{answers:?}");
    }
    let questions =
        ["/svpn/drops,34", "/svpn/drops,1", "/svpn/punts,1", "/svpn/session_list", "/svpn/sessions,5", "/svpn/ports,4", "/svpn/workers,1"];
    let answers = ask(&forwarder, &questions).expect("it is installed");
    assert_eq!(answers[0], format!("{{\"/svpn/drops\": {{{one}}}}}"));
    assert_eq!(answers[1], r#"{"/svpn/drops": null}"#);
    assert_eq!(answers[2], r#"{"/svpn/punts": {"lldp": 0}}"#);
    assert_eq!(answers[3], r#"{"/svpn/session_list": {"sessions": []}}"#);
    assert_eq!(answers[4], r#"{"/svpn/sessions": null}"#);
    assert!(answers[5].starts_with(r#"{"/svpn/ports": {"9": {"device": "net_ring0", "link": "up","#), "{}", answers[5]);
    assert_eq!(answers[6], r#"{"/svpn/workers": {}}"#);
    let answers = ask(&forwarder, &["/svpn/workers", "/svpn/tables", "/svpn/ports"]).expect("it is installed");
    assert!(answers[0].contains(r#""bursts": 1, "rx_packets": 1, "tx_packets": 0,"#), "{}", answers[0]);
    assert!(answers[0].ends_with(r#""processor": "any", "rx_queues": "3:0 9:0"}}}"#), "{}", answers[0]);
    assert!(answers[1].contains(r#""session": {"entries": 0, "capacity": 1024}"#), "{}", answers[1]);
    assert!(answers[2].contains(r#""3": {"device": "net_af_packet0""#) && answers[2].contains(r#""rx_packets": 1"#), "{}", answers[2]);
    let (code, said) = forwarder.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
}
