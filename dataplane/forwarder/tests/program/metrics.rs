//! What Prometheus gets.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::forwarder::{Forwarder, skip};
use crate::interface::{namespace, send};

/// Fetches the metrics, as HTTP/1.1 does it.
pub(crate) fn fetch(address: &str) -> String {
    let mut wire = TcpStream::connect(address).expect("it serves metrics");
    write!(wire, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    wire.read_to_string(&mut answer).expect("it answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

/// The value of a metric with its labels.
pub(crate) fn value(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is missing in {metrics}")).parse().expect("a number")
}

/// The sum over all labels of a metric.
fn sum(metrics: &str, name: &str) -> f64 {
    let start = format!("{name}{{");
    metrics.lines().filter(|line| line.starts_with(&start)).map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[test]
fn metrics_add_up_and_promtool_finds_no_fault() {
    namespace();
    let forwarder = Forwarder::with(&["3=net_af_packet0,iface=router0", "9=net_ring0"], &["--metrics", "127.0.0.1:0"]);
    // One frame of no attachment circuit, and one that is punted whatever is programmed.
    send("host0", &[&[2; 12][..], &[0x12, 0x34], &[0; 46]].concat());
    send("host0", &[&[0x01, 0x80, 0xc2, 0, 0, 0x0e][..], &[6; 6], &[0x88, 0xcc], &[0x5a; 46]].concat());
    let metrics = loop {
        let metrics = fetch(&forwarder.metrics_address());
        if sum(&metrics, "svpn_punted_packets_total") + sum(&metrics, "svpn_dropped_packets_total") >= 2.0 {
            break metrics;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let expected = [
        ("svpn_received_packets_total", 2.0),
        ("svpn_sent_packets_total", 0.0),
        ("svpn_punted_packets_total{reason=\"lldp\"}", 1.0),
        ("svpn_dropped_packets_total{reason=\"unknown_attachment\"}", 1.0),
        ("svpn_dropped_bytes_total{reason=\"unknown_attachment\"}", 60.0),
        ("svpn_port_received_packets_total{device=\"net_af_packet0\",port=\"3\"}", 2.0),
        ("svpn_port_up{device=\"net_af_packet0\",port=\"3\"}", 1.0),
        ("svpn_worker_received_packets_total{worker=\"0\"}", 2.0),
        ("svpn_worker_receive_queue{port=\"9\",queue=\"0\",worker=\"0\"}", 1.0),
        ("svpn_table_capacity_entries{table=\"session\"}", 1024.0),
        ("svpn_table_entries{table=\"session\"}", 0.0),
        ("svpn_sessions", 0.0),
    ];
    for (name, expected) in expected {
        // Labels come in no certain order.
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let wanted: Vec<&str> = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        let found = metrics.lines().find(|line| {
            let series = line.rsplit_once(' ').map_or("", |(series, _)| series);
            let (other, labels) = series.split_once('{').unwrap_or((series, "}"));
            other == name && wanted.iter().all(|label| labels.contains(label))
        });
        let value: Option<f64> = found.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
        assert_eq!(value, Some(expected), "{name} {labels} in {metrics}");
    }
    let (all, free) = (value(&metrics, "svpn_packet_buffers"), value(&metrics, "svpn_packet_buffers_free"));
    assert!(0 < free && free <= all, "{free} of {all}");
    judge(&metrics);
}

/// Has Prometheus' own tool read the metrics.
fn judge(metrics: &str) {
    let promtool = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else { return skip("metrics by promtool", "there is no promtool (Debian: prometheus)") };
    promtool.stdin.take().expect("its input is piped").write_all(metrics.as_bytes()).expect("it reads");
    let judged = promtool.wait_with_output().expect("it ends");
    assert!(judged.status.success(), "{}\n{metrics}", String::from_utf8_lossy(&judged.stderr));
}
