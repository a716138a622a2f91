//! Idle time-outs.

use std::time::Duration;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::stream_message_response::Update as Response;
use p4runtime_proto::p4::v1::update::Type;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use svpn_contract::wire::SessionId;
use svpn_contract::{Entry, FlowV4Action, FlowV4Entry, SessionKey, Update};

use crate::pipeline::network;
use crate::reads::refusal;
use crate::support::{Controller, Server, set_clock};
use crate::writes::update;

/// A flow with a time-out of so many seconds.
fn flow(timeout: Option<u64>) -> FlowV4Entry {
    let found = network().into_iter().find_map(|entry| if let Entry::FlowV4(entry) = entry { Some(entry) } else { None });
    let entry = found.expect("the network has flows");
    FlowV4Entry { idle_timeout: timeout.map(Duration::from_secs), action: FlowV4Action::Assign { session: SessionId::default() }, ..entry }
}

/// The next notification, with what it says of entries.
async fn notified(controller: &mut Controller) -> Vec<proto::TableEntry> {
    match controller.answer().await {
        Ok(Response::IdleTimeoutNotification(notification)) => {
            assert!(notification.timestamp > 1_600_000_000_000_000_000, "nanoseconds since 1970");
            notification.table_entry
        }
        other => panic!("no notification: {other:?}"),
    }
}

#[tokio::test]
async fn the_primary_hears_of_an_idle_entry_again_and_again() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let wanted = proto::TableEntry { metadata: b"mine".to_vec(), ..Entry::from(flow(Some(30))).encode() };
    primary.write(Atomicity::ContinueOnError, vec![update(Type::Insert, Entity::TableEntry(wanted.clone()))]).await.unwrap();
    let expected = proto::TableEntry { action: None, ..wanted };
    for now in [32, 64] {
        set_clock(now);
        assert_eq!(notified(&mut primary).await, std::slice::from_ref(&expected));
    }
    // A longer one begins anew; the next message is for another reason.
    primary.write(Atomicity::ContinueOnError, vec![Update::Modify(flow(Some(1000)).into()).encode()]).await.unwrap();
    set_clock(200);
    assert_eq!(primary.entries(Entry::from(flow(None)).key().encode()).await.unwrap(), [flow(Some(1000)).into()]);
    primary.bid(Some(1)).await;
    primary.notice().await;
}

#[tokio::test]
async fn the_time_since_the_last_hit_is_told() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&[flow(None).into()]).await;
    set_clock(50);
    let asked = |entry: proto::TableEntry| {
        vec![Entity::TableEntry(proto::TableEntry { time_since_last_hit: Some(proto::table_entry::IdleTimeout::default()), ..entry })]
    };
    let read = primary.read(asked(Entry::from(flow(None)).key().encode())).await.unwrap();
    let elapsed = Some(proto::table_entry::IdleTimeout { elapsed_ns: 49_000_000_000 });
    assert_eq!(read, [Entity::TableEntry(proto::TableEntry { time_since_last_hit: elapsed, ..Entry::from(flow(None)).encode() })]);
    let sessions = proto::TableEntry { table_id: SessionKey::TABLE_ID, ..Default::default() };
    assert_eq!(refusal(primary.read(asked(sessions)).await), tonic::Code::InvalidArgument);
}
