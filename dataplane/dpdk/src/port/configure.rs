//! Choosing what a device can do of what is wanted of it, and telling it.

use std::ffi::c_uint;

use svpn_dpdk_sys as sys;

use super::attach::{AttachedPort, Device};
use super::spec::DeviceKind;
use super::{PortConfig, PortError, ReceiveSideScaling, Spread};
use crate::pool::Pool;

/// Ethernet header and two VLAN tags.
const HEADER_BYTES: usize = 14 + 8;

impl AttachedPort {
    /// The best the device offers to spread packets over receive queues by.
    pub fn spread(&self) -> Result<Spread, PortError> {
        let offered = self.device().information()?.flow_type_rss_offloads;
        Ok(spreads(offered).last().map_or(Spread::DriverDefault, |(spread, _)| spread))
    }

    /// Whether the device sends frames that lie in several buffers.
    pub fn sends_chains(&self) -> Result<bool, PortError> {
        Ok(chains_unasked(self.device()) || self.device().information()?.tx_offload_capa & sys::SVPN_TX_OFFLOAD_MULTI_SEGS != 0)
    }
}

/// The ways to spread that a device offers, and the hash functions of each, the best last.
fn spreads(offered: u64) -> impl DoubleEndedIterator<Item = (Spread, u64)> {
    let tuple = offered & sys::SVPN_RSS_FIVE_TUPLE;
    let labels = offered & sys::SVPN_RSS_LABELS;
    // Two bits that are a number.
    let innermost = if offered & sys::SVPN_RSS_INNERMOST == sys::SVPN_RSS_INNERMOST { sys::SVPN_RSS_INNERMOST } else { 0 };
    [
        (Spread::FiveTuple, tuple != 0, tuple),
        (Spread::LabelsAndFiveTuple, tuple != 0 && labels != 0, tuple | labels),
        (Spread::InnerFiveTuple, tuple != 0 && innermost != 0, tuple | labels | innermost),
    ]
    .into_iter()
    .filter_map(|(spread, offered, hash)| offered.then_some((spread, hash)))
}

/// Checks `config` against what the device can do and gives it to the device; a driver that refuses a way to spread that it
/// offers is asked for the next best.
pub(super) fn configure(device: &Device, config: &PortConfig, pool: Pool) -> Result<Spread, PortError> {
    let info = device.information()?;
    check(device, config, &info)?;
    let mut wish = sys::rte_eth_conf::default();
    // 0 is the driver's choice.
    wish.rxmode.mtu = u32::from(config.mtu.filter(|mtu| takes_mtu(device, *mtu, &info)).unwrap_or(0));
    if largest_frame(device, config)? > pool.frame_bytes() {
        wish.rxmode.offloads = info.rx_offload_capa & sys::SVPN_RX_OFFLOAD_SCATTER;
    }
    wish.txmode.offloads = info.tx_offload_capa & sys::SVPN_TX_OFFLOAD_MULTI_SEGS;
    let give = |wish: &sys::rte_eth_conf| {
        // SAFETY: the port is attached and not started; `wish` is a whole rte_eth_conf, which is copied.
        let code = unsafe { sys::rte_eth_dev_configure(device.id(), config.rx_queues, config.tx_queues, wish) };
        device.check("configure", code)
    };
    if config.spreading == ReceiveSideScaling::FiveTuple && config.rx_queues > 1 {
        for (spread, hash) in spreads(info.flow_type_rss_offloads).rev() {
            wish.rxmode.mq_mode = sys::RTE_ETH_MQ_RX_RSS;
            wish.rx_adv_conf.rss_conf.rss_hf = hash;
            if give(&wish).is_ok() {
                return Ok(spread);
            }
        }
        wish.rxmode.mq_mode = sys::RTE_ETH_MQ_RX_NONE;
        wish.rx_adv_conf.rss_conf.rss_hf = 0;
    }
    give(&wish)?;
    Ok(Spread::DriverDefault)
}

/// Fails where the device cannot have so many queues, or such an MTU.
fn check(device: &Device, config: &PortConfig, info: &sys::rte_eth_dev_info) -> Result<(), PortError> {
    let name = || device.name().to_owned();
    if config.rx_queues == 0 || config.rx_queues > info.max_rx_queues {
        return Err(PortError::RxQueues { device: name(), asked: config.rx_queues, max: info.max_rx_queues });
    }
    if config.tx_queues == 0 || config.tx_queues > info.max_tx_queues {
        return Err(PortError::TxQueues { device: name(), asked: config.tx_queues, max: info.max_tx_queues });
    }
    match config.mtu {
        Some(asked) if !(info.min_mtu..=info.max_mtu).contains(&asked) => {
            Err(PortError::Mtu { device: name(), asked, min: info.min_mtu, max: info.max_mtu })
        }
        _ => Ok(()),
    }
}

/// Whether the device is to be told of the MTU. Drivers of the kernel's interfaces (`af_packet`, `tap`) name a largest frame of 1518 bytes, to
/// which ethdev holds them, and receive whatever the interface's own MTU lets through. (`tap` sends no more than 1522 in any case.)
fn takes_mtu(device: &Device, mtu: u16, info: &sys::rte_eth_dev_info) -> bool {
    /// Ethernet header and checksum, which ethdev counts.
    const OVERHEAD: u32 = 14 + 4;
    device.kind() != DeviceKind::Virtual || u32::from(mtu) + OVERHEAD <= info.max_rx_pktlen
}

/// Whether the driver receives into several buffers, and sends from them, without offering to: `pcap` does, where a frame needs it.
fn chains_unasked(device: &Device) -> bool {
    device.kind() == DeviceKind::Virtual && device.name().starts_with("net_pcap")
}

/// Bytes of the largest frame that may come.
fn largest_frame(device: &Device, config: &PortConfig) -> Result<usize, PortError> {
    Ok(usize::from(device.mtu()?.max(config.mtu.unwrap_or(0))) + HEADER_BYTES)
}

/// Sets up every queue of a configured device.
pub(super) fn set_up_queues(device: &Device, config: &PortConfig, pool: Pool) -> Result<(), PortError> {
    let id = device.id();
    let needed = largest_frame(device, config)?;
    let scatters = chains_unasked(device) || device.information()?.rx_offload_capa & sys::SVPN_RX_OFFLOAD_SCATTER != 0;
    if needed > pool.frame_bytes() && !scatters {
        return Err(PortError::Buffer { device: device.name().to_owned(), needed, buffer: pool.frame_bytes() });
    }
    let (mut rx_descriptors, mut tx_descriptors) = (config.rx_descriptors, config.tx_descriptors);
    // SAFETY: the port is configured; both pointers are to live integers, which are rounded to the device's limits.
    let code = unsafe { sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &raw mut rx_descriptors, &raw mut tx_descriptors) };
    device.check("adjust descriptors", code)?;
    // SAFETY: the port is attached. A negative answer means any NUMA node, and is SOCKET_ID_ANY as unsigned.
    let socket: c_uint = unsafe { sys::rte_eth_dev_socket_id(id) }.cast_unsigned();
    for queue in 0..config.rx_queues {
        // SAFETY: the port is configured with this queue and not started; a null configuration is the driver's default;
        // the pool is never freed.
        let code = unsafe { sys::rte_eth_rx_queue_setup(id, queue, rx_descriptors, socket, std::ptr::null(), pool.as_ptr()) };
        device.check("set up receive queue", code)?;
    }
    for queue in 0..config.tx_queues {
        // SAFETY: as above.
        let code = unsafe { sys::rte_eth_tx_queue_setup(id, queue, tx_descriptors, socket, std::ptr::null()) };
        device.check("set up transmit queue", code)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(bits: &[u64]) -> Vec<(Spread, u64)> {
        spreads(bits.iter().fold(0, |all, bit| all | bit)).collect()
    }

    #[test]
    fn a_device_is_asked_for_the_best_it_offers_and_nothing_else() {
        let (tuple, labels, innermost) = (sys::SVPN_RSS_FIVE_TUPLE, sys::SVPN_RSS_LABELS, sys::SVPN_RSS_INNERMOST);
        let udp = tuple & !(tuple - 1);
        assert!(offered(&[]).is_empty());
        assert!(offered(&[labels, innermost]).is_empty());
        assert_eq!(offered(&[udp, 1 << 63]), [(Spread::FiveTuple, udp)]);
        assert_eq!(offered(&[tuple, labels]), [(Spread::FiveTuple, tuple), (Spread::LabelsAndFiveTuple, tuple | labels)]);
        assert_eq!(offered(&[tuple, innermost]).last(), Some(&(Spread::InnerFiveTuple, tuple | innermost)));
        let all = offered(&[tuple, labels, innermost]);
        assert_eq!(all.len(), 3);
        assert!(all.is_sorted());
        assert_eq!(all[2].1, tuple | labels | innermost);
    }
}
