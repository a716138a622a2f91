//! Members and groups of action selectors (P4Runtime specification, "Member Programming", "Group Programming").
//!
//! The tables know whole action sets only, so an entry that refers to a member or a group is written to them with the actions that it
//! stands for, and is written again when these change. What refers to what is kept here.
//!
//! A selector takes one-shot sets, or members and groups, and never both. An entry that refers to an empty group, or whose members'
//! ports are all down, drops packets as if it were not there.

mod action;
mod error;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::action_profile_group::member::WatchKind;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use svpn_contract::wire::PortId;
use svpn_contract::{Entry, EntryKey, Value as _};

use super::facts::{self, SizeSemantics};
use crate::tables::group::MOST_MEMBERS;
pub(super) use action::watched;
use action::{MemberAction, Selectable};
pub(super) use error::{Part, ProfileError};

/// What a table entry refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reference {
    /// The selector.
    pub(super) selector: u32,
    pub(super) part: Part,
}

/// A member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    member: u32,
    weight: NonZeroU32,
    watch_port: Option<PortId>,
}

/// What a member or group is; to be written, or as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition(Content);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Member(MemberAction),
    Group { shares: Vec<Share>, max_size: i32 },
}

#[derive(Debug)]
struct Node {
    content: Content,
    /// Groups that a member is in.
    groups: BTreeSet<u32>,
    /// Entries that refer to it directly.
    entries: BTreeSet<EntryKey>,
}

/// One selector.
#[derive(Debug, Default)]
struct Selector {
    parts: BTreeMap<Part, Node>,
    members: usize,
    /// Entries that refer to a member or group.
    referring: HashMap<EntryKey, Part>,
}

/// The members and groups of every selector.
#[derive(Debug, Default)]
pub(super) struct Profiles(BTreeMap<u32, Selector>);

fn name(selector: u32) -> &'static str {
    facts::selector(selector).map_or("?", |facts| facts.name.as_str())
}

impl Reference {
    /// What a member message names. 0 is no id.
    pub(super) fn member(wire: &proto::ActionProfileMember) -> Result<Self, ProfileError> {
        Self::new(wire.action_profile_id, Part::Member(wire.member_id))
    }

    /// What a group message names.
    pub(super) fn group(wire: &proto::ActionProfileGroup) -> Result<Self, ProfileError> {
        Self::new(wire.action_profile_id, Part::Group(wire.group_id))
    }

    fn new(selector: u32, part: Part) -> Result<Self, ProfileError> {
        facts::selector(selector).ok_or(ProfileError::UnknownProfile(selector))?;
        match part {
            Part::Member(0) | Part::Group(0) => Err(ProfileError::ZeroId),
            Part::Member(_) | Part::Group(_) => Ok(Self { selector, part }),
        }
    }

    /// What a table entry refers to, if it does.
    pub(super) fn of(entry: &proto::TableEntry) -> Result<Option<Self>, ProfileError> {
        let part = match entry.action.as_ref().and_then(|action| action.r#type.as_ref()) {
            Some(ActionType::ActionProfileMemberId(id)) => Part::Member(*id),
            Some(ActionType::ActionProfileGroupId(id)) => Part::Group(*id),
            _ => return Ok(None),
        };
        let Some(table) = facts::table(entry.table_id) else { return Ok(None) };
        let selector = table.selector.ok_or_else(|| ProfileError::NoSelector(table.name.clone()))?;
        Self::new(selector, part).map(Some)
    }

    /// As an entry has it.
    pub(super) fn encode(self) -> proto::TableAction {
        let kind = match self.part {
            Part::Member(id) => ActionType::ActionProfileMemberId(id),
            Part::Group(id) => ActionType::ActionProfileGroupId(id),
        };
        proto::TableAction { r#type: Some(kind) }
    }
}

impl Definition {
    /// What a member message defines.
    pub(super) fn member(wire: &proto::ActionProfileMember) -> Result<Self, ProfileError> {
        let (selector, id) = (name(wire.action_profile_id), wire.member_id);
        let action = wire.action.as_ref().ok_or(ProfileError::NoAction { selector, id })?;
        let table = facts::selector(wire.action_profile_id).and_then(|facts| facts.tables.first().copied()).unwrap_or_default();
        let action = MemberAction::decode(table, action).map_err(|source| ProfileError::Action { selector, id, source })?;
        Ok(Self(Content::Member(action)))
    }

    /// What a group message defines. Whether its members are there is seen when it is written.
    pub(super) fn group(wire: &proto::ActionProfileGroup) -> Result<Self, ProfileError> {
        let selector = name(wire.action_profile_id);
        let shares = wire.members.iter().map(|member| share(selector, wire.group_id, member)).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = shares.iter().find(|share| !seen.insert(share.member)) {
            return Err(ProfileError::Duplicate { selector, group: wire.group_id, member: twice.member });
        }
        check_size(wire, &shares)?;
        Ok(Self(Content::Group { shares, max_size: wire.max_size }))
    }

    /// The ports its members watch.
    pub(super) fn watched(&self) -> impl Iterator<Item = PortId> + '_ {
        self.0.shares().iter().filter_map(|share| share.watch_port)
    }
}

fn share(selector: &'static str, group: u32, wire: &proto::action_profile_group::Member) -> Result<Share, ProfileError> {
    let member = wire.member_id;
    let weight = u32::try_from(wire.weight).ok().and_then(NonZeroU32::new);
    let weight = weight.ok_or(ProfileError::Weight { selector, group, member, weight: wire.weight })?;
    let port = match &wire.watch_kind {
        None => return Ok(Share { member, weight, watch_port: None }),
        Some(WatchKind::WatchPort(port)) => PortId::from_bytes(port).ok(),
        // The older, integer form (deprecated in P4Runtime 1.4).
        #[allow(deprecated, reason = "controllers still send it")]
        Some(WatchKind::Watch(port)) => u64::try_from(*port).ok().and_then(|port| PortId::try_from(port).ok()),
    };
    Ok(Share { member, weight, watch_port: Some(port.ok_or(ProfileError::WatchPort { selector, group, member })?) })
}

/// Judges `max_size` and what it limits (P4Runtime specification, "Rules on Setting `max_size`").
fn check_size(wire: &proto::ActionProfileGroup, shares: &[Share]) -> Result<(), ProfileError> {
    let Some(facts) = facts::selector(wire.action_profile_id) else { return Err(ProfileError::UnknownProfile(wire.action_profile_id)) };
    let (selector, group) = (facts.name.as_str(), wire.group_id);
    let given = u32::try_from(wire.max_size).ok().filter(|given| match facts.largest_group {
        Some(most) => (1..=most).contains(given),
        None => true,
    });
    let promised = given.ok_or(ProfileError::MaxSize { selector, group, given: wire.max_size })?;
    let size = match facts.semantics {
        SizeSemantics::Weights => shares.iter().map(|share| u64::from(share.weight.get())).sum(),
        SizeSemantics::Members { heaviest } => {
            if let Some(share) = shares.iter().find(|share| heaviest.is_some_and(|heaviest| share.weight.get() > heaviest)) {
                let weight = i32::try_from(share.weight.get()).unwrap_or(i32::MAX);
                return Err(ProfileError::Weight { selector, group, member: share.member, weight });
            }
            shares.len() as u64
        }
    };
    let most = if promised == 0 { u64::MAX } else { promised.into() };
    if size > most {
        return Err(ProfileError::TooLarge { selector, group, size, most });
    }
    if shares.len() > MOST_MEMBERS {
        return Err(ProfileError::TooLarge { selector, group, size: shares.len() as u64, most: MOST_MEMBERS as u64 });
    }
    Ok(())
}

impl Content {
    fn shares(&self) -> &[Share] {
        match self {
            Self::Member(_) => &[],
            Self::Group { shares, .. } => shares,
        }
    }
}

impl Profiles {
    /// What a member or group is.
    pub(super) fn get(&self, reference: Reference) -> Option<Definition> {
        self.0.get(&reference.selector)?.parts.get(&reference.part).map(|node| Definition(node.content.clone()))
    }

    /// What an entry refers to.
    pub(super) fn reference(&self, key: &EntryKey) -> Option<Reference> {
        self.0.iter().find_map(|(id, selector)| selector.referring.get(key).map(|part| Reference { selector: *id, part: *part }))
    }

    /// Whether nothing refers to anything, so that nobody need ask.
    pub(super) fn is_unused(&self) -> bool {
        self.0.values().all(|selector| selector.parts.is_empty())
    }

    /// Fails where a one-shot set must not be written to a table.
    pub(super) fn check_one_shot(&self, table: u32) -> Result<(), ProfileError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let Some(id) = facts::table(table).and_then(|table| table.selector) else { return Ok(()) };
        match self.0.get(&id) {
            Some(selector) if !selector.parts.is_empty() => {
                Err(ProfileError::Mixed { selector: name(id), used: "with members and groups" })
            }
            _ => Ok(()),
        }
    }

    /// Adds a member or group. `one_shots` says how many entries a table has.
    pub(super) fn insert(
        &mut self,
        reference: Reference,
        definition: Definition,
        entries: impl Fn(u32) -> usize,
    ) -> Result<(), ProfileError> {
        let Reference { selector: id, part } = reference;
        let facts = facts::selector(id).ok_or(ProfileError::UnknownProfile(id))?;
        let selector = self.0.entry(id).or_default();
        let written: usize = facts.tables.iter().map(|table| entries(*table)).sum();
        if written > selector.referring.len() {
            return Err(ProfileError::Mixed { selector: name(id), used: "with one-shot action sets" });
        }
        if selector.parts.contains_key(&part) {
            return Err(ProfileError::AlreadyExists { selector: name(id), part });
        }
        let is_member = matches!(part, Part::Member(_));
        if is_member && selector.members as u64 >= facts.size {
            return Err(ProfileError::Full { selector: name(id), size: facts.size });
        }
        selector.join(id, part, definition.0.shares())?;
        selector.members += usize::from(is_member);
        selector.parts.insert(part, Node { content: definition.0, groups: BTreeSet::new(), entries: BTreeSet::new() });
        Ok(())
    }

    /// Changes a member or group, and returns what it was.
    pub(super) fn modify(&mut self, reference: Reference, definition: Definition) -> Result<Definition, ProfileError> {
        let Reference { selector: id, part } = reference;
        let missing = ProfileError::NotFound { selector: name(id), part };
        let selector = self.0.get_mut(&id).ok_or_else(|| missing.clone())?;
        let before = selector.parts.get(&part).ok_or(missing)?.content.clone();
        if let (Content::Group { max_size: made, .. }, Content::Group { max_size: given, .. }, Part::Group(group)) =
            (&before, &definition.0, part)
            && made != given
        {
            return Err(ProfileError::MaxSizeChanged { selector: name(id), group, made: *made, given: *given });
        }
        selector.leave(part, before.shares());
        if let Err(error) = selector.join(id, part, definition.0.shares()) {
            selector.join(id, part, before.shares())?;
            return Err(error);
        }
        if let Some(node) = selector.parts.get_mut(&part) {
            node.content = definition.0;
        }
        Ok(Definition(before))
    }

    /// Removes a member or group that nothing refers to.
    pub(super) fn delete(&mut self, reference: Reference) -> Result<(), ProfileError> {
        let Reference { selector: id, part } = reference;
        let missing = ProfileError::NotFound { selector: name(id), part };
        let selector = self.0.get_mut(&id).ok_or_else(|| missing.clone())?;
        let node = selector.parts.get(&part).ok_or(missing)?;
        let group = node.groups.first().map(|group| Part::Group(*group).to_string());
        if let Some(user) = group.or_else(|| node.entries.first().map(|key| format!("entry {key}"))) {
            return Err(ProfileError::InUse { selector: name(id), part, user });
        }
        let shares = node.content.shares().to_vec();
        selector.leave(part, &shares);
        selector.parts.remove(&part);
        selector.members -= usize::from(matches!(part, Part::Member(_)));
        Ok(())
    }

    /// The entry of a key that refers to a member or group, with the actions it stands for.
    pub(super) fn resolve(&self, key: EntryKey, reference: Reference) -> Result<Entry, ProfileError> {
        let Reference { selector: id, part } = reference;
        let missing = || ProfileError::NotFound { selector: name(id), part };
        let selector = self.0.get(&id).ok_or_else(missing)?;
        let members = match &selector.parts.get(&part).ok_or_else(missing)?.content {
            Content::Member(action) => vec![Selectable { action: *action, weight: NonZeroU32::MIN, watch_port: None }],
            Content::Group { shares, .. } => shares.iter().filter_map(|share| selector.selectable(share)).collect(),
        };
        action::entry(key, &members).ok_or_else(missing)
    }

    /// Remembers what an entry refers to, or that it refers to nothing.
    pub(super) fn refer(&mut self, key: EntryKey, reference: Option<Reference>) {
        if self.0.is_empty() {
            return;
        }
        for selector in self.0.values_mut() {
            if let Some(node) = selector.referring.remove(&key).and_then(|part| selector.parts.get_mut(&part)) {
                node.entries.remove(&key);
            }
        }
        if let Some(Reference { selector, part }) = reference
            && let Some(selector) = self.0.get_mut(&selector)
            && let Some(node) = selector.parts.get_mut(&part)
        {
            node.entries.insert(key);
            selector.referring.insert(key, part);
        }
    }

    /// Entries that have to be written again when a member or group changes.
    pub(super) fn dependants(&self, reference: Reference) -> Vec<EntryKey> {
        let Some(selector) = self.0.get(&reference.selector) else { return Vec::new() };
        let Some(node) = selector.parts.get(&reference.part) else { return Vec::new() };
        let groups = node.groups.iter().filter_map(|group| selector.parts.get(&Part::Group(*group)));
        groups.flat_map(|group| &group.entries).chain(&node.entries).copied().collect()
    }

    /// Members, of one selector or all, as they are read.
    pub(super) fn members(&self, wanted: u32) -> impl Iterator<Item = proto::ActionProfileMember> + '_ {
        self.parts(wanted).filter_map(|(id, part, content)| member_message(id, part, content))
    }

    /// Groups, of one selector or all, as they are read.
    pub(super) fn groups(&self, wanted: u32) -> impl Iterator<Item = proto::ActionProfileGroup> + '_ {
        self.parts(wanted).filter_map(|(id, part, content)| group_message(id, part, content))
    }

    fn parts(&self, wanted: u32) -> impl Iterator<Item = (u32, Part, &Content)> + '_ {
        let selectors = self.0.iter().filter(move |(id, _)| wanted == 0 || **id == wanted);
        selectors.flat_map(|(id, selector)| selector.parts.iter().map(|(part, node)| (*id, *part, &node.content)))
    }

    /// Forgets members and groups that are not kept and not used, after entries have been deleted.
    pub(super) fn clear(&mut self, kept: impl Fn(Reference) -> bool) {
        let all = |members: bool| {
            let of = move |(id, part, _): (u32, Part, &Content)| {
                (matches!(part, Part::Member(_)) == members).then_some(Reference { selector: id, part })
            };
            self.parts(0).filter_map(of).filter(|reference| !kept(*reference)).collect::<Vec<_>>()
        };
        let (groups, members) = (all(false), all(true));
        for reference in groups.into_iter().chain(members) {
            // One in use by an entry that stays, stays.
            drop(self.delete(reference));
        }
    }
}

impl Selector {
    /// Notes that a group's members are in it.
    fn join(&mut self, id: u32, part: Part, shares: &[Share]) -> Result<(), ProfileError> {
        let Part::Group(group) = part else { return Ok(()) };
        let missing = shares.iter().map(|share| Part::Member(share.member)).find(|part| !self.parts.contains_key(part));
        if let Some(part) = missing {
            return Err(ProfileError::NotFound { selector: name(id), part });
        }
        for share in shares {
            if let Some(node) = self.parts.get_mut(&Part::Member(share.member)) {
                node.groups.insert(group);
            }
        }
        Ok(())
    }

    fn leave(&mut self, part: Part, shares: &[Share]) {
        let Part::Group(group) = part else { return };
        for share in shares {
            if let Some(node) = self.parts.get_mut(&Part::Member(share.member)) {
                node.groups.remove(&group);
            }
        }
    }

    fn selectable(&self, share: &Share) -> Option<Selectable> {
        match self.parts.get(&Part::Member(share.member))?.content {
            Content::Member(action) => Some(Selectable { action, weight: share.weight, watch_port: share.watch_port }),
            Content::Group { .. } => None,
        }
    }
}

fn member_message(action_profile_id: u32, part: Part, content: &Content) -> Option<proto::ActionProfileMember> {
    let (Part::Member(member_id), Content::Member(action)) = (part, content) else { return None };
    Some(proto::ActionProfileMember { action_profile_id, member_id, action: action.encode() })
}

fn group_message(action_profile_id: u32, part: Part, content: &Content) -> Option<proto::ActionProfileGroup> {
    let (Part::Group(group_id), Content::Group { shares, max_size }) = (part, content) else { return None };
    let member = |share: &Share| proto::action_profile_group::Member {
        member_id: share.member,
        weight: i32::try_from(share.weight.get()).unwrap_or(i32::MAX),
        watch_kind: share.watch_port.map(|port| WatchKind::WatchPort(port.to_bytes())),
    };
    Some(proto::ActionProfileGroup { action_profile_id, group_id, members: shares.iter().map(member).collect(), max_size: *max_size })
}
