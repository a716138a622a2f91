//! How classes share a link.
//!
//! A pool is a set of classes and the share of the link that all of them together may have. Pools overlap as they like, so one kind of
//! rule says all there is to say: one pool for each class is the maximum allocation model (RFC 4125), pools that contain each other
//! are the Russian dolls (RFC 4127), and what a class may borrow is what the pools leave over. The whole link is a pool of all
//! classes, always.

use super::ClassSet;
use crate::request::BitRate;

/// Some classes, and what they may have of a link together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// The classes.
    pub classes: ClassSet,
    /// What the sum of them may be, at most.
    pub share: Share,
}

impl Pool {
    /// The pool every link has.
    pub const WHOLE_LINK: Self = Self { classes: ClassSet::ALL, share: Share::Part(Part::WHOLE) };
    /// Pools a link may have besides.
    pub const MOST: usize = 8;
}

/// How much of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Share {
    /// A part of its capacity, whatever that is at the time.
    Part(Part),
    /// A rate; less where the link has less.
    Rate(BitRate),
}

impl Share {
    /// How much that is of a capacity, rounded down.
    pub fn of(self, capacity: BitRate) -> BitRate {
        match self {
            Self::Part(part) => part.of(capacity),
            Self::Rate(rate) => rate.min(capacity),
        }
    }
}

/// A part of a whole, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part(u32);

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self(1_000_000);

    /// So many millionths; `None` when that is more than the whole.
    pub const fn from_millionths(millionths: u32) -> Option<Self> {
        if millionths <= Self::WHOLE.0 { Some(Self(millionths)) } else { None }
    }

    /// So many millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    fn of(self, whole: BitRate) -> BitRate {
        let part = u128::from(whole.0) * u128::from(self.0) / u128::from(Self::WHOLE.0);
        // A part is no more than its whole.
        BitRate(u64::try_from(part).unwrap_or(whole.0))
    }
}
