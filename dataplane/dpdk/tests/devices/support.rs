//! What tests over a real EAL share. Each test is a process of its own (cargo-nextest), so each has its own EAL.

use svpn_dpdk::{AttachedPort, Eal, EalOptions, Pool, PoolConfig, Port, PortConfig, PortSpec};

/// The EAL as tests need it: no hugepages, no NIC, no trace in the file system.
pub(crate) fn eal() -> Eal {
    Eal::init(&EalOptions::virtual_devices(128)).expect("EAL starts")
}

/// A pool of 1023 buffers.
pub(crate) fn pool(eal: Eal, name: &str) -> Pool {
    Pool::new(eal, name, PoolConfig { mbufs: 1023, cache: 32, ..PoolConfig::default() }).expect("pool is made")
}

/// A running virtual port.
pub(crate) fn port(eal: Eal, spec: &str, config: &PortConfig, pool: Pool) -> Port {
    let spec = PortSpec::parse(spec).expect("a port");
    AttachedPort::attach(eal, &spec).expect("attaches").start(config, pool).expect("starts")
}

/// Fewer descriptors than the pool has buffers.
pub(crate) fn small() -> PortConfig {
    PortConfig { rx_descriptors: 256, tx_descriptors: 256, ..PortConfig::default() }
}
