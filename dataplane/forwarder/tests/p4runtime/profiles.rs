//! Members and groups of action selectors.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::action_profile_group::member::WatchKind;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use p4runtime_proto::p4::v1::update::Type;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use svpn_contract::action_profile::TUNNEL_SELECTOR;
use svpn_contract::wire::{Label, NextHopId, PortId, TtlMode, TunnelId};
use svpn_contract::{Choice, Entry, TunnelAction, TunnelEntry, TunnelKey, Update};
use tonic::Code;

use crate::support::{Controller, NO_PORT, Server, codes, errors, our_config};
use crate::writes::update;

fn push(label: u32) -> TunnelAction {
    TunnelAction::Lsp1 { l1: Label::new(label).unwrap(), nexthop: NextHopId::new(1).unwrap(), ttl_mode: TtlMode::UNIFORM }
}

fn one_shot(tunnel: u32, actions: &[TunnelAction]) -> Entry {
    let members = actions.iter().flat_map(|action| Choice::only(*action).members).collect();
    TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(tunnel).unwrap() }, action: Choice { members } }.into()
}

/// An action as the wire has it.
fn wire(action: TunnelAction) -> Option<proto::Action> {
    match one_shot(1, &[action]).encode().action?.r#type? {
        ActionType::ActionProfileActionSet(mut set) => set.action_profile_actions.pop()?.action,
        _ => None,
    }
}

fn member(member_id: u32, label: u32) -> Entity {
    let action = wire(push(label));
    Entity::ActionProfileMember(proto::ActionProfileMember { action_profile_id: TUNNEL_SELECTOR, member_id, action })
}

/// A group of members that are as heavy as their ids.
fn group(group_id: u32, members: &[u32]) -> proto::ActionProfileGroup {
    let member = |id: &u32| proto::action_profile_group::Member {
        member_id: *id,
        weight: i32::try_from(*id).unwrap(),
        watch_kind: Some(WatchKind::WatchPort(vec![3])),
    };
    proto::ActionProfileGroup { action_profile_id: TUNNEL_SELECTOR, group_id, members: members.iter().map(member).collect(), max_size: 0 }
}

fn referring(tunnel: u32, to: ActionType) -> Entity {
    let key = TunnelKey { tunnel: TunnelId::new(tunnel).unwrap() };
    let action = Some(proto::TableAction { r#type: Some(to) });
    Entity::TableEntry(proto::TableEntry { action, ..svpn_contract::EntryKey::from(key).encode() })
}

async fn write(controller: &mut Controller, kind: Type, entities: Vec<Entity>) -> Vec<Code> {
    let updates: Vec<_> = entities.into_iter().map(|entity| update(kind, entity)).collect();
    let count = updates.len();
    match controller.write(Atomicity::ContinueOnError, updates).await {
        Ok(()) => vec![Code::Ok; count],
        Err(status) => codes(&status),
    }
}

async fn one(controller: &mut Controller, kind: Type, entity: Entity) -> Code {
    write(controller, kind, vec![entity]).await[0]
}

/// What the tables hold, with groups resolved: labels, weights and watch ports of a tunnel's members.
fn held(server: &Server, tunnel: u32) -> Option<Vec<(u32, u32, Option<u16>)>> {
    let key = TunnelKey { tunnel: TunnelId::new(tunnel).unwrap() };
    let Entry::Tunnel(entry) = server.world.held(&key.into())? else { panic!("no tunnel") };
    let member = |member: &svpn_contract::Member<TunnelAction>| match member.action {
        TunnelAction::Lsp1 { l1, .. } => (l1.get(), member.weight.get(), member.watch_port.map(PortId::get)),
        other => panic!("not what was written: {other:?}"),
    };
    Some(entry.action.members.iter().map(member).collect())
}

#[tokio::test]
async fn entries_follow_their_members_and_groups() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let members = vec![member(1, 101), member(2, 102), member(3, 103)];
    assert_eq!(write(&mut primary, Type::Insert, members.clone()).await, [Code::Ok; 3]);
    let first = Entity::ActionProfileGroup(group(1, &[1, 2]));
    assert_eq!(one(&mut primary, Type::Insert, first.clone()).await, Code::Ok);
    let entries = vec![
        referring(10, ActionType::ActionProfileGroupId(1)),
        referring(11, ActionType::ActionProfileMemberId(2)),
        referring(12, ActionType::ActionProfileGroupId(1)),
    ];
    assert_eq!(write(&mut primary, Type::Insert, entries.clone()).await, [Code::Ok; 3]);
    assert_eq!(held(&server, 10).unwrap(), [(101, 1, Some(3)), (102, 2, Some(3))]);
    assert_eq!(held(&server, 11).unwrap(), [(102, 1, None)]);
    // All of it is read as it was written.
    let everything = vec![
        Entity::TableEntry(proto::TableEntry { table_id: TunnelKey::TABLE_ID, ..Default::default() }),
        Entity::ActionProfileMember(proto::ActionProfileMember::default()),
        Entity::ActionProfileGroup(proto::ActionProfileGroup { action_profile_id: TUNNEL_SELECTOR, ..Default::default() }),
    ];
    let expected: Vec<Entity> = entries.iter().chain(&members).cloned().chain([first.clone()]).collect();
    assert_eq!(primary.read(everything).await.unwrap(), expected);
    let one_member = proto::ActionProfileMember { action_profile_id: TUNNEL_SELECTOR, member_id: 2, action: None };
    assert_eq!(primary.read(vec![Entity::ActionProfileMember(one_member)]).await.unwrap(), [members[1].clone()]);
    // A member that changes, changes wherever it stands.
    assert_eq!(one(&mut primary, Type::Modify, member(2, 202)).await, Code::Ok);
    assert_eq!(held(&server, 12).unwrap(), [(101, 1, Some(3)), (202, 2, Some(3))]);
    assert_eq!(held(&server, 11).unwrap(), [(202, 1, None)]);
    // So does a group, down to none: its entries stay, and choose nobody.
    let changed = Entity::ActionProfileGroup(group(1, &[3]));
    assert_eq!(one(&mut primary, Type::Modify, changed).await, Code::Ok);
    assert_eq!(held(&server, 10).unwrap(), [(103, 3, Some(3))]);
    assert_eq!(one(&mut primary, Type::Modify, Entity::ActionProfileGroup(group(1, &[]))).await, Code::Ok);
    assert_eq!(held(&server, 12).unwrap(), []);
    // An entry leaves its group for a member.
    assert_eq!(one(&mut primary, Type::Modify, referring(10, ActionType::ActionProfileMemberId(1))).await, Code::Ok);
    assert_eq!(one(&mut primary, Type::Modify, first).await, Code::Ok);
    assert_eq!(held(&server, 10).unwrap(), [(101, 1, None)]);
}

#[tokio::test]
async fn what_is_in_use_stays() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    write(&mut primary, Type::Insert, vec![member(1, 101), member(2, 102), member(3, 103)]).await;
    write(&mut primary, Type::Insert, vec![Entity::ActionProfileGroup(group(1, &[1]))]).await;
    let entries = vec![referring(10, ActionType::ActionProfileGroupId(1)), referring(11, ActionType::ActionProfileMemberId(2))];
    write(&mut primary, Type::Insert, entries).await;
    let refused = vec![member(1, 0), member(2, 0), Entity::ActionProfileGroup(group(1, &[]))];
    assert_eq!(write(&mut primary, Type::Delete, refused.clone()).await, [Code::FailedPrecondition; 3]);
    assert_eq!(one(&mut primary, Type::Delete, member(3, 0)).await, Code::Ok, "nobody needs it");
    let deletion = |tunnel| {
        let key = TunnelKey { tunnel: TunnelId::new(tunnel).unwrap() };
        Entity::TableEntry(svpn_contract::EntryKey::from(key).encode())
    };
    assert_eq!(write(&mut primary, Type::Delete, vec![deletion(10), deletion(11)]).await, [Code::Ok; 2]);
    assert_eq!(one(&mut primary, Type::Delete, member(1, 0)).await, Code::FailedPrecondition, "the group still has it");
    let rest = vec![Entity::ActionProfileGroup(group(1, &[])), member(1, 0), member(2, 0)];
    assert_eq!(write(&mut primary, Type::Delete, rest).await, [Code::Ok; 3]);
    assert_eq!(one(&mut primary, Type::Delete, member(2, 0)).await, Code::NotFound);
}

#[tokio::test]
async fn mistakes_are_named() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    write(&mut primary, Type::Insert, vec![member(1, 101), member(2, 102)]).await;
    write(&mut primary, Type::Insert, vec![Entity::ActionProfileGroup(proto::ActionProfileGroup { max_size: 4, ..group(1, &[1, 2]) })])
        .await;
    let bare = proto::ActionProfileMember { action_profile_id: TUNNEL_SELECTOR, member_id: 7, action: None };
    let grouped = Entity::ActionProfileGroup;
    let watching = |kind| {
        let mut watching = group(9, &[1]);
        watching.members[0].watch_kind = Some(kind);
        grouped(watching)
    };
    let mut weightless = group(9, &[1]);
    weightless.members[0].weight = 0;
    #[allow(deprecated, reason = "controllers still send it")]
    let cases = vec![
        (Type::Insert, member(1, 101), Code::AlreadyExists, "member 1 exists already"),
        (Type::Modify, member(9, 101), Code::NotFound, "there is no member 9"),
        (Type::Insert, member(0, 101), Code::InvalidArgument, "0 is no id"),
        (Type::Insert, Entity::ActionProfileMember(bare.clone()), Code::InvalidArgument, "member 7 has no action"),
        (
            Type::Insert,
            Entity::ActionProfileMember(proto::ActionProfileMember { action_profile_id: 5, ..bare }),
            Code::InvalidArgument,
            "no action profile",
        ),
        (Type::Insert, grouped(group(9, &[1, 3])), Code::NotFound, "there is no member 3"),
        (Type::Insert, grouped(group(9, &[1, 1])), Code::InvalidArgument, "has member 1 twice"),
        (Type::Insert, grouped(weightless), Code::InvalidArgument, "weight 0"),
        (Type::Insert, watching(WatchKind::WatchPort(vec![9, 9])), Code::InvalidArgument, "no port number"),
        (Type::Insert, watching(WatchKind::Watch(i32::from(NO_PORT.get()))), Code::InvalidArgument, "cannot be watched"),
        (
            Type::Insert,
            grouped(proto::ActionProfileGroup { max_size: 2, ..group(9, &[1, 2]) }),
            Code::ResourceExhausted,
            "size 3, and at most 2",
        ),
        (Type::Insert, grouped(proto::ActionProfileGroup { max_size: -1, ..group(9, &[1]) }), Code::InvalidArgument, "max_size -1"),
        (Type::Modify, grouped(group(1, &[1])), Code::InvalidArgument, "max_size 4, which cannot be changed to 0"),
        (Type::Insert, referring(10, ActionType::ActionProfileGroupId(9)), Code::NotFound, "there is no group 9"),
        (Type::Modify, referring(10, ActionType::ActionProfileGroupId(1)), Code::NotFound, "no such entry"),
        (Type::Insert, Entity::TableEntry(one_shot(10, &[push(5)]).encode()), Code::InvalidArgument, "not both"),
    ];
    for (kind, entity, code, text) in cases {
        let status = primary.write(Atomicity::ContinueOnError, vec![update(kind, entity.clone())]).await.expect_err(text);
        let (found, said) = errors(&status).remove(0);
        assert!(found == code && said.contains(text), "{entity:?}: {found:?} {said}");
    }
    assert_eq!(primary.all().await, []);
}

#[tokio::test]
async fn one_shots_keep_members_out() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    primary.insert(&[one_shot(10, &[push(5), push(6)])]).await;
    assert_eq!(one(&mut primary, Type::Insert, member(1, 101)).await, Code::InvalidArgument);
    let unknown = TunnelEntry { key: TunnelKey { tunnel: TunnelId::new(11).unwrap() }, action: Choice::only(push(1)) };
    let mut watching = Entry::from(unknown);
    if let Entry::Tunnel(entry) = &mut watching {
        entry.action.members[0].watch_port = Some(NO_PORT);
    }
    assert_eq!(one(&mut primary, Type::Insert, Entity::TableEntry(watching.encode())).await, Code::InvalidArgument);
    primary.write(Atomicity::ContinueOnError, vec![Update::Delete(one_shot(10, &[]).key()).encode()]).await.unwrap();
    assert_eq!(one(&mut primary, Type::Insert, member(1, 101)).await, Code::Ok);
}

#[tokio::test]
async fn members_and_groups_are_rolled_back() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    write(&mut primary, Type::Insert, vec![member(1, 101), member(2, 102)]).await;
    write(&mut primary, Type::Insert, vec![Entity::ActionProfileGroup(group(1, &[1, 2]))]).await;
    write(&mut primary, Type::Insert, vec![referring(10, ActionType::ActionProfileGroupId(1))]).await;
    let everything = vec![
        Entity::TableEntry(proto::TableEntry::default()),
        Entity::ActionProfileMember(proto::ActionProfileMember::default()),
        Entity::ActionProfileGroup(proto::ActionProfileGroup::default()),
    ];
    let before = primary.read(everything.clone()).await.unwrap();
    let batch = vec![
        update(Type::Insert, member(3, 103)),
        update(Type::Modify, member(1, 201)),
        update(Type::Modify, Entity::ActionProfileGroup(group(1, &[3]))),
        update(Type::Delete, member(2, 0)),
        update(Type::Modify, referring(10, ActionType::ActionProfileMemberId(1))),
        update(Type::Delete, Entity::ActionProfileGroup(group(1, &[]))),
        update(Type::Delete, member(9, 0)),
    ];
    for atomicity in [Atomicity::RollbackOnError, Atomicity::DataplaneAtomic] {
        let failed = primary.write(atomicity, batch.clone()).await.unwrap_err();
        let mut expected = [Code::Aborted; 7];
        expected[6] = Code::NotFound;
        assert_eq!(codes(&failed), expected);
        assert_eq!(primary.read(everything.clone()).await.unwrap(), before);
        assert_eq!(held(&server, 10).unwrap(), [(101, 1, Some(3)), (102, 2, Some(3))]);
    }
    primary.write(Atomicity::DataplaneAtomic, batch[..6].to_vec()).await.unwrap();
    assert_eq!(held(&server, 10).unwrap(), [(201, 1, None)]);
}

#[tokio::test]
async fn a_new_pipeline_has_only_what_was_written_to_it() {
    let server = Server::start().await;
    let mut primary = server.primary().await;
    let count = async |primary: &mut Controller| {
        let all = vec![
            Entity::ActionProfileMember(proto::ActionProfileMember::default()),
            Entity::ActionProfileGroup(proto::ActionProfileGroup::default()),
        ];
        primary.read(all).await.unwrap().len()
    };
    write(&mut primary, Type::Insert, vec![member(1, 101), member(2, 102)]).await;
    write(&mut primary, Type::Insert, vec![Entity::ActionProfileGroup(group(1, &[1]))]).await;
    primary.set_config(Action::ReconcileAndCommit, Some(our_config(2))).await.unwrap();
    assert_eq!(count(&mut primary).await, 3);
    primary.set_config(Action::VerifyAndSave, Some(our_config(3))).await.unwrap();
    write(&mut primary, Type::Insert, vec![member(3, 103), referring(10, ActionType::ActionProfileGroupId(1))]).await;
    primary.set_pipeline(Action::Commit).await.unwrap();
    assert_eq!(count(&mut primary).await, 3, "member 2 is gone; the group and its member are in use");
    assert_eq!(held(&server, 10).unwrap(), [(101, 1, Some(3))]);
    primary.set_pipeline(Action::VerifyAndCommit).await.unwrap();
    assert_eq!((count(&mut primary).await, held(&server, 10)), (0, None));
}
