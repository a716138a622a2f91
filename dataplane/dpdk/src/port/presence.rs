//! What a device needs, where DPDK's own error would not say what is missing.

use std::fs;
use std::path::Path;

use nix::net::if_::if_nameindex;

use super::attach::AttachError;
use super::spec::{DeviceKind, PortSpec};

/// Drivers of the kernel that leave a PCI device to a program, or share it with one.
const DRIVERS: [&str; 5] = ["uio_pci_generic", "igb_uio", "mlx4_core", "mlx5_core", "mana"];

/// Looks for what a device needs.
pub(super) fn check(spec: &PortSpec) -> Result<(), AttachError> {
    match spec.kind() {
        DeviceKind::Virtual => {
            let available = interfaces();
            if let Some(interface) = spec.interfaces().find(|interface| !available.iter().any(|name| name == interface)) {
                return Err(AttachError::NoSuchInterface { device: spec.clone(), interface: interface.to_owned(), available });
            }
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            match capability(spec.name()) {
                Some((capability, bit)) if !has_capability(&status, bit) => {
                    Err(AttachError::Capability { device: spec.clone(), capability })
                }
                _ => Ok(()),
            }
        }
        DeviceKind::Pci => {
            let device = Path::new("/sys/bus/pci/devices").join(spec.name());
            if !device.exists() {
                return Err(AttachError::NoSuchPciDevice { device: spec.clone(), available: pci_network_devices() });
            }
            match driver(&device) {
                Some(driver) if !driver.contains("vfio") && !DRIVERS.contains(&driver.as_str()) => {
                    Err(AttachError::KernelDriver { device: spec.clone(), driver })
                }
                _ => Ok(()),
            }
        }
    }
}

/// The capability that a virtual device needs, and its number (capabilities(7)).
fn capability(device: &str) -> Option<(&'static str, u32)> {
    if device.starts_with("net_af_packet") {
        Some(("CAP_NET_RAW", 13))
    } else if device.starts_with("net_tap") || device.starts_with("net_af_xdp") {
        Some(("CAP_NET_ADMIN", 12))
    } else {
        None
    }
}

/// Whether a process has a capability, by its `/proc/self/status`; one that does not say is believed to.
fn has_capability(status: &str, bit: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).map(str::trim);
    effective.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_none_or(|mask| mask >> bit & 1 == 1)
}

/// Names of the interfaces of this network namespace.
fn interfaces() -> Vec<String> {
    if_nameindex()
        .map_or_else(|_| Vec::new(), |list| list.iter().map(|interface| interface.name().to_string_lossy().into_owned()).collect())
}

/// The kernel's driver of a PCI device.
fn driver(device: &Path) -> Option<String> {
    Some(fs::read_link(device.join("driver")).ok()?.file_name()?.to_str()?.to_owned())
}

/// Addresses of the machine's PCI devices of class 2, network controllers, with their drivers.
fn pci_network_devices() -> Vec<String> {
    let Ok(devices) = fs::read_dir("/sys/bus/pci/devices") else { return Vec::new() };
    let mut addresses: Vec<String> = devices
        .flatten()
        .filter(|device| fs::read_to_string(device.path().join("class")).is_ok_and(|class| class.starts_with("0x02")))
        .map(|device| {
            let address = device.file_name().to_string_lossy().into_owned();
            driver(&device.path()).map_or_else(|| address.clone(), |driver| format!("{address} ({driver})"))
        })
        .collect();
    addresses.sort();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_bit_by_bit() {
        let status = "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t0000000000002000\n";
        assert!(has_capability(status, 13));
        assert!(!has_capability(status, 12));
        assert!(has_capability("", 12));
        assert_eq!(capability("net_null0"), None);
    }
}
