//! The journal: what is made durable before anything leaves the machine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fail::fail_point;
use sqlx::Connection as _;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::batch::Batch;
use crate::change::Change;
use crate::database::{Address, Owned};

/// How many appends share a transaction at most: more would make each of them wait.
const GROUP: usize = 512;

/// Why an append is not durable. Nothing of it is, and it may be appended again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The database refuses or does not answer: a full disk, most likely.
    #[error("{address}: {source}")]
    Database {
        /// The database.
        address: String,
        /// What it says.
        source: Arc<sqlx::Error>,
    },
    /// The journal is closed: the gateway is going down.
    #[error("the journal is closed")]
    Closed,
}

/// Writes changes durably, in the order they are appended. Appends that wait at the same time share a transaction. Clones are the same
/// journal.
#[derive(Debug, Clone)]
pub struct Journal(mpsc::UnboundedSender<Append>);

/// The writer behind a [`Journal`].
#[derive(Debug)]
pub struct Writer {
    task: JoinHandle<()>,
    close: Arc<Notify>,
}

#[derive(Debug)]
struct Append {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), AppendError>>,
}

/// Waits for an append to be durable. The append is on its way whether or not anybody waits.
#[derive(Debug)]
#[must_use = "nothing may leave the machine before this is ready"]
pub struct Commit(oneshot::Receiver<Result<(), AppendError>>);

impl Future for Commit {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|done| done.unwrap_or(Err(AppendError::Closed)))
    }
}

impl Journal {
    /// Starts the writer. Must be called within a tokio runtime.
    pub(crate) fn start(address: Address, owned: Owned) -> (Self, Writer) {
        let (sender, appends) = mpsc::unbounded_channel();
        let close = Arc::new(Notify::new());
        let task = tokio::spawn(write(address, owned, appends, Arc::clone(&close)));
        (Self(sender), Writer { task, close })
    }

    /// Queues changes; they become durable together or not at all, after those that were queued before them. Does not wait.
    pub fn append(&self, changes: Vec<Change>) -> Commit {
        fail_point!("journal: before an append");
        let (done, commit) = oneshot::channel();
        // A writer that is gone drops the sender, which the commit tells.
        let _closed = self.0.send(Append { changes, done });
        Commit(commit)
    }
}

impl Writer {
    /// Writes what was appended so far, and closes the database in order, whoever still holds a [`Journal`]: what they append later is
    /// [`AppendError::Closed`].
    pub async fn close(self) {
        self.close.notify_one();
        // It ends by itself, or the runtime ends it: there is nothing more to wait for.
        let _ended = self.task.await;
    }
}

/// Until it is told to close, or the last journal is gone.
async fn write(address: Address, mut owned: Owned, mut appends: mpsc::UnboundedReceiver<Append>, close: Arc<Notify>) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        tokio::select! {
            // What was appended before is received all the same.
            () = close.notified() => appends.close(),
            received = appends.recv_many(&mut group, GROUP) => if received == 0 { break },
        }
        if group.is_empty() {
            continue;
        }
        let together = commit(&mut owned, &address, &group).await;
        if together.is_ok() || group.len() == 1 {
            let result = together.map_err(|source| failed(&address, source));
            for append in group.drain(..) {
                let _nobody_waits = append.done.send(result.clone());
            }
            continue;
        }
        // One bad append spoils none of its neighbours.
        for append in group.drain(..) {
            let result = commit(&mut owned, &address, std::slice::from_ref(&append)).await;
            let _nobody_waits = append.done.send(result.map_err(|source| failed(&address, source)));
        }
    }
    if let Err(error) = owned.connection.close().await {
        tracing::warn!(%error, "the database was not closed in order");
    }
}

fn failed(address: &Address, source: sqlx::Error) -> AppendError {
    AppendError::Database { address: address.shown().to_owned(), source: Arc::new(source) }
}

/// One transaction. Changes say how things are and not how they became so: where a connection broke and it is not known whether a
/// transaction was carried out, it may be again.
async fn commit(owned: &mut Owned, address: &Address, group: &[Append]) -> Result<(), sqlx::Error> {
    let error = match transact(owned, address, group).await {
        Err(error @ (sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed)) => error,
        done => return done,
    };
    // PostgreSQL may have been restarted.
    match address.own_again().await {
        Ok(connection) => owned.connection = connection,
        Err(again) => {
            tracing::debug!(%again, "the database does not come back yet");
            return Err(error);
        }
    }
    transact(owned, address, group).await
}

async fn transact(owned: &mut Owned, address: &Address, group: &[Append]) -> Result<(), sqlx::Error> {
    fail_point!("journal: before a transaction");
    let mut transaction = owned.connection.begin().await?;
    let changes: Batch<'_> = group.iter().flat_map(|append| &append.changes).collect();
    changes.write(&mut transaction, &address.gateway).await?;
    fail_point!("journal: before a commit");
    transaction.commit().await?;
    fail_point!("journal: after a commit");
    Ok(())
}
