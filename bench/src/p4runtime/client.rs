//! A controller.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use p4runtime_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use svpn_contract::p4info;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use super::P4RuntimeError;
use super::router::DEVICE;

const ELECTION: Option<proto::Uint128> = Some(proto::Uint128 { high: 0, low: 1 });
/// Bytes that may be under way: so that the client does not wait for windows to open.
const WINDOW: u32 = 16 << 20;

/// The primary controller.
#[derive(Debug)]
pub struct Client {
    service: P4RuntimeClient<Channel>,
    _requests: mpsc::Sender<proto::StreamMessageRequest>,
    _answers: Streaming<proto::StreamMessageResponse>,
}

/// A request of these updates.
pub(super) fn request(updates: Vec<proto::Update>) -> proto::WriteRequest {
    proto::WriteRequest { device_id: DEVICE, election_id: ELECTION, updates, ..Default::default() }
}

impl Client {
    /// Connects, becomes primary and puts the pipeline into service. What was in the tables stays.
    ///
    /// # Errors
    /// [`P4RuntimeError`]: it is refused.
    pub async fn connect(address: SocketAddr) -> Result<Self, P4RuntimeError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .tcp_nodelay(true);
        let mut client = P4RuntimeClient::new(endpoint.connect().await?).max_decoding_message_size(256 << 20);
        let (requests, outbound) = mpsc::channel(4);
        let bid = proto::MasterArbitrationUpdate { device_id: DEVICE, election_id: ELECTION, ..Default::default() };
        let update = Some(Request::Arbitration(bid));
        requests.send(proto::StreamMessageRequest { update }).await.map_err(|_| P4RuntimeError::Ended)?;
        let mut answers = client.stream_channel(ReceiverStream::new(outbound)).await?.into_inner();
        answers.message().await?.ok_or(P4RuntimeError::Ended)?;
        let config = proto::SetForwardingPipelineConfigRequest {
            device_id: DEVICE,
            election_id: ELECTION,
            action: Action::ReconcileAndCommit.into(),
            config: Some(proto::ForwardingPipelineConfig { p4info: Some(p4info()), ..Default::default() }),
            ..Default::default()
        };
        client.set_forwarding_pipeline_config(config).await?;
        Ok(Self { service: client, _requests: requests, _answers: answers })
    }

    /// Writes batches in their order, with some on their way at a time, and waits for the last answer.
    ///
    /// # Errors
    /// [`P4RuntimeError`]: an update is refused.
    pub async fn write(&mut self, requests: Vec<proto::WriteRequest>, in_flight: NonZeroUsize) -> Result<(), P4RuntimeError> {
        let mut answers: VecDeque<JoinHandle<Result<(), Status>>> = VecDeque::new();
        for request in requests {
            if answers.len() >= in_flight.get()
                && let Some(answer) = answers.pop_front()
            {
                answer.await.map_err(|_| P4RuntimeError::Panicked)??;
            }
            let mut client = self.service.clone();
            answers.push_back(tokio::spawn(async move { client.write(request).await.map(drop) }));
        }
        for answer in answers {
            answer.await.map_err(|_| P4RuntimeError::Panicked)??;
        }
        Ok(())
    }

    /// Reads all entries of all tables; how many there are.
    ///
    /// # Errors
    /// [`P4RuntimeError`]: the read is refused.
    pub async fn read_all(&mut self) -> Result<usize, P4RuntimeError> {
        let entities = vec![proto::Entity { entity: Some(Entity::TableEntry(proto::TableEntry::default())) }];
        let mut answers = self.service.read(proto::ReadRequest { device_id: DEVICE, entities, role: String::new() }).await?.into_inner();
        let mut count = 0;
        while let Some(answer) = answers.message().await? {
            count += answer.entities.len();
        }
        Ok(count)
    }

    /// Another user of the same connection.
    #[must_use]
    pub(super) fn handle(&self) -> P4RuntimeClient<Channel> {
        self.service.clone()
    }
}
