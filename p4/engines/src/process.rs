//! Programs that end with the test.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// How much of what a program said is told.
const TAIL: u64 = 4000;

/// A running program, killed when this is dropped, and by the kernel when the thread that started it ends.
#[derive(Debug)]
pub struct Process {
    child: Child,
    said: File,
}

/// Why a program does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no memory for what it says.
    #[error("no file in memory: {0}")]
    Memory(#[source] nix::Error),
    /// It could not be started.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// Whether a program is on the PATH.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

impl Process {
    /// Starts a program of the PATH. What it says is kept.
    ///
    /// # Errors
    /// [`ProcessError`].
    pub fn start(program: &str, arguments: &[String]) -> Result<Self, ProcessError> {
        let said = File::from(memfd_create(program, MFdFlags::MFD_CLOEXEC).map_err(ProcessError::Memory)?);
        let start = || {
            // The parent's death signal is set between fork and exec, which takes unsafe code here and none in `setpriv`.
            Command::new("setpriv")
                .args(["--pdeathsig", "KILL", "--", program])
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(said.try_clone()?)
                .stderr(said.try_clone()?)
                .spawn()
        };
        let child = start().map_err(|source| ProcessError::Start { program: program.to_owned(), source })?;
        Ok(Self { child, said })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The end of what it said.
    pub fn said(&mut self) -> String {
        let mut bytes = Vec::new();
        let length = self.said.metadata().map_or(0, |metadata| metadata.len());
        // The place in the file is the program's, too; it has no use for it once this is asked.
        let read = self.said.seek(SeekFrom::Start(length.saturating_sub(TAIL))).and_then(|_| self.said.read_to_end(&mut bytes));
        match read {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("(what it said cannot be read: {error})"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_program_says() {
        let mut process = Process::start("sh", &["-c".to_owned(), "echo one; echo two >&2".to_owned()]).unwrap();
        process.child.wait().unwrap();
        assert!(process.ended().is_some_and(|status| status.success()));
        assert_eq!(process.said(), "one\ntwo\n");
    }

    #[test]
    fn a_program_ends_with_its_owner() {
        let process = Process::start("sleep", &["1000".to_owned()]).unwrap();
        let place = format!("/proc/{}", process.child.id());
        assert!(std::path::Path::new(&place).exists());
        drop(process);
        assert!(!std::path::Path::new(&place).exists());
    }

    #[test]
    fn finds_programs() {
        assert!(on_path("sh"));
        assert!(!on_path("svpn-no-such-program"));
    }
}
