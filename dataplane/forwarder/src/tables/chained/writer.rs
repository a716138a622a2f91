//! The control thread's end of a chained table.

use std::sync::Arc;

use svpn_dpdk::Reclaimer;

use super::{ChainedTable, KEY, NEXT, VALUE, line};
use crate::tables::blocks::{Block, Blocks};
use crate::tables::words::LINE;

/// The table has no line for another entry: all are taken, or wait until workers let go of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoLine;

/// The one writer of a chained table. The table is also the list of its entries.
#[derive(Debug)]
pub(crate) struct ChainedWriter<const WORDS: usize> {
    table: Arc<ChainedTable<WORDS>>,
    blocks: Blocks,
    entries: usize,
}

/// What leads to an entry.
#[derive(Debug, Clone, Copy)]
enum Link {
    /// The head of its chain.
    Head(usize),
    /// The entry before it.
    Entry(usize),
}

impl<const WORDS: usize> ChainedWriter<WORDS> {
    /// The writer of a table that was made for so many entries.
    pub(crate) fn new(table: Arc<ChainedTable<WORDS>>, entries: u32) -> Self {
        Self { table, blocks: Blocks::new(ChainedTable::<WORDS>::lines(entries), 1), entries: 0 }
    }

    /// Entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u64; WORDS]) -> Option<u64> {
        self.table.find(key, self.table.hash(key))
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(&mut self, key: &[u64; WORDS], value: u64) -> Result<(), NoLine> {
        let entry = self.blocks.take(1).ok_or(NoLine)?.first as usize;
        let (entries, heads) = (&self.table.entries, &self.table.heads);
        let chain = self.table.chain(self.table.hash(key));
        entries.store(entry * LINE + NEXT, heads.load(chain));
        entries.store(entry * LINE + VALUE, value);
        for (word, index) in key.iter().zip(entry * LINE + KEY..) {
            entries.store(index, *word);
        }
        heads.store_release(chain, entry as u64 + 1);
        self.entries += 1;
        Ok(())
    }

    /// Changes the value of an entry; whether it is there.
    pub(crate) fn modify(&mut self, key: &[u64; WORDS], value: u64) -> bool {
        let Some((_, entry)) = self.locate(key) else { return false };
        // Release: who finds the value finds what it names.
        self.table.entries.store_release(entry * LINE + VALUE, value);
        true
    }

    /// Removes an entry; whether it was there.
    pub(crate) fn remove(&mut self, key: &[u64; WORDS]) -> bool {
        let Some((link, entry)) = self.locate(key) else { return false };
        let next = self.table.entries.load(entry * LINE + NEXT);
        match link {
            Link::Head(chain) => self.table.heads.store_release(chain, next),
            Link::Entry(before) => self.table.entries.store_release(before * LINE + NEXT, next),
        }
        self.blocks.retire(Block { first: u32::try_from(entry).unwrap_or_default(), units: 1 });
        self.entries -= 1;
        true
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ([u64; WORDS], u64)> + '_ {
        let heads = (0..=self.table.mask as usize).filter_map(|chain| line(self.table.heads.load(chain)));
        let chains = heads.flat_map(|first| std::iter::successors(Some(first), |entry| self.next(*entry)));
        chains.map(|entry| {
            let word = |index| self.table.entries.load(entry * LINE + KEY + index);
            (std::array::from_fn(word), self.table.entries.load(entry * LINE + VALUE))
        })
    }

    /// Makes lines free that no worker reads any more.
    pub(crate) fn publish(&mut self, reclaimer: &Reclaimer) {
        self.blocks.publish(reclaimer, |_| {});
    }

    fn next(&self, entry: usize) -> Option<usize> {
        line(self.table.entries.load(entry * LINE + NEXT))
    }

    /// An entry, and what leads to it.
    fn locate(&self, key: &[u64; WORDS]) -> Option<(Link, usize)> {
        let chain = self.table.chain(self.table.hash(key));
        let mut link = Link::Head(chain);
        let mut next = line(self.table.heads.load(chain));
        while let Some(entry) = next {
            if self.table.has(entry, key) {
                return Some((link, entry));
            }
            link = Link::Entry(entry);
            next = self.next(entry);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::num::NonZeroU16;
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::tables::hash::Seed;

    fn table<const WORDS: usize>(entries: u32) -> (Arc<ChainedTable<WORDS>>, ChainedWriter<WORDS>) {
        let table = Arc::new(ChainedTable::new(entries, Seed::derive(7, 8)).unwrap());
        (Arc::clone(&table), ChainedWriter::new(table, entries))
    }

    fn find<const WORDS: usize>(table: &ChainedTable<WORDS>, key: &[u64; WORDS]) -> Option<u64> {
        table.find(key, table.hash(key))
    }

    /// Keys that differ in one word, each word of them in turn.
    fn key(number: u64) -> [u64; 5] {
        let mut key = [1; 5];
        key[usize::try_from(number % 5).unwrap()] = number;
        key
    }

    #[test]
    fn a_full_table_finds_every_entry_and_no_other() {
        let (table, mut writer) = table(1 << 14);
        for number in 0..1 << 14 {
            writer.insert(&key(number * 5 + number % 5), number).unwrap();
        }
        for number in 0..1 << 15 {
            let key = key(number * 5 + number % 5);
            table.prefetch(table.hash(&key));
            table.prefetch_entry(table.hash(&key));
            assert_eq!(find(&table, &key), (number < 1 << 14).then_some(number));
        }
        assert_eq!((writer.len(), writer.iter().count()), (1 << 14, 1 << 14));
    }

    #[test]
    fn chains_stay_short() {
        let (table, mut writer) = table::<2>(1 << 12);
        for number in 0..1 << 12 {
            writer.insert(&[0x0a00_0001_0a00_0000 + number, 0], number).unwrap();
        }
        let mut lengths = vec![0; table.mask as usize + 1];
        for (key, _) in writer.iter() {
            lengths[table.chain(table.hash(&key))] += 1;
        }
        assert!(lengths.iter().all(|length| *length <= 8), "{:?}", lengths.iter().max());
    }

    #[test]
    fn lines_are_used_again_after_their_readers_let_go() {
        let reclaimer = Reclaimer::new(NonZeroU16::MIN);
        let mut reader = reclaimer.reader().unwrap();
        let mut online = reader.online();
        let (_, mut writer) = table::<2>(1);
        let mut inserted = 0;
        while writer.insert(&[1, 2], inserted).is_ok() {
            assert!(writer.remove(&[1, 2]));
            writer.publish(&reclaimer);
            inserted += 1;
        }
        assert_eq!(inserted, u64::from(ChainedTable::<2>::lines(1)));
        online.quiescent();
        writer.publish(&reclaimer);
        writer.insert(&[1, 2], 3).unwrap();
        assert_eq!(writer.get(&[1, 2]), Some(3));
    }

    #[test]
    fn readers_find_what_stays_while_others_come_and_go() {
        let (table, mut writer) = table(32);
        let reclaimer = Reclaimer::new(NonZeroU16::new(2).unwrap());
        let stop = AtomicBool::new(false);
        let staying = 0..16_u64;
        for number in staying.clone() {
            writer.insert(&key(number), number).unwrap();
        }
        std::thread::scope(|scope| {
            let readers = [(); 2].map(|()| {
                let (table, stop, staying) = (&table, &stop, staying.clone());
                let mut reader = reclaimer.reader().unwrap();
                scope.spawn(move || {
                    let mut online = reader.online();
                    while !stop.load(Ordering::Relaxed) {
                        for number in 0..64 {
                            let found = find(table, &key(number));
                            assert!(found.is_some() || !staying.contains(&number));
                            assert!(found.is_none_or(|value| value % 64 == number));
                        }
                        online.quiescent();
                    }
                })
            });
            for round in 0..2_000_u64 {
                let passing = (0..16).map(|number| 16 + (number * 5 + round * 7) % 48);
                let mut there = Vec::new();
                for number in passing {
                    if writer.get(&key(number)).is_none() && writer.insert(&key(number), number + 64 * round).is_ok() {
                        there.push(number);
                    }
                }
                assert!(writer.modify(&key(round % 16), round % 16 + 64 * round));
                for number in there {
                    assert!(writer.remove(&key(number)));
                }
                writer.publish(&reclaimer);
            }
            stop.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
        });
    }

    proptest! {
        #[test]
        fn it_does_what_a_hash_map_does(steps in prop::collection::vec((0..4_u8, 0..60_u64, any::<u64>()), 0..300)) {
            let reclaimer = Reclaimer::new(NonZeroU16::MIN);
            // Eight chains for forty entries.
            let (table, mut writer) = table(4);
            let mut model: HashMap<[u64; 5], u64> = HashMap::new();
            for (step, number, value) in steps {
                let key = key(number);
                match step {
                    0 | 1 if !model.contains_key(&key) && model.len() < 40 => {
                        prop_assert_eq!(writer.insert(&key, value), Ok(()));
                        model.insert(key, value);
                    }
                    2 => prop_assert_eq!(writer.modify(&key, value), model.get_mut(&key).map(|old| *old = value).is_some()),
                    3 => prop_assert_eq!(writer.remove(&key), model.remove(&key).is_some()),
                    _ => writer.publish(&reclaimer),
                }
                prop_assert_eq!(writer.len(), model.len());
            }
            for key in (0..60).map(key) {
                prop_assert_eq!(find(&table, &key), model.get(&key).copied());
                prop_assert_eq!(writer.get(&key), model.get(&key).copied());
            }
            let listed: HashMap<[u64; 5], u64> = writer.iter().collect();
            prop_assert_eq!(listed, model);
        }
    }
}
