//! Entries, updates and packets through P4Runtime's messages and back.

use std::num::NonZeroU32;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::action_profile_action::WatchKind;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::field_match::{Exact, FieldMatchType, Lpm, Range, Ternary};
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use proptest::prelude::*;
use prost::Message as _;
use svpn_contract::packet::{PacketError, PacketIn, PacketOut};
use svpn_contract::wire::*;
use svpn_contract::*;

/// Every value in a message, of key fields and parameters.
fn byte_strings(entry: &proto::TableEntry) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for field in &entry.r#match {
        match field.field_match_type.clone().expect("a field has a match") {
            FieldMatchType::Exact(exact) => values.push(exact.value),
            FieldMatchType::Lpm(lpm) => values.push(lpm.value),
            FieldMatchType::Ternary(ternary) => values.extend([ternary.value, ternary.mask]),
            FieldMatchType::Range(range) => values.extend([range.low, range.high]),
            other => panic!("no table matches by {other:?}"),
        }
    }
    let mut of_action = |action: &proto::Action| values.extend(action.params.iter().map(|param| param.value.clone()));
    match entry.action.as_ref().and_then(|action| action.r#type.as_ref()).expect("an entry has an action") {
        ActionType::Action(action) => of_action(action),
        ActionType::ActionProfileActionSet(set) => {
            set.action_profile_actions.iter().for_each(|member| of_action(member.action.as_ref().expect("a member has an action")));
        }
        other => panic!("no table takes {other:?}"),
    }
    values
}

proptest! {
    #[test]
    fn entries_come_back_as_they_were(entry: Entry) {
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry.clone()));
        let key = entry.key();
        prop_assert_eq!(EntryKey::decode(&key.encode()), Ok(key));
        prop_assert_eq!(EntryKey::decode(&entry.encode()), Ok(key));
        prop_assert_eq!(entry.encode().table_id, key.table_id());
    }

    #[test]
    fn updates_come_back_as_they_were(entry: Entry) {
        for update in [Update::Insert(entry.clone()), Update::Modify(entry.clone()), Update::Delete(entry.key())] {
            prop_assert_eq!(Update::decode(&update.encode()), Ok(update.clone()));
            prop_assert_eq!(update.key(), entry.key());
        }
    }

    #[test]
    fn byte_strings_are_canonical(entry: Entry) {
        for value in byte_strings(&entry.encode()) {
            prop_assert!(value == [0] || value.first().is_some_and(|first| *first != 0), "{value:?} is not the shortest");
        }
    }

    #[test]
    fn longer_byte_strings_are_read_too(label: Label, zeros in 0..12_usize) {
        let padded = [vec![0; zeros], label.to_bytes()].concat();
        prop_assert_eq!(Label::from_bytes(&padded), Ok(label));
    }

    #[test]
    fn too_wide_is_refused(above in 1_u64..1 << 40) {
        let value = u64::from(Label::MAX.get()) + above;
        prop_assert_eq!(Label::from_bytes(&value.to_be_bytes()), Err(ValueError::TooWide { bits: 20 }));
        prop_assert!(Label::try_from(value).is_err());
    }

    #[test]
    fn packets_come_back_as_they_were(port: PortId, vrf: VrfId, reason in proptest::sample::select(Reason::ALL), frame: Vec<u8>) {
        let packet_in = PacketIn { ingress_port: port, reason, vrf, frame: frame.clone() };
        prop_assert_eq!(PacketIn::decode(packet_in.clone().encode()), Ok(packet_in));
        let packet_out = PacketOut { egress_port: port, frame };
        prop_assert_eq!(PacketOut::decode(packet_out.clone().encode()), Ok(packet_out));
    }

    /// Whatever a message holds, it is an entry that can be written again, or an error.
    #[test]
    fn mangled_messages_are_judged(entry: Entry, places: Vec<(proptest::sample::Index, u8)>) {
        let mut bytes = entry.encode().encode_to_vec();
        for (place, bits) in places.into_iter().take(4) {
            let place = place.index(bytes.len());
            bytes[place] ^= bits;
        }
        if let Ok(message) = proto::TableEntry::decode(&*bytes)
            && let Ok(entry) = Entry::decode(&message)
        {
            prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
    }

    #[test]
    fn mac_addresses_come_back_from_text(mac: MacAddr) {
        prop_assert_eq!(mac.to_string().parse(), Ok(mac));
    }
}

#[test]
fn no_mac_address_in_other_text() {
    for text in ["", "02:00:00:00:00", "02:00:00:00:00:01:02", "2:0:0:0:0:1", "02-00-00-00-00-01", "0g:00:00:00:00:01", "+2:00:00:00:00:01"]
    {
        assert!(text.parse::<MacAddr>().is_err(), "{text:?}");
    }
}

#[test]
fn reasons_are_numbered_as_in_p4() {
    assert_eq!((Reason::Lldp as u8, Reason::PuntQueueFull as u8), (1, 96));
    assert_eq!(Reason::from_number(5), Some(Reason::TooBig));
    assert_eq!(Reason::from_number(8), None);
    assert_eq!(Reason::TooBigDrop.name(), "too_big_drop");
    for reason in Reason::ALL {
        assert_eq!(Reason::from_number(*reason as u8), Some(*reason));
    }
}

#[test]
fn packets_without_their_metadata_are_refused() {
    let sound = PacketIn { ingress_port: PortId::default(), reason: Reason::Arp, vrf: VrfId::default(), frame: vec![1] }.encode();
    let with = |id: u32, value: Option<Vec<u8>>| {
        let mut packet = sound.clone();
        packet.metadata.retain(|metadata| metadata.metadata_id != id);
        packet.metadata.extend(value.map(|value| proto::PacketMetadata { metadata_id: id, value }));
        PacketIn::decode(packet)
    };
    assert_eq!(with(packet_in::VRF, None), Err(PacketError::Missing("vrf")));
    let unnamed = ValueError::Unnamed { number: 8 };
    assert_eq!(with(packet_in::REASON, Some(vec![8])), Err(PacketError::Bad { field: "reason", source: unnamed }));
    let source = ValueError::TooWide { bits: 9 };
    assert_eq!(with(packet_in::INGRESS_PORT, Some(vec![2, 0])), Err(PacketError::Bad { field: "ingress_port", source }));
    assert_eq!(PacketOut::decode(proto::PacketOut::default()), Err(PacketError::Missing("egress_port")));
}

// ---- every way to be no entry ---------------------------------------------------------------------------------------------------

fn route() -> proto::TableEntry {
    let dst = Prefix { value: [10, 0, 0, 0].into(), length: 8 };
    let action = RouteV4Action::Local { nexthop: NextHopId::MAX };
    Entry::from(RouteV4Entry { key: RouteV4Key { vrf: VrfId::MAX, dst }, action }).encode()
}

fn acl() -> proto::TableEntry {
    let key = FlowAclV4Key {
        vrf: tables_ternary(7),
        src: svpn_contract::Ternary::any(),
        dst: svpn_contract::Ternary::any(),
        proto: svpn_contract::Ternary::any(),
        sport: svpn_contract::Range::exact(L4Port::MAX),
        dport: svpn_contract::Range::any(),
        priority: Priority::new(3).expect("3 is positive"),
    };
    Entry::from(FlowAclV4Entry { key, action: FlowAclV4Action::Assign { session: SessionId::default() } }).encode()
}

fn tables_ternary(vrf: u16) -> svpn_contract::Ternary<VrfId> {
    svpn_contract::Ternary::exact(VrfId::new(vrf).expect("a VRF has 16 bits"))
}

fn tunnel() -> proto::TableEntry {
    let action = TunnelAction::Lsp0 { nexthop: NextHopId::default(), ttl_mode: TtlMode::UNIFORM };
    let member = Member { action, weight: NonZeroU32::MIN, watch_port: Some(PortId::MAX) };
    Entry::from(TunnelEntry { key: TunnelKey { tunnel: TunnelId::MAX }, action: Choice { members: vec![member] } }).encode()
}

fn session() -> proto::TableEntry {
    let carry = SessionAction::Carry { tunnel: TunnelId::default(), vpn_label: Label::MAX, class: Class::MAX };
    let meter = Some(MeterConfig { cir: 1, cburst: 2, pir: 3, pburst: 4 });
    Entry::from(SessionEntry { key: SessionKey { session: SessionId::default() }, action: carry, meter }).encode()
}

/// What the decoder says of a changed entry.
fn refusal(mut entry: proto::TableEntry, change: impl FnOnce(&mut proto::TableEntry)) -> DecodeError {
    assert!(Entry::decode(&entry).is_ok(), "the entry is sound before the change");
    change(&mut entry);
    Entry::decode(&entry).expect_err("the change is refused")
}

fn set_match(entry: &mut proto::TableEntry, id: u32, value: FieldMatchType) {
    entry.r#match.retain(|field| field.field_id != id);
    entry.r#match.push(proto::FieldMatch { field_id: id, field_match_type: Some(value) });
}

fn the_action(entry: &mut proto::TableEntry) -> &mut proto::Action {
    match entry.action.as_mut().and_then(|action| action.r#type.as_mut()) {
        Some(ActionType::Action(action)) => action,
        other => panic!("no single action: {other:?}"),
    }
}

fn the_set(entry: &mut proto::TableEntry) -> &mut proto::ActionProfileActionSet {
    match entry.action.as_mut().and_then(|action| action.r#type.as_mut()) {
        Some(ActionType::ActionProfileActionSet(set)) => set,
        other => panic!("no action set: {other:?}"),
    }
}

fn the_member(entry: &mut proto::TableEntry) -> &mut proto::ActionProfileAction {
    &mut the_set(entry).action_profile_actions[0]
}

#[test]
fn wrong_tables_and_keys_are_refused() {
    use DecodeError as E;
    let (exact, lpm) = (|value| FieldMatchType::Exact(Exact { value }), |value, prefix_len| FieldMatchType::Lpm(Lpm { value, prefix_len }));
    let table = "route_v4";
    assert_eq!(refusal(route(), |entry| entry.table_id = 99), E::UnknownTable { id: 99 });
    assert_eq!(refusal(route(), |entry| set_match(entry, 9, exact(vec![1]))), E::UnknownField { table, id: 9 });
    assert_eq!(refusal(route(), |entry| set_match(entry, 0, exact(vec![1]))), E::UnknownField { table, id: 0 });
    assert_eq!(refusal(route(), |entry| entry.r#match.push(entry.r#match[0].clone())), E::DuplicateField { table, id: 1 });
    assert_eq!(refusal(route(), |entry| drop(entry.r#match.remove(0))), E::MissingField { table, field: "vrf" });
    let wrong = |field, expected| E::WrongMatch { table, field, expected };
    assert_eq!(refusal(route(), |entry| set_match(entry, 1, lpm(vec![1], 16))), wrong("vrf", "exact"));
    assert_eq!(refusal(route(), |entry| set_match(entry, 2, exact(vec![1]))), wrong("dst", "lpm"));
    assert_eq!(refusal(route(), |entry| entry.r#match[0].field_match_type = None), wrong("vrf", "exact"));
    let bad = |field, source| E::BadField { table, field, source };
    assert_eq!(refusal(route(), |entry| set_match(entry, 1, exact(vec![]))), bad("vrf", ValueError::Empty));
    assert_eq!(refusal(route(), |entry| set_match(entry, 1, exact(vec![1, 0, 0]))), bad("vrf", ValueError::TooWide { bits: 16 }));
    let length = |length| bad("dst", ValueError::PrefixLength { length, bits: 32 });
    assert_eq!(refusal(route(), |entry| set_match(entry, 2, lpm(vec![1], 33))), length(33));
    assert_eq!(refusal(route(), |entry| set_match(entry, 2, lpm(vec![1], -1))), length(-1));
    assert_eq!(refusal(route(), |entry| set_match(entry, 2, lpm(vec![1], 300))), length(300));
    assert_eq!(refusal(route(), |entry| set_match(entry, 2, lpm(vec![1], 31))), bad("dst", ValueError::OutsideMask));
    assert_eq!(refusal(route(), |entry| set_match(entry, 2, lpm(vec![0], 0))), bad("dst", ValueError::DontCare));
    assert_eq!(refusal(route(), |entry| entry.priority = 1), E::PriorityForbidden { table });
}

#[test]
fn wrong_ternaries_ranges_and_priorities_are_refused() {
    use DecodeError as E;
    let table = "flow_acl_v4";
    let ternary = |value, mask| FieldMatchType::Ternary(Ternary { value, mask });
    let range = |low, high| FieldMatchType::Range(Range { low, high });
    let bad = |field, source| E::BadField { table, field, source };
    assert_eq!(refusal(acl(), |entry| set_match(entry, 1, ternary(vec![3], vec![2]))), bad("vrf", ValueError::OutsideMask));
    assert_eq!(refusal(acl(), |entry| set_match(entry, 1, ternary(vec![0], vec![0]))), bad("vrf", ValueError::DontCare));
    assert_eq!(refusal(acl(), |entry| set_match(entry, 5, range(vec![2], vec![1]))), bad("sport", ValueError::EmptyRange));
    assert_eq!(refusal(acl(), |entry| set_match(entry, 5, range(vec![0], vec![255, 255]))), bad("sport", ValueError::DontCare));
    let wrong = |field, expected| E::WrongMatch { table, field, expected };
    assert_eq!(refusal(acl(), |entry| set_match(entry, 1, range(vec![1], vec![2]))), wrong("vrf", "ternary"));
    assert_eq!(refusal(acl(), |entry| set_match(entry, 6, ternary(vec![1], vec![1]))), wrong("dport", "range"));
    assert_eq!(refusal(acl(), |entry| entry.priority = 0), E::PriorityNeeded { table, priority: 0 });
    assert_eq!(refusal(acl(), |entry| entry.priority = -4), E::PriorityNeeded { table, priority: -4 });
}

#[test]
fn wrong_actions_are_refused() {
    use DecodeError as E;
    let table = "route_v4";
    let local = the_action(&mut route()).action_id;
    assert_eq!(refusal(route(), |entry| entry.action = None), E::NoAction { table });
    assert_eq!(refusal(route(), |entry| the_action(entry).action_id = 1), E::UnknownAction { table, id: 1 });
    // NoAction is for the miss only.
    assert_eq!(refusal(route(), |entry| the_action(entry).action_id = 21_257_015), E::UnknownAction { table, id: 21_257_015 });
    let unknown = |id| E::UnknownParam { table, action: local, id };
    assert_eq!(refusal(route(), |entry| the_action(entry).params.push(proto::action::Param { param_id: 5, value: vec![1] })), unknown(5));
    assert_eq!(refusal(route(), |entry| the_action(entry).params.push(proto::action::Param { param_id: 1, value: vec![1] })), unknown(1));
    assert_eq!(refusal(route(), |entry| the_action(entry).params.clear()), E::MissingParam { table, param: "nexthop" });
    let source = ValueError::TooWide { bits: 32 };
    let bad = E::BadParam { table, param: "nexthop", source };
    assert_eq!(refusal(route(), |entry| the_action(entry).params[0].value = vec![1, 0, 0, 0, 0]), bad);
    let set = tunnel().action;
    assert_eq!(refusal(route(), |entry| entry.action = set), E::WrongActionKind { table, expected: "an action" });
}

#[test]
#[allow(deprecated, reason = "controllers still send the older form of a watch port")]
fn wrong_action_sets_are_refused() {
    use DecodeError as E;
    let table = "tunnel";
    let expected = "an action profile action set";
    let member = |id| Some(proto::TableAction { r#type: Some(ActionType::ActionProfileMemberId(id)) });
    assert_eq!(refusal(tunnel(), |entry| entry.action = member(1)), E::WrongActionKind { table, expected });
    let empty = Some(proto::TableAction { r#type: Some(ActionType::ActionProfileActionSet(proto::ActionProfileActionSet::default())) });
    assert_eq!(refusal(tunnel(), |entry| entry.action = empty), E::EmptyActionSet { table });
    let option = |field| E::ActionSetOption { table, field };
    let with = |change: fn(&mut proto::ActionProfileActionSet)| refusal(tunnel(), |entry| change(the_set(entry)));
    assert_eq!(with(|set| set.group_action = Some(proto::Action::default())), option("group_action"));
    assert_eq!(with(|set| set.action_selection_mode = 2), option("action_selection_mode"));
    assert_eq!(with(|set| set.size_semantics = 1), option("size_semantics"));
    assert_eq!(refusal(tunnel(), |entry| the_member(entry).action = None), E::NoAction { table });
    for weight in [0, -1] {
        assert_eq!(refusal(tunnel(), |entry| the_member(entry).weight = weight), E::BadWeight { table, member: 0, weight });
    }
    let bad = |source| E::BadWatchPort { table, member: 0, source };
    let watch = |port| move |entry: &mut proto::TableEntry| the_member(entry).watch_kind = Some(port);
    assert_eq!(refusal(tunnel(), watch(WatchKind::WatchPort(vec![2, 0]))), bad(ValueError::TooWide { bits: 9 }));
    assert_eq!(refusal(tunnel(), watch(WatchKind::WatchPort(vec![]))), bad(ValueError::Empty));
    assert_eq!(refusal(tunnel(), watch(WatchKind::Watch(512))), bad(ValueError::TooWide { bits: 9 }));
    assert_eq!(refusal(tunnel(), watch(WatchKind::Watch(-1))), bad(ValueError::TooWide { bits: 9 }));
    let mut older = tunnel();
    the_member(&mut older).watch_kind = Some(WatchKind::Watch(511));
    assert_eq!(Entry::decode(&older), Entry::decode(&tunnel()));
}

#[test]
fn wrong_meters_and_timeouts_are_refused() {
    use DecodeError as E;
    let negative = |field: &'static str| E::BadMeter { table: "session", field, value: -1 };
    let meter = |change: fn(&mut proto::MeterConfig)| {
        refusal(session(), |entry| change(entry.meter_config.as_mut().expect("the session is metered")))
    };
    assert_eq!(meter(|meter| meter.cir = -1), negative("cir"));
    assert_eq!(meter(|meter| meter.cburst = -1), negative("cburst"));
    assert_eq!(meter(|meter| meter.pir = -1), negative("pir"));
    assert_eq!(meter(|meter| meter.pburst = -1), negative("pburst"));
    assert_eq!(meter(|meter| meter.eburst = 1), E::BadMeter { table: "session", field: "eburst", value: 1 });
    assert_eq!(meter(|meter| meter.pir = 0), E::BadMeter { table: "session", field: "pir", value: 0 });
    let config = session().meter_config;
    assert_eq!(refusal(route(), |entry| entry.meter_config = config), E::MeterForbidden { table: "route_v4" });
    let timeout = |nanoseconds| E::IdleTimeoutForbidden { table: "route_v4", nanoseconds };
    assert_eq!(refusal(route(), |entry| entry.idle_timeout_ns = 5), timeout(5));
}

#[test]
fn wrong_updates_are_refused() {
    let entity = |entity| Some(proto::Entity { entity: Some(entity) });
    let typeless = proto::Update { r#type: 0, entity: entity(Entity::TableEntry(route())) };
    assert_eq!(Update::decode(&typeless), Err(DecodeUpdateError::Type(0)));
    let unknown = proto::Update { r#type: 9, entity: entity(Entity::TableEntry(route())) };
    assert_eq!(Update::decode(&unknown), Err(DecodeUpdateError::Type(9)));
    let other = proto::Update { r#type: 1, entity: entity(Entity::MeterEntry(proto::MeterEntry::default())) };
    assert_eq!(Update::decode(&other), Err(DecodeUpdateError::NoTableEntry));
    assert_eq!(Update::decode(&proto::Update::default()), Err(DecodeUpdateError::NoTableEntry));
    let bad = proto::Update { r#type: 1, entity: entity(Entity::TableEntry(proto::TableEntry::default())) };
    assert_eq!(Update::decode(&bad), Err(DecodeUpdateError::Entry(DecodeError::UnknownTable { id: 0 })));
}
