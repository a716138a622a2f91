//! The applications.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU8, Ordering};

/// An application as sipp plays it, on a loopback address of its own.
#[derive(Clone, Copy)]
pub(crate) struct Application {
    pub(crate) name: &'static str,
    pub(crate) ce: &'static str,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl Application {
    /// The same at another address.
    pub(crate) fn at(self, address: IpAddr, port: u16) -> Self {
        Self { address, port, ..self }
    }
}

pub(crate) fn storage() -> Application {
    Application { name: "storage", ce: "a-east", address: address().into(), port: 5060 }
}

pub(crate) fn backup() -> Application {
    Application { name: "backup", ce: "a-west", address: address().into(), port: 5060 }
}

/// A loopback address that no other test of this or another process uses now.
pub(crate) fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, high | 0x80, low, next)
}
