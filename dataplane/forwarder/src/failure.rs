//! Why the program ends with an error, and what to do about it.

use std::io;
use std::net::SocketAddr;

use svpn_dpdk::{AttachError, CaptureError, EalError, PoolError};
use svpn_forwarder::{StartError, StopError};

use crate::arguments::NotForEal;

/// Why the forwarder ends with an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot listen for {purpose} on {address}: {source}{}", listen_hint(source, option))]
    Listen { purpose: &'static str, option: &'static str, address: SocketAddr, source: io::Error },
    #[error("{0}")]
    Arguments(#[from] NotForEal),
    #[error("DPDK does not start: {source}{}", eal_hint(source))]
    Eal { source: EalError },
    #[error("{0}")]
    Capture(#[from] CaptureError),
    #[error("the router does not start: {source}{}", start_hint(source))]
    Start { source: StartError },
    #[error("the P4Runtime service failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    #[error("the router did not stop as it should: {0}")]
    Stop(#[from] StopError),
    #[error("the system gives no threads or signals: {0}")]
    System(#[source] io::Error),
}

fn listen_hint(error: &io::Error, option: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("; another program listens there: choose another {option}"),
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege".to_owned(),
        _ => String::new(),
    }
}

fn eal_hint(error: &EalError) -> &'static str {
    match error {
        EalError::NoHugepages => "; to try without: svpn-forwarder ... -- --no-huge -m 256 --no-pci",
        EalError::Permission { .. } => "; run as root, or without hugepages and NICs: -- --no-huge -m 256 --no-pci",
        EalError::Argument { .. } => "; svpn-forwarder --help names those of use behind --",
        EalError::PrefixTaken(_) => " --file-prefix",
        EalError::Processor { .. } => "; see --processors",
        _ => "",
    }
}

fn start_hint(error: &StartError) -> &'static str {
    match error {
        StartError::Pool(PoolError::Memory(_)) => ": less with --packets, more with -- -m MIB or sysctl vm.nr_hugepages",
        StartError::Worker(_) => "; see --processors and --workers",
        StartError::Attach { source: AttachError::Capability { .. }, .. } => ": setcap, or sudo",
        StartError::Entries(_) => "; make tables smaller with --size",
        _ => "",
    }
}
