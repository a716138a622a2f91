//! The environment abstraction layer: DPDK's start.

use std::ffi::{CString, c_char, c_int};
use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Mutex;

use nix::errno::Errno as Number;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use svpn_dpdk_sys as sys;
use thiserror::Error;

use crate::errno::Errno;

/// Proof that DPDK is initialised in this process. Copies are the same proof.
///
/// The EAL lives until the process ends. DPDK cannot be initialised twice in a process, and what was made with it
/// (pools, packets in other threads' hands) has no owner that could end it safely; the kernel takes all back at exit.
#[derive(Debug, Clone, Copy)]
pub struct Eal(());

/// Where packet memory comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Hugepages, as many as needed, as long as the system has some.
    Hugepages,
    /// Ordinary pages, this many MiB and never more (`--no-huge -m`). Enough for virtual devices, slower, and no NIC can
    /// be given such memory without an IOMMU.
    Ordinary {
        /// MiB.
        mebibytes: u32,
    },
}

/// What the EAL does with PCI devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PciDevices {
    /// Leaves them alone until a port names one.
    WhenNamed,
    /// Does not even look (`--no-pci`).
    Never,
}

/// How to initialise DPDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EalOptions {
    /// Where packet memory comes from.
    pub memory: Memory,
    /// What to do with PCI devices.
    pub pci: PciDevices,
    /// Further arguments, in the words of DPDK's EAL parameters, each as one string.
    pub arguments: Vec<String>,
}

/// Why DPDK is not initialised.
#[derive(Debug, Error)]
pub enum EalError {
    /// An earlier call initialised it, or tried to.
    #[error("the EAL can be initialised once per process, and was tried before")]
    NotFirst,
    /// The system has no free hugepage.
    #[error("no hugepages are free; reserve some (sysctl vm.nr_hugepages=512) or use ordinary memory (--no-huge)")]
    NoHugepages,
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
    /// No memory is shared with other processes or left in the file system (`--in-memory`, or `--no-shconf` with ordinary memory),
    /// so several programs can run side by side. The EAL's and the drivers' log goes to standard error.
    ///
    /// Unless `arguments` name lcores, the calling thread becomes the only EAL lcore and stays free to run on all
    /// processors it might run on before; the EAL's own threads (interrupts, telemetry) inherit the same. Packets belong
    /// on threads made by [`Worker::spawn`](crate::Worker::spawn). With lcores in `arguments` the EAL pins the calling thread to the first.
    ///
    /// # Errors
    /// [`EalError`]. A failure before DPDK was called ([`EalError::NoHugepages`], [`EalError::Affinity`], [`EalError::Nul`]) may be followed by
    /// another try; after any other, [`EalError::NotFirst`] follows.
    pub fn init(options: &EalOptions) -> Result<Self, EalError> {
        static TRIED: Mutex<bool> = Mutex::new(false);
        let mut tried = TRIED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *tried {
            return Err(EalError::NotFirst);
        }
        if options.memory == Memory::Hugepages && !hugepages_free(Path::new("/sys/kernel/mm/hugepages")) {
            return Err(EalError::NoHugepages);
        }
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
        // SAFETY: `pointers` is an argument vector as `main` gets it, of `count` writable C strings that are never freed and a
        // null; DPDK may permute it and keeps pointers to the strings, not to the vector itself.
        let code = unsafe {
            sys::svpn_log_to_stderr();
            sys::rte_eal_init(count, Vec::leak(pointers).as_mut_ptr())
        };
        if code >= 0 {
            return Ok(Self(()));
        }
        let errno = Errno::last();
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
}

impl EalOptions {
    /// Ordinary memory, no PCI device: what virtual devices need.
    pub fn virtual_devices(mebibytes: u32) -> Self {
        Self { memory: Memory::Ordinary { mebibytes }, pci: PciDevices::Never, arguments: Vec::new() }
    }

    /// The arguments DPDK gets, program name first.
    fn command_line(&self) -> Result<Vec<String>, EalError> {
        let mut line: Vec<String> = vec!["svpn".into()];
        match self.memory {
            Memory::Hugepages => line.push("--in-memory".into()),
            // Both leave no file; DPDK does not take --in-memory together with --no-huge.
            Memory::Ordinary { mebibytes } => {
                line.extend(["--no-shconf".into(), "--no-huge".into(), "-m".into(), mebibytes.to_string()]);
            }
        }
        match self.pci {
            PciDevices::Never => line.push("--no-pci".into()),
            // Devices not on the list are not probed; naming one that cannot exist makes the list non-empty. A device
            // named by a port later is added to it.
            PciDevices::WhenNamed => line.extend(["-a".into(), "0000:00:00.0".into()]),
        }
        if !self.arguments.iter().any(|argument| names_lcores(argument)) {
            line.extend(["--lcores".into(), format!("0@({})", allowed_processors()?)]);
        }
        line.extend(self.arguments.iter().cloned());
        Ok(line)
    }
}

/// Whether an EAL argument chooses lcores: `-l`, `-c`, `--lcores`, with or without a value attached.
fn names_lcores(argument: &str) -> bool {
    argument.starts_with("--lcores") || argument.starts_with("-l") || argument.starts_with("-c")
}

/// The processors the calling thread may run on, as `0-3,8`.
fn allowed_processors() -> Result<String, EalError> {
    let unknown = |number: Number| EalError::Affinity(number.into());
    let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(unknown)?;
    let processors = (0..CpuSet::count()).filter(|&processor| allowed.is_set(processor).unwrap_or(false));
    ranges(processors).ok_or_else(|| unknown(Number::ESRCH))
}

/// Rising numbers as ranges: `0-3,8`; `None` for no numbers.
fn ranges(numbers: impl Iterator<Item = usize>) -> Option<String> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let mut text = String::new();
    for (first, last) in runs {
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a String does not fail.
        let _ = if first == last { write!(text, "{first}") } else { write!(text, "{first}-{last}") };
    }
    (!text.is_empty()).then_some(text)
}

/// Whether any size of hugepage listed under `root` has a free page. The EAL itself reports this like a
/// missing permission, and cannot be tried again after it.
fn hugepages_free(root: &Path) -> bool {
    let Ok(sizes) = fs::read_dir(root) else { return false };
    sizes.flatten().any(|size| {
        fs::read_to_string(size.path().join("free_hugepages")).is_ok_and(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_neighbours() {
        assert_eq!(ranges([0, 1, 2, 5, 7, 8].into_iter()).as_deref(), Some("0-2,5,7-8"));
        assert_eq!(ranges([3].into_iter()).as_deref(), Some("3"));
        assert_eq!(ranges(std::iter::empty()), None);
    }

    #[test]
    fn lcores_of_the_caller_replace_ours() {
        let mut options = EalOptions::virtual_devices(64);
        let line = options.command_line().unwrap();
        assert!(line.iter().any(|word| word == "--lcores"), "{line:?}");
        assert!(line.windows(2).any(|pair| pair == ["-m", "64"]), "{line:?}");
        for own in ["-l", "-l0", "-c1", "--lcores=0"] {
            options.arguments = vec![own.into()];
            let line = options.command_line().unwrap();
            assert!(!line.iter().any(|word| word == "--lcores"), "{line:?}");
        }
    }

    #[test]
    fn free_hugepages_are_counted_over_sizes() {
        let root = std::env::temp_dir().join(format!("svpn-hugepages-{}", std::process::id()));
        for (size, free) in [("hugepages-2048kB", "0\n"), ("hugepages-1048576kB", "0\n")] {
            fs::create_dir_all(root.join(size)).unwrap();
            fs::write(root.join(size).join("free_hugepages"), free).unwrap();
        }
        assert!(!hugepages_free(&root));
        fs::write(root.join("hugepages-1048576kB/free_hugepages"), "1\n").unwrap();
        assert!(hugepages_free(&root));
        fs::remove_dir_all(&root).unwrap();
        assert!(!hugepages_free(&root));
    }
}
