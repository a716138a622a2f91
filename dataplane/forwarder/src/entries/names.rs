//! Slots of tunnels and next hops: entries name them by 32-bit numbers, tables by small ones.

use std::collections::HashMap;

use svpn_dpdk::Reclaimer;

use crate::tables::blocks::{Block, Blocks};

/// Numbers that are there or named somewhere, and their slots. A slot stays a number's own as long as anything refers to it.
#[derive(Debug)]
pub(super) struct Names {
    slots: HashMap<u32, u32>,
    /// By slot: the number, and how many refer to it.
    used: Vec<(u32, u32)>,
    blocks: Blocks,
}

/// All slots are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoSlot;

impl Names {
    pub(super) fn new(slots: u32) -> Self {
        Self { slots: HashMap::new(), used: Vec::new(), blocks: Blocks::new(slots, 1) }
    }

    /// The slot of a number, with one more reference to it.
    pub(super) fn refer(&mut self, number: u32) -> Result<u32, NoSlot> {
        if let Some(slot) = self.slots.get(&number).copied() {
            self.used[slot as usize].1 += 1;
            return Ok(slot);
        }
        let slot = self.blocks.take(1).ok_or(NoSlot)?.first;
        if self.used.len() <= slot as usize {
            self.used.resize(slot as usize + 1, (0, 0));
        }
        self.used[slot as usize] = (number, 1);
        self.slots.insert(number, slot);
        Ok(slot)
    }

    /// References to all of these, or to none.
    pub(super) fn refer_all(&mut self, numbers: &[u32]) -> Result<Vec<u32>, NoSlot> {
        let mut slots = Vec::with_capacity(numbers.len());
        for number in numbers {
            let slot = self.refer(*number).inspect_err(|_| self.release_all(&slots))?;
            slots.push(slot);
        }
        Ok(slots)
    }

    /// One reference less to each.
    pub(super) fn release_all(&mut self, slots: &[u32]) {
        for slot in slots {
            self.release(*slot);
        }
    }

    /// One reference less.
    pub(super) fn release(&mut self, slot: u32) {
        let (number, references) = &mut self.used[slot as usize];
        *references -= 1;
        if *references == 0 {
            self.slots.remove(number);
            self.blocks.retire(Block { first: slot, units: 1 });
        }
    }

    /// The number of a slot that is referred to.
    pub(super) fn number(&self, slot: u32) -> u32 {
        self.used[slot as usize].0
    }

    /// Makes slots free that no worker knows any more; `freed` hears of each.
    pub(super) fn publish(&mut self, reclaimer: &Reclaimer, mut freed: impl FnMut(u32)) {
        self.blocks.publish(reclaimer, |block| freed(block.first));
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn a_slot_is_kept_while_anything_refers_to_it() {
        let reclaimer = Reclaimer::new(NonZeroU16::MIN);
        let mut names = Names::new(2);
        let first = names.refer(7).unwrap();
        assert_eq!(names.refer(7), Ok(first));
        let second = names.refer(8).unwrap();
        assert_eq!((names.number(first), names.number(second), names.refer(9)), (7, 8, Err(NoSlot)));
        names.release(first);
        assert_eq!(names.refer(9), Err(NoSlot));
        names.release(first);
        let mut freed = Vec::new();
        names.publish(&reclaimer, |slot| freed.push(slot));
        assert_eq!((freed, names.refer(9)), (vec![first], Ok(first)));
        assert_eq!(names.number(first), 9);
    }
}
