//! Small exact-match tables that are made anew when they change.

use super::hash::Seed;

/// An immutable map from keys of some words, mostly two, to a word.
#[derive(Debug)]
pub(crate) struct ExactMap<const W: usize = 2> {
    seed: Seed,
    /// A power of two of places, at most half of them taken, so a search ends at a free one.
    places: Box<[Option<Pair<W>>]>,
}

/// A key and its value.
type Pair<const W: usize> = ([u64; W], u64);

impl<const W: usize> ExactMap<W> {
    /// A map of distinct keys.
    pub(crate) fn new(seed: Seed, entries: impl ExactSizeIterator<Item = Pair<W>>) -> Self {
        let mut places = vec![None; (entries.len() * 2).next_power_of_two().max(2)].into_boxed_slice();
        let mask = places.len() - 1;
        for (key, value) in entries {
            let mut place = index(seed.hash_words(key)) & mask;
            while places[place].is_some() {
                place = (place + 1) & mask;
            }
            places[place] = Some((key, value));
        }
        Self { seed, places }
    }

    #[inline]
    pub(crate) fn get(&self, key: [u64; W]) -> Option<u64> {
        let mask = self.places.len().wrapping_sub(1);
        let mut place = index(self.seed.hash_words(key)) & mask;
        while let Some(Some((found, value))) = self.places.get(place) {
            if *found == key {
                return Some(*value);
            }
            place = (place + 1) & mask;
        }
        None
    }
}

/// A hash as an index, before it is masked.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the low bits are masked next")]
const fn index(hash: u64) -> usize {
    hash as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_a_hash_map_finds(
            entries in prop::collection::hash_map((0..20_u64, 0..4_u64), any::<u64>(), 0..60),
            asked in prop::collection::vec((0..20_u64, 0..4_u64), 60),
        ) {
            let entries: HashMap<[u64; 2], u64> = entries.into_iter().map(|((a, b), value)| ([a, b], value)).collect();
            let map = ExactMap::new(Seed::derive(1, 2), entries.clone().into_iter());
            for (a, b) in asked {
                prop_assert_eq!(map.get([a, b]), entries.get(&[a, b]).copied());
            }
        }
    }
}
