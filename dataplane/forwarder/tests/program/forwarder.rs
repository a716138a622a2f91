//! A running `svpn-forwarder`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ordinary memory, so that the tests need no hugepages.
pub(crate) const EAL: [&str; 5] = ["--", "--no-huge", "-m", "64", "--no-pci"];

/// Small tables and few packets, so that it starts at once.
pub(crate) const SMALL: [&str; 12] = [
    "--size",
    "session=1024",
    "--size",
    "flow_v4=1024",
    "--size",
    "route_v4=1024",
    "--size",
    "tunnel=64",
    "--size",
    "nexthop=64",
    "--packets",
    "4095",
];

/// A name for DPDK's tools that no other test uses.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("svpn-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The program, before the EAL's arguments.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svpn-forwarder"));
    command.args(["--device-id", "7"]).args(SMALL).args(arguments).env("RUST_LOG", "info").stderr(Stdio::piped());
    command
}

/// With ordinary memory.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.args(EAL);
    command
}

/// What a program says that does not start, and that it failed.
pub(crate) fn failure_of(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("the program runs");
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

/// What a forwarder says that does not start, and that it failed.
pub(crate) fn failure(arguments: &[&str]) -> String {
    let prefix = prefix();
    let mut all = vec!["--grpc", "127.0.0.1:0", "--file-prefix", &prefix];
    all.extend(arguments);
    let said = failure_of(command(&all));
    drop(std::fs::remove_dir_all(runtime_directory(&prefix)));
    said
}

/// Where DPDK keeps what belongs to a name, for root.
pub(crate) fn runtime_directory(prefix: &str) -> PathBuf {
    PathBuf::from("/var/run/dpdk").join(prefix)
}

/// One that serves; it is killed when dropped.
pub(crate) struct Forwarder {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What it has said so far.
    said: String,
    prefix: String,
    /// Where it listens.
    pub(crate) address: String,
}

impl Forwarder {
    /// Starts one on any free port of loopback, and waits until it serves.
    pub(crate) fn start(ports: &[&str]) -> Self {
        Self::with(ports, &[])
    }

    /// The same with further options.
    pub(crate) fn with(ports: &[&str], options: &[&str]) -> Self {
        let prefix = prefix();
        let mut arguments = vec!["--grpc", "127.0.0.1:0", "--file-prefix", &prefix];
        arguments.extend(options);
        arguments.extend(ports.iter().flat_map(|port| ["--port", port]));
        Self::run(command(&arguments), &prefix)
    }

    /// Runs a command that has this prefix, and waits until it serves.
    pub(crate) fn run(mut command: Command, prefix: &str) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let log = BufReader::new(child.stderr.take().expect("its log is piped"));
        let mut forwarder = Self { child, log, said: String::new(), prefix: prefix.to_owned(), address: String::new() };
        forwarder.address = address(&forwarder.await_line("serving P4Runtime"));
        forwarder
    }

    /// Waits until it says something.
    pub(crate) fn await_line(&mut self, text: &str) -> String {
        loop {
            let before = self.said.len();
            assert_ne!(self.log.read_line(&mut self.said).expect("its log is text"), 0, "it ended and never said {text:?}: {}", self.said);
            let line = &self.said[before..];
            if line.contains(text) {
                return line.to_owned();
            }
        }
    }

    /// Where it serves metrics; it has said so.
    pub(crate) fn metrics_address(&self) -> String {
        address(self.said.lines().find(|line| line.contains("serving metrics")).expect("it serves metrics"))
    }

    /// By which DPDK's tools find it.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Sends it signals, one after the other.
    pub(crate) fn signal(&self, signals: &[&str]) {
        for signal in signals {
            let killed = Command::new("kill").args([signal, self.child.id().to_string().as_str()]).status().expect("kill runs");
            assert!(killed.success());
        }
    }

    /// Sends it a signal, and waits for its end: exit code, and all it said.
    pub(crate) fn end(self, signal: &str) -> (Option<i32>, String) {
        self.signal(&[signal]);
        self.ended()
    }

    /// Waits for its end: exit code, and all it said.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut said = std::mem::take(&mut self.said);
        self.log.read_to_string(&mut said).expect("its log is text");
        (self.child.wait().expect("it ends").code(), said)
    }
}

/// The address in a line of the log.
fn address(line: &str) -> String {
    let (_, address) = line.split_once("address=").expect("the line holds an address");
    address.split_whitespace().next().expect("an address").to_owned()
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        // It has ended, or it does not matter how it ends.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(runtime_directory(&self.prefix)));
    }
}

/// Says loudly that a test did not run here.
pub(crate) fn skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
}
