//! Packets to and from controllers.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::stream_error::Details;
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use p4runtime_proto::p4::v1::stream_message_response::Update as Response;
use svpn_contract::Reason;
use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::{PortId, VrfId};
use tonic::Code;

use crate::support::{Controller, Server};

fn punt(number: u8) -> PacketIn {
    PacketIn { ingress_port: PortId::new(3).unwrap(), reason: Reason::Arp, vrf: VrfId::new(9).unwrap(), frame: vec![number; 60] }
}

fn packet_out(port: u16) -> PacketOut {
    PacketOut { egress_port: PortId::new(port).unwrap(), frame: vec![0xab; 64] }
}

async fn error(controller: &mut Controller) -> (Code, Option<proto::PacketOut>) {
    match controller.answer().await {
        Ok(Response::Error(proto::StreamError { canonical_code, details: Some(Details::PacketOut(details)), .. })) => {
            (Code::from_i32(canonical_code), details.packet_out)
        }
        other => panic!("no error of a packet-out: {other:?}"),
    }
}

#[tokio::test]
async fn punts_reach_the_primary_in_order_and_nobody_else() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let mut backup = server.silent(0).await;
    backup.bid(None).await;
    backup.notice().await;
    for number in 0..100 {
        server.punts.send(punt(number)).await.unwrap();
    }
    for number in 0..100 {
        let Ok(Response::Packet(packet)) = primary.answer().await else { panic!("no packet") };
        assert_eq!(PacketIn::decode(packet), Ok(punt(number)));
    }
    // The backup becomes primary: the next message it gets is that, and the next packet is its own.
    backup.bid(Some(2)).await;
    assert_eq!(backup.notice().await, (Code::Ok, Some(2)));
    assert_eq!(primary.notice().await, (Code::AlreadyExists, Some(2)));
    server.punts.send(punt(7)).await.unwrap();
    let Ok(Response::Packet(packet)) = backup.answer().await else { panic!("no packet") };
    assert_eq!(PacketIn::decode(packet), Ok(punt(7)));
}

#[tokio::test]
async fn only_the_primary_sends_packets_and_mistakes_are_reported() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let mut backup = server.silent(0).await;
    backup.bid(None).await;
    backup.notice().await;
    let wire = packet_out(2).encode();
    backup.say(Request::Packet(wire.clone())).await;
    assert_eq!(error(&mut backup).await, (Code::PermissionDenied, Some(wire.clone())));
    primary.say(Request::Packet(packet_out(5).encode())).await;
    assert_eq!(error(&mut primary).await.0, Code::InvalidArgument, "there is no port 5");
    primary.say(Request::Packet(proto::PacketOut::default())).await;
    assert_eq!(error(&mut primary).await.0, Code::InvalidArgument, "no metadata");
    primary.say(Request::Packet(wire)).await;
    primary.say(Request::DigestAck(proto::DigestListAck::default())).await;
    let Ok(Response::Error(digest)) = primary.answer().await else { panic!("no error") };
    assert_eq!(digest.canonical_code, i32::from(Code::InvalidArgument));
    // The stream is served in order, so the packet has been sent by now, alone.
    assert_eq!(*server.world.sent.lock().unwrap(), [packet_out(2)]);
}

/// A primary that does not read holds up packets, but not its own successor.
#[tokio::test]
async fn a_primary_that_does_not_read_is_overtaken() {
    let server = Server::start().await;
    let stuck = server.controller(1).await;
    let punts = server.punts.clone();
    let flood = tokio::spawn(async move {
        // Larger than what all buffers on the way hold.
        for _ in 0..100_000 {
            if punts.send(PacketIn { frame: vec![1; 9000], ..punt(1) }).await.is_err() {
                return;
            }
        }
    });
    let mut successor = server.silent(2).await;
    successor.bid(Some(2)).await;
    assert_eq!(successor.notice().await, (Code::Ok, Some(2)));
    for _ in 0..100 {
        assert!(matches!(successor.answer().await, Ok(Response::Packet(_))));
    }
    flood.abort();
    drop(stuck);
}
