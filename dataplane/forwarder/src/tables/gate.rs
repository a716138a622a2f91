//! Where workers wait while updates are made that they have to see all at once.

use svpn_dpdk::Online;

use crate::sync::{AtomicBool, Ordering, yield_now};

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

    /// Keeps a worker, which is between two bursts, here while the gate is closed, unless it is `over` for it.
    #[inline]
    pub(crate) fn pass(&self, online: &mut Online<'_>, over: impl Fn() -> bool) {
        // Nobody waits for one that rests. So one that saw the gate open, and is online only when it has been closed again, looks again.
        while self.is_closed() && !over() {
            online.rest(|| {
                while self.is_closed() && !over() {
                    yield_now();
                }
            });
        }
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
