//! Who of several controllers is primary (P4Runtime specification, client arbitration).

use p4runtime_proto::google::rpc;
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::stream_message_response::Update as Answer;
use tokio::sync::mpsc;
use tonic::{Code, Status};

/// Where the answers of one controller's stream go.
pub type Answers = mpsc::UnboundedSender<Result<proto::StreamMessageResponse, Status>>;

/// The controllers of one device.
#[derive(Debug)]
pub struct Arbitration {
    device: u64,
    controllers: Vec<Controller>,
    /// The highest bid it has ever seen; only a stream that bids it is primary. A test may raise it, as somebody who is gone would have.
    pub highest: Option<u128>,
    streams: u64,
}

/// A controller's stream.
#[derive(Debug)]
struct Controller {
    stream: u64,
    election: u128,
    answers: Answers,
}

impl Arbitration {
    /// Of a device that no controller has found yet.
    pub const fn new(device: u64) -> Self {
        Self { device, controllers: Vec::new(), highest: None, streams: 0 }
    }

    /// Whether no controller has a stream.
    pub const fn is_alone(&self) -> bool {
        self.controllers.is_empty()
    }

    /// How many streams have bidden so far.
    pub const fn streams(&self) -> u64 {
        self.streams
    }

    /// Takes a bid of a stream, which has a number if it has bidden before; returns its number.
    ///
    /// # Errors
    /// The status with which the stream is to be ended.
    pub fn bid(&mut self, stream: Option<u64>, bid: &proto::MasterArbitrationUpdate, answers: &Answers) -> Result<u64, Status> {
        if bid.device_id != self.device {
            return Err(Status::not_found("no such device"));
        }
        let election = bid.election_id.ok_or_else(|| Status::invalid_argument("no election id"))?;
        let election = u128::from(election.high) << 64 | u128::from(election.low);
        if self.controllers.iter().any(|controller| controller.election == election && Some(controller.stream) != stream) {
            return Err(Status::invalid_argument("the election id is in use"));
        }
        self.streams += u64::from(stream.is_none());
        self.highest = self.highest.max(Some(election));
        let stream = stream.unwrap_or(self.streams);
        self.controllers.retain(|controller| controller.stream != stream);
        self.controllers.push(Controller { stream, election, answers: answers.clone() });
        self.announce();
        Ok(stream)
    }

    /// A stream has ended.
    pub fn leave(&mut self, stream: Option<u64>) {
        self.controllers.retain(|controller| Some(controller.stream) != stream);
        self.announce();
    }

    /// Every stream was cut.
    pub fn cut(&mut self) {
        self.controllers.clear();
    }

    /// Whether a request with this election id may change anything.
    ///
    /// # Errors
    /// The answer to it, if it may not.
    pub fn admit(&self, election: Option<proto::Uint128>) -> Result<(), Status> {
        if election.is_none() || self.primary().map(|primary| uint128(primary.election)) != election {
            return Err(Status::permission_denied("not primary"));
        }
        Ok(())
    }

    /// Sends to every controller.
    pub fn tell(&self, update: &Answer) {
        for controller in &self.controllers {
            controller.tell(update.clone());
        }
    }

    /// Sends to the primary, if there is one.
    pub fn tell_primary(&self, update: Answer) {
        if let Some(primary) = self.primary() {
            primary.tell(update);
        }
    }

    fn primary(&self) -> Option<&Controller> {
        self.controllers.iter().find(|controller| Some(controller.election) == self.highest)
    }

    /// Tells every controller who is primary now.
    fn announce(&self) {
        for controller in &self.controllers {
            let code = match self.primary() {
                None => Code::NotFound,
                Some(primary) if primary.election == controller.election => Code::Ok,
                Some(_) => Code::AlreadyExists,
            };
            controller.tell(Answer::Arbitration(proto::MasterArbitrationUpdate {
                device_id: self.device,
                role: None,
                election_id: self.highest.map(uint128),
                status: Some(rpc::Status { code: code.into(), ..Default::default() }),
            }));
        }
    }
}

impl Controller {
    fn tell(&self, update: Answer) {
        // One whose stream has ended is about to be removed.
        let _ = self.answers.send(Ok(proto::StreamMessageResponse { update: Some(update) }));
    }
}

fn uint128(number: u128) -> proto::Uint128 {
    let [high, low] = [number >> 64, number & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or_default());
    proto::Uint128 { high, low }
}
