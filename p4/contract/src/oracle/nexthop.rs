//! `nexthop`: how a packet leaves.

use super::frame::{self, be16};
use super::ip::{IPV4_HEADER, IPV6_HEADER};
use super::{Link, Sent, Stop, Walk};
use crate::tables::{Entry, NexthopAction, NexthopKey, Reason};
use crate::wire::{NextHopId, PortId};

/// What leaves, behind Ethernet and tags.
pub(super) struct Packet {
    pub(super) ethertype: u16,
    pub(super) bytes: Vec<u8>,
}

/// What is too big: the controller tells the sender if the packet must not be fragmented on its way (RFC 1191, RFC 8200 section 5).
fn too_big(seen: Option<&[u8]>) -> Stop {
    let dont_fragment = seen.is_some_and(|packet| match packet.first().map(|first| first >> 4) {
        Some(4) => packet.len() >= IPV4_HEADER && be16(packet, 6) & 0x4000 != 0,
        Some(6) => packet.len() >= IPV6_HEADER,
        _ => false,
    });
    if dont_fragment { Stop::Punt(Reason::TooBig) } else { Stop::Drop(Reason::TooBigDrop) }
}

impl Walk<'_> {
    /// Sends a packet to a next hop. `seen` is the IP packet that it is or carries, before anything was put before it.
    pub(super) fn nexthop(&mut self, seen: Option<&[u8]>, nexthop: NextHopId, packet: &Packet) -> Result<Sent, Stop> {
        let key = NexthopKey { nexthop }.into();
        let missing = Stop::Drop(Reason::NoNexthop);
        let Some(Entry::Nexthop(entry)) = self.oracle.tables.find(&key) else { return Err(missing) };
        let NexthopAction::Rewrite { port, src_mac, dst_mac, vlan, inner_vlan, mtu } = self.choose(key, &entry.action).ok_or(missing)?;
        if packet.bytes.len() > usize::from(mtu.get()) {
            return Err(too_big(seen));
        }
        self.depart(port, frame::write(dst_mac, src_mac, vlan, inner_vlan, packet.ethertype, &packet.bytes))
    }

    pub(super) fn depart(&self, port: PortId, frame: Vec<u8>) -> Result<Sent, Stop> {
        match self.oracle.links.get(&port) {
            Some(Link::Up) => Ok(Sent { port, frame }),
            Some(Link::Down) | None => Err(Stop::Drop(Reason::PortUnavailable)),
        }
    }
}
