//! A controller that is primary.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use p4runtime_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use p4runtime_proto::p4::v1::stream_message_response::Update as Response;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::p4info;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::forwarder::Forwarder;

const DEVICE: u64 = 7;
const ELECTION: Option<proto::Uint128> = Some(proto::Uint128 { high: 0, low: 1 });

pub(crate) struct Client {
    service: P4RuntimeClient<Channel>,
    requests: mpsc::Sender<proto::StreamMessageRequest>,
    answers: Streaming<proto::StreamMessageResponse>,
}

impl Client {
    /// One that has bid and won.
    pub(crate) async fn connect(forwarder: &Forwarder) -> Self {
        let mut service = P4RuntimeClient::connect(format!("http://{}", forwarder.address)).await.expect("it listens");
        let (requests, outbound) = mpsc::channel(4);
        let answers = service.stream_channel(ReceiverStream::new(outbound)).await.expect("a stream opens").into_inner();
        let mut client = Self { service, requests, answers };
        client
            .say(Request::Arbitration(proto::MasterArbitrationUpdate { device_id: DEVICE, election_id: ELECTION, ..Default::default() }))
            .await;
        assert!(matches!(client.answer().await, Ok(Response::Arbitration(_))));
        client
    }

    /// One that has put the pipeline into service, too.
    pub(crate) async fn primary(forwarder: &Forwarder) -> Self {
        let mut client = Self::connect(forwarder).await;
        let request = proto::SetForwardingPipelineConfigRequest {
            device_id: DEVICE,
            election_id: ELECTION,
            action: Action::VerifyAndCommit.into(),
            config: Some(proto::ForwardingPipelineConfig { p4info: Some(p4info()), ..Default::default() }),
            ..Default::default()
        };
        client.service.set_forwarding_pipeline_config(request).await.expect("it is our pipeline");
        client
    }

    pub(crate) async fn say(&self, update: Request) {
        self.requests.send(proto::StreamMessageRequest { update: Some(update) }).await.expect("the stream is open");
    }

    /// The next message of the stream.
    pub(crate) async fn answer(&mut self) -> Result<Response, tonic::Status> {
        let message = self.answers.message().await?;
        Ok(message.expect("the stream goes on").update.expect("a message has content"))
    }

    /// Writes what must be possible.
    pub(crate) async fn write(&mut self, kind: Type, entities: Vec<Entity>) {
        let update = |entity| proto::Update { r#type: kind.into(), entity: Some(proto::Entity { entity: Some(entity) }) };
        let updates = entities.into_iter().map(update).collect();
        let request = proto::WriteRequest { device_id: DEVICE, election_id: ELECTION, updates, ..Default::default() };
        self.service.write(request).await.expect("the updates are possible");
    }
}
