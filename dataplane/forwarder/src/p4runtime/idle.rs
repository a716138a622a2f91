//! Telling the primaries of entries that were idle for their time-outs (P4Runtime specification, "Table Idle Timeout Notification").

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::stream_message_response::Update as Response;
use svpn_contract::EntryKey;

use super::controllers::message;
use super::cookies::Cookies;
use super::{Plane, Shared, blocking};

/// How often the clock moves on that workers note hits by.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two looks for entries that are idle.
const SCAN: u32 = 5;
/// Entries in one message.
const ENTRIES: usize = 512;

/// Moves the workers' clock on, and notifies the primaries, until the service stops.
pub(super) async fn watch<P: Plane>(shared: Arc<Shared<P>>) {
    let clock = shared.plane.entries().idle_clock();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u32;
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = shared.stop.cancelled() => return,
        }
        clock.tick();
        ticks = ticks.wrapping_add(1);
        if ticks.is_multiple_of(SCAN) {
            notify(&shared).await;
        }
    }
}

async fn notify<P: Plane>(shared: &Arc<Shared<P>>) {
    let looking = Arc::clone(shared);
    let expired = blocking(move || {
        let state = looking.state();
        let expired = looking.plane.entries().expired();
        let told = |(key, timeout): (EntryKey, Duration)| entry(key, timeout, &state.books.cookies);
        expired.into_iter().map(told).collect::<Vec<_>>()
    });
    let Ok(expired) = expired.await else { return };
    if expired.is_empty() {
        return;
    }
    let primaries = shared.controllers.read().await.primaries();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let timestamp = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    for table_entry in expired.chunks(ENTRIES) {
        let notification = proto::IdleTimeoutNotification { table_entry: table_entry.to_vec(), timestamp };
        for primary in &primaries {
            // One that does not keep up hears of them after another time-out.
            drop(primary.try_send(Ok(message(Response::IdleTimeoutNotification(notification.clone())))));
        }
    }
}

/// An entry as a notification has it: key, time-out, and the controller's own words.
fn entry(key: EntryKey, timeout: Duration, cookies: &Cookies) -> proto::TableEntry {
    let idle_timeout_ns = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
    let mut entry = proto::TableEntry { idle_timeout_ns, ..key.encode() };
    cookies.get(&key).fill(&mut entry);
    entry
}
