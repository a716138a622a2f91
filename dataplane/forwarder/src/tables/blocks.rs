//! Who has which part of a table's memory: the control thread's books.

use std::collections::VecDeque;

use svpn_dpdk::{GracePeriod, Reclaimer};

/// Blocks of units (words or lines) of a fixed memory. A block given back is used again when no worker can still be reading it.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Units never handed out so far start here.
    next: u32,
    capacity: u32,
    /// Free blocks, by their number of units.
    free: Vec<Vec<u32>>,
    /// Given back since the last publication.
    retired: Vec<Block>,
    /// Given back before, and awaited.
    waiting: VecDeque<(GracePeriod, Vec<Block>)>,
}

/// Some units that lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: u32,
    pub(crate) units: u32,
}

impl Blocks {
    /// Books of `capacity` units, for blocks of at most `largest`.
    pub(crate) fn new(capacity: u32, largest: u32) -> Self {
        let free = (0..=largest).map(|_| Vec::new()).collect();
        Self { next: 0, capacity, free, retired: Vec::new(), waiting: VecDeque::new() }
    }

    /// Units that were never handed out.
    pub(crate) fn untouched(&self) -> u32 {
        self.capacity - self.next
    }

    /// A block; `None` if there is none.
    pub(crate) fn take(&mut self, units: u32) -> Option<Block> {
        if let Some(first) = self.free.get_mut(units as usize)?.pop() {
            return Some(Block { first, units });
        }
        let first = self.next;
        if let Some(end) = first.checked_add(units).filter(|end| *end <= self.capacity) {
            self.next = end;
            return Some(Block { first, units });
        }
        self.split(units)
    }

    /// Gives back a block that no worker has seen.
    pub(crate) fn give_back(&mut self, block: Block) {
        if let Some(free) = self.free.get_mut(block.units as usize) {
            free.push(block.first);
        }
    }

    /// The front of a larger free block.
    fn split(&mut self, units: u32) -> Option<Block> {
        let larger = self.free.iter().skip(units as usize + 1).position(|free| !free.is_empty())?;
        let rest = u32::try_from(larger + 1).ok()?;
        let first = self.free.get_mut((units + rest) as usize)?.pop()?;
        self.give_back(Block { first: first + units, units: rest });
        Some(Block { first, units })
    }

    /// Gives back a block that workers may still be reading.
    pub(crate) fn retire(&mut self, block: Block) {
        if block.units > 0 {
            self.retired.push(block);
        }
    }

    /// Begins the wait for what was given back since the last call, and makes free what no worker reads any more. `freed` hears of it.
    pub(crate) fn publish(&mut self, reclaimer: &Reclaimer, mut freed: impl FnMut(Block)) {
        if !self.retired.is_empty() {
            self.waiting.push_back((reclaimer.start(), std::mem::take(&mut self.retired)));
        }
        while let Some((period, _)) = self.waiting.front()
            && reclaimer.is_over(*period)
            && let Some((_, blocks)) = self.waiting.pop_front()
        {
            for block in blocks {
                freed(block);
                self.give_back(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn a_block_returns_only_after_its_readers_let_go() {
        let reclaimer = Reclaimer::new(NonZeroU16::MIN);
        let mut reader = reclaimer.reader().unwrap();
        let mut blocks = Blocks::new(10, 4);
        let first = blocks.take(4).unwrap();
        let second = blocks.take(4).unwrap();
        assert_eq!((first.first, second.first, blocks.untouched()), (0, 4, 2));
        assert_eq!(blocks.take(4), None);
        assert_eq!(blocks.take(5), None);
        let mut online = reader.online();
        blocks.retire(first);
        blocks.publish(&reclaimer, |_| panic!("a worker may read it"));
        assert_eq!(blocks.take(4), None);
        online.quiescent();
        let mut freed = Vec::new();
        blocks.publish(&reclaimer, |block| freed.push(block));
        assert_eq!(freed, [first]);
        assert_eq!(blocks.take(4), Some(first));
    }

    #[test]
    fn when_nothing_is_untouched_a_larger_block_is_split() {
        let mut blocks = Blocks::new(6, 4);
        let large = blocks.take(4).unwrap();
        let small = blocks.take(2).unwrap();
        blocks.give_back(large);
        assert_eq!(blocks.take(3), Some(Block { first: large.first, units: 3 }));
        assert_eq!(blocks.take(2), None);
        assert_eq!(blocks.take(1), Some(Block { first: large.first + 3, units: 1 }));
        blocks.give_back(small);
        assert_eq!((blocks.take(1), blocks.take(1)), (Some(Block { first: small.first, units: 1 }), Some(Block { first: 5, units: 1 })));
        assert_eq!(blocks.take(1), None);
    }
}
