//! The P4Runtime service (<https://p4.org/specifications/>): how a controller sees a router.
//!
//! - `arbitration`, `controllers`, `stream`: who may write, and packets to and from controllers;
//! - `pipeline`: the one pipeline this router runs, and whether it is in service;
//! - `write`, `operation`, `cookies`, `cells`: batches of updates, undone where they have to be;
//! - `profiles`: members and groups of action selectors;
//! - `read`: queries;
//! - `idle`: entries that no packet hits.
//!
//! What the specification leaves to an implementation is decided here:
//! - Any role can be bid for and has full access; a role configuration is refused. Each role's primary gets every packet-in.
//! - A P4Info may differ from ours in sizes, annotations and order, and in nothing else. A device configuration is kept and given back.
//! - `VERIFY_AND_COMMIT` empties the tables, `RECONCILE_AND_COMMIT` keeps them. `COMMIT` keeps what was written since `VERIFY_AND_SAVE`.
//!   Indexed counters go on counting.
//! - All three atomicities are supported, `DATAPLANE_ATOMIC` for small batches: workers stand still between two bursts meanwhile. Rolled back,
//!   a meter may begin with full buckets.
//! - A selector is written by one-shot action sets, or by members and groups, until it is empty again.
//! - Default actions are constant.
//!
//! `tonic` serves gRPC, `tokio` runs it beside the workers, `tokio-stream` and `tokio-util` join and end streams.

mod arbitration;
mod cells;
mod controllers;
mod cookies;
mod counts;
mod error;
mod facts;
mod idle;
mod operation;
mod pipeline;
mod profiles;
mod read;
mod stream;
mod turns;
mod write;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use p4runtime_proto::p4::v1::p4_runtime_server::{P4Runtime, P4RuntimeServer};
use p4runtime_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::PortId;
use svpn_contract::{EntryKey, TABLES, Update};
use tokio::net::TcpListener;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::entries::Entries;
use crate::router::{Router, SendError};
use arbitration::{Connection, ElectionId};
use controllers::{Controllers, Outlet};
use cookies::Cookies;
pub use counts::UpdateCounts;
use operation::Written;
use pipeline::{Keep, Pipeline};
use profiles::Profiles;
use read::{Collected, Found};
use turns::Turns;

/// The version of P4Runtime that is spoken.
pub const API_VERSION: &str = "1.6.0";

/// Bytes a request may have: a batch of some hundred thousand entries.
const REQUEST_BYTES: usize = 128 << 20;
/// Entities in one message of an answer to a read.
const ENTITIES: usize = 512;

/// How often a silent controller is asked whether it is there, and how long it may take to answer. A primary that is dead stops being one.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long controllers may take to notice that the service stops.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the service needs of a router.
pub trait Plane: Send + Sync + 'static {
    /// What the controller wrote, for one batch: apply, publish, let go.
    fn entries(&self) -> MutexGuard<'_, Entries>;

    /// Sends a frame of the controller.
    ///
    /// # Errors
    /// [`SendError`] says why it is not sent.
    fn send(&self, packet: PacketOut) -> Result<(), SendError>;

    /// Whether there is a port of this number, up or down.
    fn has_port(&self, port: PortId) -> bool;

    /// Counts updates by what became of them.
    fn note_updates(&self, _result: tonic::Code, _updates: u64) {}
}

impl Plane for Router {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        Router::entries(self)
    }

    fn send(&self, packet: PacketOut) -> Result<(), SendError> {
        Router::send(self, packet)
    }

    fn has_port(&self, port: PortId) -> bool {
        Router::has_port(self, port)
    }

    fn note_updates(&self, result: tonic::Code, updates: u64) {
        self.updates.add(result, updates);
    }
}

/// What the service knows of the entries beside themselves.
#[derive(Debug, Default)]
struct Books {
    cookies: Cookies,
    profiles: Profiles,
}

/// What the service remembers beside the entries. Locked before them.
#[derive(Debug, Default)]
struct State {
    pipeline: Pipeline,
    books: Books,
}

/// What all calls share.
struct Shared<P> {
    device: u64,
    plane: Arc<P>,
    state: Mutex<State>,
    /// Read-locked while a write is in flight, so that no bid is decided then.
    controllers: Arc<RwLock<Controllers>>,
    /// Changes whenever somebody else may be primary.
    primary_changed: watch::Sender<u64>,
    connections: AtomicU64,
    stop: CancellationToken,
}

impl<P> Shared<P> {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held is a fault of ours; what it guards is changed in single steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_device(&self, device: u64) -> Result<(), Status> {
        if device == self.device { Ok(()) } else { Err(Status::not_found(format!("this is device {}, not {device}", self.device))) }
    }
}

/// The service.
struct Service<P>(Arc<Shared<P>>);

/// Serves P4Runtime for a device on a listening socket, until `stop` is ready: then streams are ended, calls in flight are finished for a
/// moment, and it returns. `punts` are the frames for the controllers.
///
/// # Errors
/// The transport's, if it fails before that.
pub async fn serve<P: Plane>(
    device: u64,
    plane: Arc<P>,
    punts: mpsc::Receiver<PacketIn>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let shared = Arc::new(Shared {
        device,
        plane,
        state: Mutex::default(),
        controllers: Arc::new(RwLock::new(Controllers::new(device))),
        primary_changed: watch::Sender::new(0),
        connections: AtomicU64::new(0),
        stop: CancellationToken::new(),
    });
    let pump = tokio::spawn(stream::pump(Arc::clone(&shared), punts));
    let idle = tokio::spawn(idle::watch(Arc::clone(&shared)));
    let (cut, stopping) = (shared.stop.clone(), shared.stop.clone());
    let service = P4RuntimeServer::new(Service(shared)).max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(usize::MAX);
    let stop = async move {
        stop.await;
        cut.cancel();
    };
    let serving = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop);
    let served = tokio::select! {
        served = serving => served,
        () = async {
            stopping.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        } => Ok(()),
    };
    pump.abort();
    idle.abort();
    served
}

/// Runs what blocks (locks, long loops) where it holds nothing up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Status::internal(format!("the call was cut short: {error}")))
}

/// Deletes every entry that is not kept, and then the members and groups that are neither kept nor in use.
fn clear<P: Plane>(turns: &mut Turns<'_, P>, books: &mut Books, kept: impl Fn(Written) -> bool) {
    for table in TABLES {
        let keys: Vec<EntryKey> =
            turns.entries().iter(table.id).map(|entry| entry.key()).filter(|key| !kept(Written::Entry(*key))).collect();
        for key in keys {
            if let Err(error) = turns.entries().apply(&Update::Delete(key)) {
                tracing::error!(%key, %error, "an entry that is there cannot be deleted");
            }
            books.cookies.set(key, cookies::Cookie::default());
            books.profiles.refer(key, None);
        }
    }
    books.profiles.clear(|reference| kept(Written::Part(reference)));
}

type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl<P: Plane> Service<P> {
    /// Lets only the primary of a role through, and holds bids off as long as the guard lives.
    async fn primary(&self, role: &str, bid: Option<proto::Uint128>) -> Result<OwnedRwLockReadGuard<Controllers>, Status> {
        let controllers = Arc::clone(&self.0.controllers).read_owned().await;
        if !role.is_empty() && !controllers.arbitration().knows(role) {
            return Err(Status::not_found(format!("no controller ever bid for role {role:?}")));
        }
        if controllers.arbitration().is_primary_bid(role, bid.map(ElectionId::from)) {
            Ok(controllers)
        } else {
            Err(Status::permission_denied("only the primary controller of the role may do this, with the election id it has bid"))
        }
    }
}

#[tonic::async_trait]
impl<P: Plane> P4Runtime for Service<P> {
    type ReadStream = Answer<proto::ReadResponse>;
    type StreamChannelStream = Answer<proto::StreamMessageResponse>;

    async fn write(&self, request: Request<proto::WriteRequest>) -> Result<Response<proto::WriteResponse>, Status> {
        let request = request.into_inner();
        self.0.check_device(request.device_id)?;
        let in_flight = self.primary(&request.role, request.election_id).await?;
        let atomicity = write::atomicity(&request)?;
        let shared = Arc::clone(&self.0);
        let results = blocking(move || {
            let _in_flight = in_flight;
            let state = &mut *shared.state();
            if !state.pipeline.is_in_service() {
                return Err(Status::failed_precondition("no pipeline is in service: SetForwardingPipelineConfig first"));
            }
            let (pipeline, books) = (&mut state.pipeline, &mut state.books);
            let mut written = |what| pipeline.note_written(what);
            Ok(write::perform(&*shared.plane, books, atomicity, &request.updates, &mut written))
        })
        .await??;
        write::count(&results, &*self.0.plane);
        write::status(&results)?;
        Ok(Response::new(proto::WriteResponse {}))
    }

    async fn read(&self, request: Request<proto::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        self.0.check_device(request.device_id)?;
        let shared = Arc::clone(&self.0);
        let found = blocking(move || {
            let state = shared.state();
            if !state.pipeline.is_in_service() {
                return Err(Status::failed_precondition("no pipeline is in service: SetForwardingPipelineConfig first"));
            }
            Ok(Collected::collect(&*shared.plane, &state.books, &request.entities))
        })
        .await??;
        let status = found.status();
        let (sender, answer) = mpsc::channel(4);
        tokio::spawn(async move {
            let mut found = found.found.into_iter();
            loop {
                let entities: Vec<proto::Entity> = found.by_ref().take(ENTITIES).map(Found::encode).collect();
                if entities.is_empty() {
                    break;
                }
                // The controller has gone away if it cannot be sent.
                if sender.send(Ok(proto::ReadResponse { entities })).await.is_err() {
                    return;
                }
            }
            if let Some(status) = status {
                drop(sender.send(Err(status)).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answer))))
    }

    async fn set_forwarding_pipeline_config(
        &self,
        request: Request<proto::SetForwardingPipelineConfigRequest>,
    ) -> Result<Response<proto::SetForwardingPipelineConfigResponse>, Status> {
        let request = request.into_inner();
        self.0.check_device(request.device_id)?;
        let in_flight = self.primary(&request.role, request.election_id).await?;
        let action = Action::try_from(request.action).unwrap_or(Action::Unspecified);
        let shared = Arc::clone(&self.0);
        blocking(move || {
            let _in_flight = in_flight;
            let state = &mut *shared.state();
            match state.pipeline.set(action, request.config)? {
                Keep::Untouched | Keep::All => {}
                Keep::Only(kept) => clear(&mut Turns::new(&*shared.plane), &mut state.books, |what| kept.contains(&what)),
            }
            tracing::info!(action = action.as_str_name(), "a pipeline configuration was taken");
            Ok::<_, pipeline::PipelineError>(())
        })
        .await??;
        Ok(Response::new(proto::SetForwardingPipelineConfigResponse {}))
    }

    async fn get_forwarding_pipeline_config(
        &self,
        request: Request<proto::GetForwardingPipelineConfigRequest>,
    ) -> Result<Response<proto::GetForwardingPipelineConfigResponse>, Status> {
        let request = request.into_inner();
        self.0.check_device(request.device_id)?;
        let wanted = ResponseType::try_from(request.response_type)
            .map_err(|_| Status::invalid_argument(format!("{} is no response type", request.response_type)))?;
        let shared = Arc::clone(&self.0);
        let config = blocking(move || shared.state().pipeline.get(wanted)).await?;
        Ok(Response::new(proto::GetForwardingPipelineConfigResponse { config }))
    }

    async fn stream_channel(
        &self,
        request: Request<Streaming<proto::StreamMessageRequest>>,
    ) -> Result<Response<Self::StreamChannelStream>, Status> {
        let connection = Connection(self.0.connections.fetch_add(1, Ordering::Relaxed));
        let (outlet, answer) = Outlet::new(self.0.stop.child_token());
        tokio::spawn(stream::serve(Arc::clone(&self.0), connection, request.into_inner(), outlet));
        Ok(Response::new(Box::pin(answer)))
    }

    async fn capabilities(&self, request: Request<proto::CapabilitiesRequest>) -> Result<Response<proto::CapabilitiesResponse>, Status> {
        let device = request.into_inner().device_id;
        if device != 0 {
            self.0.check_device(device)?;
        }
        Ok(Response::new(proto::CapabilitiesResponse { p4runtime_api_version: API_VERSION.to_owned(), experimental: None }))
    }
}
