//! The peer: DPDK's own forwarder, as a child process with the same kind of ports on the same processors.
//!
//! It counts packets between `start` and `stop`, and the kernel counts the processor time of its polling threads, which use none while it is
//! stopped; so the rate needs no clock that two programs would have to read at once.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use svpn_dpdk::Eal;
use svpn_forwarder::fastpath::BURST;
use thiserror::Error;

/// How long it may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no peer.
#[derive(Debug, Error)]
pub enum TestpmdError {
    /// It is not installed, or not where programs are looked for.
    #[error("cannot start {command}: {source}; it is in Debian's packages dpdk and coreutils")]
    Start {
        /// The command line.
        command: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It ended, or does not do as it is told.
    #[error("it gives no statistics; to see why, run {command} and type start and stop")]
    Silent {
        /// The command line.
        command: String,
    },
    /// The kernel does not say how much time it had.
    #[error("cannot read the processor time of its threads in {0}")]
    Time(PathBuf),
}

/// How it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// With the buffers and bursts it chooses itself.
    AsItIs,
    /// With about as many buffers as we have, so that they stay in the caches, and our bursts.
    AsWeAre,
}

/// A running `dpdk-testpmd` that forwards nothing until it is told to.
#[derive(Debug)]
pub struct Testpmd {
    child: Child,
    input: ChildStdin,
    /// Packets received over all ports, of each time it was stopped.
    totals: Receiver<u64>,
    command: String,
}

impl Testpmd {
    /// Starts it with two null ports of frames of so many bytes, a queue for each processor, and a thread on each.
    pub fn start(eal: Eal, frame_bytes: u16, processors: &[usize], tuning: Tuning) -> Result<Self, TestpmdError> {
        let words = words(eal, frame_bytes, processors, tuning);
        let command = words.join(" ");
        let at_start = |source| TestpmdError::Start { command: command.clone(), source };
        // Its output is a pipe's, which it would fill before it writes.
        let mut child = Command::new("stdbuf")
            .arg("-oL")
            .args(&words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(at_start)?;
        let silent = || TestpmdError::Silent { command: command.clone() };
        let (input, output) = (child.stdin.take().ok_or_else(silent)?, child.stdout.take().ok_or_else(silent)?);
        let (sender, totals) = mpsc::channel();
        thread::spawn(move || {
            let mut accumulated = false;
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                accumulated |= line.contains("Accumulated forward statistics");
                if accumulated && let Some(total) = received(&line) {
                    accumulated = false;
                    if sender.send(total).is_err() {
                        break;
                    }
                }
            }
        });
        let mut testpmd = Self { child, input, totals, command };
        // The first time it answers it is ready, and warm.
        testpmd.forward(Duration::from_millis(100))?;
        Ok(testpmd)
    }

    /// Forwards for some time; returns packets per second of processor time, over all its threads.
    pub fn round(&mut self, time: Duration) -> Result<f64, TestpmdError> {
        let before = self.processor_times()?;
        let packets = self.forward(time)?;
        let after = self.processor_times()?;
        let used: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after.saturating_sub(*before).as_secs_f64()).collect();
        #[allow(clippy::cast_precision_loss, reason = "few threads, and far fewer than 2^52 packets")]
        let mean = used.iter().sum::<f64>() / used.len() as f64;
        #[allow(clippy::cast_precision_loss, reason = "as above")]
        Ok(packets as f64 / mean)
    }

    /// Ends it.
    pub fn stop(mut self) {
        // What does not end by itself is ended by the drop that follows.
        if self.input.write_all(b"quit\n").is_ok() {
            for _ in 0..50 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Forwards for some time and returns how many packets there were.
    fn forward(&mut self, time: Duration) -> Result<u64, TestpmdError> {
        let silent = || TestpmdError::Silent { command: self.command.clone() };
        self.input.write_all(b"start\n").map_err(|_| silent())?;
        thread::sleep(time);
        self.input.write_all(b"stop\n").map_err(|_| silent())?;
        self.totals.recv_timeout(PATIENCE).map_err(|_| silent())
    }

    /// What its polling threads have used so far.
    fn processor_times(&self) -> Result<Vec<Duration>, TestpmdError> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let unknown = || TestpmdError::Time(tasks.clone());
        let mut threads: Vec<PathBuf> = fs::read_dir(&tasks).map_err(|_| unknown())?.flatten().map(|entry| entry.path()).collect();
        threads.sort();
        // Before DPDK 23.07 they are called lcore-worker, since then dpdk-worker.
        threads.retain(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.contains("worker")));
        let time = |thread: &PathBuf| {
            let text = fs::read_to_string(thread.join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        };
        let times: Option<Vec<Duration>> = threads.iter().map(time).collect();
        times.filter(|times| !times.is_empty()).ok_or_else(unknown)
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        // It may have ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its command line.
fn words(eal: Eal, frame_bytes: u16, processors: &[usize], tuning: Tuning) -> Vec<String> {
    let cores = processors.len();
    let workers: Vec<String> = processors.iter().enumerate().map(|(number, processor)| format!(",{}@{processor}", number + 1)).collect();
    // Its first thread only reads commands.
    let anywhere: Vec<String> = processors.iter().map(usize::to_string).collect();
    let memory: &[&str] = if eal.has_hugepages() { &["--in-memory"] } else { &["--no-huge", "--no-shconf", "-m", "1024"] };
    let ports = (0..2).map(|port| format!("--vdev=net_null{port},size={frame_bytes}"));
    let mut words = vec!["dpdk-testpmd".to_owned(), format!("--lcores=0@({}){}", anywhere.join(","), workers.concat())];
    words.extend(memory.iter().map(|&word| word.to_owned()));
    words.extend(["--no-pci", "--no-telemetry"].map(str::to_owned));
    words.extend(ports);
    words.extend(["--", "-i", "--forward-mode=macswap"].map(str::to_owned));
    words.extend([format!("--nb-cores={cores}"), format!("--rxq={cores}"), format!("--txq={cores}")]);
    if tuning == Tuning::AsWeAre {
        words.extend(["--total-num-mbufs=16384".to_owned(), format!("--burst={BURST}")]);
    }
    words
}

/// Packets received, of a line of statistics.
fn received(line: &str) -> Option<u64> {
    line.trim_start().strip_prefix("RX-packets:")?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read() {
        assert_eq!(received("  RX-packets: 25148032       RX-dropped: 0             RX-total: 25148032"), Some(25_148_032));
        assert_eq!(received("  TX-packets: 25148032       TX-dropped: 0             TX-total: 25148032"), None);
        assert_eq!(received("  RX-packets: x"), None);
    }
}
