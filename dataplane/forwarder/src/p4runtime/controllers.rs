//! The connected controllers: who they are, and how to reach them.

use std::collections::BTreeMap;

use p4runtime_proto::google::rpc;
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::stream_message_response::Update;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::arbitration::{Arbitration, BidError, Connection, ElectionId, Notice, Standing};

/// Notices a controller may leave unread before it is cut off: it does not read its stream.
const NOTICES: usize = 128;
/// Packets and errors on their way to a controller.
const PACKETS: usize = 1024;

pub(super) type Message = Result<proto::StreamMessageResponse, Status>;

/// The way to one controller: notices are never held up by packets.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    notices: mpsc::Sender<Message>,
    pub(super) packets: mpsc::Sender<Message>,
    /// Ends the controller's stream.
    pub(super) cut: CancellationToken,
}

impl Outlet {
    /// An outlet, and the stream that comes out of it. It ends when the outlet is gone.
    pub(super) fn new(cut: CancellationToken) -> (Self, impl Stream<Item = Message> + Send + 'static) {
        let (notices, from_notices) = mpsc::channel(NOTICES);
        let (packets, from_packets) = mpsc::channel(PACKETS);
        let stream = ReceiverStream::new(from_notices).merge(ReceiverStream::new(from_packets));
        (Self { notices, packets, cut }, stream)
    }

    /// Ends the stream with a status.
    pub(super) fn end(self, status: Status) {
        // Full only if the controller does not read; its stream ends all the same.
        drop(self.notices.try_send(Err(status)));
    }

    /// Tells of an error in a message of the controller. May be dropped when packets abound.
    pub(super) fn report(&self, error: proto::StreamError) {
        drop(self.packets.try_send(Ok(message(Update::Error(error)))));
    }
}

pub(super) fn message(update: Update) -> proto::StreamMessageResponse {
    proto::StreamMessageResponse { update: Some(update) }
}

/// Arbitration, and the outlets of those who take part in it.
#[derive(Debug)]
pub(super) struct Controllers {
    device: u64,
    arbitration: Arbitration,
    outlets: BTreeMap<Connection, Outlet>,
}

impl Controllers {
    pub(super) fn new(device: u64) -> Self {
        Self { device, arbitration: Arbitration::default(), outlets: BTreeMap::new() }
    }

    pub(super) fn arbitration(&self) -> &Arbitration {
        &self.arbitration
    }

    /// A controller bids, and all whom it concerns are told.
    pub(super) fn bid(&mut self, from: Connection, outlet: &Outlet, role: &str, bid: Option<ElectionId>) -> Result<(), BidError> {
        let notices = self.arbitration.bid(from, role, bid)?;
        self.outlets.entry(from).or_insert_with(|| outlet.clone());
        self.tell(role, &notices);
        Ok(())
    }

    /// A controller's stream has ended, and all whom it concerns are told.
    pub(super) fn leave(&mut self, connection: Connection) {
        let Some(role) = self.arbitration.role_of(connection).map(str::to_owned) else { return };
        self.outlets.remove(&connection);
        let notices = self.arbitration.leave(connection);
        self.tell(&role, &notices);
    }

    /// Where packets for the controllers go: to the primary of every role.
    pub(super) fn primaries(&self) -> Vec<mpsc::Sender<Message>> {
        self.arbitration.primaries().filter_map(|primary| self.outlets.get(&primary)).map(|outlet| outlet.packets.clone()).collect()
    }

    fn tell(&self, role: &str, notices: &[Notice]) {
        for notice in notices {
            let Some(outlet) = self.outlets.get(&notice.to) else { continue };
            if outlet.notices.try_send(Ok(message(Update::Arbitration(self.answer(role, notice))))).is_err() {
                tracing::warn!(connection = notice.to.0, "a controller does not read its stream and is cut off");
                outlet.cut.cancel();
            }
        }
    }

    fn answer(&self, role: &str, notice: &Notice) -> proto::MasterArbitrationUpdate {
        let (code, text) = match notice.standing {
            Standing::Primary => (Code::Ok, "you are primary"),
            Standing::Backup => (Code::AlreadyExists, "another controller is primary"),
            Standing::NoPrimary => (Code::NotFound, "no controller is primary"),
        };
        proto::MasterArbitrationUpdate {
            device_id: self.device,
            role: (!role.is_empty()).then(|| proto::Role { name: role.to_owned(), ..Default::default() }),
            election_id: notice.highest.map(Into::into),
            status: Some(rpc::Status { code: code.into(), message: text.to_owned(), details: Vec::new() }),
        }
    }
}
