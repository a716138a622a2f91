//! Batches.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::update::Type;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use svpn_contract::wire::{Class, Label, NextHopId, SessionId, TtlMode, TunnelId};
use svpn_contract::{
    Choice, Entry, EntryKey, IlmAction, IlmEntry, IlmKey, MeterConfig, SessionAction, SessionEntry, SessionKey, TunnelAction, TunnelEntry,
    TunnelKey, Update,
};
use tonic::Code;

use crate::pipeline::network;
use crate::support::{Server, codes, errors, sorted};

pub(crate) fn session(number: u32) -> Entry {
    let key = SessionKey { session: SessionId::new(number).unwrap() };
    let action = SessionAction::Carry { tunnel: TunnelId::new(9).unwrap(), vpn_label: Label::MAX, class: Class::default() };
    SessionEntry { key, action, meter: Some(MeterConfig { cir: 1, cburst: 2, pir: 3, pburst: 4 }) }.into()
}

pub(crate) fn label(number: u32) -> Entry {
    let action = IlmAction::Swap { label: Label::MAX, nexthop: NextHopId::new(number).unwrap() };
    IlmEntry { key: IlmKey { label: Label::new(number).unwrap() }, action }.into()
}

fn tunnel(nexthop: u32) -> Entry {
    let action = TunnelAction::Lsp0 { nexthop: NextHopId::new(nexthop).unwrap(), ttl_mode: TtlMode::UNIFORM };
    TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(9).unwrap() }, action: Choice::only(action) }.into()
}

pub(crate) fn update(kind: Type, entity: Entity) -> proto::Update {
    proto::Update { r#type: kind.into(), entity: Some(proto::Entity { entity: Some(entity) }) }
}

/// Nothing counted.
pub(crate) const ZERO: Option<proto::CounterData> = Some(proto::CounterData { byte_count: 0, packet_count: 0 });

pub(crate) fn count(packets: i64, bytes: i64) -> proto::CounterData {
    proto::CounterData { byte_count: bytes, packet_count: packets }
}

#[tokio::test]
async fn the_rest_of_a_batch_goes_on() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let batch = vec![
        Update::Insert(session(1)).encode(),
        Update::Insert(session(1)).encode(),
        Update::Delete(session(2).key()).encode(),
        Update::Modify(label(20)).encode(),
        Update::Insert(session(64)).encode(),
        update(Type::Insert, Entity::TableEntry(proto::TableEntry { table_id: 5, ..Default::default() })),
        Update::Insert(label(20)).encode(),
    ];
    let failed = primary.write(Atomicity::ContinueOnError, batch).await.unwrap_err();
    let expected = [Code::Ok, Code::AlreadyExists, Code::NotFound, Code::NotFound, Code::OutOfRange, Code::InvalidArgument, Code::Ok];
    assert_eq!(codes(&failed), expected);
    assert!(failed.message().starts_with("5 of 7 updates failed; update 1: session session=1: the entry exists already"), "{failed}");
    let texts = errors(&failed);
    assert_eq!(texts[0].1, "");
    assert!(texts[4].1.starts_with("update 4: session session=64: session 64 is not below 64"), "{texts:?}");
    assert_eq!(primary.all().await, sorted(vec![session(1), label(20)]));
}

#[tokio::test]
async fn a_batch_that_fails_is_rolled_back() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&[session(1), session(2), tunnel(1), label(20)]).await;
    let counted = |entry: &Entry, packets| {
        let table_entry = Some(entry.key().encode());
        update(
            Type::Modify,
            Entity::DirectCounterEntry(proto::DirectCounterEntry { table_entry, data: Some(count(packets, packets * 100)) }),
        )
    };
    let discards = |packets| {
        let index = Some(proto::Index { index: 2 });
        let entry =
            proto::CounterEntry { counter_id: svpn_contract::counter::SESSION_DISCARDS, index, data: Some(count(packets, packets * 100)) };
        update(Type::Modify, Entity::CounterEntry(entry))
    };
    primary.write(Atomicity::RollbackOnError, vec![counted(&session(1), 7), counted(&label(20), 8), discards(9)]).await.unwrap();
    let everything = vec![
        Entity::TableEntry(proto::TableEntry {
            counter_data: ZERO,
            meter_config: Some(proto::MeterConfig::default()),
            ..Default::default()
        }),
        Entity::CounterEntry(proto::CounterEntry::default()),
    ];
    let before = primary.read(everything.clone()).await.unwrap();
    assert!(before.len() > 64 + 256);

    let mut unmetered = session(1);
    if let Entry::Session(entry) = &mut unmetered {
        entry.meter = None;
    }
    let batch = vec![
        Update::Delete(session(1).key()).encode(),
        Update::Insert(unmetered).encode(),
        counted(&session(1), 70),
        Update::Modify(tunnel(2)).encode(),
        Update::Insert(session(3)).encode(),
        Update::Delete(session(2).key()).encode(),
        Update::Delete(label(20).key()).encode(),
        counted(&tunnel(1), 4),
        discards(90),
        Update::Insert(session(3)).encode(),
        Update::Insert(session(4)).encode(),
    ];
    let failed = primary.write(Atomicity::RollbackOnError, batch).await.unwrap_err();
    let mut expected = vec![Code::Aborted; 11];
    expected[9] = Code::AlreadyExists;
    assert_eq!(codes(&failed), expected);
    assert!(failed.message().starts_with("1 of 11 updates failed; update 9: session session=3"), "{failed}");
    assert_eq!(primary.read(everything).await.unwrap(), before);
}

#[tokio::test]
async fn a_batch_with_a_malformed_update_is_not_begun() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let malformed = update(Type::Insert, Entity::TableEntry(proto::TableEntry { table_id: 5, ..Default::default() }));
    let batch = vec![Update::Insert(session(1)).encode(), malformed];
    let failed = primary.write(Atomicity::RollbackOnError, batch).await.unwrap_err();
    assert_eq!(codes(&failed), [Code::Aborted, Code::InvalidArgument]);
    assert_eq!(primary.all().await, []);
}

#[tokio::test]
async fn atomic_batches_are_written_whole_or_not_at_all() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let batch = vec![Update::Insert(session(1)).encode(), Update::Insert(label(20)).encode()];
    primary.write(Atomicity::DataplaneAtomic, batch.clone()).await.unwrap();
    assert_eq!(primary.all().await, sorted(vec![session(1), label(20)]));
    let failing = vec![Update::Delete(session(1).key()).encode(), Update::Insert(label(20)).encode()];
    let failed = primary.write(Atomicity::DataplaneAtomic, failing).await.unwrap_err();
    assert_eq!(codes(&failed), [Code::Aborted, Code::AlreadyExists]);
    assert_eq!(primary.all().await, sorted(vec![session(1), label(20)]));
    // Workers do not stand still for as long as this would take.
    let long = (0..1000).map(|number| Update::Insert(label(16 + number)).encode()).collect();
    let refused = primary.write(Atomicity::DataplaneAtomic, long).await.unwrap_err();
    assert_eq!((refused.code(), refused.details().len()), (Code::Unimplemented, 0));
    assert_eq!(primary.all().await, sorted(vec![session(1), label(20)]));
}

#[tokio::test]
async fn a_full_table_says_so() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let batch = (0..70).map(|number| {
        let key = TunnelKey { tunnel: TunnelId::new(number).unwrap() };
        let Entry::Tunnel(entry) = tunnel(1) else { unreachable!() };
        Update::Insert(TunnelEntry { key, ..entry }.into()).encode()
    });
    let failed = primary.write(Atomicity::ContinueOnError, batch.collect()).await.unwrap_err();
    assert_eq!(codes(&failed).iter().filter(|code| **code == Code::ResourceExhausted).count(), 6);
    assert_eq!(primary.all().await.len(), 64);
}

/// Long enough that the entries are let go several times meanwhile.
#[tokio::test]
async fn a_long_batch_is_written_whole() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&[label(20)]).await;
    let to = |nexthop| match label(20) {
        Entry::Ilm(entry) => {
            let action = IlmAction::Swap { label: Label::MAX, nexthop: NextHopId::new(nexthop).unwrap() };
            Entry::from(IlmEntry { action, ..entry })
        }
        other => other,
    };
    let batch: Vec<_> = (0..50_000).map(|nexthop| Update::Modify(to(nexthop)).encode()).collect();
    let last = Update::Insert(label(20)).encode();
    let failing = batch.iter().cloned().chain([last]).collect();
    assert_eq!(primary.write(Atomicity::RollbackOnError, failing).await.unwrap_err().code(), Code::Unknown);
    assert_eq!(primary.all().await, [label(20)]);
    primary.write(Atomicity::ContinueOnError, batch).await.unwrap();
    assert_eq!(primary.all().await, [to(49_999)]);
}

/// A batch of one, and the code and text it fails with.
async fn refusal(update: proto::Update) -> (Code, String) {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&[session(1), label(20)]).await;
    let failed = primary.write(Atomicity::ContinueOnError, vec![update]).await.expect_err("it is refused");
    assert_eq!(primary.all().await, sorted(vec![session(1), label(20)]));
    errors(&failed).remove(0)
}

#[tokio::test]
async fn what_is_not_supported_says_what_is() {
    for entity in [
        Entity::MeterEntry(proto::MeterEntry::default()),
        Entity::PacketReplicationEngineEntry(proto::PacketReplicationEngineEntry::default()),
        Entity::RegisterEntry(proto::RegisterEntry::default()),
    ] {
        let (code, text) = refusal(update(Type::Modify, entity)).await;
        assert_eq!(code, Code::Unimplemented);
        assert!(text.starts_with("update 0: ") && text.contains("not supported: "), "{text}");
    }
    let read_only = proto::TableEntry { time_since_last_hit: Some(proto::table_entry::IdleTimeout::default()), ..session(2).encode() };
    assert_eq!(refusal(update(Type::Insert, Entity::TableEntry(read_only))).await.0, Code::InvalidArgument);
    let idle = proto::TableEntry { idle_timeout_ns: 5, ..session(2).encode() };
    assert_eq!(refusal(update(Type::Insert, Entity::TableEntry(idle))).await.0, Code::InvalidArgument, "sessions have no time-out");
}

#[tokio::test]
async fn default_and_constant_entries_stay() {
    let default = proto::TableEntry { table_id: SessionKey::TABLE_ID, is_default_action: true, ..Default::default() };
    let table = |entry| Entity::TableEntry(entry);
    assert_eq!(refusal(update(Type::Modify, table(default.clone()))).await.0, Code::PermissionDenied);
    assert_eq!(refusal(update(Type::Insert, table(default.clone()))).await.0, Code::InvalidArgument);
    assert_eq!(refusal(update(Type::Delete, table(default.clone()))).await.0, Code::InvalidArgument);
    let prioritised = proto::TableEntry { priority: 1, ..default };
    assert_eq!(refusal(update(Type::Modify, table(prioritised))).await.0, Code::InvalidArgument);
    let constant = proto::TableEntry { is_const: true, ..session(2).encode() };
    assert_eq!(refusal(update(Type::Insert, table(constant))).await.0, Code::InvalidArgument);
}

#[tokio::test]
async fn direct_resources_and_cells_are_only_modified() {
    let of = |entry: Entry| Some(entry.key().encode());
    let counter = |entry, data| Entity::DirectCounterEntry(proto::DirectCounterEntry { table_entry: of(entry), data });
    assert_eq!(refusal(update(Type::Insert, counter(session(1), Some(count(1, 1))))).await.0, Code::InvalidArgument);
    assert_eq!(refusal(update(Type::Modify, counter(session(2), Some(count(1, 1))))).await.0, Code::NotFound);
    assert_eq!(refusal(update(Type::Modify, counter(session(1), Some(count(-1, 1))))).await.0, Code::InvalidArgument);
    let nexthop = network().into_iter().find(|entry| matches!(entry, Entry::Nexthop(_))).unwrap();
    assert_eq!(refusal(update(Type::Modify, counter(nexthop, Some(count(1, 1))))).await.0, Code::InvalidArgument);
    let meter = |entry| Entity::DirectMeterEntry(proto::DirectMeterEntry { table_entry: of(entry), ..Default::default() });
    assert_eq!(refusal(update(Type::Delete, meter(session(1)))).await.0, Code::InvalidArgument);
    assert_eq!(refusal(update(Type::Modify, meter(session(2)))).await.0, Code::NotFound);
    assert_eq!(refusal(update(Type::Modify, meter(label(20)))).await.0, Code::InvalidArgument);
    let cell = |counter_id, index| {
        let index = Some(proto::Index { index });
        Entity::CounterEntry(proto::CounterEntry { counter_id, index, data: Some(count(1, 1)) })
    };
    let (drops, discards) = (svpn_contract::counter::DROPS, svpn_contract::counter::SESSION_DISCARDS);
    assert_eq!(refusal(update(Type::Insert, cell(drops, 64))).await.0, Code::InvalidArgument);
    assert_eq!(refusal(update(Type::Modify, cell(drops, 256))).await.0, Code::OutOfRange);
    assert_eq!(refusal(update(Type::Modify, cell(drops, -1))).await.0, Code::InvalidArgument);
    assert_eq!(refusal(update(Type::Modify, cell(drops, 200))).await.0, Code::InvalidArgument, "no reason has number 200");
    assert_eq!(refusal(update(Type::Modify, cell(discards, 64))).await.0, Code::OutOfRange);
    assert_eq!(refusal(update(Type::Modify, cell(1, 0))).await.0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_direct_meter_is_modified_alone() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&[session(1)]).await;
    let with = |config| {
        let entry = proto::DirectMeterEntry { table_entry: Some(session(1).key().encode()), config, counter_data: None };
        vec![update(Type::Modify, Entity::DirectMeterEntry(entry))]
    };
    let expected = |meter| match session(1) {
        Entry::Session(entry) => Entry::from(SessionEntry { meter, ..entry }),
        other => other,
    };
    let config = MeterConfig { cir: 10, cburst: 20, pir: 30, pburst: 40 };
    primary.write(Atomicity::ContinueOnError, with(Some(config.encode()))).await.unwrap();
    assert_eq!(primary.all().await, [expected(Some(config))]);
    primary.write(Atomicity::ContinueOnError, with(None)).await.unwrap();
    assert_eq!(primary.all().await, [expected(None)]);
    let keys: Vec<EntryKey> = primary.all().await.iter().map(Entry::key).collect();
    assert_eq!(keys, [session(1).key()]);
}
