//! Commands of DPDK's telemetry socket: `/svpn/drops`, `/svpn/punts`, `/svpn/sessions`, `/svpn/session_list`, `/svpn/workers`,
//! `/svpn/ports`, `/svpn/tables`.
//!
//! An answer has at most 16 KiB, so lists come in pieces: the parameter is the first number wanted.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use svpn_contract::Reason;
use svpn_contract::wire::SessionId;
use svpn_dpdk::{Eal, Link, NoAnswer, TelemetryAnswer, TelemetryError, TelemetryValue};

use super::load::LoadReading;
use crate::entries::CounterData;
use crate::router::{PortReport, Router, WorkerReport};

/// Workers or ports in one answer.
const GROUPS: usize = 32;
/// Session ids in one answer.
const IDS: usize = 256;

/// Answers questions about a router for as long as it lives.
///
/// # Errors
/// [`TelemetryError`] if DPDK does not take a command.
pub fn answer(eal: Eal, router: &Arc<Router>) -> Result<(), TelemetryError> {
    let register = |command, help, answer: fn(&Router, Option<u32>) -> Result<TelemetryAnswer, NoAnswer>| {
        let router = Arc::downgrade(router);
        eal.answer_telemetry(command, help, move |parameter| answer(&*alive(&router)?, number(parameter)?))
    };
    register("/svpn/drops", "Dropped packets and bytes by reason; with a parameter, those of the reason of this number.", drops)?;
    register("/svpn/punts", "Packets handed to the controller, by reason.", punts)?;
    register("/svpn/sessions", "Totals of the sessions there are; with a parameter, one session by its id.", sessions)?;
    register("/svpn/session_list", "Ids of sessions, at most 256; the parameter is the first id wanted.", |router, first| {
        Ok(session_list(router, first))
    })?;
    register("/svpn/ports", "Ports, at most 32; the parameter is the first port number wanted.", ports)?;
    register("/svpn/tables", "Entries and capacity of each table.", tables)?;
    let (router, before) = (Arc::downgrade(router), Mutex::new(None));
    let help = "Workers, at most 32; the parameter is the first worker wanted. Busy: since the question before, and since the start.";
    eal.answer_telemetry("/svpn/workers", help, move |parameter| {
        let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(workers(&*alive(&router)?, &mut before, number(parameter)?))
    })
}

fn alive(router: &Weak<Router>) -> Result<Arc<Router>, NoAnswer> {
    router.upgrade().ok_or(NoAnswer)
}

/// A parameter is a number or none.
fn number(parameter: Option<&str>) -> Result<Option<u32>, NoAnswer> {
    parameter.map(|text| text.trim().parse().map_err(|_| NoAnswer)).transpose()
}

fn named(values: impl IntoIterator<Item = (&'static str, u64)>) -> TelemetryAnswer {
    values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn count(count: CounterData) -> TelemetryAnswer {
    named([("packets", count.packets), ("bytes", count.bytes)])
}

fn drops(router: &Router, wanted: Option<u32>) -> Result<TelemetryAnswer, NoAnswer> {
    let found: TelemetryAnswer = router
        .drops()
        .into_iter()
        .filter(|(reason, _)| is_wanted(*reason, wanted))
        .map(|(reason, dropped)| (reason.name().to_owned(), TelemetryValue::Group(count(dropped))))
        .collect();
    if found.is_empty() { Err(NoAnswer) } else { Ok(found) }
}

fn punts(router: &Router, wanted: Option<u32>) -> Result<TelemetryAnswer, NoAnswer> {
    let all = router.punts_by_reason().into_iter();
    let found = named(all.filter(|(reason, _)| is_wanted(*reason, wanted)).map(|(reason, packets)| (reason.name(), packets)));
    if found.is_empty() { Err(NoAnswer) } else { Ok(found) }
}

fn is_wanted(reason: Reason, wanted: Option<u32>) -> bool {
    wanted.is_none_or(|wanted| wanted == u32::from(reason as u8))
}

fn sessions(router: &Router, wanted: Option<u32>) -> Result<TelemetryAnswer, NoAnswer> {
    let Some(wanted) = wanted else {
        let totals = router.session_totals();
        let discarded = ("discards".to_owned(), TelemetryValue::Group(count(totals.discarded)));
        let mut answer = named([("sessions", totals.sessions), ("packets", totals.counted.packets), ("bytes", totals.counted.bytes)]);
        answer.push(discarded);
        return Ok(answer);
    };
    let id = SessionId::new(wanted).map_err(|_| NoAnswer)?;
    let session = router.entries().session_count(id).ok_or(NoAnswer)?;
    let mut answer = named([("session", wanted.into()), ("packets", session.counted.packets), ("bytes", session.counted.bytes)]);
    answer.push(("discards".to_owned(), TelemetryValue::Group(count(session.discarded))));
    Ok(answer)
}

fn session_list(router: &Router, first: Option<u32>) -> TelemetryAnswer {
    let mut ids = router.session_ids(first.unwrap_or(0), IDS + 1);
    let next = (ids.len() > IDS).then(|| ids.pop()).flatten();
    let mut answer = vec![("sessions".to_owned(), TelemetryValue::Numbers(ids.into_iter().map(u64::from).collect()))];
    answer.extend(next.map(|next| ("next".to_owned(), u64::from(next).into())));
    answer
}

fn ports(router: &Router, first: Option<u32>) -> Result<TelemetryAnswer, NoAnswer> {
    let reports = router.port_stats().map_err(|_| NoAnswer)?;
    let from = reports.iter().filter(|report| first.is_none_or(|first| u32::from(report.number.get()) >= first));
    Ok(from.take(GROUPS).map(|report| (report.number.to_string(), TelemetryValue::Group(port(report)))).collect())
}

fn port(report: &PortReport) -> TelemetryAnswer {
    let counts = &report.statistics;
    let (link, speed) = match report.link {
        Link::Down => ("down", 0),
        Link::Up { megabits_per_second: u32::MAX } => ("up", 0),
        Link::Up { megabits_per_second } => ("up", megabits_per_second),
    };
    let mut answer = vec![("device".to_owned(), report.device.as_str().into()), ("link".to_owned(), link.into())];
    answer.extend(named([
        ("megabits_per_second", speed.into()),
        ("rx_packets", counts.rx_packets),
        ("rx_bytes", counts.rx_bytes),
        ("rx_missed", counts.rx_missed),
        ("rx_errors", counts.rx_errors),
        ("rx_no_buffer", counts.rx_no_buffer),
        ("tx_packets", counts.tx_packets),
        ("tx_bytes", counts.tx_bytes),
        ("tx_errors", counts.tx_errors),
    ]));
    answer
}

fn tables(router: &Router, parameter: Option<u32>) -> Result<TelemetryAnswer, NoAnswer> {
    if parameter.is_some() {
        return Err(NoAnswer);
    }
    let usage = router.entries().usage();
    let group = |entries, capacity| TelemetryValue::Group(named([("entries", entries), ("capacity", capacity)]));
    Ok(usage.into_iter().map(|table| (table.table.to_owned(), group(table.entries, table.capacity))).collect())
}

/// What all workers had counted at the question before, and when that was.
type Before = Option<(u64, Vec<LoadReading>)>;

fn workers(router: &Router, before: &mut Before, first: Option<u32>) -> TelemetryAnswer {
    let reports = router.worker_reports();
    let now = router.uptime_ticks();
    let (then, earlier) = before.replace((now, reports.iter().map(|report| report.load).collect())).unwrap_or_default();
    let answer = reports.iter().enumerate().skip(first.unwrap_or(0) as usize).take(GROUPS).map(|(number, report)| {
        let earlier = earlier.get(number).copied().unwrap_or_default();
        let lately = percent(report.load.busy.saturating_sub(earlier.busy), now.saturating_sub(then));
        (number.to_string(), TelemetryValue::Group(worker(report, lately, percent(report.load.busy, now))))
    });
    answer.collect()
}

fn worker(report: &WorkerReport, lately: u64, always: u64) -> TelemetryAnswer {
    let load = &report.load;
    let mut answer = named([
        ("polls", load.polls),
        ("bursts", load.bursts),
        ("rx_packets", load.received),
        ("tx_packets", load.sent),
        ("busy_percent", lately),
        ("busy_percent_since_start", always),
    ]);
    answer.push(("processor".to_owned(), report.processor().into()));
    // Port and queue, as in "1:0 2:0".
    let queues = report.queues.iter().map(|(port, queue)| format!("{port}:{queue}")).collect::<Vec<_>>().join(" ");
    answer.push(("rx_queues".to_owned(), queues.into()));
    answer
}

fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 { 0 } else { u64::try_from(u128::from(part.min(whole)) * 100 / u128::from(whole)).unwrap_or(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_between_nothing_and_all() {
        assert_eq!((percent(0, 0), percent(1, 3), percent(3, 3), percent(9, 3), percent(u64::MAX, u64::MAX)), (0, 33, 100, 100, 100));
    }

    #[test]
    fn parameters_are_numbers() {
        assert_eq!(number(None), Ok(None));
        assert_eq!(number(Some(" 17")), Ok(Some(17)));
        for wrong in ["", "x", "-1", "4294967296"] {
            assert_eq!(number(Some(wrong)), Err(NoAnswer), "{wrong:?}");
        }
    }
}
