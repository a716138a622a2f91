//! Ports: attaching devices, starting them, handing out their queues.

mod attach;
mod configure;
mod presence;
mod queue;
mod spec;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno as Number;
use svpn_dpdk_sys as sys;
use thiserror::Error;

use self::attach::Device;
pub use self::attach::{AttachError, AttachedPort};
pub use self::queue::{RxQueue, TakeQueueError, TxQueue};
pub use self::spec::{PortSpec, PortSpecError};
use crate::errno::Errno;
use crate::pool::Pool;

/// How a port is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortConfig {
    /// Receive queues, each for one thread.
    pub rx_queues: u16,
    /// Transmit queues, each for one thread.
    pub tx_queues: u16,
    /// Packets each receive queue holds; rounded to what the device can do.
    pub rx_descriptors: u16,
    /// Packets each transmit queue holds; rounded to what the device can do.
    pub tx_descriptors: u16,
    /// Bytes after the Ethernet header that a frame may have; `None`: as the driver chooses, mostly 1500. Where a buffer of the pool
    /// does not hold this and the Ethernet header with two tags, the device must be able to use several. `af_packet` and `tap`
    /// receive what the MTU of the kernel's interface lets through, which is to be set there.
    pub mtu: Option<u16>,
    /// How packets are spread over receive queues.
    pub spreading: ReceiveSideScaling,
    /// Which frames are received.
    pub promiscuity: Promiscuity,
}

impl Default for PortConfig {
    /// One queue each way of 1024 descriptors, promiscuous.
    fn default() -> Self {
        Self {
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: None,
            spreading: ReceiveSideScaling::DriverDefault,
            promiscuity: Promiscuity::AllFrames,
        }
    }
}

/// How a device spreads received packets over its receive queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveSideScaling {
    /// As the driver does without being told.
    DriverDefault,
    /// By a hash of addresses, protocol and ports, as far as the device knows them; [`Port::spread`] tells what it came to.
    FiveTuple,
}

/// What a device's packets are spread over its receive queues by, the better the later. Whichever it is, the packets of a flow come to one
/// queue, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spread {
    /// As the driver, or whoever is at its other end, does without being told.
    DriverDefault,
    /// Addresses, protocol and ports of the outer header; what the device does not see through, such as labels, comes to one queue.
    FiveTuple,
    /// The same, and packets with MPLS labels by their labels.
    LabelsAndFiveTuple,
    /// Addresses, protocol and ports of the innermost header that the device sees, through tunnels.
    InnerFiveTuple,
}

/// Which frames a device receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promiscuity {
    /// Those for the device's own address, multicast and broadcast.
    OwnAddress,
    /// All. A device that knows no such choice receives all in any case.
    AllFrames,
}

/// State of a port's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// No signal.
    Down,
    /// Frames can pass.
    Up {
        /// Mbit/s; `u32::MAX` if the device does not know.
        megabits_per_second: u32,
    },
}

/// Counts since the port started, by the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortStatistics {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets dropped by the device because no descriptor was free.
    pub rx_missed: u64,
    /// Packets received with errors.
    pub rx_errors: u64,
    /// Packets dropped because the pool was empty.
    pub rx_no_buffer: u64,
    /// Packets not sent because of errors.
    pub tx_errors: u64,
}

/// Why a port does not run or does not answer.
#[derive(Debug, Error)]
pub enum PortError {
    /// More receive queues than the device has, or none.
    #[error("{device} has 1 to {max} receive queues, not {asked}")]
    RxQueues {
        /// The device.
        device: String,
        /// Queues asked for.
        asked: u16,
        /// Queues there can be.
        max: u16,
    },
    /// More transmit queues than the device has, or none.
    #[error("{device} has 1 to {max} transmit queues, not {asked}")]
    TxQueues {
        /// The device.
        device: String,
        /// Queues asked for.
        asked: u16,
        /// Queues there can be.
        max: u16,
    },
    /// The device cannot have this MTU.
    #[error("{device} takes an MTU from {min} to {max}, not {asked}")]
    Mtu {
        /// The device.
        device: String,
        /// The MTU asked for.
        asked: u16,
        /// Smallest.
        min: u16,
        /// Largest.
        max: u16,
    },
    /// A frame of the MTU does not fit into one buffer of the pool, and the device cannot use several for one frame.
    #[error("a frame of {needed} bytes on {device}, which does not use several buffers for one, does not fit into the pool's of {buffer}")]
    Buffer {
        /// The device.
        device: String,
        /// Bytes of the largest frame.
        needed: usize,
        /// Bytes a buffer has for a frame.
        buffer: usize,
    },
    /// A driver's refusal.
    #[error("{device}: {operation} failed: {errno}; the EAL's log may say why")]
    Refused {
        /// The device.
        device: String,
        /// What was asked of it.
        operation: &'static str,
        /// Its reason.
        errno: Errno,
    },
}

/// A running port. It runs until this and all its queues are dropped; then it is stopped, closed and detached.
///
/// The packets in its rings then return to their pool, but for `net_af_xdp`, whose driver does not give back what it handed to
/// the kernel.
#[derive(Debug)]
pub struct Port {
    running: Arc<Running>,
    spread: Spread,
    rx_taken: Box<[AtomicBool]>,
    tx_taken: Box<[AtomicBool]>,
}

/// A started device.
// Invariant: started by rte_eth_dev_start; stopped when dropped, which is after all queues.
#[derive(Debug)]
pub(crate) struct Running {
    id: u16,
    device: Device,
    /// Control functions of one port must not run at the same time (ethdev's contract).
    control: Mutex<()>,
}

impl AttachedPort {
    /// Configures the device and starts it, with `pool` for what it receives. On an error the device is detached.
    pub fn start(self, config: &PortConfig, pool: Pool) -> Result<Port, PortError> {
        let device = self.into_device();
        let spread = configure::configure(&device, config, pool)?;
        configure::set_up_queues(&device, config, pool)?;
        let id = device.id();
        // SAFETY: the port is configured and all its queues are set up; no other thread knows it.
        device.check("start", unsafe { sys::rte_eth_dev_start(id) })?;
        let running = Arc::new(Running { id, device, control: Mutex::new(()) });
        running.set_promiscuity(config.promiscuity)?;
        let untaken = |count: u16| (0..count).map(|_| AtomicBool::new(false)).collect();
        Ok(Port { running, spread, rx_taken: untaken(config.rx_queues), tx_taken: untaken(config.tx_queues) })
    }
}

impl Port {
    /// DPDK's number of the port, which [`Mbuf::port`](crate::Mbuf::port) gives for what it received.
    pub fn id(&self) -> u16 {
        self.running.id
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        self.running.device.name()
    }

    /// What received packets are spread over the receive queues by.
    pub fn spread(&self) -> Spread {
        self.spread
    }

    /// Hands out receive queue `queue`, which can be done once.
    pub fn take_rx_queue(&self, queue: u16) -> Result<RxQueue, TakeQueueError> {
        take(&self.rx_taken, queue)?;
        // SAFETY: the port was configured with as many queues as `rx_taken` has elements, and this one's was not set before.
        Ok(unsafe { RxQueue::new(Arc::clone(&self.running), queue) })
    }

    /// Hands out transmit queue `queue`, which can be done once.
    pub fn take_tx_queue(&self, queue: u16) -> Result<TxQueue, TakeQueueError> {
        take(&self.tx_taken, queue)?;
        // SAFETY: as in `take_rx_queue`.
        Ok(unsafe { TxQueue::new(Arc::clone(&self.running), queue) })
    }

    /// The device's own Ethernet address.
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        let mut address = sys::rte_ether_addr::default();
        let _control = self.running.control();
        // SAFETY: the port is attached and `address` is live.
        let code = unsafe { sys::rte_eth_macaddr_get(self.id(), &raw mut address) };
        self.running.device.check("get address", code)?;
        Ok(address.addr_bytes)
    }

    /// Bytes after the Ethernet header that a frame may have.
    pub fn mtu(&self) -> Result<u16, PortError> {
        let _control = self.running.control();
        self.running.device.mtu()
    }

    /// The link's state, without waiting for one.
    pub fn link(&self) -> Result<Link, PortError> {
        let mut link = sys::rte_eth_link::default();
        let _control = self.running.control();
        // SAFETY: the port is attached and `link` is live.
        let code = unsafe { sys::rte_eth_link_get_nowait(self.id(), &raw mut link) };
        self.running.device.check("get link", code)?;
        Ok(if u32::from(link.link_status()) == sys::RTE_ETH_LINK_UP {
            Link::Up { megabits_per_second: link.link_speed }
        } else {
            Link::Down
        })
    }

    /// What the device counted.
    pub fn statistics(&self) -> Result<PortStatistics, PortError> {
        let mut counts = sys::rte_eth_stats::default();
        let _control = self.running.control();
        // SAFETY: the port is attached and `counts` is live.
        let code = unsafe { sys::rte_eth_stats_get(self.id(), &raw mut counts) };
        self.running.device.check("get statistics", code)?;
        Ok(PortStatistics {
            rx_packets: counts.ipackets,
            tx_packets: counts.opackets,
            rx_bytes: counts.ibytes,
            tx_bytes: counts.obytes,
            rx_missed: counts.imissed,
            rx_errors: counts.ierrors,
            rx_no_buffer: counts.rx_nombuf,
            tx_errors: counts.oerrors,
        })
    }

    /// Chooses which frames are received.
    pub fn set_promiscuity(&self, promiscuity: Promiscuity) -> Result<(), PortError> {
        self.running.set_promiscuity(promiscuity)
    }
}

/// Marks `queue` as taken.
fn take(taken: &[AtomicBool], queue: u16) -> Result<(), TakeQueueError> {
    let mark = taken
        .get(usize::from(queue))
        .ok_or(TakeQueueError::NoSuchQueue { queue, count: u16::try_from(taken.len()).unwrap_or(u16::MAX) })?;
    if mark.swap(true, Ordering::AcqRel) {
        return Err(TakeQueueError::Taken { queue });
    }
    Ok(())
}

impl Running {
    fn control(&self) -> MutexGuard<'_, ()> {
        // Nothing is behind the lock that a panic could leave half changed.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_promiscuity(&self, promiscuity: Promiscuity) -> Result<(), PortError> {
        let _control = self.control();
        // SAFETY: the port is attached, and `control` keeps other control functions away.
        let code = unsafe {
            match promiscuity {
                Promiscuity::AllFrames => sys::rte_eth_promiscuous_enable(self.id),
                Promiscuity::OwnAddress => sys::rte_eth_promiscuous_disable(self.id),
            }
        };
        if promiscuity == Promiscuity::AllFrames && Errno::from_return(code).is(Number::ENOTSUP) {
            return Ok(());
        }
        self.device.check("set promiscuous mode", code)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: the port is started, and no queue of it exists any more: each holds a reference to this. `device` is
        // dropped, and with it closed, after this. There is nobody to tell of a failure.
        unsafe { sys::rte_eth_dev_stop(self.id) };
    }
}
