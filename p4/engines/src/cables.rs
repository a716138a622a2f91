//! Cables between a test and an engine's ports.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use svpn_contract::wire::PortId;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::namespace::Namespace;

/// Room for jumbo frames.
const MTU: u16 = 9000;
const LARGEST_FRAME: usize = 1 << 16;
/// An Ethernet header, IEEE 802.3 clause 3.
const ETHERNET: usize = 14;
/// What the kernel wants to see of a tagged frame: the tag (IEEE 802.1Q), and two bytes behind the ethertype in it.
const TAGGED: usize = ETHERNET + 4 + 2;

/// A frame that no kernel hands to a program, so that no engine behind a network interface is ever asked about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kernel does not deliver a frame of {length} bytes where {needed} are needed")]
pub struct Undeliverable {
    /// Its length in bytes.
    pub length: usize,
    /// The least length of such a frame in bytes.
    pub needed: usize,
}

/// Whether the kernel delivers a frame: one without a whole Ethernet header it refuses, one cut short in its first tag or directly
/// behind it drops.
///
/// # Errors
/// [`Undeliverable`] says what is missing.
pub fn deliverable(frame: &[u8]) -> Result<(), Undeliverable> {
    let needed = if matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8])) { TAGGED } else { ETHERNET };
    if frame.len() < needed { Err(Undeliverable { length: frame.len(), needed }) } else { Ok(()) }
}

/// Why a cable does not carry.
#[derive(Debug, thiserror::Error)]
pub enum CableError {
    /// There is no device for a port.
    #[error("no TAP device for port {port}: {source}")]
    Open {
        /// The port.
        port: PortId,
        /// Why.
        source: io::Error,
    },
    /// There is no such port.
    #[error("there is no cable in port {0}")]
    NoPort(PortId),
    /// The frame would not arrive.
    #[error(transparent)]
    Undeliverable(#[from] Undeliverable),
    /// A frame could not be sent.
    #[error("cannot send to port {port}: {source}")]
    Send {
        /// The port.
        port: PortId,
        /// Why.
        source: io::Error,
    },
    /// Nothing can be received.
    #[error("cannot receive: {0}")]
    Receive(#[source] io::Error),
}

/// The cables in an engine's ports: the device named after a port is the engine's end, this is the other.
pub struct Cables(BTreeMap<PortId, SyncDevice>);

/// The name of the engine's end.
pub(crate) fn device(port: PortId) -> String {
    format!("port{port}")
}

impl Cables {
    /// A cable for each of the ports, its link up.
    ///
    /// # Errors
    /// [`CableError::Open`].
    pub fn open(_: &Namespace, ports: &[PortId]) -> Result<Self, CableError> {
        let open = |port: PortId| {
            let device = DeviceBuilder::new().name(device(port)).layer(Layer::L2).mtu(MTU).build_sync()?;
            device.enabled(true)?;
            device.set_nonblocking(true)?;
            Ok(device)
        };
        let cable = |port: &PortId| Ok((*port, open(*port).map_err(|source| CableError::Open { port: *port, source })?));
        ports.iter().map(cable).collect::<Result<_, _>>().map(Self)
    }

    /// The ports.
    pub fn ports(&self) -> impl Iterator<Item = PortId> {
        self.0.keys().copied()
    }

    /// Sends a frame into a port.
    ///
    /// # Errors
    /// [`CableError`].
    pub fn send(&self, port: PortId, frame: &[u8]) -> Result<(), CableError> {
        deliverable(frame)?;
        let device = self.0.get(&port).ok_or(CableError::NoPort(port))?;
        device.send(frame).map_err(|source| CableError::Send { port, source })?;
        Ok(())
    }

    /// The frames that come out of all ports, in the order of each, until there are so many or the time is over.
    ///
    /// # Errors
    /// [`CableError::Receive`].
    pub fn receive(&self, count: usize, within: Duration) -> Result<Vec<(PortId, Vec<u8>)>, CableError> {
        let end = Instant::now() + within;
        let mut frames = Vec::new();
        loop {
            self.drain(&mut frames)?;
            let left = end.saturating_duration_since(Instant::now());
            if frames.len() >= count || left.is_zero() {
                return Ok(frames);
            }
            let mut ends: Vec<_> = self.0.values().map(|device| PollFd::new(device.as_fd(), PollFlags::POLLIN)).collect();
            // Rounded up, so that the last wait is not a busy one.
            let wait = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            poll(&mut ends, wait).map_err(|error| CableError::Receive(error.into()))?;
        }
    }

    /// What is there.
    fn drain(&self, frames: &mut Vec<(PortId, Vec<u8>)>) -> Result<(), CableError> {
        let mut buffer = vec![0; LARGEST_FRAME];
        for (port, device) in &self.0 {
            loop {
                match device.recv(&mut buffer) {
                    Ok(length) => frames.push((*port, buffer[..length].to_vec())),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(CableError::Receive(error)),
                }
            }
        }
        Ok(())
    }
}
