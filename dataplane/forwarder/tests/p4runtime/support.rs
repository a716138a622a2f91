//! A service, controllers that talk to it, and the world behind it.

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use p4runtime_proto::google::rpc;
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use p4runtime_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use p4runtime_proto::p4::v1::stream_message_response::Update as Response;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use prost::Message;
use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::PortId;
use svpn_contract::{Entry, EntryKey, Update, p4info};
use svpn_forwarder::entries::{Clock, EntriesConfig, WorkerEnd};
use svpn_forwarder::p4runtime::Plane;
use svpn_forwarder::{Entries, SendError, TableSizes};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

pub(crate) const DEVICE: u64 = 7;

/// The one port number the world has no port for.
pub(crate) const NO_PORT: PortId = match PortId::new(500) {
    Ok(port) => port,
    Err(_) => PortId::MAX,
};

/// Seconds; every test is a process of its own.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// Sets the clock of the router.
pub(crate) fn set_clock(seconds: u64) {
    CLOCK.store(seconds, Ordering::Relaxed);
}

/// Real tables; instead of ports, a list of what was sent.
pub(crate) struct World {
    entries: Mutex<Entries>,
    pub(crate) sent: Mutex<Vec<PacketOut>>,
    /// A worker that never reads.
    _worker: Vec<WorkerEnd>,
}

impl Plane for World {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("nobody panicked")
    }

    fn send(&self, packet: PacketOut) -> Result<(), SendError> {
        if packet.egress_port.get() > 4 {
            return Err(SendError::UnknownPort(packet.egress_port));
        }
        self.sent.lock().expect("nobody panicked").push(packet);
        Ok(())
    }

    fn has_port(&self, port: PortId) -> bool {
        port != NO_PORT
    }
}

impl World {
    /// An entry as the tables have it.
    pub(crate) fn held(&self, key: &EntryKey) -> Option<Entry> {
        self.entries().get(key)
    }
}

/// A service that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) world: Arc<World>,
    pub(crate) punts: mpsc::Sender<PacketIn>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    address: String,
}

/// Small tables, so that every test has its own.
pub(crate) fn sizes() -> TableSizes {
    TableSizes {
        attachment: 64,
        station: 64,
        arp_responder: 64,
        flow_v4: 1024,
        flow_v6: 1024,
        flow_acl_v4: 256,
        flow_acl_v6: 256,
        session: 64,
        route_v4: 1024,
        route_v6: 1024,
        tunnel: 64,
        ilm: 1024,
        nexthop: 64,
        gre_ingress_v4: 64,
        gre_ingress_v6: 64,
        ..TableSizes::default()
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let clock = Clock { hertz: NonZeroU64::MIN, now: || CLOCK.load(Ordering::Relaxed) };
        let config = EntriesConfig { sizes: sizes(), workers: NonZeroU16::MIN, seed: 1, clock };
        let (entries, worker) = Entries::new(&config).expect("there is memory");
        let world = Arc::new(World { entries: Mutex::new(entries), sent: Mutex::default(), _worker: worker });
        let (punts, receiver) = mpsc::channel(16);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (stop, stopped) = oneshot::channel();
        let plane = Arc::clone(&world);
        let served = tokio::spawn(async move {
            svpn_forwarder::p4runtime::serve(DEVICE, plane, receiver, listener, async { drop(stopped.await) }).await
        });
        Self { world, punts, stop, served, address }
    }

    /// A controller that has bid and was answered.
    pub(crate) async fn controller(&self, election: u64) -> Controller {
        let mut controller = self.silent(election).await;
        controller.bid(Some(election)).await;
        controller.answer().await.expect("the bid is answered");
        controller
    }

    /// A controller that has not bid yet.
    pub(crate) async fn silent(&self, election: u64) -> Controller {
        // The errors of a large batch are a large trailer.
        let endpoint = Channel::from_shared(self.address.clone()).expect("an address").http2_max_header_list_size(16 << 20);
        let channel = endpoint.connect().await.expect("the service listens");
        let mut client = P4RuntimeClient::new(channel).max_decoding_message_size(64 << 20);
        let (requests, outbound) = mpsc::channel(16);
        let answers = client.stream_channel(ReceiverStream::new(outbound)).await.expect("a stream opens").into_inner();
        Controller { client, requests, answers, election, role: String::new() }
    }

    /// A primary with the pipeline in service.
    pub(crate) async fn primary(&self) -> Controller {
        let mut controller = self.controller(1).await;
        controller.set_pipeline(Action::VerifyAndCommit).await.expect("it is our pipeline");
        controller
    }
}

pub(crate) struct Controller {
    pub(crate) client: P4RuntimeClient<Channel>,
    pub(crate) requests: mpsc::Sender<proto::StreamMessageRequest>,
    pub(crate) answers: Streaming<proto::StreamMessageResponse>,
    pub(crate) election: u64,
    pub(crate) role: String,
}

pub(crate) fn election_id(low: u64) -> proto::Uint128 {
    proto::Uint128 { high: 0, low }
}

pub(crate) fn our_config(cookie: u64) -> proto::ForwardingPipelineConfig {
    let cookie = Some(proto::forwarding_pipeline_config::Cookie { cookie });
    proto::ForwardingPipelineConfig { p4info: Some(p4info()), p4_device_config: b"whatever".to_vec(), cookie }
}

impl Controller {
    pub(crate) async fn say(&self, update: Request) {
        self.requests.send(proto::StreamMessageRequest { update: Some(update) }).await.expect("the stream is open");
    }

    pub(crate) async fn bid(&self, election: Option<u64>) {
        let role = (!self.role.is_empty()).then(|| proto::Role { name: self.role.clone(), ..Default::default() });
        let election_id = election.map(election_id);
        self.say(Request::Arbitration(proto::MasterArbitrationUpdate { device_id: DEVICE, role, election_id, status: None })).await;
    }

    /// The next message of the stream.
    pub(crate) async fn answer(&mut self) -> Result<Response, Status> {
        let message = self.answers.message().await?;
        Ok(message.expect("the stream goes on").update.expect("a message has content"))
    }

    /// The code and election id of the next notice.
    pub(crate) async fn notice(&mut self) -> (Code, Option<u64>) {
        match self.answer().await {
            Ok(Response::Arbitration(notice)) => {
                assert_eq!(notice.device_id, DEVICE);
                assert_eq!(notice.role.map(|role| role.name).unwrap_or_default(), self.role);
                (Code::from_i32(notice.status.expect("a notice has a status").code), notice.election_id.map(|id| id.low))
            }
            other => panic!("no notice: {other:?}"),
        }
    }

    /// How the service ends the stream.
    pub(crate) async fn ending(&mut self) -> Status {
        loop {
            match self.answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("ended"),
                Err(status) => return status,
            }
        }
    }

    pub(crate) async fn set_pipeline(&mut self, action: Action) -> Result<(), Status> {
        let config = (action != Action::Commit).then(|| our_config(1));
        self.set_config(action, config).await
    }

    pub(crate) async fn set_config(&mut self, action: Action, config: Option<proto::ForwardingPipelineConfig>) -> Result<(), Status> {
        let request = proto::SetForwardingPipelineConfigRequest {
            device_id: DEVICE,
            election_id: Some(election_id(self.election)),
            action: action.into(),
            config,
            role: self.role.clone(),
            ..Default::default()
        };
        self.client.set_forwarding_pipeline_config(request).await.map(drop)
    }

    pub(crate) fn request(&self, atomicity: Atomicity, updates: Vec<proto::Update>) -> proto::WriteRequest {
        let election_id = Some(election_id(self.election));
        let role = self.role.clone();
        proto::WriteRequest { device_id: DEVICE, election_id, updates, atomicity: atomicity.into(), role, ..Default::default() }
    }

    pub(crate) async fn write(&mut self, atomicity: Atomicity, updates: Vec<proto::Update>) -> Result<(), Status> {
        let request = self.request(atomicity, updates);
        self.client.write(request).await.map(drop)
    }

    pub(crate) async fn insert(&mut self, entries: &[Entry]) {
        let updates = entries.iter().map(|entry| Update::Insert(entry.clone()).encode()).collect();
        self.write(Atomicity::ContinueOnError, updates).await.expect("the entries are new");
    }

    /// Everything that entities select.
    pub(crate) async fn read(&mut self, entities: Vec<Entity>) -> Result<Vec<Entity>, Status> {
        let entities = entities.into_iter().map(|entity| proto::Entity { entity: Some(entity) }).collect();
        let request = proto::ReadRequest { device_id: DEVICE, entities, role: String::new() };
        let mut answers = self.client.read(request).await?.into_inner();
        let mut found = Vec::new();
        while let Some(answer) = answers.message().await? {
            found.extend(answer.entities.into_iter().map(|entity| entity.entity.expect("an entity has content")));
        }
        Ok(found)
    }

    /// The table entries that one selects, with their meters, as the contract has them.
    pub(crate) async fn entries(&mut self, mut wanted: proto::TableEntry) -> Result<Vec<Entry>, Status> {
        let metered = |table: &&svpn_contract::TableFacts| table.id == wanted.table_id && table.metering != svpn_contract::Metering::None;
        if wanted.table_id == 0 || svpn_contract::TABLES.iter().any(|table| metered(&table)) {
            wanted.meter_config = Some(proto::MeterConfig::default());
        }
        let found = self.read(vec![Entity::TableEntry(wanted)]).await?;
        Ok(found
            .iter()
            .map(|entity| match entity {
                Entity::TableEntry(entry) => Entry::decode(entry).expect("what is read can be written"),
                other => panic!("no table entry: {other:?}"),
            })
            .collect())
    }

    /// All entries, by their keys.
    pub(crate) async fn all(&mut self) -> Vec<Entry> {
        sorted(self.entries(proto::TableEntry::default()).await.expect("everything can be read"))
    }
}

/// By their keys.
pub(crate) fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(Entry::key);
    entries
}

/// What a failed batch says of each update, or a failed read of each entity: code and text.
pub(crate) fn errors(status: &Status) -> Vec<(Code, String)> {
    assert_eq!(status.code(), Code::Unknown);
    let details = rpc::Status::decode(status.details()).expect("the details are a status");
    assert_eq!((details.code, details.message.as_str()), (Code::Unknown.into(), status.message()));
    let decode = |any: &prost_types::Any| {
        assert_eq!(any.type_url, "type.googleapis.com/p4.v1.Error");
        let error = proto::Error::decode(&*any.value).expect("a detail is an error");
        (Code::from_i32(error.canonical_code), error.message)
    };
    details.details.iter().map(decode).collect()
}

pub(crate) fn codes(status: &Status) -> Vec<Code> {
    errors(status).into_iter().map(|(code, _)| code).collect()
}
