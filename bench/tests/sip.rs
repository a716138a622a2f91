//! The load against the SIP server alone; through the gateway and its routers it is `scripts/soak` that is run by `scripts/test`.

use std::process::Command;

use serde_json::Value;

fn measure(words: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_svpn-bench"))
        .args(["sip", "--signalling-only", "--json", "--settle", "0"])
        .args(words.split_whitespace())
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn counts(row: &Value) -> [u64; 3] {
    ["registrations", "set_ups", "tear_downs"].map(|what| row[what]["count"].as_u64().expect("a count"))
}

#[test]
fn every_call_is_set_up_and_torn_down() {
    let row = measure("--calls 300 --registrations 30 --applications 10");
    assert_eq!(counts(&row), [50, 300, 300]);
    assert_eq!(row["failures"], serde_json::json!({}));
    assert!(row["bytes_per_session"].is_u64());
}

#[test]
fn calls_with_a_hold_come_at_a_rate_and_end_by_themselves() {
    let row = measure("--rate 100 --seconds 2 --hold 50 --registrations 1 --applications 5 --signing ahead");
    assert_eq!(counts(&row), [11, 200, 200]);
    assert_eq!(row["failures"], serde_json::json!({}));
    assert!(row["bytes_per_session"].is_null());
}
