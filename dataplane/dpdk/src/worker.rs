//! Threads that DPDK knows.

use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, Builder, JoinHandle};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use svpn_dpdk_sys as sys;
use thiserror::Error;

use crate::eal::{Eal, allowed_text};
use crate::errno::Errno;
use crate::lcores::{self, Found, Lcore};

/// Proof that the calling thread is one of DPDK's: it has an lcore id, so each pool keeps a cache of buffers for it.
/// Other threads may use pools as well, more slowly.
// Invariant: made and dropped on a thread that is an lcore of the EAL's, or that rte_thread_register has registered; not Send because
// of PhantomData.
#[derive(Debug)]
pub struct Worker {
    lcore: u32,
    origin: Origin,
    this_thread_only: PhantomData<*const ()>,
}

/// Where a worker's thread comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It was made and registered.
    Registered,
    /// It was an lcore all the time.
    Eal,
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
    #[error("worker {name:?} may not run on processor {processor} ({source}); it may on {allowed}")]
    Processor {
        /// The thread's name.
        name: String,
        /// The processor.
        processor: usize,
        /// Those there are.
        allowed: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Where memory is shared with other processes, DPDK has as many workers as it was started with.
    #[error("worker {name:?} has no lcore: the EAL was started with fewer for {placement:?}")]
    NoLcore {
        /// The worker's name.
        name: String,
        /// Where it was to run.
        placement: Placement,
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
    /// With [`Memory::Shared`](crate::Memory::Shared) one of the EAL's own threads runs `work` instead, which keeps its own name.
    ///
    /// Returns once `work` is about to start, so an error means that it does not. The kernel shows 15 bytes of `name`.
    pub fn spawn<F, T>(_eal: Eal, name: &str, placement: Placement, work: F) -> Result<WorkerHandle<T>, WorkerError>
    where
        F: FnOnce(&Self) -> T + Send + 'static,
        T: Send + 'static,
    {
        match lcores::take(placement) {
            Found::Waiting(lcore) => return Self::launch(lcore, name, work),
            Found::None => return Err(WorkerError::NoLcore { name: name.to_owned(), placement }),
            Found::Unused => {}
        }
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
            Ok(Ok(())) => Ok(WorkerHandle(Running::Thread(thread))),
            Ok(Err(error)) => Err(error),
            Err(mpsc::RecvError) => Err(no_thread(io::ErrorKind::Other.into())),
        }
    }

    /// Has an lcore run `work`.
    fn launch<F, T>(lcore: Lcore, name: &str, work: F) -> Result<WorkerHandle<T>, WorkerError>
    where
        F: FnOnce(&Self) -> T + Send + 'static,
        T: Send + 'static,
    {
        let outcome = Arc::new(Mutex::new(None));
        let (number, place) = (lcore.number(), Arc::clone(&outcome));
        let body = move || {
            let worker = Self { lcore: number, origin: Origin::Eal, this_thread_only: PhantomData };
            let ended = catch_unwind(AssertUnwindSafe(|| work(&worker)));
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        };
        lcore.launch(Box::new(body)).map_err(|errno| WorkerError::Register { name: name.to_owned(), errno })?;
        Ok(WorkerHandle(Running::Lcore { lcore, outcome }))
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
                allowed: allowed_text(),
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
        Ok(Self { lcore, origin: Origin::Registered, this_thread_only: PhantomData })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.origin == Origin::Registered {
            // SAFETY: a Worker does not leave the thread it registered, and is the last to know of the registration.
            unsafe { sys::rte_thread_unregister() }
        }
    }
}

/// A started worker.
#[derive(Debug)]
pub struct WorkerHandle<T>(Running<T>);

/// What runs a worker.
#[derive(Debug)]
enum Running<T> {
    /// A thread of its own.
    Thread(JoinHandle<Option<T>>),
    /// A thread of the EAL's.
    Lcore { lcore: Lcore, outcome: Arc<Mutex<Option<thread::Result<T>>>> },
}

impl<T> WorkerHandle<T> {
    /// Waits for the worker's end and returns what it returned.
    ///
    /// # Errors
    /// What it panicked with.
    pub fn join(self) -> thread::Result<T> {
        match self.0 {
            // A handle exists only of workers that were registered, and those end with a value or a panic.
            Running::Thread(thread) => thread.join()?.ok_or_else(|| Box::new("worker was not registered") as _),
            Running::Lcore { lcore, outcome } => {
                lcore.end();
                let ended = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
                ended.unwrap_or_else(|| Err(Box::new("worker was not launched")))
            }
        }
    }

    /// Whether the worker has ended.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Running::Thread(thread) => thread.is_finished(),
            Running::Lcore { lcore, .. } => !lcore.is_running(),
        }
    }
}
