//! The ports of a router and their queues.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::net::if_::if_nametoindex;
use svpn_contract::wire::PortId;
use svpn_dpdk::{AttachedPort, Eal, Link, Pool, PoolConfig, Port, PortConfig, PortError, ReceiveSideScaling};

use super::links::Links;
use super::queues::Plan;
use super::{PortReport, QUEUE, RouterConfig, StartError};
use crate::entries::PortState;
use crate::fastpath::BURST;

/// A started port.
#[derive(Debug)]
pub(super) struct RunningPort {
    pub(super) number: PortId,
    pub(super) port: Port,
    pub(super) plan: Plan,
    /// Indices of the kernel's interfaces that it is built on.
    interfaces: Vec<u32>,
}

/// A port before it is started.
type Attached = (PortId, AttachedPort, Plan, PortConfig);

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
    let mut attached: Vec<Attached> = Vec::new();
    let mut interfaces = Vec::new();
    for setup in &config.ports {
        let port = setup.number;
        if attached.iter().any(|(other, ..)| *other == port) {
            return Err(StartError::DuplicatePort(port));
        }
        let device = AttachedPort::attach(eal, &setup.spec).map_err(|source| StartError::Attach { port, source })?;
        let failed = |source| StartError::Port { port, source };
        let (needed, buffer) = (config.longest_frame(), config.pool.frame_bytes);
        if needed > usize::from(buffer) && !device.sends_chains().map_err(failed)? {
            return Err(StartError::Buffers { port, needed, buffer });
        }
        let plan = Plan::new(&device, workers, config.distribution).map_err(failed)?;
        let port_config = PortConfig {
            rx_queues: plan.rx_queues,
            tx_queues: plan.tx_queues,
            mtu: setup.mtu,
            spreading: ReceiveSideScaling::FiveTuple,
            ..PortConfig::default()
        };
        // One that is gone by now has no index, and its port no link.
        interfaces.push(setup.spec.interfaces().map(|name| if_nametoindex(name).unwrap_or(0)).collect());
        attached.push((port, device, plan, port_config));
    }
    let pool = pool(config, &attached, workers, eal)?;
    let mut ports = Vec::new();
    for ((number, device, plan, port_config), interfaces) in attached.into_iter().zip(interfaces) {
        let port = device.start(&port_config, pool).map_err(|source| StartError::Port { port: number, source })?;
        plan.report(number, &port, workers);
        ports.push(RunningPort { number, port, plan, interfaces });
    }
    Ok((pool, ports))
}

/// Packet memory: what was asked for, and at least what all queues can hold at once.
fn pool(config: &RouterConfig, ports: &[Attached], workers: NonZeroU16, eal: Eal) -> Result<Pool, StartError> {
    static POOLS: AtomicU32 = AtomicU32::new(0);
    let in_queues = |plan: &Plan, port: &PortConfig| {
        let in_device =
            u32::from(port.rx_queues) * u32::from(port.rx_descriptors) + u32::from(port.tx_queues) * u32::from(port.tx_descriptors);
        in_device + plan.in_rings(workers)
    };
    let in_worker = config.pool.cache * 2 + u32::try_from(BURST * 2).unwrap_or_default();
    let in_ports: u32 = ports.iter().map(|(_, _, plan, port)| in_queues(plan, port)).sum();
    let least = in_ports + u32::from(workers.get()) * in_worker + u32::try_from(QUEUE).unwrap_or_default();
    // DPDK wants no two pools of one name in a process.
    let name = format!("svpn-packets-{}", POOLS.fetch_add(1, Ordering::Relaxed));
    Ok(Pool::new(eal, &name, PoolConfig { mbufs: config.pool.mbufs.max(least), ..config.pool })?)
}
