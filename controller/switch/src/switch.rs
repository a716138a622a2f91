//! A router, as the gateway sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use p4runtime_proto::p4::v1::StreamMessageRequest;
use svpn_contract::packet::PacketOut;
use svpn_contract::wire::SessionId;
use svpn_contract::{Entry, Update};
use tokio::sync::{Notify, RwLock, mpsc, watch};
use tokio::task::JoinHandle;
use tonic::Code;

use crate::batch::Batch;
use crate::client::Client;
use crate::counters::{self, SessionCounters};
use crate::desired::Desired;
use crate::election::ElectionId;
use crate::link::{self, Event};
use crate::packets::{self, PacketOutError};
use crate::read::{self, ReadError, Snapshot};
use crate::reconcile::{ReconcileError, Report};
use crate::settings::Settings;
use crate::write::{BatchError, Refusal, WriteError};

/// How things stand with a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is no stream; it is tried again and again.
    Disconnected,
    /// Connected, and not primary.
    Backup {
        /// The primary's bid, if there is one.
        primary: Option<ElectionId>,
    },
    /// Primary; the pipeline and the tables are being brought to what they should be.
    Synchronising,
    /// Primary, and the tables are as desired.
    Ready,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("it is not connected"),
            Self::Backup { primary: Some(primary) } => write!(f, "the gateway with election id {primary} is primary"),
            Self::Backup { primary: None } => f.write_str("no gateway is primary"),
            Self::Synchronising => f.write_str("its tables are being synchronised"),
            Self::Ready => f.write_str("it is ready"),
        }
    }
}

/// A router. Clones are the same router; with the last one the connection ends, and the router forwards on by what it was told.
#[derive(Debug, Clone)]
pub struct Switch {
    shared: Arc<Shared>,
    _link: Arc<AbortOnDrop>,
}

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the handles and the link's task share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// Writers share it, a reconciliation has it alone.
    pub(crate) gate: RwLock<()>,
    /// The tables may differ from the desired entries.
    pub(crate) repair: Notify,
    desired: Mutex<Desired>,
    connection: Mutex<Option<Connection>>,
    state: watch::Sender<State>,
}

/// What there is as long as there is a stream.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) requests: mpsc::Sender<StreamMessageRequest>,
}

impl Switch {
    /// Begins to connect, and brings the router to the desired entries whenever we are primary. They must be all that it should have:
    /// what is not among them is deleted. Packets and notices come by the receiver; what nobody takes is shed.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(settings: Settings, desired: impl IntoIterator<Item = Entry>) -> (Self, mpsc::Receiver<Event>) {
        let (events, received) = mpsc::channel(settings.events.get());
        let shared = Arc::new(Shared {
            settings,
            gate: RwLock::default(),
            repair: Notify::new(),
            desired: Mutex::new(desired.into_iter().collect()),
            connection: Mutex::default(),
            state: watch::Sender::new(State::Disconnected),
        });
        let link = AbortOnDrop(tokio::spawn(link::keep(Arc::clone(&shared), events)));
        (Self { shared, _link: Arc::new(link) }, received)
    }

    /// How things stand.
    pub fn state(&self) -> State {
        *self.shared.state.borrow()
    }

    /// How things stand, whenever that changes.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.shared.watch()
    }

    /// Waits until the router is ready.
    pub async fn ready(&self) {
        // The sender is in `self`, so this fails never.
        let _ = self.watch().wait_for(|state| *state == State::Ready).await;
    }

    /// Carries out all updates or none, in their order as far as they do not fit one call. When it succeeds they are in the desired set.
    /// When it fails the desired set is as before, and the router is too, or will be after its tables were read again.
    ///
    /// # Errors
    /// [`WriteError`] says which updates the router refused, or what else went wrong.
    pub async fn write(&self, updates: &[Update]) -> Result<(), WriteError> {
        let shared = &self.shared;
        let _shared_gate = shared.gate.read().await;
        let client = shared.ready_client().map_err(WriteError::NotReady)?;
        // Also when the caller gives up in the middle.
        let unsettled = Unsettled(&shared.repair);
        let mut base = 0;
        for batch in updates.chunks(shared.settings.batch.get()) {
            if let Err(error) = Batch::new(batch).send(&client, base).await {
                return Err(shared.undo(&client, updates, base..base + batch.len(), error, unsettled).await);
            }
            base += batch.len();
        }
        shared.desired().apply(updates);
        unsettled.settle();
        Ok(())
    }

    /// Makes these updates part of the desired set at once, and carries them out on the router, in their order, now or with the next
    /// reconciliation: there is no way back. An entry to be deleted that is not there is no error, nor is one to be inserted that is: a
    /// reconciliation under way may have been faster. The tables are read again then.
    ///
    /// # Errors
    /// [`WriteError`] says why the router does not have them yet. There is nothing to be done: it will.
    pub async fn apply(&self, updates: &[Update]) -> Result<(), WriteError> {
        let shared = &self.shared;
        let unsettled = Unsettled(&shared.repair);
        shared.desired().apply(updates);
        let _shared_gate = shared.gate.read().await;
        let client = shared.ready_client().map_err(WriteError::NotReady)?;
        let mut refusals = Vec::new();
        let mut as_known = true;
        for (number, batch) in updates.chunks(shared.settings.batch.get()).enumerate() {
            let Err(error) = Batch::new(batch).send(&client, number * shared.settings.batch.get()).await else { continue };
            match error {
                BatchError::Refused(refused) => {
                    let refused = refused.into_iter().filter(|refusal| !is_gone(updates, refusal));
                    let (differing, refused): (Vec<_>, Vec<_>) = refused.partition(|refusal| differs(updates, refusal));
                    as_known &= differing.is_empty();
                    refusals.extend(refused);
                }
                BatchError::Rejected(status) => return Err(WriteError::Rejected(status)),
                BatchError::Unknown(status) => return Err(WriteError::Unknown(status)),
            }
        }
        if !refusals.is_empty() {
            return Err(WriteError::Refused { refusals, updates: updates.len() });
        }
        if as_known {
            unsettled.settle();
        }
        Ok(())
    }

    /// Asks the router for next to nothing: a connection may stand though nobody answers.
    ///
    /// # Errors
    /// [`ReadError`] when the router is away or does not answer.
    pub async fn ping(&self) -> Result<(), ReadError> {
        let client = self.shared.client().map_err(ReadError::NotConnected)?;
        client.pipeline_cookie().await.map_err(Box::new)?;
        Ok(())
    }

    /// Reads every table.
    ///
    /// # Errors
    /// [`ReadError`] when the router is away or does not answer.
    pub async fn read_all(&self) -> Result<Snapshot, ReadError> {
        Ok(read::tables(&self.shared.client().map_err(ReadError::NotConnected)?).await?)
    }

    /// Reads what sessions carried. Those that the router does not have are left out.
    ///
    /// # Errors
    /// [`ReadError`] when the router is away or does not answer.
    pub async fn session_counters(&self, sessions: &[SessionId]) -> Result<BTreeMap<SessionId, SessionCounters>, ReadError> {
        let client = self.shared.client().map_err(ReadError::NotConnected)?;
        Ok(counters::sessions(&client, sessions, self.shared.settings.batch.get()).await?)
    }

    /// Reads the tables back and writes the difference to the desired entries: nothing is taken away before what replaces it is there.
    /// This happens by itself whenever it must; here it is for one who wants to know.
    ///
    /// # Errors
    /// [`ReconcileError`] when we are not primary, or the router does not answer.
    pub async fn reconcile(&self) -> Result<Report, ReconcileError> {
        self.shared.reconcile().await
    }

    /// Sends a packet out of a router's port. It does not wait.
    ///
    /// # Errors
    /// [`PacketOutError`] when we are not primary, or too many packets wait.
    pub fn packet_out(&self, packet: PacketOut) -> Result<(), PacketOutError> {
        let connection = self.shared.connection();
        packets::send(packet, self.state(), connection.as_ref().map(|connection| &connection.requests))
    }
}

/// Whether a refusal says that an entry to be deleted is not there.
fn is_gone(updates: &[Update], refusal: &Refusal) -> bool {
    refusal.code == Code::NotFound && matches!(updates.get(refusal.index), Some(Update::Delete(_)))
}

/// Whether a refusal says that an entry is there, or is not, where the opposite was thought.
fn differs(updates: &[Update], refusal: &Refusal) -> bool {
    match updates.get(refusal.index) {
        Some(Update::Insert(_)) => refusal.code == Code::AlreadyExists,
        Some(Update::Modify(_)) => refusal.code == Code::NotFound,
        Some(Update::Delete(_)) | None => false,
    }
}

/// Has the tables read again unless it is settled that they are as desired.
struct Unsettled<'a>(&'a Notify);

impl Unsettled<'_> {
    fn settle(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Shared {
    /// Takes back what was carried out of updates of which those before `failed` were, and those in it were not all.
    async fn undo(
        &self,
        client: &Client,
        updates: &[Update],
        failed: std::ops::Range<usize>,
        error: BatchError,
        unsettled: Unsettled<'_>,
    ) -> WriteError {
        let (sent, refusals, error) = match error {
            BatchError::Unknown(status) => return WriteError::Unknown(status),
            BatchError::Rejected(status) => (failed.start, Vec::new(), WriteError::Rejected(status)),
            BatchError::Refused(refusals) => (failed.end, refusals.clone(), WriteError::Refused { refusals, updates: updates.len() }),
        };
        let refused = |index: usize| refusals.binary_search_by_key(&index, |refusal: &Refusal| refusal.index).is_ok();
        let carried_out = updates[..sent].iter().enumerate().filter(|(index, _)| !refused(*index)).map(|(_, update)| update);
        let inverse = self.desired().inverse(carried_out);
        for batch in inverse.chunks(self.settings.batch.get()) {
            if let Err(why) = Batch::new(batch).send(client, 0).await {
                tracing::warn!(router = %self.settings.endpoint.uri(), ?why, "a write was not undone; the tables are read again");
                return error;
            }
        }
        unsettled.settle();
        error
    }

    pub(crate) fn desired(&self) -> MutexGuard<'_, Desired> {
        // Whoever panicked did so between whole updates.
        self.desired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.send_if_modified(|old| {
            let changes = *old != state;
            *old = state;
            changes
        });
    }

    fn client_when(&self, enough: fn(State) -> bool) -> Result<Client, State> {
        let state = *self.state.borrow();
        let connection = self.connection();
        let client = connection.as_ref().map(|connection| connection.client.clone());
        client.filter(|_| enough(state)).ok_or(state)
    }

    fn client(&self) -> Result<Client, State> {
        self.client_when(|state| state != State::Disconnected)
    }

    fn ready_client(&self) -> Result<Client, State> {
        self.client_when(|state| state == State::Ready)
    }

    pub(crate) fn primary_client(&self) -> Result<Client, State> {
        self.client_when(|state| matches!(state, State::Ready | State::Synchronising))
    }
}
