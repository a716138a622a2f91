//! How a user names a port.

use std::fmt;
use std::str::FromStr;

use svpn_dpdk_sys as sys;
use thiserror::Error;

/// A device and its arguments, as DPDK takes them: `net_af_packet0,iface=eth1` or `0000:3b:00.0`.
///
/// A virtual device is named by its driver and an instance (`net_ring0`, `net_memif1`), a NIC by its PCI address,
/// whose domain `0000:` may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortSpec {
    name: String,
    arguments: String,
    kind: DeviceKind,
}

/// The bus of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DeviceKind {
    Virtual,
    Pci,
}

/// Why a text names no port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PortSpecError {
    /// The name before the first comma is neither a virtual device nor a PCI address.
    #[error("{0:?} is neither a virtual device (net_af_packet0) nor a PCI address (0000:3b:00.0)")]
    Name(String),
    /// DPDK's limit for names.
    #[error("{0:?} is longer than {max} bytes", max = PortSpec::NAME_BYTES)]
    TooLong(String),
    /// An argument is not `key=value` of printable characters.
    #[error("argument {0:?} is not key=value")]
    Argument(String),
}

impl PortSpec {
    const NAME_BYTES: usize = sys::RTE_ETH_NAME_MAX_LEN as usize - 1;

    /// Reads `name[,key=value]...`.
    pub fn parse(text: &str) -> Result<Self, PortSpecError> {
        let (name, arguments) = text.split_once(',').unwrap_or((text, ""));
        let (name, kind) = if let Some(address) = pci_address(name) {
            (address, DeviceKind::Pci)
        } else if virtual_name(name) {
            (name.to_owned(), DeviceKind::Virtual)
        } else {
            return Err(PortSpecError::Name(name.to_owned()));
        };
        if name.len() > Self::NAME_BYTES {
            return Err(PortSpecError::TooLong(name));
        }
        if text.contains(',') {
            for argument in arguments.split(',') {
                let key = argument.split_once('=').map_or("", |(key, _)| key);
                if key.is_empty() || !argument.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(PortSpecError::Argument(argument.to_owned()));
                }
            }
        }
        Ok(Self { name, arguments: arguments.to_owned(), kind })
    }

    /// The device's name, without arguments; a PCI address has its domain.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network interfaces of the system that the device uses.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        let keys: &[&str] = if self.name.starts_with("net_af_packet") || self.name.starts_with("net_af_xdp") {
            &["iface"]
        } else if self.name.starts_with("net_pcap") {
            &["iface", "rx_iface", "rx_iface_in", "tx_iface"]
        } else {
            &[]
        };
        keys.iter().flat_map(|key| self.values(key))
    }

    pub(crate) fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// Values of the arguments named `key`.
    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.arguments
            .split(',')
            .filter_map(|argument| argument.split_once('='))
            .filter_map(move |(name, value)| (name == key).then_some(value))
    }
}

impl FromStr for PortSpec {
    type Err = PortSpecError;

    fn from_str(text: &str) -> Result<Self, PortSpecError> {
        Self::parse(text)
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if !self.arguments.is_empty() {
            write!(formatter, ",{}", self.arguments)?;
        }
        Ok(())
    }
}

/// The PCI address `[domain:]bus:device.function` in full and lower case.
fn pci_address(text: &str) -> Option<String> {
    let (slot, function) = text.rsplit_once('.')?;
    let mut parts = slot.rsplit(':');
    let device = hexadecimal(parts.next()?, 2)?;
    let bus = hexadecimal(parts.next()?, 2)?;
    let domain = parts.next().map_or(Some(0), |domain| hexadecimal(domain, 8))?;
    let function = hexadecimal(function, 1)?;
    (parts.next().is_none() && device < 32 && function < 8).then(|| format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
}

/// A number of one to `digits` hexadecimal digits.
fn hexadecimal(text: &str, digits: usize) -> Option<u32> {
    let plain = (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

/// Whether a text is like `net_null0`: every Ethernet driver's virtual devices start with `net_` or, of old, `eth_`.
fn virtual_name(text: &str) -> bool {
    let instance = text.strip_prefix("net_").or_else(|| text.strip_prefix("eth_"));
    instance.is_some_and(|rest| !rest.is_empty()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn virtual_devices_keep_name_and_arguments() {
        let spec = PortSpec::parse("net_af_packet0,iface=eth1,qpairs=2").unwrap();
        assert_eq!(spec.name(), "net_af_packet0");
        assert_eq!(spec.kind(), DeviceKind::Virtual);
        assert_eq!(spec.values("iface").collect::<Vec<_>>(), ["eth1"]);
        assert_eq!(spec.values("face").count(), 0);
        assert_eq!(spec.interfaces().collect::<Vec<_>>(), ["eth1"]);
        assert_eq!(PortSpec::parse("net_tap0,iface=new").unwrap().interfaces().count(), 0);
        assert_eq!(spec.to_string(), "net_af_packet0,iface=eth1,qpairs=2");
    }

    #[test]
    fn pci_addresses_get_their_domain() {
        for text in ["3b:00.0", "0000:3B:00.0", "0:3b:0.0"] {
            let spec = PortSpec::parse(text).unwrap();
            assert_eq!((spec.name(), spec.kind()), ("0000:3b:00.0", DeviceKind::Pci), "{text}");
        }
        assert_eq!(PortSpec::parse("10000:01:1f.7").unwrap().name(), "10000:01:1f.7");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "eth0", "net_", "3b:20.0", "3b:00.8", "3b:+1.0", "1:2:3:4.0", "net_null 0", "net_null0\0"] {
            assert!(matches!(PortSpec::parse(text), Err(PortSpecError::Name(_))), "{text:?}");
        }
        for text in ["net_null0,", "net_null0,size", "net_null0,=1", "net_null0,a=b c", "net_null0,a=b,,c=d"] {
            assert!(matches!(PortSpec::parse(text), Err(PortSpecError::Argument(_))), "{text:?}");
        }
        let long = format!("net_{}", "x".repeat(60));
        assert_eq!(PortSpec::parse(&long), Err(PortSpecError::TooLong(long)));
    }

    proptest! {
        #[test]
        fn any_text_is_judged_and_what_is_accepted_reads_back(text in "\\PC*|net_[a-z0-9]{1,8}(,[a-z]{1,4}=[!-+\\--~]{0,6}){0,3}") {
            if let Ok(spec) = PortSpec::parse(&text) {
                prop_assert_eq!(PortSpec::parse(&spec.to_string()), Ok(spec));
            }
        }
    }
}
