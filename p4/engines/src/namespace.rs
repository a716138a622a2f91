//! Network namespaces, and the view of their devices.

use std::io;
use std::marker::PhantomData;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Proof that the thread is in a network namespace of its own; so it is for one thread only.
///
/// There is no way back. The namespace goes when its last thread, process and device has gone.
#[derive(Debug)]
pub struct Namespace(PhantomData<*const ()>);

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel refused: root is needed.
    #[error("no privilege to make a network namespace: {0}")]
    Unshare(#[source] nix::Error),
    /// The namespace's devices cannot be seen in `/sys`.
    #[error("/sys cannot be mounted: {0}")]
    Sysfs(#[source] nix::Error),
    /// IPv6 could not be switched off, so the kernel would send frames of its own.
    #[error("IPv6 cannot be switched off: {0}")]
    Ipv6(#[source] io::Error),
    /// `ip` could not be run.
    #[error("ip cannot be run: {0}")]
    Ip(#[source] io::Error),
    /// The loopback interface did not come up.
    #[error("the loopback interface does not come up")]
    Loopback,
}

fn mount_sysfs() -> nix::Result<()> {
    let none = None::<&str>;
    // What is mounted here is nobody else's business.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none)
}

impl Namespace {
    /// Moves the calling thread, and what it starts from then on, into a new namespace: a loopback interface, and no IPv6;
    /// and into a mount namespace whose `/sys` shows its devices, which is where BMv2 looks for the state of links.
    ///
    /// # Errors
    /// [`NamespaceError`]; the thread may be in the new namespace then.
    pub fn enter() -> Result<Self, NamespaceError> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).map_err(NamespaceError::Unshare)?;
        mount_sysfs().map_err(NamespaceError::Sysfs)?;
        match std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1") {
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(NamespaceError::Ipv6)?,
        }
        let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().map_err(NamespaceError::Ip)?;
        if status.success() { Ok(Self(PhantomData)) } else { Err(NamespaceError::Loopback) }
    }
}
