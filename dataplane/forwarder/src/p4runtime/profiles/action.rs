//! The actions of members, typed by the table that their selector serves.

use std::num::NonZeroU32;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::field_match::{Exact, FieldMatchType};
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use svpn_contract::wire::PortId;
use svpn_contract::{
    Choice, DecodeError, Entry, EntryKey, Member, NexthopAction, NexthopEntry, NexthopKey, TunnelAction, TunnelEntry, TunnelKey,
};

use crate::p4runtime::facts;

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberAction {
    Tunnel(TunnelAction),
    Nexthop(NexthopAction),
}

/// A member as an entry has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Selectable {
    pub(super) action: MemberAction,
    pub(super) weight: NonZeroU32,
    pub(super) watch_port: Option<PortId>,
}

impl MemberAction {
    /// From the wire, for a table.
    pub(super) fn decode(table: u32, action: &proto::Action) -> Result<Self, DecodeError> {
        // The contract decodes entries, so it is given one: with this action alone, and any key.
        let fields = facts::table(table).map(|table| table.fields.as_slice()).unwrap_or_default();
        let any = |id: &u32| proto::FieldMatch { field_id: *id, field_match_type: Some(FieldMatchType::Exact(Exact { value: vec![0] })) };
        let only = proto::ActionProfileAction { action: Some(action.clone()), weight: 1, watch_kind: None };
        let set = proto::ActionProfileActionSet { action_profile_actions: vec![only], ..Default::default() };
        let entry = proto::TableEntry {
            table_id: table,
            r#match: fields.iter().map(any).collect(),
            action: Some(proto::TableAction { r#type: Some(ActionType::ActionProfileActionSet(set)) }),
            ..Default::default()
        };
        let no_action = DecodeError::UnknownAction { table: "of the action profile", id: action.action_id };
        match Entry::decode(&entry)? {
            Entry::Tunnel(entry) => entry.action.members.first().map(|member| Self::Tunnel(member.action)).ok_or(no_action),
            Entry::Nexthop(entry) => entry.action.members.first().map(|member| Self::Nexthop(member.action)).ok_or(no_action),
            _ => Err(no_action),
        }
    }

    /// As it is read.
    pub(super) fn encode(self) -> Option<proto::Action> {
        let entry: Entry = match self {
            Self::Tunnel(action) => {
                TunnelEntry { key: TunnelKey { tunnel: svpn_contract::wire::TunnelId::default() }, action: Choice::only(action) }.into()
            }
            Self::Nexthop(action) => {
                NexthopEntry { key: NexthopKey { nexthop: svpn_contract::wire::NextHopId::default() }, action: Choice::only(action) }.into()
            }
        };
        match entry.encode().action?.r#type? {
            ActionType::ActionProfileActionSet(mut set) => set.action_profile_actions.pop()?.action,
            _ => None,
        }
    }
}

/// The entry of a key with these members; `None` where the table has no selector.
pub(super) fn entry(key: EntryKey, members: &[Selectable]) -> Option<Entry> {
    match key {
        EntryKey::Tunnel(key) => {
            let action = choice(members, |action| if let MemberAction::Tunnel(action) = action { Some(action) } else { None });
            Some(TunnelEntry { key, action }.into())
        }
        EntryKey::Nexthop(key) => {
            let action = choice(members, |action| if let MemberAction::Nexthop(action) = action { Some(action) } else { None });
            Some(NexthopEntry { key, action }.into())
        }
        _ => None,
    }
}

fn choice<A>(members: &[Selectable], of: impl Fn(MemberAction) -> Option<A>) -> Choice<A> {
    let member = |member: &Selectable| Some(Member { action: of(member.action)?, weight: member.weight, watch_port: member.watch_port });
    Choice { members: members.iter().filter_map(member).collect() }
}

/// The ports an entry's members watch.
pub(in crate::p4runtime) fn watched(entry: &Entry) -> impl Iterator<Item = PortId> + '_ {
    let (tunnel, nexthop) = match entry {
        Entry::Tunnel(entry) => (Some(&entry.action.members), None),
        Entry::Nexthop(entry) => (None, Some(&entry.action.members)),
        _ => (None, None),
    };
    let tunnels = tunnel.into_iter().flatten().filter_map(|member| member.watch_port);
    tunnels.chain(nexthop.into_iter().flatten().filter_map(|member| member.watch_port))
}

#[cfg(test)]
mod tests {
    use svpn_contract::wire::{Label, NextHopId, TtlMode};

    use super::*;

    #[test]
    fn an_action_survives_the_wire_and_belongs_to_its_table() {
        let action =
            MemberAction::Tunnel(TunnelAction::Lsp1 { l1: Label::MAX, nexthop: NextHopId::MAX, ttl_mode: TtlMode::new(7).unwrap() });
        let wire = action.encode().unwrap();
        assert_eq!(MemberAction::decode(TunnelKey::TABLE_ID, &wire), Ok(action));
        assert!(matches!(MemberAction::decode(NexthopKey::TABLE_ID, &wire), Err(DecodeError::UnknownAction { .. })));
    }
}
