//! Random values for tests of programs on either side of the contract.
//!
//! Every wire quantity, key, action and entry is `Arbitrary`: `any::<Entry>()` is any entry that can be written, with values at the
//! edges of their widths more often than chance has it. Such entries hardly ever refer to one another, so networks are drawn from a
//! small world of ports, labels and addresses instead, and frames from the same world: most of them hit something, and some are mangled.
//!
//! [`Case::random`] makes everything that happens to a router, of a seed, and quickly: a million frames in seconds. What fails is made
//! smaller by [`Case::smallest`], and written and read as text to be tried again. [`network`], [`arrival`] and [`changes`] are proptest's
//! strategies for parts of the same.
//!
//! [`derived`] is not random: cases that a symbolic execution of the P4 program made.

mod arbitrary;
mod case;
mod derived;
mod entries;
mod frames;
mod packets;
mod random;
mod rules;
mod strategies;
mod world;

pub use case::{Case, ParseCaseError, Step};
pub use derived::{Derived, DerivedError, Origin, derived};
pub use random::Random;
pub use strategies::{arrival, changes, network};
pub use world::PORTS;
