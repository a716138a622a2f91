//! The pipeline contract: typed tables and actions, codec, oracle.

pub mod wire;
