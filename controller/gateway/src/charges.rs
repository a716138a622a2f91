//! Charge records on their way to the disk.

use std::time::Duration;

use svpn_store::{AppendError, ChargeLog, ChargeRecord};
use tokio::sync::mpsc;

/// The charge writer has stopped: the gateway is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the writer of charge records has stopped")]
pub struct ChargesGone;

/// Takes records and has them written in their order. A record that cannot be written now, for the disk is full, is tried again until
/// it can be: none is lost while the gateway runs.
#[derive(Debug, Clone)]
pub struct ChargeWriter(mpsc::UnboundedSender<ChargeRecord>);

/// How long to wait before a record is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl ChargeWriter {
    /// Starts the writer on a thread of its own: it waits for the disk. Joining the thread after the last handle is gone waits for the
    /// last record.
    pub fn start(log: ChargeLog) -> (Self, std::thread::JoinHandle<()>) {
        let (sender, records) = mpsc::unbounded_channel();
        (Self(sender), std::thread::spawn(move || write_all(log, records)))
    }

    /// Hands over a record.
    ///
    /// # Errors
    /// [`ChargesGone`] when nobody writes any more.
    pub fn write(&self, record: ChargeRecord) -> Result<(), ChargesGone> {
        self.0.send(record).map_err(|_| ChargesGone)
    }
}

fn write_all(mut log: ChargeLog, mut records: mpsc::UnboundedReceiver<ChargeRecord>) {
    while let Some(record) = records.blocking_recv() {
        while let Err(error) = log.append(&record) {
            if give_up(&error, &record, &records) {
                break;
            }
            std::thread::sleep(RETRY);
        }
    }
}

/// While the gateway runs a record is never given up. When it stops and the disk still takes nothing, the record goes to the log of the
/// program, whole, so that a person can save it.
fn give_up(error: &AppendError, record: &ChargeRecord, records: &mpsc::UnboundedReceiver<ChargeRecord>) -> bool {
    let stopping = records.is_closed() || records.sender_strong_count() == 0;
    if stopping {
        tracing::error!(%error, ?record, "a charge record could not be written, and the gateway stops: this is it");
    } else {
        tracing::error!(%error, waiting = records.len() + 1, "a charge record could not be written: it is tried again");
    }
    stopping
}
