//! The environment abstraction layer: DPDK's start.

mod hugepages;
mod options;

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Mutex;

use nix::errno::Errno as Number;
use svpn_dpdk_sys as sys;
use thiserror::Error;

pub(crate) use self::options::allowed_text;
pub use self::options::{EalOptions, Memory, PciDevices, SharedMemory};
use crate::errno::Errno;
use crate::{lcores, log};

/// Proof that DPDK is initialised in this process. Copies are the same proof.
///
/// The EAL lives until the process ends. DPDK cannot be initialised twice in a process, and what was made with it
/// (pools, packets in other threads' hands) has no owner that could end it safely; the kernel takes all back at exit.
#[derive(Debug, Clone, Copy)]
pub struct Eal(());

/// Why DPDK is not initialised.
#[derive(Debug, Error)]
pub enum EalError {
    /// An earlier call initialised it, or tried to.
    #[error("the EAL can be initialised once per process, and was tried before")]
    NotFirst,
    /// The system has no free hugepage.
    #[error("no hugepages are free; reserve some (sysctl vm.nr_hugepages=512) or use ordinary memory (--no-huge)")]
    NoHugepages,
    /// Shared hugepages are files, and no file system for them is mounted.
    #[error("no file system of hugepages is mounted; mount one: mount -t hugetlbfs none /dev/hugepages")]
    NotMounted,
    /// A live process has the files by which others would find this one, or they cannot be written.
    #[error("another DPDK process has the files of prefix {0:?}, or they cannot be written; choose another")]
    PrefixTaken(String),
    /// Workers of shared memory have lcores of their own.
    #[error("with shared memory the lcores are those of the workers: give no -l, -c or --lcores")]
    LcoresTaken,
    /// A worker cannot run where it should.
    #[error("this process may not run on processor {processor}; it may on {allowed}")]
    Processor {
        /// The processor.
        processor: usize,
        /// Those there are.
        allowed: String,
    },
    /// The affinity of the process is unknown, or holds no processor.
    #[error("cannot read the processors this process may run on: {0}")]
    Affinity(#[source] std::io::Error),
    /// An argument holds a NUL.
    #[error("EAL argument {0:?} holds a NUL")]
    Nul(String),
    /// The process lacks a privilege.
    #[error("the EAL lacks permission for {arguments:?}: {errno}; its log says for what")]
    Permission {
        /// All arguments.
        arguments: Vec<String>,
        /// DPDK's reason.
        errno: Errno,
    },
    /// DPDK does not take an argument.
    #[error("the EAL refuses an argument of {arguments:?}; its log says which")]
    Argument {
        /// All arguments.
        arguments: Vec<String>,
    },
    /// Any other refusal.
    #[error("the EAL does not start with {arguments:?}: {errno}; its log says why")]
    Refused {
        /// All arguments.
        arguments: Vec<String>,
        /// DPDK's reason.
        errno: Errno,
    },
}

impl Eal {
    /// Initialises DPDK.
    ///
    /// Unless it is [`Memory::Shared`], no memory is shared with other processes or left in the file system (`--in-memory`, or
    /// `--no-shconf` with ordinary memory), so several programs can run side by side. The EAL's and the drivers' log goes to standard
    /// error, or where [`log_to`](crate::log_to) says.
    ///
    /// Unless `arguments` name lcores, the calling thread becomes the only EAL lcore and stays free to run on all
    /// processors it might run on before; the EAL's own threads (interrupts, telemetry) inherit the same. Packets belong
    /// on threads made by [`Worker::spawn`](crate::Worker::spawn). With lcores in `arguments` the EAL pins the calling thread to the first.
    ///
    /// # Errors
    /// [`EalError`]. A failure before DPDK was called (all but [`EalError::Permission`], [`EalError::Argument`], [`EalError::PrefixTaken`]
    /// and [`EalError::Refused`]) may be followed by another try; after those, [`EalError::NotFirst`] follows.
    pub fn init(options: &EalOptions) -> Result<Self, EalError> {
        static TRIED: Mutex<bool> = Mutex::new(false);
        let mut tried = TRIED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *tried {
            return Err(EalError::NotFirst);
        }
        check_memory(options)?;
        let arguments = options.command_line()?;
        let c_arguments = arguments
            .iter()
            .map(|argument| CString::new(argument.as_str()).map_err(|_| EalError::Nul(argument.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        // DPDK keeps pointers into the arguments (program name, devices) for as long as it lives.
        let mut pointers: Vec<*mut c_char> = c_arguments.into_iter().map(CString::into_raw).collect();
        let count = c_int::try_from(pointers.len()).unwrap_or(c_int::MAX);
        pointers.push(std::ptr::null_mut());

        *tried = true;
        log::open();
        // SAFETY: `pointers` is an argument vector as `main` gets it, of `count` writable C strings that are never freed and a
        // null; DPDK may permute it and keeps pointers to the strings, not to the vector itself.
        let code = unsafe { sys::rte_eal_init(count, Vec::leak(pointers).as_mut_ptr()) };
        if code >= 0 {
            if let Memory::Shared(shared) = &options.memory {
                lcores::made(&shared.workers);
            }
            return Ok(Self(()));
        }
        let errno = Errno::last();
        if let Memory::Shared(shared) = &options.memory
            && errno.code() == 0
        {
            // Nothing else goes wrong without a reason.
            return Err(EalError::PrefixTaken(shared.prefix.clone()));
        }
        Err(if errno.is(Number::EACCES) || errno.is(Number::EPERM) {
            EalError::Permission { arguments, errno }
        } else if errno.is(Number::EINVAL) {
            EalError::Argument { arguments }
        } else {
            EalError::Refused { arguments, errno }
        })
    }

    /// Clocks per second of [`tsc`](crate::tsc).
    pub fn tsc_hz(self) -> NonZeroU64 {
        // SAFETY: reads a number that rte_eal_init has measured.
        let hz = unsafe { sys::rte_get_tsc_hz() };
        NonZeroU64::new(hz).unwrap_or(NonZeroU64::MIN)
    }

    /// Whether the EAL's memory is hugepages.
    pub fn has_hugepages(self) -> bool {
        // SAFETY: reads a number that rte_eal_init has set.
        unsafe { sys::rte_eal_has_hugepages() != 0 }
    }

    /// Removes the files of shared memory, at the end of a program: its pages are free again when the process has ended, and not only
    /// when another DPDK program starts. No other process can attach any more.
    pub fn remove_shared_files(self, shared: &SharedMemory) {
        hugepages::remove_files(&mounts(), &shared.prefix);
    }
}

/// The version of the DPDK this process runs with, as it says it: `DPDK 22.11.11`.
pub fn dpdk_version() -> &'static str {
    // SAFETY: the function returns a constant C string.
    unsafe { CStr::from_ptr(sys::rte_version()) }.to_str().unwrap_or("DPDK")
}

/// Whether there is the memory that the EAL is to use; its own errors would not say.
fn check_memory(options: &EalOptions) -> Result<(), EalError> {
    if let Memory::Ordinary { .. } = options.memory {
        return Ok(());
    }
    if !hugepages::are_free(Path::new("/sys/kernel/mm/hugepages")) {
        return Err(EalError::NoHugepages);
    }
    if matches!(options.memory, Memory::Shared(_)) && mounts().is_empty() {
        return Err(EalError::NotMounted);
    }
    Ok(())
}

/// The file systems of hugepages of this mount namespace.
fn mounts() -> Vec<std::path::PathBuf> {
    fs::read_to_string("/proc/mounts").map(|table| hugepages::mounts(&table)).unwrap_or_default()
}
