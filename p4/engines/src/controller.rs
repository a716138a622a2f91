//! The controller of one engine, for tests: every call waits for its answer.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use p4runtime_proto::google::rpc;
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use p4runtime_proto::p4::v1::stream_message_response::Update as Answer;
use prost::Message;
use svpn_contract::oracle::Count;
use svpn_contract::packet::{PacketError, PacketIn, PacketOut};
use svpn_contract::wire::SessionId;
use svpn_contract::{DecodeError, EntryKey, P4INFO_BYTES, Reason, Update, counter};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// The device id of every engine under test.
pub(crate) const DEVICE: u64 = 1;
const ELECTION: proto::Uint128 = proto::Uint128 { high: 0, low: 1 };
/// How long an answer may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is tried to connect to a program that has just been started.
const TRY: Duration = Duration::from_millis(20);

/// Why the controller does not have what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// There is no runtime for the calls.
    #[error("no runtime: {0}")]
    Runtime(#[source] io::Error),
    /// The engine cannot be reached.
    #[error("no connection: {0}")]
    Connect(#[source] tonic::transport::Error),
    /// The engine refused a call.
    #[error("the engine refused: {0}")]
    Refused(#[source] Box<Status>),
    /// The engine closed the stream.
    #[error("the engine closed the stream")]
    Closed,
    /// Somebody else is primary.
    #[error("the engine has another primary controller: {0:?}")]
    NotPrimary(rpc::Status),
    /// An answer is none to what was asked.
    #[error("the engine answered something else: {0}")]
    Unexpected(&'static str),
    /// An entry in an answer is none of the contract's.
    #[error("the engine answered with an entry that is none of the contract's: {0}")]
    Entry(#[from] DecodeError),
    /// A packet-in is none of the contract's.
    #[error("the engine sent a packet-in that is none of the contract's: {0}")]
    Packet(#[from] PacketError),
}

impl From<Status> for ControllerError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// A cell of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// Of `drops`.
    Drops(Reason),
    /// Of `session_discards`.
    SessionDiscards(SessionId),
    /// The direct counter of an entry.
    Entry(EntryKey),
}

impl Cell {
    fn encode(self) -> Entity {
        let indexed =
            |counter_id, index| Entity::CounterEntry(proto::CounterEntry { counter_id, index: Some(proto::Index { index }), data: None });
        match self {
            Self::Drops(reason) => indexed(counter::DROPS, i64::from(reason as u8)),
            Self::SessionDiscards(session) => indexed(counter::SESSION_DISCARDS, i64::from(session.get())),
            Self::Entry(key) => Entity::DirectCounterEntry(proto::DirectCounterEntry { table_entry: Some(key.encode()), data: None }),
        }
    }

    fn decode(entity: &Entity) -> Result<(Self, Option<proto::CounterData>), ControllerError> {
        match entity {
            Entity::CounterEntry(entry) => {
                let index = entry.index.as_ref().and_then(|index| u32::try_from(index.index).ok());
                let index = index.ok_or(ControllerError::Unexpected("a counter entry without an index"))?;
                let reason = || u8::try_from(index).ok().and_then(Reason::from_number);
                let cell = match entry.counter_id {
                    counter::DROPS => reason().map(Self::Drops),
                    counter::SESSION_DISCARDS => SessionId::new(index).ok().map(Self::SessionDiscards),
                    _ => None,
                };
                Ok((cell.ok_or(ControllerError::Unexpected("a counter that was not asked for"))?, entry.data))
            }
            Entity::DirectCounterEntry(entry) => {
                let key = entry.table_entry.as_ref().ok_or(ControllerError::Unexpected("a direct counter of no entry"))?;
                Ok((Self::Entry(EntryKey::decode(key)?), entry.data))
            }
            _ => Err(ControllerError::Unexpected("an entity that is no counter")),
        }
    }
}

/// The primary controller of an engine.
pub struct Controller {
    runtime: Runtime,
    stub: P4RuntimeClient<Channel>,
    requests: mpsc::Sender<proto::StreamMessageRequest>,
    answers: Streaming<proto::StreamMessageResponse>,
}

async fn connect(endpoint: &Endpoint) -> Result<Channel, tonic::transport::Error> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        match endpoint.connect().await {
            Err(_) if tokio::time::Instant::now() < end => tokio::time::sleep(TRY).await,
            other => return other,
        }
    }
}

impl Controller {
    /// Connects to an engine as soon as it listens, and becomes its primary.
    ///
    /// # Errors
    /// [`ControllerError`], after half a minute if it never listens.
    pub fn connect(address: SocketAddr) -> Result<Self, ControllerError> {
        // A thread of its own, so that what is on its way goes on between calls; it is in the namespace of the caller that starts it.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(ControllerError::Runtime)?;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(ControllerError::Connect)?.timeout(PATIENCE);
        let (requests, receiver) = mpsc::channel(16);
        let (stub, answers) = runtime.block_on(async {
            let channel = connect(&endpoint).await.map_err(ControllerError::Connect)?;
            // Counters of every entry come in one message.
            let stub = P4RuntimeClient::new(channel).max_decoding_message_size(64 << 20);
            let bid = proto::MasterArbitrationUpdate { device_id: DEVICE, election_id: Some(ELECTION), role: None, status: None };
            let bid = proto::StreamMessageRequest { update: Some(Request::Arbitration(bid)) };
            requests.send(bid).await.map_err(|_| ControllerError::Closed)?;
            let answers = stub.clone().stream_channel(ReceiverStream::new(receiver)).await?.into_inner();
            Ok::<_, ControllerError>((stub, answers))
        })?;
        let mut controller = Self { runtime, stub, requests, answers };
        match controller.next(PATIENCE)? {
            Some(Answer::Arbitration(answer)) => match answer.status {
                Some(status) if status.code != 0 => Err(ControllerError::NotPrimary(status)),
                _ => Ok(controller),
            },
            _ => Err(ControllerError::Unexpected("no answer to the bid for mastership")),
        }
    }

    fn next(&mut self, within: Duration) -> Result<Option<Answer>, ControllerError> {
        let answers = &mut self.answers;
        match self.runtime.block_on(async { tokio::time::timeout(within, answers.message()).await }) {
            Err(_) => Ok(None),
            Ok(message) => match message? {
                None => Err(ControllerError::Closed),
                Some(message) => Ok(message.update),
            },
        }
    }

    /// Puts the contract's pipeline into service, with empty tables and counters; `device` is what the engine wants besides the P4Info.
    ///
    /// # Errors
    /// [`ControllerError`].
    pub fn set_pipeline(&mut self, device: &[u8]) -> Result<(), ControllerError> {
        let p4info = Message::decode(P4INFO_BYTES).map_err(|_| ControllerError::Unexpected("the contract's P4Info is none"))?;
        let config = proto::ForwardingPipelineConfig { p4info: Some(p4info), p4_device_config: device.to_vec(), cookie: None };
        let request = proto::SetForwardingPipelineConfigRequest {
            device_id: DEVICE,
            election_id: Some(ELECTION),
            action: proto::set_forwarding_pipeline_config_request::Action::VerifyAndCommit.into(),
            config: Some(config),
            ..Default::default()
        };
        self.runtime.block_on(self.stub.set_forwarding_pipeline_config(request))?;
        Ok(())
    }

    /// Writes a batch that goes on after errors; the answer has a code for each update.
    ///
    /// # Errors
    /// [`ControllerError`] when the call failed as a whole.
    pub fn write(&mut self, updates: &[Update]) -> Result<Vec<Code>, ControllerError> {
        let request = proto::WriteRequest {
            device_id: DEVICE,
            election_id: Some(ELECTION),
            updates: updates.iter().map(Update::encode).collect(),
            ..Default::default()
        };
        match self.runtime.block_on(self.stub.write(request)) {
            Ok(_) => Ok(vec![Code::Ok; updates.len()]),
            Err(status) => codes(&status, updates.len()).ok_or_else(|| status.into()),
        }
    }

    /// The keys of all entries of all tables.
    ///
    /// # Errors
    /// [`ControllerError`].
    pub fn keys(&mut self) -> Result<Vec<EntryKey>, ControllerError> {
        // Table 0 is all tables.
        let entities = self.read(vec![Entity::TableEntry(proto::TableEntry::default())])?;
        let key = |entity: &Entity| match entity {
            Entity::TableEntry(entry) => Ok(EntryKey::decode(entry)?),
            _ => Err(ControllerError::Unexpected("an entity that is no table entry")),
        };
        entities.iter().map(key).collect()
    }

    fn read(&mut self, entities: Vec<Entity>) -> Result<Vec<Entity>, ControllerError> {
        let entities = entities.into_iter().map(|entity| proto::Entity { entity: Some(entity) }).collect();
        let request = proto::ReadRequest { device_id: DEVICE, entities, ..Default::default() };
        let mut stub = self.stub.clone();
        self.runtime.block_on(async {
            let mut answers = stub.read(request).await?.into_inner();
            let mut entities = Vec::new();
            while let Some(answer) = answers.message().await? {
                entities.extend(answer.entities.into_iter().filter_map(|entity| entity.entity));
            }
            Ok(entities)
        })
    }

    /// Reads cells of counters.
    ///
    /// # Errors
    /// [`ControllerError`]; [`ControllerError::Unexpected`] also where a cell is not in the answer.
    pub fn counts(&mut self, cells: &[Cell]) -> Result<BTreeMap<Cell, Count>, ControllerError> {
        let entities = self.read(cells.iter().map(|cell| cell.encode()).collect())?;
        let mut counts = BTreeMap::new();
        for entity in &entities {
            let (cell, data) = Cell::decode(entity)?;
            let number = |signed: i64| u64::try_from(signed).map_err(|_| ControllerError::Unexpected("a negative count"));
            let data = data.unwrap_or_default();
            counts.insert(cell, Count { packets: number(data.packet_count)?, bytes: number(data.byte_count)? });
        }
        let all = cells.iter().all(|cell| counts.contains_key(cell));
        if all { Ok(counts) } else { Err(ControllerError::Unexpected("not all of the counters")) }
    }

    /// The next packet-in, if one comes within that time.
    ///
    /// # Errors
    /// [`ControllerError`].
    pub fn packet_in(&mut self, within: Duration) -> Result<Option<PacketIn>, ControllerError> {
        match self.next(within)? {
            None => Ok(None),
            Some(Answer::Packet(packet)) => Ok(Some(PacketIn::decode(packet)?)),
            Some(_) => Err(ControllerError::Unexpected("something on the stream that is no packet-in")),
        }
    }

    /// Sends a packet-out.
    ///
    /// # Errors
    /// [`ControllerError::Closed`].
    pub fn packet_out(&mut self, packet: PacketOut) -> Result<(), ControllerError> {
        let request = proto::StreamMessageRequest { update: Some(Request::Packet(packet.encode())) };
        self.runtime.block_on(self.requests.send(request)).map_err(|_| ControllerError::Closed)
    }
}

/// What `google.rpc.Status` says of each update (P4Runtime specification, "Batching and Ordering of Updates").
fn codes(status: &Status, updates: usize) -> Option<Vec<Code>> {
    let status = rpc::Status::decode(status.details()).ok()?;
    let code = |detail: &prost_types::Any| proto::Error::decode(&*detail.value).ok().map(|error| Code::from_i32(error.canonical_code));
    let codes: Vec<Code> = status.details.iter().map(code).collect::<Option<_>>()?;
    (codes.len() == updates).then_some(codes)
}
