//! `StreamChannel`: arbitration and packet-out of one controller; and the pump that hands packet-in to the primaries.

use std::sync::Arc;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::stream_error::Details;
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use p4runtime_proto::p4::v1::stream_message_response::Update as Response;
use svpn_contract::packet::{PacketIn, PacketOut};
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::arbitration::{BidError, Connection};
use super::controllers::{Outlet, message};
use super::{Plane, Shared};
use crate::router::SendError;

impl From<BidError> for Status {
    fn from(error: BidError) -> Self {
        let code = match error {
            BidError::ElectionIdTaken => Code::InvalidArgument,
            BidError::RoleChanged { .. } => Code::FailedPrecondition,
            BidError::TooManyControllers { .. } | BidError::TooManyRoles { .. } => Code::ResourceExhausted,
        };
        Self::new(code, error.to_string())
    }
}

/// Serves one controller until its stream ends, either way.
pub(super) async fn serve<P: Plane>(
    shared: Arc<Shared<P>>,
    connection: Connection,
    mut inbound: Streaming<proto::StreamMessageRequest>,
    outlet: Outlet,
) {
    tracing::debug!(connection = connection.0, "a controller connected");
    let status = loop {
        let received = tokio::select! {
            received = inbound.message() => received,
            () = outlet.cut.cancelled() => break Some(Status::unavailable("the stream is cut: the router stops, or the controller does not read")),
        };
        match received {
            Ok(Some(request)) => {
                if let Err(status) = handle(&shared, connection, &outlet, request).await {
                    break Some(status);
                }
            }
            Ok(None) | Err(_) => break None,
        }
    };
    shared.controllers.write().await.leave(connection);
    shared.primary_changed.send_modify(|changes| *changes += 1);
    tracing::debug!(connection = connection.0, status = ?status, "a controller's stream ended");
    if let Some(status) = status {
        outlet.end(status);
    }
}

/// One message. An error ends the stream.
async fn handle<P: Plane>(
    shared: &Shared<P>,
    connection: Connection,
    outlet: &Outlet,
    request: proto::StreamMessageRequest,
) -> Result<(), Status> {
    match request.update {
        Some(Request::Arbitration(bid)) => arbitrate(shared, connection, outlet, bid).await,
        Some(Request::Packet(packet)) => {
            let primary = shared.controllers.read().await.arbitration().is_primary(connection);
            if let Err((code, text)) = packet_out(&*shared.plane, primary, &packet) {
                let details = Details::PacketOut(proto::PacketOutError { packet_out: Some(packet) });
                outlet.report(stream_error(code, text, details));
            }
            Ok(())
        }
        Some(Request::DigestAck(ack)) => {
            let details = Details::DigestListAck(proto::DigestListAckError { digest_list_ack: Some(ack) });
            outlet.report(stream_error(Code::InvalidArgument, "the pipeline has no digests".into(), details));
            Ok(())
        }
        Some(Request::Other(other)) => {
            let details = Details::Other(proto::StreamOtherError { other: Some(other) });
            outlet.report(stream_error(Code::Unimplemented, "no other stream messages are understood".into(), details));
            Ok(())
        }
        None => Err(Status::invalid_argument("a stream message without content")),
    }
}

async fn arbitrate<P: Plane>(
    shared: &Shared<P>,
    connection: Connection,
    outlet: &Outlet,
    bid: proto::MasterArbitrationUpdate,
) -> Result<(), Status> {
    // Waits for writes in flight, and holds new ones off: a new primary finds the old one's writes done.
    let mut controllers = shared.controllers.write().await;
    if bid.device_id != shared.device {
        let text = format!("this is device {}, not {}", shared.device, bid.device_id);
        let known = controllers.arbitration().role_of(connection).is_some();
        return Err(if known { Status::failed_precondition(text) } else { Status::not_found(text) });
    }
    let role = bid.role.unwrap_or_default();
    if role.config.is_some() {
        return Err(Status::invalid_argument("no role configuration is understood: leave role.config unset for full access"));
    }
    controllers.bid(connection, outlet, &role.name, bid.election_id.map(Into::into))?;
    shared.primary_changed.send_modify(|changes| *changes += 1);
    Ok(())
}

fn packet_out<P: Plane>(plane: &P, primary: bool, packet: &proto::PacketOut) -> Result<(), (Code, String)> {
    if !primary {
        return Err((Code::PermissionDenied, "only a primary controller sends packets".into()));
    }
    let packet = PacketOut::decode(packet.clone()).map_err(|error| (Code::InvalidArgument, error.to_string()))?;
    plane.send(packet).map_err(|error| {
        let code = match error {
            SendError::UnknownPort(_) | SendError::Length { .. } => Code::InvalidArgument,
            SendError::QueueFull => Code::ResourceExhausted,
        };
        (code, error.to_string())
    })
}

fn stream_error(code: Code, text: String, details: Details) -> proto::StreamError {
    proto::StreamError { canonical_code: code.into(), message: text, details: Some(details), ..Default::default() }
}

/// Hands punted frames to the primaries until the router stops. While a primary does not keep up frames wait where they are
/// counted when there are too many: in the router's queue. Without a primary they go nowhere.
pub(super) async fn pump<P: Plane>(shared: Arc<Shared<P>>, mut punts: mpsc::Receiver<PacketIn>) {
    let mut changes = shared.primary_changed.subscribe();
    loop {
        let packet = tokio::select! {
            packet = punts.recv() => packet,
            () = shared.stop.cancelled() => None,
        };
        let Some(packet) = packet else { return };
        changes.mark_unchanged();
        let primaries = shared.controllers.read().await.primaries();
        if primaries.is_empty() {
            tracing::trace!(reason = packet.reason.name(), "no controller is primary: a packet-in goes nowhere");
        }
        let packet = packet.encode();
        for primary in primaries {
            tokio::select! {
                biased;
                // The controller left if this fails.
                _ = primary.send(Ok(message(Response::Packet(packet.clone())))) => {}
                _ = changes.changed() => {}
            }
        }
    }
}
