//! What is printed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::tally::{Tally, Times};
use super::{Arguments, SipError};

/// What it cost the gateway.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Processor time until the last session was set up.
    pub(super) set_up_time: Duration,
    /// Processor time until the last was settled.
    pub(super) whole_time: Duration,
    /// Bytes for each session in service, where they were counted.
    pub(super) session_memory: Option<u64>,
}

/// Times of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Quantiles {
    count: u64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

impl From<&Times> for Quantiles {
    fn from(times: &Times) -> Self {
        Self {
            count: times.count(),
            per_second: times.per_second(),
            p50_ms: times.milliseconds(0.5),
            p99_ms: times.milliseconds(0.99),
            p999_ms: times.milliseconds(0.999),
        }
    }
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    what: &'static str,
    registrations: Quantiles,
    set_ups: Quantiles,
    tear_downs: Quantiles,
    /// Datagrams that the applications sent again because no answer came in time.
    sent_again: u64,
    /// Messages that the gateway sent again.
    seen_again: u64,
    failures: BTreeMap<String, u64>,
    /// Processor seconds of the gateway for a thousand set-ups; with --hold, tear-downs are in it.
    set_up_cpu_seconds_per_1000: f64,
    /// The same, with tear-down and settlement.
    session_cpu_seconds_per_1000: f64,
    /// How many set-ups a core has time for in a second.
    set_ups_per_core_second: f64,
    /// How many sessions, from set-up to settlement.
    sessions_per_core_second: f64,
    /// Bytes of the gateway's memory for each session in service.
    bytes_per_session: Option<u64>,
}

impl Row {
    #[allow(clippy::cast_precision_loss, reason = "nobody places 2^52 calls")]
    pub(super) fn new(arguments: &Arguments, tally: &Tally, registered: &Tally, cost: Cost) -> Self {
        let calls = tally.set_ups.count().max(1) as f64;
        let each = |time: Duration| time.as_secs_f64().max(1e-3) / calls;
        Self {
            what: if arguments.signalling_only { "signalling alone" } else { "gateway" },
            registrations: (&registered.registrations).into(),
            set_ups: (&tally.set_ups).into(),
            tear_downs: (&tally.tear_downs).into(),
            sent_again: tally.sent_again + registered.sent_again,
            seen_again: tally.seen_again + registered.seen_again,
            failures: tally.failures.iter().map(|(failure, count)| (failure.to_string(), *count)).collect(),
            set_up_cpu_seconds_per_1000: each(cost.set_up_time) * 1000.0,
            session_cpu_seconds_per_1000: each(cost.whole_time) * 1000.0,
            set_ups_per_core_second: each(cost.set_up_time).recip(),
            sessions_per_core_second: each(cost.whole_time).recip(),
            bytes_per_session: cost.session_memory,
        }
    }

    pub(super) fn write(&self, json: bool, output: &mut impl Write) -> Result<(), SipError> {
        if json {
            writeln!(output, "{}", serde_json::to_string(self).map_err(io::Error::from)?)?;
            return Ok(());
        }
        writeln!(output, "{:<24} {:>9} {:>9} {:>10} {:>10} {:>10}", self.what, "NUMBER", "A SECOND", "P50 ms", "P99 ms", "P99.9 ms")?;
        for (name, times) in [("registrations", &self.registrations), ("set-ups", &self.set_ups), ("tear-downs", &self.tear_downs)] {
            let Quantiles { count, per_second, p50_ms, p99_ms, p999_ms } = times;
            writeln!(output, "{name:<24} {count:>9} {per_second:>9.0} {p50_ms:>10.2} {p99_ms:>10.2} {p999_ms:>10.2}")?;
        }
        let failures: Vec<String> = self.failures.iter().map(|(failure, count)| format!("{count} × {failure}")).collect();
        let failures = if failures.is_empty() { "none".to_owned() } else { failures.join(", ") };
        writeln!(output, "sent again {}, seen again {}, failures: {failures}", self.sent_again, self.seen_again)?;
        writeln!(
            output,
            "processor time of the gateway for 1,000: set-ups {:.3} s, to their settlement {:.3} s; {:.0} set-ups, or {:.0} whole sessions, per core-second",
            self.set_up_cpu_seconds_per_1000,
            self.session_cpu_seconds_per_1000,
            self.set_ups_per_core_second,
            self.sessions_per_core_second
        )?;
        if let Some(bytes) = self.bytes_per_session {
            writeln!(output, "memory of the gateway: {bytes} bytes for each session in service")?;
        }
        Ok(())
    }
}
