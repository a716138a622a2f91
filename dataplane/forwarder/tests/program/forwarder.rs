//! A running `svpn-forwarder`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

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

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svpn-forwarder"));
    command.args(["--device-id", "7"]).args(SMALL).args(arguments).args(EAL).env("RUST_LOG", "info").stderr(Stdio::piped());
    command
}

/// What a forwarder says that does not start, and that it failed.
pub(crate) fn failure(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = command(arguments).output().expect("the program runs");
    assert_eq!(status.code(), Some(1));
    String::from_utf8_lossy(&stderr).into_owned()
}

/// One that serves; it is killed when dropped.
pub(crate) struct Forwarder {
    child: Child,
    log: BufReader<ChildStderr>,
    /// Where it listens.
    pub(crate) address: String,
}

impl Forwarder {
    /// Starts one on any free port of loopback, and waits until it serves.
    pub(crate) fn start(ports: &[&str]) -> Self {
        let mut arguments = vec!["--grpc", "127.0.0.1:0"];
        arguments.extend(ports.iter().flat_map(|port| ["--port", port]));
        let mut child = command(&arguments).spawn().expect("the program runs");
        let log = BufReader::new(child.stderr.take().expect("its log is piped"));
        let mut forwarder = Self { child, log, address: String::new() };
        let mut said = String::new();
        while forwarder.address.is_empty() {
            let before = said.len();
            assert_ne!(forwarder.log.read_line(&mut said).expect("its log is text"), 0, "it ended before it served: {said}");
            let line = &said[before..];
            if let (true, Some((_, address))) = (line.contains("serving P4Runtime"), line.split_once("address=")) {
                address.trim().clone_into(&mut forwarder.address);
            }
        }
        forwarder
    }

    /// Sends it a signal, and waits for its end: exit code, and what it said since it served.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(killed.success());
        let mut said = String::new();
        self.log.read_to_string(&mut said).expect("its log is text");
        (self.child.wait().expect("it ends").code(), said)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        // It has ended, or it does not matter how it ends.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
