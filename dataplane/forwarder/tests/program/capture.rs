//! `dpdk-dumpcap` and a running forwarder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};

use crate::forwarder::{Forwarder, failure_of, prefix, program, runtime_directory, skip};
use crate::interface::{namespace, send};

/// What the forwarder and the capture need of hugepages of 2 MiB.
const PAGES: u64 = 192;

fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().expect("mount runs");
    assert!(status.success(), "mount {arguments:?}");
}

/// A mount namespace without any file system of hugepages; only this thread is in it, and what it starts.
fn without_hugetlbfs() {
    unshare(CloneFlags::CLONE_NEWNS).expect("this test may make mount namespaces");
    mount(&["--make-rprivate", "/"]);
    let table = fs::read_to_string("/proc/thread-self/mounts").expect("there is a table of mounts");
    for line in table.lines().filter(|line| line.split_whitespace().nth(2) == Some("hugetlbfs")) {
        let directory = line.split_whitespace().nth(1).expect("a directory");
        assert!(Command::new("umount").arg(directory).status().expect("umount runs").success());
    }
}

/// A file system of hugepages in that namespace.
fn hugetlbfs() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(prefix());
    fs::create_dir_all(&directory).expect("the directory is writable");
    mount(&["-t", "hugetlbfs", "-o", "pagesize=2M", "none", directory.to_str().expect("the path is text")]);
    directory
}

fn free_pages() -> u64 {
    let free = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    free.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// A forwarder whose packets can be captured.
fn arguments(prefix: &str) -> [&str; 11] {
    [
        "--grpc",
        "127.0.0.1:0",
        "--file-prefix",
        prefix,
        "--capture",
        "--port",
        "3=net_af_packet0,iface=router0",
        "--",
        "--no-pci",
        "-m",
        "128",
    ]
}

#[test]
fn dumpcap_captures_what_a_port_receives() {
    if free_pages() < PAGES {
        return skip("dumpcap_captures_what_a_port_receives", "there are no free hugepages: sysctl vm.nr_hugepages=512");
    }
    if Command::new("dpdk-dumpcap").arg("--version").output().is_err() {
        return skip("dumpcap_captures_what_a_port_receives", "there is no dpdk-dumpcap (Debian: dpdk)");
    }
    namespace();
    without_hugetlbfs();
    let (hugetlbfs, prefix) = (hugetlbfs(), prefix());
    let forwarder = Forwarder::run(program(&arguments(&prefix)), &prefix);
    // A second one of the same name would destroy the first one's memory.
    let said = failure_of(program(&arguments(&prefix)));
    assert!(said.contains("another DPDK process has the files of prefix") && said.contains("--file-prefix"), "{said}");

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{prefix}.pcapng"));
    let mut dumpcap = Command::new("dpdk-dumpcap")
        .arg(format!("--file-prefix={prefix}"))
        .args(["-i", "net_af_packet0", "-c", "1", "-w"])
        .arg(&file)
        .stdout(Stdio::null())
        .spawn()
        .expect("dpdk-dumpcap runs");
    let frame = [&[2; 12][..], &[0x12, 0x34], b"what the capture is to hold, and nothing else"].concat();
    let status = loop {
        // It does not say when it listens.
        send("host0", &frame);
        if let Some(status) = dumpcap.try_wait().expect("it is a child") {
            break status;
        }
    };
    assert!(status.success(), "{status}");
    let captured = fs::read(&file).expect("it has written");
    assert!(captured.windows(frame.len()).any(|window| window == frame), "{} bytes without the frame", captured.len());
    fs::remove_file(&file).expect("the file is ours");

    let (code, said) = forwarder.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_dir(&hugetlbfs).expect("it is mounted").count(), 0, "its pages are free again");
    drop(fs::remove_dir_all(runtime_directory(&prefix)));
}

#[test]
fn a_capture_without_hugetlbfs_is_refused_with_advice() {
    without_hugetlbfs();
    let prefix = prefix();
    let said =
        failure_of(program(&["--grpc", "127.0.0.1:0", "--file-prefix", &prefix, "--capture", "--port", "1=net_ring0", "--", "--no-pci"]));
    let expected = if free_pages() > 0 { "mount -t hugetlbfs none /dev/hugepages" } else { "no hugepages are free" };
    assert!(said.contains(expected), "{said}");
}
