//! The ports of a router and their queues.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::net::if_::if_nametoindex;
use svpn_contract::wire::PortId;
use svpn_dpdk::{AttachedPort, Eal, Link, Pool, PoolConfig, Port, PortConfig, PortError, ReceiveSideScaling, RxQueue, TxQueue};

use super::links::Links;
use super::{PortReport, QUEUE, RouterConfig, StartError};
use crate::entries::PortState;
use crate::fastpath::BURST;

/// A started port.
#[derive(Debug)]
pub(super) struct RunningPort {
    pub(super) number: PortId,
    port: Port,
    /// As many as there are workers, or one.
    rx_queues: u16,
    /// Indices of the kernel's interfaces that it is built on.
    interfaces: Vec<u32>,
}

/// A worker's queues.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) rx: Vec<(PortId, RxQueue)>,
    /// One for each port, in the order of the ports.
    pub(crate) tx: Vec<TxQueue>,
}

impl RunningPort {
    /// Whether frames can leave, as device and kernel say. One that does not answer has no link.
    pub(super) fn state(&self, links: &mut Links) -> PortState {
        let device = matches!(self.port.link(), Ok(Link::Up { .. }));
        let up = device && self.interfaces.iter().all(|interface| matches!(links.state(*interface), Ok(PortState::Up)));
        if up { PortState::Up } else { PortState::Down }
    }

    pub(super) fn report(&self) -> Result<PortReport, PortError> {
        Ok(PortReport {
            number: self.number,
            device: self.port.name().to_owned(),
            link: self.port.link()?,
            statistics: self.port.statistics()?,
        })
    }
}

/// Attaches and starts all ports.
pub(super) fn start(config: &RouterConfig, workers: NonZeroU16, eal: Eal) -> Result<(Pool, Vec<RunningPort>), StartError> {
    let mut attached: Vec<(PortId, AttachedPort, PortConfig)> = Vec::new();
    let mut interfaces = Vec::new();
    for setup in &config.ports {
        let port = setup.number;
        if attached.iter().any(|(other, ..)| *other == port) {
            return Err(StartError::DuplicatePort(port));
        }
        let device = AttachedPort::attach(eal, &setup.spec).map_err(|source| StartError::Attach { port, source })?;
        let failed = |source| StartError::Port { port, source };
        let queues = device.max_tx_queues().map_err(failed)?;
        if queues < workers.get() {
            return Err(StartError::TransmitQueues { port, queues, workers: workers.get() });
        }
        // A queue for each worker, or the whole port to one of them.
        let rx_queues = if device.max_rx_queues().map_err(failed)? >= workers.get() { workers.get() } else { 1 };
        let port_config = PortConfig {
            rx_queues,
            tx_queues: workers.get(),
            mtu: setup.mtu,
            spreading: ReceiveSideScaling::FiveTuple,
            ..PortConfig::default()
        };
        // One that is gone by now has no index, and its port no link.
        interfaces.push(setup.spec.interfaces().map(|name| if_nametoindex(name).unwrap_or(0)).collect());
        attached.push((port, device, port_config));
    }
    let pool = pool(config, &attached, workers, eal)?;
    let mut ports = Vec::new();
    for ((number, device, port_config), interfaces) in attached.into_iter().zip(interfaces) {
        let port = device.start(&port_config, pool).map_err(|source| StartError::Port { port: number, source })?;
        ports.push(RunningPort { number, port, rx_queues: port_config.rx_queues, interfaces });
    }
    Ok((pool, ports))
}

/// Packet memory: what was asked for, and at least what all queues can hold at once.
fn pool(config: &RouterConfig, ports: &[(PortId, AttachedPort, PortConfig)], workers: NonZeroU16, eal: Eal) -> Result<Pool, StartError> {
    static POOLS: AtomicU32 = AtomicU32::new(0);
    let in_queues = |port: &PortConfig| {
        u32::from(port.rx_queues) * u32::from(port.rx_descriptors) + u32::from(port.tx_queues) * u32::from(port.tx_descriptors)
    };
    let in_worker = config.pool.cache * 2 + u32::try_from(BURST * 2).unwrap_or_default();
    let in_ports: u32 = ports.iter().map(|(_, _, port)| in_queues(port)).sum();
    let least = in_ports + u32::from(workers.get()) * in_worker + u32::try_from(QUEUE).unwrap_or_default();
    // DPDK wants no two pools of one name in a process.
    let name = format!("svpn-packets-{}", POOLS.fetch_add(1, Ordering::Relaxed));
    Ok(Pool::new(eal, &name, PoolConfig { mbufs: config.pool.mbufs.max(least), ..config.pool })?)
}

/// The queues of a worker.
pub(super) fn queues(ports: &mut [RunningPort], worker: u16, workers: NonZeroU16) -> Result<Queues, StartError> {
    let mut queues = Queues { rx: Vec::new(), tx: Vec::new() };
    for (index, port) in (0_u16..).zip(ports.iter()) {
        let failed = |source| StartError::Queue { port: port.number, source };
        queues.tx.push(port.port.take_tx_queue(worker).map_err(failed)?);
        if port.rx_queues == workers.get() {
            queues.rx.push((port.number, port.port.take_rx_queue(worker).map_err(failed)?));
        } else if index % workers.get() == worker {
            queues.rx.push((port.number, port.port.take_rx_queue(0).map_err(failed)?));
        }
    }
    Ok(queues)
}
