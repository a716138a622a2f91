//! A router that comes back empty: how long until it is whole again, and what the others notice of it.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use svpn_contract::Entry;
use svpn_contract::wire::OutOfRange;
use svpn_dpdk::{Eal, Pool, PoolConfig};
use svpn_switch::{ElectionId, Settings, State, Switch};
use tonic::transport::Endpoint;

use super::router::DEVICE;
use super::worker::Carrier;
use super::workload::{Kind, Version};
use super::{P4RuntimeError, Service, start_eal, workload, write_json};
use crate::pipeline::Count;

/// A router that comes back empty, and one whose controller comes back: how long until their tables are known to be as desired.
///
/// Routers are the forwarder's P4Runtime service with its tables, the controller is the gateway's own client (svpn-switch), with a TCP
/// connection on loopback between them. empty: a router is stopped, and another without an entry takes its place; from when that listens until
/// the client has connected, become primary, put the pipeline into service, read all tables and written --entries entries. kept:
/// meanwhile another client takes over a second router, which has all its entries: it reads them and finds nothing to write. A worker forwards
/// packets of one of its sessions all the time; every packet is counted.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Entries: four tenths flows, four tenths sessions with meters, the rest labels and routes.
    #[arg(long, default_value = "100k")]
    pub entries: Count,
    /// Turns; each is printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Print one JSON object per figure.
    #[arg(long)]
    pub json: bool,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `empty` or `kept`.
    pub what: &'static str,
    /// Entries the router should have.
    pub entries: usize,
    /// From when the router listens, or the client begins, until it is ready.
    pub milliseconds: f64,
    /// Of those, from when the client is primary.
    pub synchronising_milliseconds: f64,
    /// Packets that the worker forwarded meanwhile.
    pub packets: Option<u64>,
    /// And those it did not.
    pub lost: Option<u64>,
}

/// Measures, and writes the results.
///
/// # Errors
/// [`P4RuntimeError`]: also where a router has not what it should in the end.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), P4RuntimeError> {
    let eal = start_eal()?;
    let pool = Pool::new(eal, "svpn-repair", PoolConfig { mbufs: 8191, cache: 256, ..PoolConfig::default() })?;
    if !arguments.json {
        writeln!(output, "{:<6} {:>9} {:>12} {:>14} {:>12} {:>6}", "", "entries", "ms", "of it primary", "packets", "lost")?;
    }
    for _ in 0..arguments.rounds {
        for row in round(eal, pool, arguments.entries.0)? {
            write_row(arguments, &row, output)?;
        }
    }
    Ok(())
}

fn write_row(arguments: &Arguments, row: &Row, output: &mut impl Write) -> Result<(), P4RuntimeError> {
    if arguments.json {
        return write_json(row, output);
    }
    let or_nothing = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let Row { what, entries, milliseconds, synchronising_milliseconds, packets, lost } = row;
    let (packets, lost) = (or_nothing(*packets), or_nothing(*lost));
    writeln!(output, "{what:<6} {entries:>9} {milliseconds:>12.1} {synchronising_milliseconds:>14.1} {packets:>12} {lost:>6}")?;
    Ok(())
}

/// What a router should have: as many entries as asked for, and besides those that they name and those of the worker's session.
fn desired(entries: u32) -> Result<Vec<Entry>, OutOfRange> {
    let (tenth, mut all) = (entries / 10, workload::named()?);
    let parts = [(Kind::Flows, 4 * tenth), (Kind::Sessions, 4 * tenth), (Kind::Labels, tenth), (Kind::Routes, entries - 9 * tenth)];
    for (kind, count) in parts {
        for index in 0..count {
            all.push(kind.entry(index, Version::First)?);
        }
    }
    all.extend(workload::carried(entries, entries)?);
    Ok(all)
}

/// The empty router and the whole one, at the same time.
fn round(eal: Eal, pool: Pool, entries: u32) -> Result<[Row; 2], P4RuntimeError> {
    let desired = desired(entries)?;
    let (broken, _) = Service::start(eal, entries + 1, Vec::new())?;
    let (whole, end) = Service::start(eal, entries + 1, desired.clone())?;
    let (address, beside) = (broken.address, whole.address);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let rows = runtime.block_on(async {
        let (switch, _events) = Switch::start(settings(address, 1)?, desired.clone());
        let (other, _other_events) = Switch::start(settings(beside, 1)?, desired.clone());
        switch.ready().await;
        other.ready().await;
        let carrier = Carrier::start(end, pool, entries)?;
        tokio::task::spawn_blocking(move || broken.stop()).await.map_err(|_| P4RuntimeError::Panicked)??;
        gone(&switch).await;
        let (back, _) = Service::start_at(eal, address, entries + 1, Vec::new())?;
        let (empty, kept) = tokio::join!(timed(&switch), taken_over(beside, desired.clone()));
        let carried = carrier.stop()?;
        is_whole(&switch, desired.len()).await?;
        is_whole(&other, desired.len()).await?;
        drop((switch, other));
        let row = |what, (all, primary): (Duration, Duration)| Row {
            what,
            entries: desired.len(),
            milliseconds: all.as_secs_f64() * 1000.0,
            synchronising_milliseconds: primary.as_secs_f64() * 1000.0,
            packets: None,
            lost: None,
        };
        let kept = Row { packets: Some(carried.packets), lost: Some(carried.lost), ..row("kept", kept?) };
        Ok::<_, P4RuntimeError>((back, [row("empty", empty), kept]))
    });
    drop(runtime);
    let (back, rows) = rows?;
    back.stop()?;
    whole.stop()?;
    Ok(rows)
}

fn settings(address: SocketAddr, election: u128) -> Result<Settings, P4RuntimeError> {
    let election = ElectionId::try_from(election).unwrap_or_else(|_| unreachable!("bids are above 0"));
    Ok(Settings::new(Endpoint::from_shared(format!("http://{address}"))?, DEVICE, election))
}

/// Waits until the client has seen that its router is gone.
async fn gone(switch: &Switch) {
    // The sender is in the switch.
    let _ = switch.watch().wait_for(|state| *state == State::Disconnected).await;
}

/// From now until the router is ready, and of that from when we are primary.
async fn timed(switch: &Switch) -> (Duration, Duration) {
    let start = Instant::now();
    let mut states = switch.watch();
    let _ = states.wait_for(|state| matches!(state, State::Synchronising | State::Ready)).await;
    let primary = Instant::now();
    let _ = states.wait_for(|state| *state == State::Ready).await;
    (start.elapsed(), primary.elapsed())
}

/// A second client outbids the first, as a gateway does that comes back.
async fn taken_over(address: SocketAddr, desired: Vec<Entry>) -> Result<(Duration, Duration), P4RuntimeError> {
    let (switch, _events) = Switch::start(settings(address, 2)?, desired);
    let times = timed(&switch).await;
    Ok(times)
}

async fn is_whole(switch: &Switch, written: usize) -> Result<(), P4RuntimeError> {
    switch.ready().await;
    let snapshot = switch.read_all().await.map_err(P4RuntimeError::Read)?;
    let read = snapshot.entries.len();
    if read != written || !snapshot.foreign.is_empty() {
        return Err(P4RuntimeError::ReadBack { written, read });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_router_gets_all_of_it_and_the_other_loses_no_packet() {
        let mut output = Vec::new();
        run(&Arguments { entries: Count(1000), rounds: 1, json: true }, &mut output).expect("it is measured");
        let rows: Vec<serde_json::Value> = output
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect();
        let [empty, kept] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((empty["what"].as_str(), kept["what"].as_str()), (Some("empty"), Some("kept")));
        // 64 tunnels, 64 next hops, and four entries of the worker's session.
        assert_eq!((empty["entries"].as_u64(), kept["entries"].as_u64()), (Some(1132), Some(1132)));
        assert_eq!(kept["lost"].as_u64(), Some(0));
        assert!(kept["packets"].as_u64() > Some(0));
    }
}
