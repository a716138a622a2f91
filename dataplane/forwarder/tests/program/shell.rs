//! Somebody else's controller: the package `p4runtime-shell`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::forwarder::Forwarder;
use crate::metrics;

#[test]
fn p4runtime_shell_sets_the_pipeline_writes_and_reads() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("p4runtime-shell");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = Command::new("python3").arg(here.join("tests/program/install.py")).arg(&cache).status().expect("python3 runs");
    assert!(installed.success(), "p4runtime-shell was not installed: {installed}");
    // It wants a device configuration; this router needs none.
    let device_config = cache.join("empty");
    fs::write(&device_config, []).expect("the cache is writable");

    let forwarder = Forwarder::with(&["1=net_ring0"], &["--metrics", "127.0.0.1:0"]);
    let output = Command::new(cache.join("venv/bin/python"))
        .arg(here.join("tests/program/controller.py"))
        .arg(&forwarder.address)
        .arg(here.join("../../p4/compiled/p4info.txtpb"))
        .arg(device_config)
        .output()
        .expect("the controller runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    assert_eq!(said.trim_end().lines().last(), Some("done"), "{said}\n{complained}");
    // What it did has been counted: one insert came twice.
    let metrics = metrics::fetch(&forwarder.metrics_address());
    assert_eq!(metrics::value(&metrics, "svpn_p4runtime_updates_total{result=\"ALREADY_EXISTS\"}"), 1, "{metrics}");
    assert!(metrics::value(&metrics, "svpn_p4runtime_updates_total{result=\"OK\"}") >= 5, "{metrics}");
    assert_eq!(metrics::value(&metrics, "svpn_table_entries{table=\"flow_acl_v4\"}"), 2, "{metrics}");
}
