//! What the doubles of routers in tests have in common: those parts of a P4Runtime server that do not depend on what is behind it.
//!
//! A double has an [`Arbitration`], implements [`P4Runtime`] with it over tables of its own, and is [served](serve) over loopback.

mod arbitration;

use std::net::TcpListener;

use p4runtime_proto::google::rpc;
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::p4_runtime_server::{P4Runtime, P4RuntimeServer};
use prost::Message as _;
use prost_types::Any;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Status};

pub use arbitration::{Answers, Arbitration};

/// Serves in a runtime of its own with one thread, so that it can be cut off as by a crash.
///
/// # Panics
/// If the system gives no thread, or takes the listener away.
pub fn serve(listener: TcpListener, service: impl P4Runtime) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread");
    listener.set_nonblocking(true).expect("a socket");
    runtime.spawn(async move {
        let listener = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).expect("a listener"));
        Server::builder().add_service(P4RuntimeServer::new(service)).serve_with_incoming(listener).await.expect("it serves");
    });
    runtime
}

/// The status of a call of which some parts failed: an error for each part in its details (P4Runtime specification, error reporting).
pub fn failure(codes: &[Code]) -> Option<Status> {
    if codes.iter().all(|code| *code == Code::Ok) {
        return None;
    }
    let errors = codes.iter().map(|code| proto::Error { canonical_code: (*code).into(), message: format!("{code}"), ..Default::default() });
    let pack = |error: proto::Error| Any { type_url: "type.googleapis.com/p4.v1.Error".into(), value: error.encode_to_vec() };
    let details = rpc::Status { code: Code::Unknown.into(), message: "some failed".into(), details: errors.map(pack).collect() };
    Some(Status::with_details(Code::Unknown, "some failed", details.encode_to_vec().into()))
}

/// What a read of a table answers: of all entries those in the table. Meters are told only to one who asks for them.
pub fn read_table(entries: impl Iterator<Item = proto::TableEntry>, wildcard: &proto::TableEntry) -> Vec<proto::Entity> {
    let shown = entries.filter(|entry| entry.table_id == wildcard.table_id).map(|entry| {
        let meter_config = entry.meter_config.filter(|_| wildcard.meter_config.is_some());
        proto::Entity { entity: Some(Entity::TableEntry(proto::TableEntry { meter_config, ..entry })) }
    });
    shown.collect()
}
