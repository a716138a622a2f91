//! Where random values come from: a generator of proptest's, quick, and the same for the same seed.

use proptest::test_runner::{RngAlgorithm, TestRng};
use rand::RngExt as _;
use rand::distr::uniform::{SampleRange, SampleUniform};
use rand::distr::{Distribution, StandardUniform};

/// A sequence of random values.
#[derive(Debug, Clone)]
pub struct Random(TestRng);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        // Seeds that follow one another are spread over all there are (SplitMix64).
        let spread = |seed: u64| {
            let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ mixed >> 31).to_le_bytes()
        };
        let next = |times: u64| spread(seed.wrapping_add(times.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Self(TestRng::from_seed(RngAlgorithm::XorShift, &[next(1), next(2)].concat()))
    }

    /// What comes next from a generator, which goes on behind it.
    pub(super) fn borrow<T>(from: &mut TestRng, make: impl FnOnce(&mut Self) -> T) -> T {
        let mut random = Self::new(0);
        std::mem::swap(&mut random.0, from);
        let made = make(&mut random);
        *from = random.0;
        made
    }

    /// Any number.
    pub(super) fn any<T>(&mut self) -> T
    where
        StandardUniform: Distribution<T>,
    {
        self.0.random()
    }

    /// A number in a range.
    pub(super) fn within<T: SampleUniform, R: SampleRange<T>>(&mut self, range: R) -> T {
        self.0.random_range(range)
    }

    /// Whether something happens that does so once in so many times.
    pub(super) fn once_in(&mut self, times: u32) -> bool {
        self.within(0..times) == 0
    }

    /// One of several.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.within(0..from.len())]
    }

    /// One of several, as often as their weights say.
    pub(super) fn weighted<T: Copy>(&mut self, from: &[(u32, T)]) -> T {
        let mut left = self.within(0..from.iter().map(|(weight, _)| weight).sum());
        for (weight, value) in from {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        unreachable!("what is left is less than the sum of the weights")
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill(&mut bytes);
        bytes
    }
}
