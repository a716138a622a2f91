//! A router's state for Prometheus: <https://prometheus.io/docs/instrumenting/exposition_formats/>, text.

use std::time::UNIX_EPOCH;

use prometheus::TextEncoder;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use svpn_dpdk::{Link, dpdk_version};

use crate::router::{PortReport, Router, WorkerReport};

/// The text of all metrics.
///
/// # Errors
/// The encoder's, which finds a family that contradicts itself.
pub fn text(router: &Router) -> Result<String, prometheus::Error> {
    let mut families = Families::default();
    program(router, &mut families);
    packets(router, &mut families);
    ports(router, &mut families);
    workers(router, &mut families);
    tables(router, &mut families);
    // A family without metrics is none.
    families.0.retain(|family| !family.get_metric().is_empty());
    TextEncoder::new().encode_to_string(&families.0)
}

/// Metrics of one name, with what makes each of them up.
#[derive(Default)]
struct Families(Vec<MetricFamily>);

/// Values, each with its labels.
type Values<'a> = Vec<(Vec<(&'static str, String)>, f64)>;

impl Families {
    fn counter(&mut self, name: &str, help: &str, values: Values<'_>) {
        self.add(name, help, MetricType::COUNTER, values);
    }

    fn gauge(&mut self, name: &str, help: &str, values: Values<'_>) {
        self.add(name, help, MetricType::GAUGE, values);
    }

    fn add(&mut self, name: &str, help: &str, kind: MetricType, values: Values<'_>) {
        let metric = |(labels, value): (Vec<(&'static str, String)>, f64)| {
            let mut metric = Metric::default();
            metric.set_label(labels.into_iter().map(|(name, value)| label(name, value)).collect());
            if kind == MetricType::COUNTER {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(values.into_iter().map(metric).collect());
        self.0.push(family);
    }
}

fn label(name: &str, value: String) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

/// Prometheus has floating point numbers only; counts are exact up to 2⁵³.
#[allow(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn float(number: u64) -> f64 {
    number as f64
}

fn one(value: f64) -> Values<'static> {
    vec![(Vec::new(), value)]
}

fn program(router: &Router, families: &mut Families) {
    let version = ("version", env!("CARGO_PKG_VERSION").to_owned());
    let dpdk = ("dpdk", dpdk_version().trim_start_matches("DPDK ").to_owned());
    families.gauge("svpn_build_info", "The versions of the forwarder and of DPDK.", vec![(vec![version, dpdk], 1.0)]);
    let started = router.started().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    families.gauge("svpn_start_time_seconds", "When the router started, in seconds since 1970.", one(started));
    let buffers = router.packet_buffers();
    families.gauge("svpn_packet_buffers", "Packet buffers there are.", one(f64::from(buffers.all)));
    families.gauge("svpn_packet_buffers_free", "Packet buffers that hold no packet.", one(f64::from(buffers.free)));
    let updates = router.updates_by_result().into_iter();
    let by_result = updates.map(|(result, updates)| (vec![("result", result.to_owned())], float(updates)));
    families.counter("svpn_p4runtime_updates_total", "Updates that controllers have asked for, by result.", by_result.collect());
}

/// Inputs, and what the controller sends, are outputs, punts and drops.
fn packets(router: &Router, families: &mut Families) {
    let workers = router.worker_reports();
    let sum = |part: fn(&WorkerReport) -> u64| one(float(workers.iter().map(part).fold(0, u64::wrapping_add)));
    families.counter("svpn_received_packets_total", "Packets that came in by any port.", sum(|worker| worker.load.received));
    families.counter("svpn_originated_packets_total", "Packets the controller had sent.", sum(|worker| worker.load.originated));
    families.counter(
        "svpn_sent_packets_total",
        "Packets that left by any port, those of the controller among them.",
        sum(|worker| worker.load.sent),
    );
    let punts = router.punts_by_reason().into_iter().map(|(reason, packets)| (vec![("reason", reason.name().to_owned())], float(packets)));
    families.counter("svpn_punted_packets_total", "Packets handed to the controller, by reason.", punts.collect());
    let (mut packets, mut bytes) = (Values::new(), Values::new());
    for (reason, dropped) in router.drops() {
        packets.push((vec![("reason", reason.name().to_owned())], float(dropped.packets)));
        bytes.push((vec![("reason", reason.name().to_owned())], float(dropped.bytes)));
    }
    families.counter("svpn_dropped_packets_total", "Packets that were dropped, by reason.", packets);
    families.counter("svpn_dropped_bytes_total", "Bytes of the packets that were dropped, by reason.", bytes);
}

fn ports(router: &Router, families: &mut Families) {
    // A device that does not answer has no numbers.
    let reports = router.port_stats().unwrap_or_default();
    let each = |value: &dyn Fn(&PortReport) -> f64| -> Values<'static> {
        let labels = |report: &PortReport| vec![("port", report.number.to_string()), ("device", report.device.clone())];
        reports.iter().map(|report| (labels(report), value(report))).collect()
    };
    let mut counter = |name: &str, help: &str, value: fn(&PortReport) -> u64| {
        families.counter(name, help, each(&|report| float(value(report))));
    };
    counter("svpn_port_received_packets_total", "Packets a port received.", |report| report.statistics.rx_packets);
    counter("svpn_port_received_bytes_total", "Bytes a port received.", |report| report.statistics.rx_bytes);
    counter("svpn_port_missed_packets_total", "Packets a port dropped because its receive queues were full.", |report| {
        report.statistics.rx_missed
    });
    counter("svpn_port_receive_errors_total", "Packets a port received with errors.", |report| report.statistics.rx_errors);
    counter("svpn_port_no_buffer_packets_total", "Packets a port dropped because no packet buffer was free.", |report| {
        report.statistics.rx_no_buffer
    });
    counter("svpn_port_sent_packets_total", "Packets a port sent.", |report| report.statistics.tx_packets);
    counter("svpn_port_sent_bytes_total", "Bytes a port sent.", |report| report.statistics.tx_bytes);
    counter("svpn_port_send_errors_total", "Packets a port did not send because of errors.", |report| report.statistics.tx_errors);
    families.gauge("svpn_port_up", "Whether a port's link is up.", each(&|report| f64::from(u8::from(report.link != Link::Down))));
    let speed = |report: &PortReport| match report.link {
        Link::Up { megabits_per_second } if megabits_per_second != u32::MAX => f64::from(megabits_per_second) * 125_000.0,
        _ => 0.0,
    };
    families.gauge("svpn_port_speed_bytes_per_second", "A port's speed; 0 while its link is down, or where it is unknown.", each(&speed));
}

fn workers(router: &Router, families: &mut Families) {
    let reports = router.worker_reports();
    let each = |value: &dyn Fn(&WorkerReport) -> f64| -> Values<'static> {
        reports.iter().enumerate().map(|(number, report)| (vec![("worker", number.to_string())], value(report))).collect()
    };
    families.counter("svpn_worker_polls_total", "Times a worker asked a queue for packets.", each(&|report| float(report.load.polls)));
    families.counter("svpn_worker_bursts_total", "Times it got some.", each(&|report| float(report.load.bursts)));
    families.counter("svpn_worker_received_packets_total", "Packets a worker received.", each(&|report| float(report.load.received)));
    families.counter("svpn_worker_sent_packets_total", "Packets a worker sent.", each(&|report| float(report.load.sent)));
    let hertz = float(router.tsc_hz().get());
    let busy = each(&|report| float(report.load.busy) / hertz);
    families.counter("svpn_worker_busy_seconds_total", "Time a worker spent on packets; the rest it found none.", busy);
    let mut queues = Values::new();
    for (number, report) in reports.iter().enumerate() {
        for (port, queue) in &report.queues {
            let labels = vec![("worker", number.to_string()), ("port", port.to_string()), ("queue", queue.to_string())];
            queues.push((labels, 1.0));
        }
    }
    families.gauge("svpn_worker_receive_queue", "The receive queues that a worker polls.", queues);
}

fn tables(router: &Router, families: &mut Families) {
    let usage = router.entries().usage();
    let labels = |table: &str| vec![("table", table.to_owned())];
    let entries = usage.iter().map(|table| (labels(table.table), float(table.entries))).collect();
    families.gauge("svpn_table_entries", "Entries in a table.", entries);
    let capacity = usage.iter().map(|table| (labels(table.table), float(table.capacity))).collect();
    families.gauge("svpn_table_capacity_entries", "Entries a table can have.", capacity);
    // What belongs to the sessions there are falls when one ends, so these are no counters.
    let totals = router.session_totals();
    let mut gauge = |name: &str, help: &str, value: u64| families.gauge(name, help, one(float(value)));
    gauge("svpn_sessions", "Sessions there are.", totals.sessions);
    gauge("svpn_sessions_packets", "Packets of the sessions there are.", totals.counted.packets);
    gauge("svpn_sessions_bytes", "Bytes of the sessions there are.", totals.counted.bytes);
    gauge("svpn_sessions_discarded_packets", "Packets of the sessions there are that did not leave by a port.", totals.discarded.packets);
    gauge("svpn_sessions_discarded_bytes", "Bytes of the sessions there are that did not leave by a port.", totals.discarded.bytes);
}
