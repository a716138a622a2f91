//! What workers and control threads share memory by. `dataplane/models` compiles the tables over loom's, which tries every order.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
pub(crate) use std::thread::yield_now;
