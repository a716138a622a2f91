//! What threads share memory by. `dataplane/models` compiles the modules that take it from here over loom's, which tries every order.

pub(crate) use std::sync::atomic::{AtomicPtr, Ordering, fence};
pub(crate) use std::sync::{Mutex, MutexGuard};
