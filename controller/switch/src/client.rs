//! The calls, with our device and election id in each and a deadline on each.

use std::future::Future;
use std::time::Duration;

use fail::fail_point;
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use crate::election::ElectionId;
use crate::settings::Settings;

/// A table of BMv2 comes in one message, whatever its size.
const LARGEST_MESSAGE: usize = 256 << 20;
/// The answer to a refused batch names every update in a trailer: about 60 bytes for each, more with a long message.
const LARGEST_TRAILER: u32 = 16 << 20;
/// A lost peer is found by TCP. HTTP/2 pings would do as well, but gRPC's C++ server, BMv2's, hangs up on clients that ping more often
/// than every five minutes.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(2), 3);

/// One connection to a router.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    stub: P4RuntimeClient<Channel>,
    device: u64,
    election: ElectionId,
    deadline: Duration,
    pipeline_deadline: Duration,
}

impl Client {
    /// A client of its own connection, made with the first call.
    pub(crate) fn new(settings: &Settings, election: ElectionId) -> Self {
        let (idle, interval, probes) = KEEPALIVE;
        let endpoint = settings.endpoint.clone();
        let endpoint = endpoint.connect_timeout(settings.deadline).tcp_nodelay(true).http2_max_header_list_size(LARGEST_TRAILER);
        let endpoint = endpoint.tcp_keepalive(Some(idle)).tcp_keepalive_interval(Some(interval)).tcp_keepalive_retries(Some(probes));
        Self {
            stub: P4RuntimeClient::new(endpoint.connect_lazy()).max_decoding_message_size(LARGEST_MESSAGE),
            device: settings.device,
            election,
            deadline: settings.deadline,
            pipeline_deadline: settings.pipeline_deadline,
        }
    }

    /// Opens the stream, with our bid for mastership as its first message.
    pub(crate) async fn stream(
        &self,
        queue: usize,
    ) -> Result<(mpsc::Sender<proto::StreamMessageRequest>, Streaming<proto::StreamMessageResponse>), Status> {
        let (sender, requests) = mpsc::channel(queue);
        // The receiver is here and the queue is empty, so this neither fails nor waits.
        sender.try_send(self.bid()).map_err(|error| Status::internal(error.to_string()))?;
        let mut stub = self.stub.clone();
        let answers = within(self.deadline, stub.stream_channel(ReceiverStream::new(requests))).await?;
        Ok((sender, answers.into_inner()))
    }

    /// Our bid for mastership.
    pub(crate) fn bid(&self) -> proto::StreamMessageRequest {
        let election_id = Some(self.election.encode());
        let bid = proto::MasterArbitrationUpdate { device_id: self.device, election_id, role: None, status: None };
        proto::StreamMessageRequest { update: Some(Request::Arbitration(bid)) }
    }

    /// The same connection with another bid.
    pub(crate) fn bidding(self, election: ElectionId) -> Self {
        Self { election, ..self }
    }

    pub(crate) async fn write(&self, updates: Vec<proto::Update>) -> Result<(), Status> {
        let request =
            proto::WriteRequest { device_id: self.device, election_id: Some(self.election.encode()), updates, ..Default::default() };
        fail_point!("router: before a write");
        within(self.deadline, self.stub.clone().write(request)).await?;
        fail_point!("router: after a write");
        Ok(())
    }

    /// Hands every entity of the answer to `take`.
    pub(crate) async fn read(&self, entities: Vec<proto::Entity>, mut take: impl FnMut(proto::Entity)) -> Result<(), Status> {
        let request = proto::ReadRequest { device_id: self.device, entities, ..Default::default() };
        let mut answers = within(self.deadline, self.stub.clone().read(request)).await?.into_inner();
        while let Some(answer) = timeout(self.deadline, answers.message()).await.map_err(|_| overdue(self.deadline))?? {
            answer.entities.into_iter().for_each(&mut take);
        }
        Ok(())
    }

    /// The cookie of the pipeline in service; none if there is no pipeline or it has no cookie.
    pub(crate) async fn pipeline_cookie(&self) -> Result<Option<u64>, Status> {
        let request = proto::GetForwardingPipelineConfigRequest {
            device_id: self.device,
            response_type: proto::get_forwarding_pipeline_config_request::ResponseType::CookieOnly.into(),
        };
        let config = match within(self.deadline, self.stub.clone().get_forwarding_pipeline_config(request)).await {
            Ok(answer) => answer.into_inner().config,
            // How some servers say that there is none.
            Err(status) if status.code() == tonic::Code::FailedPrecondition => None,
            Err(status) => return Err(status),
        };
        Ok(config.and_then(|config| config.cookie).map(|cookie| cookie.cookie))
    }

    /// Puts a pipeline into service, with empty tables.
    pub(crate) async fn commit_pipeline(&self, config: proto::ForwardingPipelineConfig) -> Result<(), Status> {
        let request = proto::SetForwardingPipelineConfigRequest {
            device_id: self.device,
            election_id: Some(self.election.encode()),
            action: proto::set_forwarding_pipeline_config_request::Action::VerifyAndCommit.into(),
            config: Some(config),
            ..Default::default()
        };
        within(self.pipeline_deadline, self.stub.clone().set_forwarding_pipeline_config(request)).await?;
        Ok(())
    }
}

async fn within<T>(deadline: Duration, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<Response<T>, Status> {
    timeout(deadline, call).await.map_err(|_| overdue(deadline))?
}

fn overdue(deadline: Duration) -> Status {
    Status::deadline_exceeded(format!("no answer within {deadline:?}"))
}
