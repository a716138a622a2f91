//! Hashing of keys, seeded per router.

/// What makes one router's hashes differ from another's, and one table's from another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed([u64; 2]);

impl Seed {
    /// The seed of one purpose, derived from a router's.
    pub(crate) fn derive(router: u64, purpose: u64) -> Self {
        let first = mix(router ^ 0x9e37_79b9_7f4a_7c15, purpose.wrapping_add(0xd1b5_4a32_d192_ed03));
        Self([first, mix(first ^ 0xa24b_aed4_963e_e407, router | 1)])
    }

    /// The hash of two words: all bits of both matter to all bits of the result.
    #[inline]
    pub(crate) fn hash(self, key: [u64; 2]) -> u64 {
        let [first, second] = self.0;
        mix(mix(key[0] ^ first, key[1] ^ second) ^ first, 0x9e37_79b9_7f4a_7c15)
    }

    /// The hash of some words: of two it is [`Seed::hash`].
    #[inline]
    pub(crate) fn hash_words<const W: usize>(self, key: [u64; W]) -> u64 {
        let (pairs, rest) = key.as_chunks::<2>();
        if let ([pair], []) = (pairs, rest) {
            return self.hash(*pair);
        }
        // The pairs do not wait for each other.
        let digest = pairs.iter().fold(0_u64, |digest, pair| digest.rotate_left(1) ^ self.hash(*pair));
        self.hash([digest, rest.first().copied().unwrap_or_default()])
    }
}

/// Both halves of the product of two words.
#[inline]
fn mix(first: u64, second: u64) -> u64 {
    let product = u128::from(first) * u128::from(second);
    #[allow(clippy::cast_possible_truncation, reason = "the halves of the product")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_keys_spread_evenly_and_seeds_differ() {
        for seed in [Seed::derive(1, 1), Seed::derive(1, 2), Seed::derive(2, 1), Seed::derive(0, 0)] {
            let mut low = [0_u32; 64];
            let mut high = [0_u32; 64];
            for key in 0..64_000_u64 {
                let hash = seed.hash([key << 3, 17]);
                low[usize::try_from(hash & 63).unwrap()] += 1;
                high[usize::try_from(hash >> 58).unwrap()] += 1;
            }
            for count in low.iter().chain(&high) {
                assert!((800..1200).contains(count), "{low:?} {high:?}");
            }
        }
        assert_ne!(Seed::derive(1, 1).hash([1, 2]), Seed::derive(1, 2).hash([1, 2]));
        assert_eq!(Seed::derive(1, 1).hash_words([1, 2]), Seed::derive(1, 1).hash([1, 2]));
        assert_ne!(Seed::derive(1, 1).hash([1, 2]), Seed::derive(2, 1).hash([1, 2]));
    }

    #[test]
    fn every_word_and_its_place_matter() {
        let seed = Seed::derive(3, 3);
        let key = [1_u64, 2, 3, 4, 5];
        let mut hashes: Vec<u64> = (0..5)
            .flat_map(|word| (0..64).map(move |bit| (word, bit)))
            .map(|(word, bit)| {
                let mut key = key;
                key[word] ^= 1 << bit;
                seed.hash_words(key)
            })
            .collect();
        hashes.extend([[1, 2, 3, 4, 5], [3, 4, 1, 2, 5], [2, 1, 3, 4, 5], [1, 2, 3, 5, 4]].map(|key| seed.hash_words(key)));
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
