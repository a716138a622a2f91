//! Mistakes, and what the program says about them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::forwarder::{command, failure, failure_of, prefix, program, runtime_directory, skip};
use crate::interface::namespace;

#[test]
fn taken_addresses_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = failure_of(command(&["--grpc", &address, "--port", "1=net_ring0"]));
    assert!(said.contains(&format!("cannot listen for P4Runtime on {address}")) && said.contains("choose another --grpc"), "{said}");
    let said = failure(&["--metrics", &address, "--port", "1=net_ring0"]);
    assert!(said.contains(&format!("cannot listen for metrics on {address}")) && said.contains("choose another --metrics"), "{said}");
}

#[test]
fn devices_that_are_not_there_are_named() {
    let start = |port| failure(&["--port", port]);
    let said = start("1=net_af_packet0,iface=none-such");
    assert!(said.contains("port 1: net_af_packet0,iface=none-such: there is no interface \"none-such\"; there are: "), "{said}");
    let said = start("1=net_nosuch0");
    assert!(said.contains("the router does not start: port 1: net_nosuch0"), "{said}");
    let said = start("1=ffff:ff:1f.7");
    assert!(said.contains("there is no PCI device ffff:ff:1f.7; network devices are: "), "{said}");
}

#[test]
fn a_device_is_one_port() {
    let said = failure(&["--port", "1=net_ring0", "--port", "1=net_ring1"]);
    assert!(said.contains("port number 1 is given twice"), "{said}");
    let said = failure(&["--port", "1=net_ring0", "--port", "2=net_ring0"]);
    assert!(said.contains("ports 1 and 2 are both net_ring0"), "{said}");
    namespace();
    let said = failure(&["--port", "4=net_af_packet0,iface=router0", "--port", "5=net_af_packet1,iface=router0"]);
    assert!(said.contains("ports 4 and 5 are both router0"), "{said}");
}

#[test]
fn memory_that_is_too_small_is_weighed_against_what_was_asked() {
    let prefix = prefix();
    let mut command = command(&["--grpc", "127.0.0.1:0", "--file-prefix", &prefix, "--port", "1=net_ring0"]);
    // Instead of the size before it.
    command.args(["-m", "8"]);
    let said = failure_of(command);
    assert!(said.contains("not enough EAL memory") && said.contains("mbufs: ") && said.contains("-- -m MIB"), "{said}");
    drop(fs::remove_dir_all(runtime_directory(&prefix)));
}

#[test]
fn processors_that_are_not_there_are_named() {
    let said = failure(&["--port", "1=net_ring0", "--processors", "1000"]);
    assert!(said.contains("may not run on processor 1000") && said.contains("it may on 0") && said.contains("see --processors"), "{said}");
}

#[test]
fn arguments_that_the_eal_does_not_know_are_refused() {
    let prefix = prefix();
    let mut command = command(&["--grpc", "127.0.0.1:0", "--file-prefix", &prefix, "--port", "1=net_ring0"]);
    command.arg("--no-such-argument");
    let said = failure_of(command);
    assert!(said.contains("the EAL refuses an argument of") && said.contains("--no-such-argument"), "{said}");
    assert!(said.contains("--help names those of use"), "{said}");
    drop(fs::remove_dir_all(runtime_directory(&prefix)));
}

#[test]
fn a_log_that_cannot_be_written_is_named() {
    let said = failure(&["--port", "1=net_ring0", "--log-file", "/no/such/directory/log"]);
    assert!(said.contains("cannot log into /no/such/directory/log"), "{said}");
    let said = failure(&["--port", "1=net_ring0", "--log", "svpn=loud"]);
    assert!(said.contains("--log svpn=loud: ") && said.contains("expected a level"), "{said}");
}

/// A PCI network device that the kernel drives.
fn driven_by_the_kernel() -> Option<String> {
    let devices = fs::read_dir("/sys/bus/pci/devices").ok()?;
    let is_network = |device: &Path| fs::read_to_string(device.join("class")).is_ok_and(|class| class.starts_with("0x02"));
    let kernel = |device: &Path| {
        let driver = fs::read_link(device.join("driver")).ok()?.file_name()?.to_str()?.to_owned();
        (!driver.contains("vfio") && !driver.contains("uio") && !driver.starts_with("mlx") && driver != "mana").then_some(())
    };
    let paths = devices.flatten().map(|device| device.path());
    paths.filter(|device| is_network(device) && kernel(device).is_some()).find_map(|device| Some(device.file_name()?.to_str()?.to_owned()))
}

#[test]
fn a_nic_that_the_kernel_drives_is_left_to_it() {
    let Some(address) = driven_by_the_kernel() else {
        return skip("a_nic_that_the_kernel_drives_is_left_to_it", "the kernel drives no PCI network device");
    };
    let said = failure(&["--port", &format!("1={address}")]);
    assert!(said.contains("is driven by the kernel (") && said.contains("dpdk-devbind.py --bind=vfio-pci"), "{said}");
}

#[test]
fn who_may_not_use_interfaces_is_told() {
    // The user nobody may not come to where the program was built.
    let directory = std::env::temp_dir().join(prefix());
    fs::create_dir_all(&directory).unwrap();
    let copy = directory.join("svpn-forwarder");
    fs::copy(env!("CARGO_BIN_EXE_svpn-forwarder"), &copy).unwrap();
    let original = program(&["--grpc", "127.0.0.1:0", "--port", "1=net_af_packet0,iface=lo", "--", "--no-huge", "-m", "64", "--no-pci"]);
    let mut as_nobody = Command::new("setpriv");
    as_nobody
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&copy)
        .args(original.get_args())
        .env("XDG_RUNTIME_DIR", directory.join("run"));
    let said = failure_of(as_nobody);
    fs::remove_dir_all(&directory).unwrap();
    assert!(said.contains("this process has no CAP_NET_RAW") && said.contains("sudo"), "{said}");
}
