//! Action selectors: a slot names the live members of an entry, each of them a ready cache line.
//!
//! ```text
//! slot:   | members 8 | 24 | first line 32 |          0 = no entry, or no member whose watched port is up
//! line 0: | word of the member's own 32 | share 32 |   a member is chosen if the hash is at most its share, and above the one before's
//!      1: | words of the member's own ...
//! ```
//!
//! Shares and the order of the lines are computed when the entry is written or a port changes, so a choice costs one comparison for each member.
//! A slot is replaced by one store: a worker sees all old members or all new ones.

use svpn_dpdk::{OutOfMemory, Reclaimer};

use super::blocks::{Block, Blocks};
use super::words::{LINE, SparseWords, WordsView};
use crate::sync::AtomicU64;

/// Members of one entry.
pub(crate) const MOST_MEMBERS: usize = 64;

/// A table of selectors, as workers see it.
#[derive(Debug)]
pub(crate) struct GroupTable {
    slots: SparseWords,
    lines: SparseWords,
}

impl GroupTable {
    /// A table with so many slots and lines.
    pub(crate) fn new(slots: u32, lines: u32) -> Result<Self, OutOfMemory> {
        Ok(Self { slots: SparseWords::new(slots as usize)?, lines: SparseWords::new(lines as usize * LINE)? })
    }

    /// The table, for a loop that has to do with many entries.
    #[inline]
    pub(crate) fn view(&self) -> GroupView<'_> {
        GroupView { slots: self.slots.view(), lines: self.lines.view() }
    }
}

/// A table of selectors, to be kept in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupView<'a> {
    slots: WordsView<'a>,
    lines: WordsView<'a>,
}

impl<'a> GroupView<'a> {
    /// The line of the member that `hash` chooses; the hash is asked for only where there is a choice.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low half is the line")]
    pub(crate) fn choose(self, slot: u32, hash: impl FnOnce() -> u32) -> Option<u32> {
        let word = self.slots.load_acquire(slot as usize);
        let (members, first) = ((word >> 56) as u32, word as u32);
        match members {
            1 => Some(first),
            0 => None,
            _ => Some(self.choose_among(members, first, hash())),
        }
    }

    /// The line of the only member; `None` if there is none, or a choice.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the low half is the line")]
    pub(crate) fn sole(self, slot: u32) -> Option<u32> {
        let word = self.slots.load_acquire(slot as usize);
        (word >> 56 == 1).then_some(word as u32)
    }

    #[cold]
    fn choose_among(self, members: u32, first: u32, hash: u32) -> u32 {
        let last = first.wrapping_add(members - 1);
        let share = |line: u32| self.lines.load(line as usize * LINE) & u64::from(u32::MAX);
        (first..last).find(|line| u64::from(hash) <= share(*line)).unwrap_or(last)
    }

    #[inline]
    pub(crate) fn prefetch_line(self, line: u32) {
        self.lines.prefetch(line as usize * LINE);
    }

    /// The first words of a line; all zero if there is none.
    #[inline]
    pub(crate) fn line<const N: usize>(self, line: u32) -> [u64; N] {
        const { assert!(N <= LINE, "a line has so many") };
        let mut content = [0; N];
        if let Some(words) = self.words(line) {
            for (to, from) in content.iter_mut().zip(words) {
                *to = from.load(crate::sync::Ordering::Relaxed);
            }
        }
        content
    }

    /// The words of a line, each to be loaded where it is needed.
    #[inline]
    pub(crate) fn words(self, line: u32) -> Option<&'a [AtomicU64; LINE]> {
        self.lines.part(line as usize)
    }
}

/// The one writer of a selector table.
#[derive(Debug)]
pub(crate) struct GroupWriter {
    table: std::sync::Arc<GroupTable>,
    blocks: Blocks,
}

/// A member: its weight and its line, whose first word's low half is free for its share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberLine {
    pub(crate) weight: u32,
    pub(crate) line: [u64; LINE],
}

/// The table has no lines left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoLines;

impl GroupWriter {
    pub(crate) fn new(table: std::sync::Arc<GroupTable>, lines: u32) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "a small constant")]
        Self { table, blocks: Blocks::new(lines, MOST_MEMBERS as u32) }
    }

    /// Replaces the members of a slot; there may be none.
    pub(crate) fn set(&mut self, slot: u32, members: &[MemberLine]) -> Result<(), NoLines> {
        let count = u32::try_from(members.len()).map_err(|_| NoLines)?;
        let old = self.table.slots.load(slot as usize);
        let word = if members.is_empty() {
            0
        } else {
            let block = self.blocks.take(count).ok_or(NoLines)?;
            for ((member, share), line) in members.iter().zip(shares(members)).zip(block.first..) {
                for (index, word) in member.line.into_iter().enumerate() {
                    let word = if index == 0 { word & !u64::from(u32::MAX) | u64::from(share) } else { word };
                    self.table.lines.store(line as usize * LINE + index, word);
                }
            }
            u64::from(count) << 56 | u64::from(block.first)
        };
        self.table.slots.store_release(slot as usize, word);
        #[allow(clippy::cast_possible_truncation, reason = "the parts of a slot's word")]
        self.blocks.retire(Block { first: old as u32, units: (old >> 56) as u32 });
        Ok(())
    }

    /// Makes lines free that no worker reads any more.
    pub(crate) fn publish(&mut self, reclaimer: &Reclaimer) {
        self.blocks.publish(reclaimer, |_| {});
    }
}

/// The largest hash of each member: its weight's part of 2³², added up.
fn shares(members: &[MemberLine]) -> impl Iterator<Item = u32> + '_ {
    let total: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
    members.iter().scan(0_u64, move |sum, member| {
        *sum += u64::from(member.weight);
        let end = (u128::from(*sum) << 32) / u128::from(total.max(1));
        Some(u32::try_from(end.saturating_sub(1)).unwrap_or(u32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::sync::Ordering;

    fn members(weights: &[u32]) -> Vec<MemberLine> {
        let line = |number: u64| [number << 32, number, 0, 0, 0, 0, 0, number];
        weights.iter().zip(0..).map(|(&weight, number)| MemberLine { weight, line: line(number) }).collect()
    }

    #[test]
    fn members_get_their_weights_share_of_the_hashes() {
        let table = Arc::new(GroupTable::new(4, 100).unwrap());
        let mut writer = GroupWriter::new(Arc::clone(&table), 100);
        writer.set(3, &members(&[1, 2, 5])).unwrap();
        let mut chosen = [0_u32; 3];
        for hash in 0..8_000_u32 {
            let line = table.view().choose(3, || hash * (u32::MAX / 8_000)).unwrap();
            let line = table.view().words(line).unwrap().each_ref().map(|word| word.load(Ordering::Relaxed));
            assert_eq!((line[0] >> 32, line[7]), (line[1], line[1]));
            chosen[usize::try_from(line[1]).unwrap()] += 1;
        }
        for (count, expected) in chosen.into_iter().zip([1_000, 2_000, 5_000]) {
            assert!(count.abs_diff(expected) <= 2, "{chosen:?}");
        }
        assert_eq!((table.view().sole(3), table.view().sole(0)), (None, None));
        writer.set(2, &members(&[7])).unwrap();
        assert_eq!(table.view().sole(2), table.view().choose(2, || panic!("there is no choice")));
        assert!(table.view().choose(0, || 0).is_none() && table.view().choose(4, || 0).is_none());
        writer.set(3, &[]).unwrap();
        assert!(table.view().choose(3, || 0).is_none());
    }

    #[test]
    fn lines_are_used_again_after_their_readers_let_go() {
        let reclaimer = Reclaimer::new(NonZeroU16::MIN);
        let table = Arc::new(GroupTable::new(1, 4).unwrap());
        let mut writer = GroupWriter::new(table, 4);
        for _ in 0..100 {
            writer.set(0, &members(&[1, 1])).unwrap();
            writer.publish(&reclaimer);
        }
        writer.set(0, &members(&[1, 1])).unwrap();
        writer.set(0, &members(&[1, 1])).unwrap_err();
    }

    proptest! {
        #[test]
        fn every_hash_has_a_member_and_the_ends_are_the_first_and_the_last(weights in prop::collection::vec(1..=u32::MAX, 1..10)) {
            let members = members(&weights);
            let shares: Vec<u32> = shares(&members).collect();
            prop_assert_eq!(shares.last(), Some(&u32::MAX));
            prop_assert!(shares.is_sorted());
        }
    }
}
