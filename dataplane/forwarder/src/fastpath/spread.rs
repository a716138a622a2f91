//! Which of several workers gets a packet, where the device does not decide it.

use std::sync::Arc;

use svpn_contract::Reason;
use svpn_dpdk::Mbuf;

use super::packet::{First, Packet};
use super::{About, FastPath, count_drop, parse, selector};
use crate::tables::Tables;
use crate::tables::hash::Seed;

/// Chooses a worker for each packet by a hash of its inner 5-tuple, through labels: the packets of one flow go to one worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spreader(Seed);

impl Spreader {
    /// One that chooses independently of those with other seeds.
    pub(crate) fn new(seed: Seed) -> Self {
        Self(seed)
    }

    /// The number of the worker, below `workers`. What has no 5-tuple to be seen goes to one, the same always.
    #[inline]
    pub(crate) fn worker(&self, mbuf: &Mbuf, workers: usize) -> usize {
        // LLDP, and what is cut short: the controller's, or nobody's.
        let Some(Ok(ethernet)) = mbuf.window(0).map(|head| parse::ethernet(head, mbuf.len())) else { return 0 };
        let mut packet = Packet::new(super::length(mbuf));
        packet.start = ethernet.network;
        if ethernet.ethertype == parse::ETHERTYPE_MPLS {
            packet.first = First::Label;
        }
        let hash = selector::of_frame(mbuf.data(), &packet, self.0);
        // The workers' equal parts of all hashes.
        ((u64::from(hash) * workers as u64) >> u32::BITS).try_into().unwrap_or_default()
    }
}

impl FastPath {
    /// The tables that it reads.
    pub(crate) fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables)
    }

    /// Counts received packets that the worker they were for had no room for.
    pub(crate) fn not_handed_over(&mut self, packets: &[Mbuf]) {
        for mbuf in packets {
            count_drop(&mut self.counting, Reason::TransmitQueueFull, About::bytes(super::length(mbuf)));
        }
    }
}

#[cfg(test)]
mod tests {
    use svpn_dpdk::{Eal, EalOptions, Pool, PoolConfig};

    use super::*;

    fn pool() -> Pool {
        let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
        Pool::new(eal, "spread", PoolConfig { mbufs: 15, cache: 0, ..PoolConfig::default() }).unwrap()
    }

    /// An IPv4/UDP frame of a flow, behind these labels.
    fn frame(flow: u16, labels: &[u32]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend(if labels.is_empty() { [8, 0] } else { [0x88, 0x47] });
        for (index, label) in labels.iter().enumerate() {
            let bottom = u32::from(index + 1 == labels.len());
            frame.extend((label << 12 | bottom << 8 | 64).to_be_bytes());
        }
        frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1]);
        frame.extend(flow.to_be_bytes());
        frame.extend([15, 160, 0, 8, 0, 0]);
        frame
    }

    #[test]
    fn a_flow_has_one_worker_with_and_without_labels_and_flows_are_spread() {
        let (spreader, pool) = (Spreader::new(Seed::derive(3, 4)), pool());
        let chosen = |frame: &[u8], workers| spreader.worker(&pool.alloc_with(frame).unwrap(), workers);
        for workers in [1, 2, 3, 7, 255] {
            let mut count = vec![0_usize; workers];
            for flow in 0..20_000 {
                let worker = chosen(&frame(flow, &[]), workers);
                for labels in [&[16][..], &[1000, 17], &[1, 2, 3, 1_048_575]] {
                    assert_eq!(chosen(&frame(flow, labels), workers), worker);
                }
                count[worker] += 1;
            }
            let share = 20_000 / workers;
            assert!(count.iter().all(|&count| count * 2 > share && count < share * 2), "{count:?}");
        }
    }

    #[test]
    fn what_shows_no_flow_has_a_worker_too() {
        let (spreader, pool) = (Spreader::new(Seed::derive(3, 4)), pool());
        for length in 0..46 {
            assert!(spreader.worker(&pool.alloc_with(&frame(7, &[16])[..length]).unwrap(), 5) < 5);
        }
    }
}
