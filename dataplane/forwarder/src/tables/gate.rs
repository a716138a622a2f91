//! Where workers wait while updates are made that they have to see all at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Open most of the time.
///
/// Whoever closes it waits until every worker has been quiescent since: a worker looks at the gate after it has said that it is, and before it
/// takes the next burst.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
