//! The calls of a router.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::p4_runtime_server::P4Runtime;
use p4runtime_proto::p4::v1::stream_message_request::Update as Message;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::oracle::{ApplyError, Count};
use svpn_contract::packet::PacketOut;
use svpn_contract::wire::SessionId;
use svpn_contract::{Entry, EntryKey, Update, counter};
use svpn_double::{Answers, failure, read_table};
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::provider::{Device, Network, empty};

/// The service of one router.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) network: Arc<Mutex<Network>>,
    pub(crate) router: usize,
    pub(crate) silent: watch::Receiver<bool>,
}

type Answered<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap()
    }

    /// Waits until the router answers.
    async fn awake(&self) {
        // The sender lives as long as the routers.
        let _ = self.silent.clone().wait_for(|silent| !silent).await;
    }

    fn with_primary<T>(
        &self,
        election: Option<proto::Uint128>,
        serve: impl FnOnce(&mut Device) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let mut network = self.network();
        let device = &mut network.devices[self.router];
        device.arbitration.admit(election)?;
        serve(device).map(Response::new)
    }
}

#[tonic::async_trait]
impl P4Runtime for Service {
    async fn write(&self, request: Request<proto::WriteRequest>) -> Result<Response<proto::WriteResponse>, Status> {
        self.awake().await;
        let request = request.into_inner();
        self.with_primary(request.election_id, |device| {
            device.pipeline.as_ref().ok_or_else(|| Status::failed_precondition("no pipeline"))?;
            let codes: Vec<_> = request.updates.iter().map(|update| carry_out(device, update)).collect();
            failure(&codes).map_or(Ok(proto::WriteResponse {}), Err)
        })
    }

    type ReadStream = Answered<proto::ReadResponse>;

    async fn read(&self, request: Request<proto::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        self.awake().await;
        let network = self.network();
        let device = &network.devices[self.router];
        let mut entities = Vec::new();
        for entity in request.into_inner().entities {
            match entity.entity {
                Some(Entity::TableEntry(wildcard)) => entities.extend(read_table(device.oracle.entries().map(Entry::encode), &wildcard)),
                Some(Entity::DirectCounterEntry(counter)) => entities.extend(read_session_counter(device, counter)),
                Some(Entity::CounterEntry(cell)) => entities.push(read_discards(device, cell)),
                other => return Err(Status::unimplemented(format!("{other:?}"))),
            }
        }
        let answer = proto::ReadResponse { entities };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(answer)))))
    }

    async fn set_forwarding_pipeline_config(
        &self,
        request: Request<proto::SetForwardingPipelineConfigRequest>,
    ) -> Result<Response<proto::SetForwardingPipelineConfigResponse>, Status> {
        self.awake().await;
        let request = request.into_inner();
        self.with_primary(request.election_id, |device| {
            device.pipeline = request.config;
            device.oracle = empty();
            Ok(proto::SetForwardingPipelineConfigResponse {})
        })
    }

    async fn get_forwarding_pipeline_config(
        &self,
        _: Request<proto::GetForwardingPipelineConfigRequest>,
    ) -> Result<Response<proto::GetForwardingPipelineConfigResponse>, Status> {
        self.awake().await;
        let config = self.network().devices[self.router].pipeline.clone().ok_or_else(|| Status::failed_precondition("no pipeline"))?;
        let config = proto::ForwardingPipelineConfig { cookie: config.cookie, ..Default::default() };
        Ok(Response::new(proto::GetForwardingPipelineConfigResponse { config: Some(config) }))
    }

    type StreamChannelStream = Answered<proto::StreamMessageResponse>;

    async fn stream_channel(
        &self,
        request: Request<Streaming<proto::StreamMessageRequest>>,
    ) -> Result<Response<Self::StreamChannelStream>, Status> {
        self.awake().await;
        let (answers, received) = mpsc::unbounded_channel();
        tokio::spawn(self.clone().listen(request.into_inner(), answers));
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(received))))
    }

    async fn capabilities(&self, _: Request<proto::CapabilitiesRequest>) -> Result<Response<proto::CapabilitiesResponse>, Status> {
        Ok(Response::new(proto::CapabilitiesResponse { p4runtime_api_version: "1.5.0".into(), experimental: None }))
    }
}

impl Service {
    /// Serves one controller's stream until it ends.
    async fn listen(self, mut requests: Streaming<proto::StreamMessageRequest>, answers: Answers) {
        let mut stream = None;
        while let Ok(Some(request)) = requests.message().await {
            self.awake().await;
            let mut network = self.network();
            match request.update {
                Some(Message::Arbitration(bid)) => match network.devices[self.router].arbitration.bid(stream, &bid, &answers) {
                    Ok(number) => stream = Some(number),
                    Err(status) => {
                        let _ = answers.send(Err(status));
                        return;
                    }
                },
                Some(Message::Packet(packet)) => {
                    network.packet_out(self.router, &PacketOut::decode(packet).expect("a packet-out of the contract"));
                }
                other => panic!("the gateway sent {other:?}"),
            }
        }
        self.network().devices[self.router].arbitration.leave(stream);
    }
}

fn carry_out(device: &mut Device, update: &proto::Update) -> Code {
    if let Some(Entity::CounterEntry(cell)) = update.entity.as_ref().and_then(|entity| entity.entity.as_ref()) {
        return set_discards(device, update.r#type(), cell);
    }
    let Ok(update) = Update::decode(update) else { return Code::InvalidArgument };
    match device.oracle.apply(&update) {
        Ok(()) => Code::Ok,
        Err(ApplyError::AlreadyExists(_)) => Code::AlreadyExists,
        Err(ApplyError::NotFound(_)) => Code::NotFound,
    }
}

/// Nothing where there is no such session.
fn read_session_counter(device: &Device, counter: proto::DirectCounterEntry) -> Option<proto::Entity> {
    let key = EntryKey::decode(&counter.table_entry.clone()?).ok()?;
    let data = data(device.oracle.direct_counter(&key)?);
    Some(proto::Entity { entity: Some(Entity::DirectCounterEntry(proto::DirectCounterEntry { data: Some(data), ..counter })) })
}

fn set_discards(device: &mut Device, r#type: Type, cell: &proto::CounterEntry) -> Code {
    assert_eq!((r#type, cell.counter_id), (Type::Modify, counter::SESSION_DISCARDS));
    let session = SessionId::new(u32::try_from(cell.index.expect("an index").index).unwrap()).unwrap();
    let data = cell.data.expect("a value");
    let count = Count { packets: data.packet_count.cast_unsigned(), bytes: data.byte_count.cast_unsigned() };
    device.oracle.set_session_discards(session, count);
    Code::Ok
}

fn read_discards(device: &Device, cell: proto::CounterEntry) -> proto::Entity {
    assert_eq!(cell.counter_id, counter::SESSION_DISCARDS);
    let session = SessionId::new(u32::try_from(cell.index.expect("an index").index).unwrap()).unwrap();
    let data = data(device.oracle.session_discards(session));
    proto::Entity { entity: Some(Entity::CounterEntry(proto::CounterEntry { data: Some(data), ..cell })) }
}

fn data(count: Count) -> proto::CounterData {
    proto::CounterData { packet_count: count.packets.cast_signed(), byte_count: count.bytes.cast_signed() }
}
