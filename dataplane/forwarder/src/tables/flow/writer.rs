//! The control thread's end of the flow table.

use std::sync::Arc;

use super::{ADDRESSES, ELSEWHERE, ENTRIES, ENTRY, FlowKey, FlowTable, HIT, PRESENT, TAG};
use crate::sync::{Ordering, fence};
use crate::tables::ticks::Hit;
use crate::tables::words::LINE;

/// Buckets looked at for a chain of moves before an insertion is given up: at half load it takes a handful.
const SEARCH: usize = 2048;
const VERSIONS: u64 = 0x7f;

/// The table has no place for this flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPlace;

/// The one writer of a flow table.
#[derive(Debug)]
pub(crate) struct FlowWriter {
    table: Arc<FlowTable>,
    flows: usize,
}

/// A place in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    bucket: u32,
    entry: usize,
}

impl Place {
    fn word(self) -> usize {
        self.bucket as usize * LINE + self.entry * ENTRY
    }
}

/// A flow that could be moved, in the search for a free place.
#[derive(Debug, Clone, Copy)]
struct Step {
    place: Place,
    /// The step whose flow would move here.
    parent: Option<usize>,
}

impl FlowWriter {
    pub(crate) fn new(table: Arc<FlowTable>) -> Self {
        Self { table, flows: 0 }
    }

    /// Flows there are.
    pub(crate) fn len(&self) -> usize {
        self.flows
    }

    /// The session of a flow.
    pub(crate) fn get(&self, key: FlowKey) -> Option<u32> {
        Some(self.hit(self.locate(key)?).value)
    }

    /// The tick in which a flow was hit last, or inserted.
    pub(crate) fn last_hit(&self, key: FlowKey) -> Option<u32> {
        Some(self.hit(self.locate(key)?).last)
    }

    /// Changes the session of a flow that is there.
    pub(crate) fn modify(&mut self, key: FlowKey, session: u32) -> bool {
        let Some(place) = self.locate(key) else { return false };
        // Release: who finds the session's number finds the session.
        self.table.words.store_release(place.word() + HIT, Hit { value: session, ..self.hit(place) }.word());
        true
    }

    /// Adds a flow that is not there. `quiesce` waits until every worker has been quiescent.
    pub(crate) fn insert(&mut self, key: FlowKey, session: u32, mut quiesce: impl FnMut()) -> Result<(), NoPlace> {
        let [first, second] = self.table.buckets(self.table.hash(key));
        let place = match self.vacancy(first).or_else(|| self.vacancy(second)) {
            Some(place) => place,
            None => self.make_room(first, second, &mut quiesce).ok_or(NoPlace)?,
        };
        if place.bucket != first {
            self.elsewhere(first, 1);
        }
        self.write(place, key, Hit { value: session, last: self.table.ticker.now() }, &mut quiesce);
        self.flows += 1;
        Ok(())
    }

    /// Removes a flow; whether it was there.
    pub(crate) fn remove(&mut self, key: FlowKey) -> bool {
        let Some(place) = self.locate(key) else { return false };
        self.erase(place);
        let [first, _] = self.table.buckets(self.table.hash(key));
        if place.bucket != first {
            self.elsewhere(first, -1);
        }
        self.flows -= 1;
        true
    }

    /// All flows, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FlowKey, u32)> + '_ {
        let places = (0..=self.table.mask).flat_map(|bucket| (0..ENTRIES).map(move |entry| Place { bucket, entry }));
        places.filter_map(|place| {
            let key = self.key(place)?;
            Some((key, self.hit(place).value))
        })
    }

    fn key(&self, place: Place) -> Option<FlowKey> {
        let tag = self.table.words.load(place.word() + TAG);
        let addresses = self.table.words.load(place.word() + ADDRESSES);
        (tag & PRESENT != 0).then_some(FlowKey { addresses, rest: tag >> 8 })
    }

    fn hit(&self, place: Place) -> Hit {
        Hit::from_word(self.table.words.load(place.word() + HIT))
    }

    fn locate(&self, key: FlowKey) -> Option<Place> {
        let buckets = self.table.buckets(self.table.hash(key));
        let mut places = buckets.into_iter().flat_map(|bucket| (0..ENTRIES).map(move |entry| Place { bucket, entry }));
        places.find(|place| self.key(*place) == Some(key))
    }

    fn vacancy(&self, bucket: u32) -> Option<Place> {
        (0..ENTRIES).map(|entry| Place { bucket, entry }).find(|place| self.key(*place).is_none())
    }

    fn elsewhere(&self, bucket: u32, change: i64) {
        let word = bucket as usize * LINE + ELSEWHERE;
        self.table.words.store_release(word, self.table.words.load(word).wrapping_add_signed(change));
    }

    /// Writes a flow into a vacant place.
    fn write(&self, place: Place, key: FlowKey, hit: Hit, quiesce: &mut impl FnMut()) {
        let words = &self.table.words;
        let version = (words.load(place.word() + TAG) >> 1 & VERSIONS) + 1;
        if version > VERSIONS {
            // A reader might still compare with a tag of the same version.
            quiesce();
        }
        // The place is vacant for readers before anything in it changes.
        fence(Ordering::Release);
        words.store(place.word() + ADDRESSES, key.addresses);
        words.store(place.word() + HIT, hit.word());
        words.store_release(place.word() + TAG, key.rest << 8 | (version & VERSIONS) << 1 | PRESENT);
    }

    /// Makes a place vacant; its version stays.
    fn erase(&self, place: Place) {
        let tag = self.table.words.load(place.word() + TAG);
        self.table.words.store(place.word() + TAG, tag & (VERSIONS << 1));
    }

    /// Moves flows until one of the two full buckets has a vacant place, which is returned.
    fn make_room(&self, first: u32, second: u32, quiesce: &mut impl FnMut()) -> Option<Place> {
        let mut steps: Vec<Step> = Vec::new();
        let both = |bucket: u32, parent| (0..ENTRIES).map(move |entry| Step { place: Place { bucket, entry }, parent });
        steps.extend(both(first, None).chain(both(second, None)));
        let mut next = 0;
        while next < steps.len() && steps.len() < SEARCH {
            let other = self.other_bucket(steps[next].place)?;
            if let Some(vacant) = self.vacancy(other) {
                return Some(self.shift(&steps, next, vacant, quiesce));
            }
            if !steps.iter().any(|step| step.place.bucket == other) {
                steps.extend(both(other, Some(next)));
            }
            next += 1;
        }
        None
    }

    /// The bucket where a flow could be as well.
    fn other_bucket(&self, place: Place) -> Option<u32> {
        let [first, second] = self.table.buckets(self.table.hash(self.key(place)?));
        Some(if place.bucket == first { second } else { first })
    }

    /// Moves the flow of each step from `last` up to the root one place on, and returns the place that is vacant then.
    fn shift(&self, steps: &[Step], last: usize, vacant: Place, quiesce: &mut impl FnMut()) -> Place {
        let (mut to, mut step) = (vacant, Some(last));
        while let Some(index) = step {
            let from = steps[index].place;
            self.relocate(from, to, quiesce);
            (to, step) = (from, steps[index].parent);
        }
        to
    }

    /// Moves one flow to its other bucket, so that a reader finds it at any time.
    fn relocate(&self, from: Place, to: Place, quiesce: &mut impl FnMut()) {
        let Some(key) = self.key(from) else { return };
        let hit = self.hit(from);
        let [first, _] = self.table.buckets(self.table.hash(key));
        if from.bucket == first {
            self.elsewhere(first, 1);
        }
        self.write(to, key, hit, quiesce);
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

    fn flows(size: u32) -> (Arc<FlowTable>, FlowWriter) {
        let table = Arc::new(FlowTable::new(size, Seed::derive(5, 6)).unwrap());
        (Arc::clone(&table), FlowWriter::new(table))
    }

    fn key(number: u64) -> FlowKey {
        FlowKey::new(u16::try_from(number % 3).unwrap(), number / 7, 17, u32::try_from(number).unwrap())
    }

    #[test]
    fn a_full_table_finds_every_flow_and_no_other() {
        let (table, mut writer) = flows(1 << 14);
        for number in 0..1 << 14 {
            writer.insert(key(number), u32::try_from(number).unwrap(), || {}).unwrap();
        }
        for number in 0..1 << 15 {
            let expected = (number < 1 << 14).then(|| u32::try_from(number).unwrap());
            assert_eq!(table.find(key(number), table.hash(key(number))), expected);
        }
        assert_eq!((writer.len(), writer.iter().count()), (1 << 14, 1 << 14));
    }

    #[test]
    fn a_hit_is_noted_and_stays_with_its_flow() {
        let (table, mut writer) = flows(64);
        table.ticker.set(7);
        for number in 0..40 {
            writer.insert(key(number), 1, || {}).unwrap();
        }
        table.ticker.set(9);
        assert_eq!(table.find(key(3), table.hash(key(3))), Some(1));
        table.ticker.set(10);
        assert!(writer.modify(key(3), 2));
        // Others come and push it about.
        for number in 40..100 {
            writer.insert(key(number), 1, || {}).unwrap();
        }
        assert_eq!((writer.last_hit(key(3)), writer.last_hit(key(4)), writer.last_hit(key(99))), (Some(9), Some(7), Some(10)));
        assert_eq!((writer.get(key(3)), writer.last_hit(key(100))), (Some(2), None));
    }

    #[test]
    fn readers_find_what_stays_while_others_come_and_go() {
        let (table, mut writer) = flows(64);
        let stop = AtomicBool::new(false);
        // At more than the promised load, so that flows are moved all the time.
        let staying = 0..70;
        for number in staying.clone() {
            writer.insert(key(number), u32::try_from(number).unwrap(), || {}).unwrap();
        }
        std::thread::scope(|scope| {
            let reader = || {
                while !stop.load(Ordering::Relaxed) {
                    for number in 0..200 {
                        let found = table.find(key(number), table.hash(key(number)));
                        if staying.contains(&number) {
                            assert_eq!(found, Some(u32::try_from(number).unwrap()));
                        } else {
                            assert!(found.is_none_or(|session| u64::from(session) == number));
                        }
                    }
                }
            };
            let readers = [scope.spawn(reader), scope.spawn(reader)];
            for round in 0..3_000 {
                let numbers = (0..30).map(|number| 70 + (number * 7 + round * 11) % 130);
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
    }

    proptest! {
        #[test]
        fn it_does_what_a_hash_map_does(steps in prop::collection::vec((0..4_u8, 0..80_u64, any::<u32>()), 0..400)) {
            let (table, mut writer) = flows(32);
            let mut model: HashMap<u64, u32> = HashMap::new();
            for (step, number, session) in steps {
                match step {
                    0 | 1 if !model.contains_key(&number) && model.len() < 32 => {
                        prop_assert_eq!(writer.insert(key(number), session, || {}), Ok(()));
                        model.insert(number, session);
                    }
                    2 => prop_assert_eq!(writer.modify(key(number), session), model.get_mut(&number).map(|old| *old = session).is_some()),
                    3 => prop_assert_eq!(writer.remove(key(number)), model.remove(&number).is_some()),
                    _ => {}
                }
                prop_assert_eq!(writer.len(), model.len());
            }
            for number in 0..80 {
                prop_assert_eq!(table.find(key(number), table.hash(key(number))), model.get(&number).copied());
                prop_assert_eq!(writer.get(key(number)), model.get(&number).copied());
            }
            let mut listed: Vec<_> = writer.iter().map(|(key, session)| (key.addresses, key.rest, session)).collect();
            let mut expected: Vec<_> = model.iter().map(|(&number, &session)| (key(number).addresses, key(number).rest, session)).collect();
            listed.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(listed, expected);
        }
    }
}
