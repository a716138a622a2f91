//! Random values for property tests of programs on either side of the contract.
//!
//! Every wire quantity, key, action and entry is [`Arbitrary`]: `any::<Entry>()` is any entry that can be written, with values at the
//! edges of their widths more often than chance has it. Such entries hardly ever refer to one another, so [`network`] draws from a
//! small world of ports, labels and addresses instead, and [`arrival`] draws frames from the same world: most of them hit something,
//! and some are mangled.

mod arbitrary;
mod frames;
mod world;

pub use frames::arrival;
pub use world::{PORTS, changes, network};
