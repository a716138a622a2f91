//! The calls of the double.

use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::p4_runtime_server::P4Runtime;
use p4runtime_proto::p4::v1::stream_message_request::Update as Message;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::{EntryKey, SessionKey, counter};
use svpn_double::{Answers, failure, read_table};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::router::{DEVICE, Device, Missing, Trouble, key};

/// The service over a [`Device`].
pub(crate) struct Service(pub(crate) Arc<Mutex<Device>>);

type Answered<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    fn device(&self) -> MutexGuard<'_, Device> {
        self.0.lock().unwrap()
    }

    /// The device, for a primary of that election id.
    fn for_primary(&self, device_id: u64, election: Option<proto::Uint128>) -> Result<MutexGuard<'_, Device>, Status> {
        let device = self.device();
        if device_id != DEVICE {
            return Err(Status::not_found("no such device"));
        }
        device.arbitration.admit(election)?;
        Ok(device)
    }
}

#[tonic::async_trait]
impl P4Runtime for Service {
    async fn write(&self, request: Request<proto::WriteRequest>) -> Result<Response<proto::WriteResponse>, Status> {
        let request = request.into_inner();
        let trouble = {
            let mut device = self.for_primary(request.device_id, request.election_id)?;
            device.pipeline.as_ref().ok_or_else(|| Status::failed_precondition("no pipeline"))?;
            device.writes.push(request.updates.len());
            let trouble = (!device.troubles.is_empty()).then(|| device.troubles.remove(0));
            if let Some(Trouble::Fail(code)) = trouble {
                return Err(Status::new(code, "told to fail"));
            }
            let refused = match &trouble {
                Some(Trouble::Refuse(refused)) => refused.clone(),
                _ => Vec::new(),
            };
            carry_out(&mut device, &request.updates, &refused)?;
            trouble
        };
        if matches!(trouble, Some(Trouble::Swallow)) {
            pending::<()>().await;
        }
        Ok(Response::new(proto::WriteResponse {}))
    }

    type ReadStream = Answered<proto::ReadResponse>;

    async fn read(&self, request: Request<proto::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let (device, request) = (self.device(), request.into_inner());
        let mut answers = Vec::new();
        let mut codes = Vec::new();
        for entity in request.entities {
            let entities = match entity.entity {
                Some(Entity::TableEntry(wildcard)) => Ok(read_table(device.entries.values().cloned(), &wildcard)),
                Some(Entity::DirectCounterEntry(counter)) => read_session_counter(&device, counter),
                Some(Entity::CounterEntry(cell)) => Ok(vec![read_discards(&device, cell)]),
                other => return Err(Status::unimplemented(format!("{other:?}"))),
            };
            match entities {
                // In parts, as a big answer comes.
                Ok(entities) => answers.extend(entities.chunks(100).map(|part| Ok(proto::ReadResponse { entities: part.to_vec() }))),
                Err(_) if device.missing == Missing::LeftOut => {}
                Err(code) if device.missing == Missing::Fatal => return Err(Status::new(code, "something is missing")),
                Err(code) => {
                    codes.push(code);
                    continue;
                }
            }
            codes.push(Code::Ok);
        }
        answers.extend(failure(&codes).map(Err));
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn set_forwarding_pipeline_config(
        &self,
        request: Request<proto::SetForwardingPipelineConfigRequest>,
    ) -> Result<Response<proto::SetForwardingPipelineConfigResponse>, Status> {
        use proto::set_forwarding_pipeline_config_request::Action;
        let request = request.into_inner();
        let mut device = self.for_primary(request.device_id, request.election_id)?;
        if request.action() != Action::VerifyAndCommit {
            return Err(Status::unimplemented(format!("{:?}", request.action())));
        }
        device.pipeline = request.config;
        device.commits += 1;
        device.entries.clear();
        Ok(Response::new(proto::SetForwardingPipelineConfigResponse {}))
    }

    async fn get_forwarding_pipeline_config(
        &self,
        request: Request<proto::GetForwardingPipelineConfigRequest>,
    ) -> Result<Response<proto::GetForwardingPipelineConfigResponse>, Status> {
        use proto::get_forwarding_pipeline_config_request::ResponseType;
        let config = self.device().pipeline.clone().ok_or_else(|| Status::failed_precondition("no pipeline"))?;
        let config = match request.into_inner().response_type() {
            ResponseType::CookieOnly => proto::ForwardingPipelineConfig { cookie: config.cookie, ..Default::default() },
            other => return Err(Status::unimplemented(format!("{other:?}"))),
        };
        Ok(Response::new(proto::GetForwardingPipelineConfigResponse { config: Some(config) }))
    }

    type StreamChannelStream = Answered<proto::StreamMessageResponse>;

    async fn stream_channel(
        &self,
        request: Request<Streaming<proto::StreamMessageRequest>>,
    ) -> Result<Response<Self::StreamChannelStream>, Status> {
        let (answers, received) = mpsc::unbounded_channel();
        tokio::spawn(listen(Arc::clone(&self.0), request.into_inner(), answers));
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(received))))
    }

    async fn capabilities(&self, _: Request<proto::CapabilitiesRequest>) -> Result<Response<proto::CapabilitiesResponse>, Status> {
        Ok(Response::new(proto::CapabilitiesResponse { p4runtime_api_version: "1.5.0".into(), experimental: None }))
    }
}

/// Serves one controller's stream until it ends.
async fn listen(device: Arc<Mutex<Device>>, mut requests: Streaming<proto::StreamMessageRequest>, answers: Answers) {
    let mut stream = None;
    while let Ok(Some(request)) = requests.message().await {
        let mut device = device.lock().unwrap();
        match request.update {
            Some(Message::Arbitration(bid)) => match device.arbitration.bid(stream, &bid, &answers) {
                Ok(number) => stream = Some(number),
                Err(status) => {
                    device.refused_bids += 1;
                    let _ = answers.send(Err(status));
                    return;
                }
            },
            Some(Message::Packet(packet)) => device.packets_out.push(packet),
            other => panic!("the client sent {other:?}"),
        }
    }
    device.lock().unwrap().arbitration.leave(stream);
}

/// Carries out what it can, last first, as a server may choose; fails if it could not do all.
fn carry_out(device: &mut Device, updates: &[proto::Update], refused: &[(usize, Code)]) -> Result<(), Status> {
    let mut codes = vec![Code::Ok; updates.len()];
    for (index, update) in updates.iter().enumerate().rev() {
        let told = refused.iter().find(|(refused, _)| *refused == index).map(|(_, code)| *code);
        codes[index] = told.unwrap_or_else(|| carry_out_one(device, update));
    }
    failure(&codes).map_or(Ok(()), Err)
}

fn carry_out_one(device: &mut Device, update: &proto::Update) -> Code {
    let entry = match update.entity.as_ref().and_then(|entity| entity.entity.clone()) {
        Some(Entity::TableEntry(entry)) => entry,
        Some(Entity::CounterEntry(cell)) => return set_discards(device, update.r#type(), &cell),
        _ => return Code::Unimplemented,
    };
    let key = key(&entry);
    match (update.r#type(), device.entries.contains_key(&key)) {
        (Type::Insert, true) => return Code::AlreadyExists,
        (Type::Modify | Type::Delete, false) => return Code::NotFound,
        (Type::Unspecified, _) => return Code::InvalidArgument,
        (Type::Insert | Type::Modify, _) => drop(device.entries.insert(key, entry)),
        (Type::Delete, true) => drop(device.entries.remove(&key)),
    }
    Code::Ok
}

/// A counter's cells are there always.
fn set_discards(device: &mut Device, r#type: Type, cell: &proto::CounterEntry) -> Code {
    let session = cell.index.and_then(|index| u32::try_from(index.index).ok());
    match (r#type, session, cell.data) {
        (Type::Modify, Some(session), Some(data)) if cell.counter_id == counter::SESSION_DISCARDS => {
            device.session_discards.insert(session, data);
            Code::Ok
        }
        _ => Code::InvalidArgument,
    }
}

fn read_session_counter(device: &Device, counter: proto::DirectCounterEntry) -> Result<Vec<proto::Entity>, Code> {
    let entry = counter.table_entry.clone().unwrap_or_default();
    let Ok(EntryKey::Session(SessionKey { session })) = EntryKey::decode(&entry) else {
        return Err(Code::InvalidArgument);
    };
    if !device.entries.contains_key(&key(&entry)) {
        return Err(Code::NotFound);
    }
    let data = device.session_counters.get(&session.get()).copied().unwrap_or_default();
    Ok(vec![proto::Entity { entity: Some(Entity::DirectCounterEntry(proto::DirectCounterEntry { data: Some(data), ..counter })) }])
}

fn read_discards(device: &Device, cell: proto::CounterEntry) -> proto::Entity {
    assert_eq!(cell.counter_id, counter::SESSION_DISCARDS);
    let index = u32::try_from(cell.index.expect("an index").index).expect("a session");
    let data = device.session_discards.get(&index).copied().unwrap_or_default();
    proto::Entity { entity: Some(Entity::CounterEntry(proto::CounterEntry { data: Some(data), ..cell })) }
}
