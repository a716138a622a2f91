//! The control thread's end of a cuckoo hash.

use std::sync::Arc;

use super::{Cuckoo, ENTRIES, PRESENT};
use crate::sync::{Ordering, fence};
use crate::tables::ticks::Hit;

/// Places looked at for a chain of moves before an insertion is given up: at the load of a full table it takes a few dozen.
const SEARCH: usize = 4096;
const VERSIONS: u64 = 0x7f;

/// The table has no place for this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPlace;

/// The one writer of a table.
#[derive(Debug)]
pub(crate) struct CuckooWriter<const W: usize> {
    table: Arc<Cuckoo<W>>,
    entries: usize,
}

/// A place in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    bucket: u32,
    entry: usize,
}

impl Place {
    fn word<const W: usize>(self) -> usize {
        self.bucket as usize * Cuckoo::<W>::BUCKET + self.entry * Cuckoo::<W>::STRIDE
    }

    fn all_in(bucket: u32) -> impl Iterator<Item = Self> {
        (0..ENTRIES).map(move |entry| Self { bucket, entry })
    }
}

/// An entry that could be moved, in the search for a free place.
#[derive(Debug, Clone, Copy)]
struct Step {
    place: Place,
    /// The step whose entry would move here.
    parent: Option<usize>,
}

impl<const W: usize> CuckooWriter<W> {
    pub(crate) fn new(table: Arc<Cuckoo<W>>) -> Self {
        Self { table, entries: 0 }
    }

    /// Entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: [u64; W]) -> Option<u32> {
        Some(self.hit(self.locate(key)?).value)
    }

    /// The tick in which an entry was hit last, or inserted.
    pub(crate) fn last_hit(&self, key: [u64; W]) -> Option<u32> {
        Some(self.hit(self.locate(key)?).last)
    }

    /// Changes the value of a key that is there.
    pub(crate) fn modify(&mut self, key: [u64; W], value: u32) -> bool {
        let Some(place) = self.locate(key) else { return false };
        // Release: who finds the value finds what it names.
        self.table.words.store_release(place.word::<W>() + Cuckoo::<W>::HIT, Hit { value, ..self.hit(place) }.word());
        true
    }

    /// Adds a key that is not there. `quiesce` waits until every worker has been quiescent.
    pub(crate) fn insert(&mut self, key: [u64; W], value: u32, mut quiesce: impl FnMut()) -> Result<(), NoPlace> {
        let [first, second] = self.table.buckets(self.table.hash(key));
        let place = match self.vacancy(first).or_else(|| self.vacancy(second)) {
            Some(place) => place,
            None => self.make_room(first, second, &mut quiesce).ok_or(NoPlace)?,
        };
        if place.bucket != first {
            self.elsewhere(first, 1);
        }
        self.write(place, key, Hit { value, last: self.table.ticker.now() }, &mut quiesce);
        self.entries += 1;
        Ok(())
    }

    /// Removes a key; whether it was there.
    pub(crate) fn remove(&mut self, key: [u64; W]) -> bool {
        let Some(place) = self.locate(key) else { return false };
        self.erase(place);
        let [first, _] = self.table.buckets(self.table.hash(key));
        if place.bucket != first {
            self.elsewhere(first, -1);
        }
        self.entries -= 1;
        true
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ([u64; W], u32)> + '_ {
        (0..self.table.buckets).flat_map(Place::all_in).filter_map(|place| Some((self.key(place)?, self.hit(place).value)))
    }

    fn key(&self, place: Place) -> Option<[u64; W]> {
        let tag = self.table.words.load(place.word::<W>() + Cuckoo::<W>::TAG);
        let last = tag >> 8;
        let word = |index| if index == W - 1 { last } else { self.table.words.load(place.word::<W>() + index) };
        (tag & PRESENT != 0).then(|| std::array::from_fn(word))
    }

    fn hit(&self, place: Place) -> Hit {
        Hit::from_word(self.table.words.load(place.word::<W>() + Cuckoo::<W>::HIT))
    }

    fn locate(&self, key: [u64; W]) -> Option<Place> {
        let buckets = self.table.buckets(self.table.hash(key));
        buckets.into_iter().flat_map(Place::all_in).find(|place| self.key(*place) == Some(key))
    }

    fn vacancy(&self, bucket: u32) -> Option<Place> {
        let vacant = |place: &Place| self.table.words.load(place.word::<W>() + Cuckoo::<W>::TAG) & PRESENT == 0;
        Place::all_in(bucket).find(vacant)
    }

    fn elsewhere(&self, bucket: u32, change: i64) {
        let word = bucket as usize * Cuckoo::<W>::BUCKET + Cuckoo::<W>::ELSEWHERE;
        self.table.words.store_release(word, self.table.words.load(word).wrapping_add_signed(change));
    }

    /// Writes an entry into a vacant place.
    fn write(&self, place: Place, key: [u64; W], hit: Hit, quiesce: &mut impl FnMut()) {
        let words = &self.table.words;
        let tag = place.word::<W>() + Cuckoo::<W>::TAG;
        let version = (words.load(tag) >> 1 & VERSIONS) + 1;
        if version > VERSIONS {
            // A reader might still compare with a tag of the same version.
            quiesce();
        }
        // The place is vacant for readers before anything in it changes.
        fence(Ordering::Release);
        for (index, word) in key[..W - 1].iter().enumerate() {
            words.store(place.word::<W>() + index, *word);
        }
        words.store(place.word::<W>() + Cuckoo::<W>::HIT, hit.word());
        words.store_release(tag, key[W - 1] << 8 | (version & VERSIONS) << 1 | PRESENT);
    }

    /// Makes a place vacant; its version stays.
    fn erase(&self, place: Place) {
        let word = place.word::<W>() + Cuckoo::<W>::TAG;
        self.table.words.store(word, self.table.words.load(word) & (VERSIONS << 1));
    }

    /// Moves entries until one of the two full buckets has a vacant place, which is returned.
    fn make_room(&self, first: u32, second: u32, quiesce: &mut impl FnMut()) -> Option<Place> {
        let mut steps: Vec<Step> = Vec::new();
        let both = |bucket: u32, parent| Place::all_in(bucket).map(move |place| Step { place, parent });
        steps.extend(both(first, None).chain(both(second, None)));
        let mut next = 0;
        while next < steps.len() && steps.len() < SEARCH {
            let other = self.other_bucket(steps[next].place)?;
            if let Some(vacant) = self.vacancy(other) {
                return Some(self.shift(&steps, next, vacant, quiesce));
            }
            // An entry that is moved twice in one chain would be lost.
            if !steps.iter().any(|step| step.place.bucket == other) {
                steps.extend(both(other, Some(next)));
            }
            next += 1;
        }
        None
    }

    /// The bucket where an entry could be as well.
    fn other_bucket(&self, place: Place) -> Option<u32> {
        let [first, second] = self.table.buckets(self.table.hash(self.key(place)?));
        Some(if place.bucket == first { second } else { first })
    }

    /// Moves the entry of each step from `last` up to the root one place on, and returns the place that is vacant then.
    fn shift(&self, steps: &[Step], last: usize, vacant: Place, quiesce: &mut impl FnMut()) -> Place {
        let (mut to, mut step) = (vacant, Some(last));
        while let Some(index) = step {
            let from = steps[index].place;
            self.relocate(from, to, quiesce);
            (to, step) = (from, steps[index].parent);
        }
        to
    }

    /// Moves one entry to its other bucket, so that a reader finds it at any time.
    fn relocate(&self, from: Place, to: Place, quiesce: &mut impl FnMut()) {
        let Some(key) = self.key(from) else { return };
        let [first, _] = self.table.buckets(self.table.hash(key));
        if from.bucket == first {
            self.elsewhere(first, 1);
        }
        self.write(to, key, self.hit(from), quiesce);
        // A reader that has missed the copy and misses the original sees this, and looks again.
        self.table.moves.fetch_add(1, Ordering::Release);
        fence(Ordering::Release);
        self.erase(from);
        if to.bucket == first {
            self.elsewhere(first, -1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;

    use super::*;
    use crate::tables::hash::Seed;

    type Table<const W: usize> = (Arc<Cuckoo<W>>, CuckooWriter<W>);

    fn table<const W: usize>(buckets: u32) -> Table<W> {
        let table = Arc::new(Cuckoo::new(buckets, Seed::derive(5, 6)).unwrap());
        (Arc::clone(&table), CuckooWriter::new(table))
    }

    /// Keys that differ in one word only, each word in its turn.
    fn key<const W: usize>(number: u64) -> [u64; W] {
        let mut key = [7; W];
        key[usize::try_from(number).unwrap() % W] = 1000 + number;
        key
    }

    fn find<const W: usize>(table: &Cuckoo<W>, number: u64) -> Option<u32> {
        table.find(key(number), table.hash(key(number)))
    }

    fn fill_and_find<const W: usize>(size: u32) {
        let (table, mut writer) = table::<W>(size * 5 / 8 + 16);
        for number in 0..size {
            writer.insert(key(number.into()), number, || {}).unwrap();
        }
        for number in 0..2 * u64::from(size) {
            let expected = u32::try_from(number).ok().filter(|number| *number < size);
            assert_eq!(find(&table, number), expected);
        }
        assert_eq!((writer.len(), writer.iter().count()), (size as usize, size as usize));
    }

    #[test]
    fn a_full_table_finds_every_entry_and_no_other() {
        for size in [1, 2, 10, 1000, 20_000] {
            fill_and_find::<2>(size);
            fill_and_find::<5>(size);
        }
    }

    fn read_and_change<const W: usize>() {
        let (table, mut writer) = table::<W>(50);
        let stop = AtomicBool::new(false);
        // So full that entries are moved all the time.
        let staying = 0..80;
        for number in staying.clone() {
            writer.insert(key(number), u32::try_from(number).unwrap(), || {}).unwrap();
        }
        std::thread::scope(|scope| {
            let reader = || {
                while !stop.load(Ordering::Relaxed) {
                    for number in 0..200 {
                        let found = find(&table, number);
                        if staying.contains(&number) {
                            assert_eq!(found, Some(u32::try_from(number).unwrap()));
                        } else {
                            assert!(found.is_none_or(|value| u64::from(value) == number));
                        }
                    }
                }
            };
            let readers = [scope.spawn(reader), scope.spawn(reader)];
            for round in 0..2_000 {
                let numbers = (0..30).map(|number| 80 + (number * 7 + round * 11) % 120);
                let added: Vec<u64> = numbers
                    .filter(|&number| {
                        writer.get(key(number)).is_none()
                            && writer.insert(key(number), u32::try_from(number).unwrap(), std::thread::yield_now).is_ok()
                    })
                    .collect();
                for number in added {
                    assert!(writer.remove(key(number)));
                }
            }
            stop.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
        });
        assert!(table.moves.load(Ordering::Relaxed) > 100, "nothing was moved");
    }

    #[test]
    fn readers_find_what_stays_while_others_come_and_go() {
        read_and_change::<2>();
        read_and_change::<5>();
    }

    fn compare<const W: usize>(steps: &[(u8, u64, u32)]) -> Result<(), TestCaseError> {
        // The share of places that may be taken is that of large tables; small ones get some more.
        let (table, mut writer) = table::<W>(20 + 16);
        let mut model: HashMap<u64, u32> = HashMap::new();
        for &(step, number, value) in steps {
            match step {
                0 | 1 if !model.contains_key(&number) && model.len() < 32 => {
                    prop_assert_eq!(writer.insert(key(number), value, || {}), Ok(()));
                    model.insert(number, value);
                }
                2 => prop_assert_eq!(writer.modify(key(number), value), model.get_mut(&number).map(|old| *old = value).is_some()),
                3 => prop_assert_eq!(writer.remove(key(number)), model.remove(&number).is_some()),
                _ => {}
            }
            prop_assert_eq!(writer.len(), model.len());
        }
        for number in 0..80 {
            prop_assert_eq!(find(&table, number), model.get(&number).copied());
            prop_assert_eq!(writer.get(key(number)), model.get(&number).copied());
        }
        let listed: HashMap<_, _> = writer.iter().collect();
        let expected: HashMap<_, _> = model.iter().map(|(&number, &value)| (key(number), value)).collect();
        prop_assert_eq!(listed, expected);
        Ok(())
    }

    proptest! {
        #[test]
        fn it_does_what_a_hash_map_does(steps in prop::collection::vec((0..4_u8, 0..80_u64, any::<u32>()), 0..400)) {
            compare::<2>(&steps)?;
            compare::<5>(&steps)?;
        }
    }
}
