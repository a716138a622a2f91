//! The measurements.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use p4runtime_proto::p4::v1 as proto;
use svpn_contract::wire::OutOfRange;
use svpn_contract::{Entry, Update};
use svpn_dpdk::{Eal, Pool};

use super::arguments::{Arguments, What};
use super::client::{Client, request};
use super::router::Service;
use super::worker::{Carried, Carrier};
use super::workload::{Kind, Version};
use super::{P4RuntimeError, Row, workload};

/// Its name, what it makes of an entry, and of which entries.
type Operation = (&'static str, fn(Entry) -> Update, Version);

/// What is done with entries, in this order.
const OPERATIONS: [Operation; 3] = [
    ("insert", Update::Insert, Version::First),
    ("modify", Update::Modify, Version::Changed),
    ("delete", |entry| Update::Delete(entry.key()), Version::First),
];

/// Measures one thing, as often as there are rounds; medians.
pub(super) fn measure(eal: Eal, pool: Pool, arguments: &Arguments, what: What) -> Result<Vec<Row>, P4RuntimeError> {
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        rounds.push(round(eal, pool, arguments, what)?);
    }
    let figures = rounds.first().map_or(0, Vec::len);
    let of = |figure: usize| {
        let mut rows: Vec<Row> = rounds.iter().filter_map(|rows| rows.get(figure).cloned()).collect();
        rows.sort_by(|one, other| one.milliseconds.total_cmp(&other.milliseconds));
        let worst = rows.iter().filter_map(|row| row.longest_write_milliseconds).max_by(f64::total_cmp);
        let sum = |of: fn(&Row) -> Option<u64>| rows.iter().filter_map(of).reduce(|one, other| one + other);
        let (packets, lost) = (sum(|row| row.packets), sum(|row| row.lost));
        let middle = rows.get(rows.len() / 2)?.clone();
        Some(Row { longest_write_milliseconds: worst, packets, lost, ..middle })
    };
    Ok((0..figures).filter_map(of).collect())
}

fn round(eal: Eal, pool: Pool, arguments: &Arguments, what: What) -> Result<Vec<Row>, P4RuntimeError> {
    let entries = arguments.entries.0;
    // Room for the worker's own flow and session.
    let first = [workload::named()?, workload::carried(entries, entries.min(1 << 20))?].concat();
    let (service, end) = Service::start(eal, entries + 1, first)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let rows = runtime.block_on(async {
        let mut client = Client::connect(service.address).await?;
        match (what, what.kind()) {
            (_, Some(kind)) => kinds(&mut client, arguments, &[kind]).await,
            (What::Vpns, _) => vpns(&mut client, arguments).await,
            (What::Read, _) => read(&mut client, arguments).await,
            _ => {
                let carrier = Carrier::start(end, pool, entries)?;
                let rows = kinds(&mut client, arguments, &[Kind::Flows, Kind::Sessions, Kind::Labels, Kind::Routes]).await;
                let carried = carrier.stop()?;
                Ok(vec![loss(&rows?, carried)])
            }
        }
    });
    drop(runtime);
    service.stop()?;
    rows
}

/// Inserts, modifies and deletes entries of each kind.
async fn kinds(client: &mut Client, arguments: &Arguments, kinds: &[Kind]) -> Result<Vec<Row>, P4RuntimeError> {
    let mut rows = Vec::new();
    for kind in kinds {
        // Labels are fewer than that.
        let entries = arguments.entries.0.min((1 << 20) - 16);
        for (name, update, version) in OPERATIONS {
            let updates = (0..entries).map(|index| kind.entry(index, version).map(|entry| update(entry).encode()));
            let requests = requests(updates, arguments.batch)?;
            let took = timed(client, requests, arguments).await?;
            rows.push(row(format!("{} {name}", kind.name()), entries as usize, arguments.batch, took));
        }
    }
    Ok(rows)
}

async fn vpns(client: &mut Client, arguments: &Arguments) -> Result<Vec<Row>, P4RuntimeError> {
    let mut updates = Vec::new();
    for index in 0..arguments.vpns.0 {
        updates.extend(workload::vpn(index)?.into_iter().map(|entry| Ok(Update::Insert(entry).encode())));
    }
    let entries = updates.len();
    let requests = requests(updates.into_iter(), arguments.batch)?;
    let took = timed(client, requests, arguments).await?;
    Ok(vec![row(format!("{} vpns", arguments.vpns.0), entries, arguments.batch, took)])
}

/// Reads everything while entries are changed one by one.
async fn read(client: &mut Client, arguments: &Arguments) -> Result<Vec<Row>, P4RuntimeError> {
    let entries = arguments.entries.0;
    let insert = |index| Kind::Flows.entry(index, Version::First).map(|entry| Update::Insert(entry).encode());
    client.write(requests((0..entries).map(insert), arguments.batch)?, arguments.in_flight).await?;
    let written = client.read_all().await?;
    if written < entries as usize {
        return Err(P4RuntimeError::ReadBack { written: entries as usize, read: written });
    }
    let mut writer = client.handle();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        for round in 0_u32.. {
            let version = if round % 2 == 0 { Version::Changed } else { Version::First };
            let entry = Kind::Flows.entry(round % entries, version)?;
            let start = Instant::now();
            writer.write(request(vec![Update::Modify(entry).encode()])).await?;
            longest = longest.max(start.elapsed());
            if stopped.try_recv().is_ok() {
                break;
            }
        }
        Ok::<_, P4RuntimeError>(longest)
    });
    let start = Instant::now();
    let read = client.read_all().await?;
    let took = start.elapsed();
    // Nobody listens if it has failed, which is seen next.
    let _ = stop.send(());
    let longest = writing.await.map_err(|_| P4RuntimeError::Panicked)??;
    if read != written {
        return Err(P4RuntimeError::ReadBack { written, read });
    }
    let longest_write_milliseconds = Some(longest.as_secs_f64() * 1000.0);
    Ok(vec![Row { longest_write_milliseconds, ..row("read".to_owned(), read, NonZeroUsize::MIN, took) }])
}

/// All updates as one figure, and what became of the packets meanwhile.
fn loss(rows: &[Row], carried: Carried) -> Row {
    let entries = rows.iter().map(|row| row.entries).sum();
    let took = Duration::from_secs_f64(rows.iter().map(|row| row.milliseconds).sum::<f64>() / 1000.0);
    let batch = rows.first().map_or(NonZeroUsize::MIN, |row| row.batch);
    Row { packets: Some(carried.packets), lost: Some(carried.lost), ..row("loss".to_owned(), entries, batch, took) }
}

async fn timed(client: &mut Client, requests: Vec<proto::WriteRequest>, arguments: &Arguments) -> Result<Duration, P4RuntimeError> {
    let start = Instant::now();
    client.write(requests, arguments.in_flight).await?;
    Ok(start.elapsed())
}

/// Updates in batches.
fn requests(
    updates: impl Iterator<Item = Result<proto::Update, OutOfRange>>,
    batch: NonZeroUsize,
) -> Result<Vec<proto::WriteRequest>, OutOfRange> {
    let mut updates = updates.collect::<Result<Vec<_>, _>>()?.into_iter();
    let next = || {
        let updates: Vec<_> = updates.by_ref().take(batch.get()).collect();
        (!updates.is_empty()).then(|| request(updates))
    };
    Ok(std::iter::from_fn(next).collect())
}

#[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 entries")]
fn row(what: String, entries: usize, batch: NonZeroUsize, took: Duration) -> Row {
    let entries_per_second = entries as f64 / took.as_secs_f64();
    let milliseconds = took.as_secs_f64() * 1000.0;
    Row { what, entries, batch, milliseconds, entries_per_second, longest_write_milliseconds: None, packets: None, lost: None }
}
