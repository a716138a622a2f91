//! Packets from the gateway to a router's port.

use p4runtime_proto::p4::v1::StreamMessageRequest;
use p4runtime_proto::p4::v1::stream_message_request::Update;
use svpn_contract::packet::PacketOut;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::switch::State;

/// Why a packet was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketOutError {
    /// Only the primary may send packets.
    #[error("the router takes no packets from us: {0}")]
    NotPrimary(State),
    /// The router takes them more slowly than they come.
    #[error("too many packets wait for the router")]
    QueueFull,
}

/// Hands a packet to the stream; it does not wait, since a late packet is worth little.
pub(crate) fn send(packet: PacketOut, state: State, requests: Option<&Sender<StreamMessageRequest>>) -> Result<(), PacketOutError> {
    let primary = matches!(state, State::Synchronising | State::Ready);
    let requests = requests.filter(|_| primary).ok_or(PacketOutError::NotPrimary(state))?;
    let request = StreamMessageRequest { update: Some(Update::Packet(packet.encode())) };
    requests.try_send(request).map_err(|error| match error {
        TrySendError::Full(_) => PacketOutError::QueueFull,
        TrySendError::Closed(_) => PacketOutError::NotPrimary(State::Disconnected),
    })
}
