//! The entries of `tunnel` and `nexthop`: action sets, of which workers see the members that are up.

use std::collections::BTreeMap;

use svpn_contract::wire::PortId;
use svpn_contract::{Choice, Member};
use svpn_dpdk::Reclaimer;

use super::ApplyError;
use crate::tables::group::{GroupWriter, MOST_MEMBERS, MemberLine, NoLines};
use crate::tables::ports::PortSet;

/// An entry: its action set, its slot, and the slot each member refers to.
#[derive(Debug)]
pub(super) struct Group<A> {
    pub(super) choice: Choice<A>,
    pub(super) slot: u32,
    /// For each member; empty for a table whose members refer to nothing.
    pub(super) references: Vec<u32>,
}

/// There was no room for this entry.
#[derive(Debug)]
pub(super) struct NotSet<A>(pub(super) Group<A>);

/// The entries of one table, by number.
#[derive(Debug)]
pub(super) struct Groups<A> {
    entries: BTreeMap<u32, Group<A>>,
    writer: GroupWriter,
    line: fn(&Member<A>, u32) -> MemberLine,
    size: u32,
}

impl<A: Copy> Groups<A> {
    /// No entries. `line` makes a member's line from the slot it refers to.
    pub(super) fn new(writer: GroupWriter, size: u32, line: fn(&Member<A>, u32) -> MemberLine) -> Self {
        Self { entries: BTreeMap::new(), writer, line, size }
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Group<A>> {
        self.entries.get(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Group<A>)> {
        self.entries.iter().map(|(number, group)| (*number, group))
    }

    /// Fails where an action set is larger than a group can be.
    pub(super) fn check(choice: &Choice<A>) -> Result<(), ApplyError> {
        match choice.members.len() {
            ..=MOST_MEMBERS => Ok(()),
            members => Err(ApplyError::Members { members, most: MOST_MEMBERS }),
        }
    }

    /// Adds or replaces an entry, and returns the one it replaces.
    pub(super) fn set(&mut self, number: u32, group: Group<A>, up: &PortSet) -> Result<Option<Group<A>>, NotSet<A>> {
        match self.writer.set(group.slot, &lines(&group, self.line, up)) {
            Ok(()) => Ok(self.entries.insert(number, group)),
            Err(NoLines) => Err(NotSet(group)),
        }
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, number: u32) -> Option<Group<A>> {
        let group = self.entries.remove(&number)?;
        // Without members it needs no lines.
        let _ = self.writer.set(group.slot, &[]);
        Some(group)
    }

    /// Renders again what watches a port. `quiesce` waits until every worker was quiescent.
    pub(super) fn port_changed(&mut self, port: PortId, up: &PortSet, reclaimer: &Reclaimer, quiesce: impl Fn()) {
        let watches = |group: &&Group<A>| group.choice.members.iter().any(|member| member.watch_port == Some(port));
        for group in self.entries.values().filter(watches) {
            let lines = lines(group, self.line, up);
            if self.writer.set(group.slot, &lines).is_err() {
                // What was replaced a moment ago still holds its lines.
                self.writer.publish(reclaimer);
                quiesce();
                self.writer.publish(reclaimer);
                // Every entry had lines for all its members, and the old ones are free now.
                let _ = self.writer.set(group.slot, &lines);
            }
        }
    }

    pub(super) fn publish(&mut self, reclaimer: &Reclaimer) {
        self.writer.publish(reclaimer);
    }
}

/// The lines of the members that are up.
fn lines<A>(group: &Group<A>, line: fn(&Member<A>, u32) -> MemberLine, up: &PortSet) -> Vec<MemberLine> {
    let references = group.references.iter().copied().chain(std::iter::repeat(0));
    let live = |member: &Member<A>| member.watch_port.is_none_or(|port| up.contains(port.get()));
    group.choice.members.iter().zip(references).filter(|(member, _)| live(member)).map(|(member, slot)| line(member, slot)).collect()
}
