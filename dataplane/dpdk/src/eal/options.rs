//! How DPDK is to start, in our words and in the EAL's.

use std::fmt::Write as _;

use nix::errno::Errno as Number;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use super::EalError;
use crate::worker::Placement;

/// Where packet memory comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// Hugepages, as many as needed, as long as the system has some; of this process alone (`--in-memory`).
    Hugepages,
    /// Hugepages that other DPDK processes can map, as `dpdk-dumpcap` does to capture packets.
    Shared(SharedMemory),
    /// Ordinary pages, this many MiB and never more (`--no-huge -m`). Enough for virtual devices, slower, and no NIC can
    /// be given such memory without an IOMMU.
    Ordinary {
        /// MiB.
        mebibytes: u32,
    },
}

/// Hugepages for several processes: files of a mounted hugetlbfs.
///
/// DPDK lets no thread register itself while other processes may attach, so all workers are threads that the EAL makes when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMemory {
    /// By which other processes find it (`--file-prefix`); no two live processes have the same.
    pub prefix: String,
    /// All workers there will be at one time.
    pub workers: Vec<Placement>,
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

impl EalOptions {
    /// Ordinary memory, no PCI device: what virtual devices need.
    pub fn virtual_devices(mebibytes: u32) -> Self {
        Self { memory: Memory::Ordinary { mebibytes }, pci: PciDevices::Never, arguments: Vec::new() }
    }

    /// The arguments DPDK gets, program name first.
    pub(super) fn command_line(&self) -> Result<Vec<String>, EalError> {
        let mut line: Vec<String> = vec!["svpn".into()];
        let mut workers: &[Placement] = &[];
        match &self.memory {
            Memory::Hugepages => line.push("--in-memory".into()),
            Memory::Shared(shared) => {
                line.extend(["--proc-type=primary".into(), "--file-prefix".into(), shared.prefix.clone()]);
                workers = &shared.workers;
            }
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
            line.extend(["--lcores".into(), lcores(&allowed_processors()?, workers)?]);
        } else if !workers.is_empty() {
            return Err(EalError::LcoresTaken);
        }
        line.extend(self.arguments.iter().cloned());
        Ok(line)
    }
}

/// Whether an EAL argument chooses lcores: `-l`, `-c`, `--lcores`, with or without a value attached.
fn names_lcores(argument: &str) -> bool {
    argument.starts_with("--lcores") || argument.starts_with("-l") || argument.starts_with("-c")
}

/// Lcore 0 for the calling thread, on all processors, and one for each worker.
fn lcores(allowed: &[usize], workers: &[Placement]) -> Result<String, EalError> {
    let all = ranges(allowed);
    let mut text = format!("0@({all})");
    for (lcore, placement) in (1..).zip(workers) {
        // Writing to a String does not fail.
        let _ = match placement {
            Placement::Anywhere => write!(text, ",{lcore}@({all})"),
            Placement::Processor(processor) if allowed.contains(processor) => write!(text, ",{lcore}@{processor}"),
            Placement::Processor(processor) => return Err(EalError::Processor { processor: *processor, allowed: all }),
        };
    }
    Ok(text)
}

/// The processors the calling thread may run on, rising, at least one.
fn allowed_processors() -> Result<Vec<usize>, EalError> {
    let unknown = |number: Number| EalError::Affinity(number.into());
    let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(unknown)?;
    let processors: Vec<usize> = (0..CpuSet::count()).filter(|&processor| allowed.is_set(processor).unwrap_or(false)).collect();
    if processors.is_empty() { Err(unknown(Number::ESRCH)) } else { Ok(processors) }
}

/// The processors the calling thread may run on, as `0-3,8`; empty if they are unknown.
pub(crate) fn allowed_text() -> String {
    allowed_processors().map(|processors| ranges(&processors)).unwrap_or_default()
}

/// Rising numbers as ranges: `0-3,8`.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    runs.into_iter().map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_neighbours() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[]), "");
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
    fn shared_memory_has_an_lcore_for_each_worker() {
        let shared = SharedMemory { prefix: "pe1".into(), workers: vec![Placement::Processor(0), Placement::Anywhere] };
        let mut options = EalOptions { memory: Memory::Shared(shared), ..EalOptions::virtual_devices(0) };
        let line = options.command_line().unwrap();
        assert!(line.windows(2).any(|pair| pair == ["--file-prefix", "pe1"]), "{line:?}");
        assert!(!line.iter().any(|word| word == "--in-memory" || word == "--no-shconf"), "{line:?}");
        options.arguments.push("--lcores=0".into());
        assert!(matches!(options.command_line(), Err(EalError::LcoresTaken)));

        assert_eq!(lcores(&[0, 1, 3], &[Placement::Processor(3), Placement::Anywhere]).unwrap(), "0@(0-1,3),1@3,2@(0-1,3)");
        let refused = lcores(&[0, 1], &[Placement::Processor(2)]);
        assert!(matches!(refused, Err(EalError::Processor { processor: 2, allowed }) if allowed == "0-1"));
    }
}
