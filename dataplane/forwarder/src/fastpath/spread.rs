//! Which of several workers gets a packet, where the device does not decide it.

use std::sync::Arc;

use svpn_contract::Reason;
use svpn_contract::wire::PortId;
use svpn_dpdk::{Mbuf, Online};

use super::ip::{self, Version};
use super::packet::{First, Packet};
use super::parse::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, Ethernet, be16, be64};
use super::{About, FastPath, count_drop, gre, ipv6, selector};
use crate::tables::Tables;
use crate::tables::gre_ingress::{key_v4, key_v6};
use crate::tables::hash::Seed;
use crate::tables::small::{Side, SmallTables};

/// Chooses a worker for each packet by a hash of its inner 5-tuple, through labels and GRE that ends here: the packets of one flow go to one
/// worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spreader(Seed);

impl Spreader {
    /// One that chooses independently of those with other seeds.
    pub(crate) fn new(seed: Seed) -> Self {
        Self(seed)
    }

    /// The number of the worker, below `workers`. What has no 5-tuple to be seen goes to one, the same always.
    #[inline]
    pub(crate) fn worker(&self, mbuf: &Mbuf, workers: usize, ends: &TunnelEnds<'_>) -> usize {
        // LLDP, and what is cut short: the controller's, or nobody's.
        let Some(Ok(ethernet)) = mbuf.window(0).map(|head| parse::ethernet(head, mbuf.len())) else { return 0 };
        let mut packet = Packet::new(super::length(mbuf));
        packet.start = ethernet.network;
        if ethernet.ethertype == ETHERTYPE_MPLS {
            packet.first = First::Label;
        } else if is_gre(mbuf.data(), ethernet) {
            ends.look_into(mbuf.data(), ethernet, &mut packet);
        }
        let hash = selector::of_frame(mbuf.data(), &packet, self.0);
        // The workers' equal parts of all hashes.
        ((u64::from(hash) * workers as u64) >> u32::BITS).try_into().unwrap_or_default()
    }
}

/// Whether a packet is GRE.
#[inline]
fn is_gre(frame: &[u8], ethernet: Ethernet) -> bool {
    let at = match ethernet.ethertype {
        ETHERTYPE_IPV4 => 9,
        ETHERTYPE_IPV6 => 6,
        _ => return false,
    };
    frame.get(usize::from(ethernet.network) + at) == Some(&ip::GRE)
}

/// What says which GRE tunnels end here, for the packets of one port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TunnelEnds<'a> {
    tables: &'a Tables,
    small: &'a SmallTables,
    port: u16,
}

impl TunnelEnds<'_> {
    /// Lets a GRE packet begin with what it carries, if it is taken out here. GRE of others is one flow, whatever it carries.
    #[cold]
    fn look_into(&self, frame: &[u8], ethernet: Ethernet, packet: &mut Packet) {
        let side = self.small.attachment(self.port, ethernet.outer_vlan(), ethernet.inner_vlan());
        if side == Some(Side::Core)
            && let Some((start, protocol)) = self.payload(frame, ethernet.ethertype, packet)
        {
            packet.start = start;
            packet.first = if protocol == ETHERTYPE_MPLS { First::Label } else { First::Ip };
        }
    }

    /// Where what a GRE packet for us carries begins, and of which protocol it is.
    fn payload(&self, frame: &[u8], ethertype: u16, packet: &mut Packet) -> Option<(u16, u16)> {
        let start = usize::from(packet.start);
        if ethertype == ETHERTYPE_IPV4 {
            packet.bytes = be16(frame, start + 2)?;
            let header = gre::read(frame, packet, Version::V4);
            let (key, table) = (key_v4(be64(frame, start + 12)?, header.key), &self.tables.gre_ingress_v4);
            table.find(&key, table.hash(&key))?;
            return header.payload;
        }
        packet.bytes = be16(frame, start + 4)?.saturating_add(u16::try_from(ipv6::HEADER).ok()?);
        let header = gre::read(frame, packet, Version::V6);
        let word = |index: usize| be64(frame, start + 8 * (index + 1));
        let (key, table) = (key_v6([word(0)?, word(1)?, word(2)?, word(3)?], header.key), &self.tables.gre_ingress_v6);
        table.find(&key, table.hash(&key))?;
        header.payload
    }
}

impl FastPath {
    /// What says which GRE tunnels end here, for the packets of a port.
    ///
    /// # Panics
    /// As [`FastPath::process`].
    pub(crate) fn tunnel_ends<'a>(&'a self, online: &'a Online<'_>, port: PortId) -> TunnelEnds<'a> {
        TunnelEnds { tables: &self.tables, small: self.small.read(online), port: port.get() }
    }

    /// The tables that it reads.
    pub(crate) fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables)
    }

    /// Counts received packets that the worker they were for had no room for.
    pub(crate) fn not_handed_over(&mut self, packets: &[Mbuf]) {
        for mbuf in packets {
            count_drop(&mut self.counting, Reason::WorkerQueueFull, About::bytes(super::length(mbuf)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::num::{NonZeroU16, NonZeroU64};

    use svpn_contract::wire::{GreKey, VlanId, VrfId};
    use svpn_contract::{
        AttachmentAction, AttachmentEntry, AttachmentKey, Entry, GreIngressV4Action, GreIngressV4Entry, GreIngressV4Key,
        GreIngressV6Action, GreIngressV6Entry, GreIngressV6Key, Update,
    };
    use svpn_dpdk::{Eal, EalOptions, Pool, PoolConfig, Reader};

    use super::*;
    use crate::entries::{Clock, EntriesConfig};
    use crate::{Entries, TableSizes};

    const KEY: u32 = 7;
    const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const DESTINATION: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    fn port(number: u16) -> PortId {
        PortId::new(number).unwrap()
    }

    /// Port 1 is a circuit, port 2 the core's; labels over IPv4 and IP over IPv6 end here.
    fn router() -> (Entries, FastPath, Reader) {
        let sizes = TableSizes { flow_v4: 16, session: 16, route_v4: 16, tunnel: 16, ilm: 16, nexthop: 16, ..TableSizes::default() };
        let clock = Clock { hertz: NonZeroU64::MIN, now: || 0 };
        let (mut entries, mut ends) = Entries::new(&EntriesConfig { sizes, workers: NonZeroU16::MIN, seed: 1, clock }).unwrap();
        let vrf = VrfId::new(1).unwrap();
        let attachment = |number, action| AttachmentEntry {
            key: AttachmentKey { port: port(number), vlan: VlanId::default(), inner_vlan: VlanId::default() },
            action,
        };
        let key = GreKey::new(KEY).unwrap();
        let (v4, v6) =
            (GreIngressV4Key { src: SOURCE, dst: DESTINATION, key }, GreIngressV6Key { src: v6(SOURCE), dst: v6(DESTINATION), key });
        let new: [Entry; 4] = [
            attachment(1, AttachmentAction::ToVrf { vrf }).into(),
            attachment(2, AttachmentAction::ToCore).into(),
            GreIngressV4Entry { key: v4, action: GreIngressV4Action::DecapMpls }.into(),
            GreIngressV6Entry { key: v6, action: GreIngressV6Action::DecapVrf { vrf } }.into(),
        ];
        for entry in new {
            entries.apply(&Update::Insert(entry)).unwrap();
        }
        entries.publish();
        let (fastpath, reader) = FastPath::new(ends.pop().unwrap());
        (entries, fastpath, reader)
    }

    fn v6(address: Ipv4Addr) -> Ipv6Addr {
        address.to_ipv6_mapped()
    }

    /// A frame's content behind Ethernet, in GRE with this key over IPv4.
    fn in_gre_v4(frame: &[u8], key: u32) -> Vec<u8> {
        let total = u16::try_from(20 + 8 + frame.len() - 14).unwrap();
        let mut delivery = [&[0; 12][..], &[8, 0, 0x45, 0], &total.to_be_bytes(), &[0, 0, 0x40, 0, 64, 47, 0, 0]].concat();
        delivery.extend(SOURCE.octets().into_iter().chain(DESTINATION.octets()));
        carry(delivery, frame, key)
    }

    /// The same over IPv6.
    fn in_gre_v6(frame: &[u8], key: u32) -> Vec<u8> {
        let payload = u16::try_from(8 + frame.len() - 14).unwrap();
        let mut delivery = [&[0; 12][..], &[0x86, 0xdd, 0x60, 0, 0, 0], &payload.to_be_bytes(), &[47, 64]].concat();
        delivery.extend(v6(SOURCE).octets().into_iter().chain(v6(DESTINATION).octets()));
        carry(delivery, frame, key)
    }

    fn carry(mut delivery: Vec<u8>, frame: &[u8], key: u32) -> Vec<u8> {
        delivery.extend([0x20, 0, frame[12], frame[13]].into_iter().chain(key.to_be_bytes()));
        delivery.extend(&frame[14..]);
        delivery
    }

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
        let (_entries, fastpath, mut reader) = router();
        let online = reader.online();
        let ends = fastpath.tunnel_ends(&online, port(2));
        let chosen = |frame: &[u8], workers| spreader.worker(&pool.alloc_with(frame).unwrap(), workers, &ends);
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
        let (_entries, fastpath, mut reader) = router();
        let online = reader.online();
        let ends = fastpath.tunnel_ends(&online, port(2));
        for frame in [frame(7, &[16]), in_gre_v4(&frame(7, &[16]), KEY), in_gre_v6(&frame(7, &[]), KEY)] {
            for length in 0..frame.len() {
                assert!(spreader.worker(&pool.alloc_with(&frame[..length]).unwrap(), 5, &ends) < 5);
            }
        }
    }

    /// GRE that ends here is as many flows as it carries; that of others, a customer's with our addresses too, is one.
    #[test]
    fn gre_that_ends_here_is_looked_through_and_no_other() {
        let (spreader, pool) = (Spreader::new(Seed::derive(3, 4)), pool());
        let (_entries, fastpath, mut reader) = router();
        let online = reader.online();
        let chosen = |frame: &[u8], number| {
            let ends = fastpath.tunnel_ends(&online, port(number));
            spreader.worker(&pool.alloc_with(frame).unwrap(), 16, &ends)
        };
        for flow in 0..1000 {
            let plain = chosen(&frame(flow, &[]), 2);
            assert_eq!(chosen(&in_gre_v4(&frame(flow, &[16, 17]), KEY), 2), plain);
            assert_eq!(chosen(&in_gre_v6(&frame(flow, &[]), KEY), 2), plain);
        }
        let others = |frame: fn(u16) -> Vec<u8>, number| {
            let first = chosen(&frame(0), number);
            assert!((1..1000).all(|flow| chosen(&frame(flow), number) == first));
        };
        for number in [1, 2] {
            others(|flow| in_gre_v4(&frame(flow, &[16]), KEY + 1), number);
            others(|flow| in_gre_v6(&frame(flow, &[]), 0), number);
        }
        others(|flow| in_gre_v4(&frame(flow, &[16]), KEY), 1);
        others(|flow| in_gre_v6(&frame(flow, &[]), KEY), 1);
    }
}
