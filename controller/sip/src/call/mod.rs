//! Calls.

pub(crate) mod machine;
