//! Devices: finding them, attaching them, detaching them.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno as Number;
use svpn_dpdk_sys as sys;
use thiserror::Error;

use super::spec::{DeviceKind, PortSpec};
use super::{PortError, presence};
use crate::eal::Eal;
use crate::errno::Errno;

/// Why a device was not attached.
#[derive(Debug, Error)]
pub enum AttachError {
    /// The network interface the device is to use does not exist in this network namespace.
    #[error("{device}: there is no interface {interface:?}; there are: {}", available.join(", "))]
    NoSuchInterface {
        /// The device.
        device: PortSpec,
        /// The interface.
        interface: String,
        /// Interfaces there are.
        available: Vec<String>,
    },
    /// The machine has no such PCI device.
    #[error("there is no PCI device {device}; network devices are: {}", available.join(", "))]
    NoSuchPciDevice {
        /// The device.
        device: PortSpec,
        /// Network devices there are.
        available: Vec<String>,
    },
    /// The kernel drives the PCI device, and DPDK cannot beside it.
    #[error(
        "{device} is driven by the kernel ({driver}); bind it to vfio-pci, which takes it from the kernel: dpdk-devbind.py --bind=vfio-pci {device}"
    )]
    KernelDriver {
        /// The device.
        device: PortSpec,
        /// The kernel's driver.
        driver: String,
    },
    /// The process may not use such devices.
    #[error("{device}: this process has no {capability}; run it as root, or give it the capability")]
    Capability {
        /// The device.
        device: PortSpec,
        /// What it needs.
        capability: &'static str,
    },
    /// Another port is this device.
    #[error("{device} is attached already")]
    Attached {
        /// The device.
        device: PortSpec,
    },
    /// DPDK has no driver for the device, or the driver does not start it.
    #[error("{device}: {errno}; the EAL's log says why. {}", hint(device))]
    Refused {
        /// The device.
        device: PortSpec,
        /// DPDK's reason.
        errno: Errno,
    },
    /// The device is no Ethernet device.
    #[error("{device} was attached, but has no Ethernet port")]
    NoPort {
        /// The device.
        device: PortSpec,
    },
}

/// What most often is wrong when DPDK refuses a device.
fn hint(device: &PortSpec) -> &'static str {
    match device.kind() {
        DeviceKind::Virtual => "Is the driver's name right, and may this process use what the arguments name?",
        DeviceKind::Pci => "Is it bound to vfio-pci (or its kernel driver, for mlx5), and the EAL not told --no-pci?",
    }
}

/// A device that DPDK drives and that is not started.
#[derive(Debug)]
pub struct AttachedPort(Device);

impl AttachedPort {
    /// Attaches a device.
    pub fn attach(_eal: Eal, spec: &PortSpec) -> Result<Self, AttachError> {
        let mut attached = attached_ports();
        let existing = port_by_name(spec.name());
        if existing.is_some_and(|id| attached.contains(&id)) {
            return Err(AttachError::Attached { device: spec.clone() });
        }
        let id = match existing {
            // The EAL's own arguments named it.
            Some(id) => id,
            None => probe(spec)?,
        };
        attached.insert(id);
        Ok(Self(Device { id, spec: spec.clone() }))
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Most receive queues the device can have.
    pub fn max_rx_queues(&self) -> Result<u16, PortError> {
        Ok(self.0.information()?.max_rx_queues)
    }

    /// Most transmit queues the device can have.
    pub fn max_tx_queues(&self) -> Result<u16, PortError> {
        Ok(self.0.information()?.max_tx_queues)
    }

    /// NUMA node of the device, where its pool belongs too; `None` if it has none.
    pub fn socket(&self) -> Option<u32> {
        // SAFETY: the port is attached.
        u32::try_from(unsafe { sys::rte_eth_dev_socket_id(self.0.id) }).ok()
    }

    pub(super) fn device(&self) -> &Device {
        &self.0
    }

    pub(super) fn into_device(self) -> Device {
        self.0
    }
}

/// The ports in use by this crate. Its lock also serialises attaching and detaching, which DPDK does not.
fn attached_ports() -> MutexGuard<'static, BTreeSet<u16>> {
    static PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    // A panic between two changes leaves a set that is right for what was changed.
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has DPDK find and drive the device; returns its port.
fn probe(spec: &PortSpec) -> Result<u16, AttachError> {
    presence::check(spec)?;
    let refused = |errno| AttachError::Refused { device: spec.clone(), errno };
    // A PortSpec holds no NUL.
    let text = CString::new(spec.to_string()).map_err(|_| refused(Errno::from_return(-(Number::EINVAL as i32))))?;
    // SAFETY: the EAL is initialised, `text` is a C string that is copied, and attaching is serialised by our caller.
    let code = unsafe { sys::rte_dev_probe(text.as_ptr()) };
    if code < 0 {
        return Err(refused(Errno::from_return(code)));
    }
    port_by_name(spec.name()).ok_or_else(|| AttachError::NoPort { device: spec.clone() })
}

fn port_by_name(name: &str) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let mut id = 0;
    // SAFETY: `name` is a C string and `id` is live; the function only searches.
    let code = unsafe { sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) };
    (code == 0).then_some(id)
}

/// A device that DPDK drives; closed when dropped, and detached if virtual.
// Invariant: port `id` is attached, in the set of attached ports, and of no other Device; when dropped, it is stopped.
#[derive(Debug)]
pub(super) struct Device {
    id: u16,
    spec: PortSpec,
}

impl Device {
    pub(super) fn id(&self) -> u16 {
        self.id
    }

    pub(super) fn name(&self) -> &str {
        self.spec.name()
    }

    pub(super) fn kind(&self) -> DeviceKind {
        self.spec.kind()
    }

    /// Turns a driver's answer into a result.
    pub(super) fn check(&self, operation: &'static str, code: i32) -> Result<(), PortError> {
        if code >= 0 {
            return Ok(());
        }
        Err(PortError::Refused { device: self.name().to_owned(), operation, errno: Errno::from_return(code) })
    }

    pub(super) fn information(&self) -> Result<sys::rte_eth_dev_info, PortError> {
        let mut info = sys::rte_eth_dev_info::default();
        // SAFETY: the port is attached and `info` is live.
        self.check("get information", unsafe { sys::rte_eth_dev_info_get(self.id, &raw mut info) })?;
        Ok(info)
    }

    pub(super) fn mtu(&self) -> Result<u16, PortError> {
        let mut mtu = 0;
        // SAFETY: the port is attached and `mtu` is live.
        self.check("get MTU", unsafe { sys::rte_eth_dev_get_mtu(self.id, &raw mut mtu) })?;
        Ok(mtu)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let mut attached = attached_ports();
        let bus_device = self.information().map(|info| info.device).ok();
        // SAFETY: the port is attached and stopped, and its last user is this. A virtual device has one port, so it can go
        // with it; its rte_device was read before closing, which does not free it. A PCI device may have further ports
        // and stays. There is nobody to tell of a failure.
        unsafe {
            sys::rte_eth_dev_close(self.id);
            if let (DeviceKind::Virtual, Some(device)) = (self.spec.kind(), bus_device) {
                sys::rte_dev_remove(device);
            }
        }
        attached.remove(&self.id);
    }
}
