//! Threads that the EAL made, where others cannot be registered with it.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use svpn_dpdk_sys as sys;

use crate::errno::Errno;
use crate::worker::Placement;

/// The lcores that wait for work; `None` where the EAL made none, and threads are registered with it instead.
static WAITING: Mutex<Option<Vec<Lcore>>> = Mutex::new(None);

fn waiting() -> MutexGuard<'static, Option<Vec<Lcore>>> {
    // The list changes in single steps.
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread of the EAL's that waits for work, or does some that its owner gave it.
#[derive(Debug)]
pub(crate) struct Lcore {
    number: u32,
    placement: Placement,
}

/// What becomes of a wish for an lcore.
#[derive(Debug)]
pub(crate) enum Found {
    /// Here it is.
    Waiting(Lcore),
    /// All of this placement have work.
    None,
    /// The EAL made none: make a thread and register it.
    Unused,
}

/// The EAL has made lcores 1 and up with these placements.
pub(crate) fn made(placements: &[Placement]) {
    *waiting() = Some((1..).zip(placements).map(|(number, placement)| Lcore { number, placement: *placement }).collect());
}

/// Takes an lcore.
pub(crate) fn take(placement: Placement) -> Found {
    let mut waiting = waiting();
    let Some(lcores) = waiting.as_mut() else { return Found::Unused };
    match lcores.iter().position(|lcore| lcore.placement == placement) {
        Some(place) => Found::Waiting(lcores.remove(place)),
        None => Found::None,
    }
}

impl Lcore {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Has the lcore do some work.
    pub(crate) fn launch(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), Errno> {
        let work = Box::into_raw(Box::new(work));
        // SAFETY: the EAL is initialised and has this lcore; `run` frees `work` once.
        let code = unsafe { sys::rte_eal_remote_launch(Some(run), work.cast::<c_void>(), self.number) };
        if code < 0 {
            // SAFETY: from Box::into_raw above, and `run` is not called.
            drop(unsafe { Box::from_raw(work) });
            return Err(Errno::from_return(code));
        }
        Ok(())
    }

    pub(crate) fn is_running(&self) -> bool {
        // SAFETY: reads the state of an lcore that there is.
        unsafe { sys::rte_eal_get_lcore_state(self.number) == sys::RUNNING }
    }

    /// Waits for the end of its work, and has it wait for more.
    pub(crate) fn end(self) {
        // SAFETY: the EAL has this lcore; the calling thread is none.
        unsafe { sys::rte_eal_wait_lcore(self.number) };
        if let Some(lcores) = waiting().as_mut() {
            lcores.push(self);
        }
    }
}

/// # Safety
/// `work` is of `Lcore::launch`, and given to one call.
unsafe extern "C" fn run(work: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let work = unsafe { Box::from_raw(work.cast::<Box<dyn FnOnce() + Send>>()) };
    // A panic must not cross C; the work itself tells its owner of one.
    drop(catch_unwind(AssertUnwindSafe(work)));
    0
}
