//! Threads that DPDK knows.

use std::io;
use std::marker::PhantomData;
use std::sync::mpsc;
use std::thread::{self, Builder, JoinHandle};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use svpn_dpdk_sys as sys;
use thiserror::Error;

use crate::eal::Eal;
use crate::errno::Errno;

/// Proof that the calling thread is registered with DPDK: it has an lcore id, so each pool keeps a cache of buffers for it.
/// Other threads may use pools as well, more slowly.
// Invariant: made and dropped on a thread that rte_thread_register has registered; not Send because of PhantomData.
#[derive(Debug)]
pub struct Worker {
    lcore: u32,
    this_thread_only: PhantomData<*const ()>,
}

/// Where a worker may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Wherever its parent may.
    Anywhere,
    /// On one processor, by the kernel's number.
    Processor(usize),
}

/// Why a worker was not started.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The system gives no further thread, or the name holds a NUL.
    #[error("cannot start thread {name:?}: {source}")]
    Thread {
        /// The thread's name.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The thread cannot run where it should.
    #[error("worker {name:?} may not run on processor {processor}: {source}")]
    Processor {
        /// The thread's name.
        name: String,
        /// The processor.
        processor: usize,
        /// The system's reason.
        source: io::Error,
    },
    /// DPDK takes no further thread.
    #[error("DPDK does not register worker {name:?}: {errno}")]
    Register {
        /// The thread's name.
        name: String,
        /// DPDK's reason.
        errno: Errno,
    },
}

impl Worker {
    /// Starts a thread, places it, registers it with DPDK and has it run `work`. It is unregistered when `work` ends or panics.
    ///
    /// Returns once `work` is about to start, so an error means that it does not. The kernel shows 15 bytes of `name`.
    pub fn spawn<F, T>(_eal: Eal, name: &str, placement: Placement, work: F) -> Result<WorkerHandle<T>, WorkerError>
    where
        F: FnOnce(&Self) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (report, registered) = mpsc::sync_channel(1);
        let own_name = name.to_owned();
        let body = move || {
            let worker = match Self::register(&own_name, placement) {
                Ok(worker) => worker,
                Err(error) => {
                    // The parent waits for it.
                    let _ = report.send(Err(error));
                    return None;
                }
            };
            let _ = report.send(Ok(()));
            Some(work(&worker))
        };
        let no_thread = |source| WorkerError::Thread { name: name.to_owned(), source };
        if name.contains('\0') {
            return Err(no_thread(io::ErrorKind::InvalidInput.into()));
        }
        let thread = Builder::new().name(name.to_owned()).spawn(body).map_err(no_thread)?;
        match registered.recv() {
            Ok(Ok(())) => Ok(WorkerHandle { thread }),
            Ok(Err(error)) => Err(error),
            Err(mpsc::RecvError) => Err(no_thread(io::ErrorKind::Other.into())),
        }
    }

    /// DPDK's number of the thread, different from that of every other worker alive.
    pub fn lcore(&self) -> u32 {
        self.lcore
    }

    /// Places and registers the calling thread.
    fn register(name: &str, placement: Placement) -> Result<Self, WorkerError> {
        if let Placement::Processor(processor) = placement {
            let mut only = CpuSet::new();
            only.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only)).map_err(|number| WorkerError::Processor {
                name: name.to_owned(),
                processor,
                source: number.into(),
            })?;
        }
        // SAFETY: the EAL is initialised, and this thread, which `spawn` has just made, is not registered.
        let code = unsafe { sys::rte_thread_register() };
        if code < 0 {
            return Err(WorkerError::Register { name: name.to_owned(), errno: Errno::last() });
        }
        // SAFETY: reads a thread-local number.
        let lcore = unsafe { sys::svpn_lcore_id() };
        Ok(Self { lcore, this_thread_only: PhantomData })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: a Worker does not leave the thread it registered, and is the last to know of the registration.
        unsafe { sys::rte_thread_unregister() }
    }
}

/// A started worker.
#[derive(Debug)]
pub struct WorkerHandle<T> {
    thread: JoinHandle<Option<T>>,
}

impl<T> WorkerHandle<T> {
    /// Waits for the worker's end and returns what it returned.
    ///
    /// # Errors
    /// What it panicked with.
    pub fn join(self) -> thread::Result<T> {
        // A handle exists only of workers that were registered, and those end with a value or a panic.
        self.thread.join()?.ok_or_else(|| Box::new("worker was not registered") as _)
    }

    /// Whether the worker has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}
