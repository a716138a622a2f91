//! The pipeline by hand: frames whose fate is written down here, and meters against an exact model.

mod labels;
mod meters;
mod policers;
mod support;
