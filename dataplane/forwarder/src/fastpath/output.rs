//! Where the packets of a burst end.

use svpn_contract::Reason;
use svpn_contract::wire::PortId;
use svpn_dpdk::{Burst, Mbuf};

use super::BURST;
use super::packet::{NO_SESSION, Packet};

/// What has to be known of a packet if it is not sent after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
pub struct About {
    /// Bytes of the frame as received.
    pub(super) length: u32,
    /// The session that carried it, or [`NO_SESSION`].
    pub(super) session: u32,
}

impl About {
    /// A packet of so many bytes and of no session.
    pub(super) fn bytes(length: u32) -> Self {
        Self { length, session: NO_SESSION }
    }

    /// As a number that goes with the packet to the worker that sends it.
    pub(crate) fn to_tag(self) -> u64 {
        u64::from(self.session) << 32 | u64::from(self.length)
    }

    /// What such a number says.
    #[allow(clippy::cast_possible_truncation, reason = "the halves of the number")]
    pub(crate) fn from_tag(tag: u64) -> Self {
        Self { length: tag as u32, session: (tag >> 32) as u32 }
    }
}

/// A packet for the controller, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Punt {
    /// Where it came in, by the contract's number.
    pub port: u16,
    /// Why.
    pub reason: Reason,
    /// The VRF known by then.
    pub vrf: u16,
    /// What is counted if it does not get there.
    pub about: About,
}

/// Packets for one port.
#[derive(Debug)]
pub struct Outlet {
    /// The packets; send them from here.
    pub burst: Burst<BURST>,
    about: [About; BURST],
    filled: usize,
}

impl Outlet {
    /// What there is to know of the packets that are still in the burst, after those before them were sent.
    pub fn unsent(&self) -> &[About] {
        let first = self.filled.saturating_sub(self.burst.len());
        self.about.get(first..self.filled).unwrap_or_default()
    }

    /// Gives up the packets that are still there.
    pub fn clear(&mut self) {
        self.burst.clear();
        self.filled = 0;
    }
}

/// Packets for the controller.
#[derive(Debug)]
pub struct Punts {
    mbufs: Burst<BURST>,
    about: [Punt; BURST],
}

impl Punts {
    /// Takes all packets.
    pub fn drain(&mut self) -> impl Iterator<Item = (Mbuf, Punt)> + '_ {
        self.mbufs.drain().zip(self.about.iter().copied())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.mbufs.is_empty()
    }
}

/// Where the packets of a burst end. To be emptied before the next burst.
#[derive(Debug)]
pub struct Outputs {
    /// By the contract's number of a port, the index of its outlet.
    index: Box<[u16; PORTS]>,
    outlets: Box<[Outlet]>,
    /// For the controller.
    pub punts: Punts,
    dropped: Burst<BURST>,
}

/// Port numbers there can be.
const PORTS: usize = 1 << PortId::BITS;
const NO_OUTLET: u16 = u16::MAX;

impl Outputs {
    /// Outlets for these ports.
    pub fn new(ports: &[PortId]) -> Self {
        let mut index = Box::new([NO_OUTLET; PORTS]);
        for (outlet, port) in (0..).zip(ports) {
            index[usize::from(port.get())] = outlet;
        }
        let outlet = || Outlet { burst: Burst::new(), about: [About::bytes(0); BURST], filled: 0 };
        let nothing = Punt { port: 0, reason: Reason::None, vrf: 0, about: About::bytes(0) };
        Self {
            index,
            outlets: ports.iter().map(|_| outlet()).collect(),
            punts: Punts { mbufs: Burst::new(), about: [nothing; BURST] },
            dropped: Burst::new(),
        }
    }

    /// The outlets, in the order of the ports they were made for.
    pub fn outlets(&mut self) -> &mut [Outlet] {
        &mut self.outlets
    }

    /// Puts a packet into the outlet of a port; gives it back if there is no room.
    #[inline]
    pub(crate) fn send(&mut self, port: u16, mbuf: Mbuf, about: About) -> Result<(), Mbuf> {
        let outlet = self.index.get(usize::from(port)).copied().unwrap_or(NO_OUTLET);
        let Some(outlet) = self.outlets.get_mut(usize::from(outlet)) else { return Err(mbuf) };
        let place = outlet.burst.len();
        outlet.burst.push(mbuf)?;
        if let Some(place) = outlet.about.get_mut(place) {
            *place = about;
        }
        outlet.filled = place + 1;
        Ok(())
    }

    /// Puts all packets of a burst into the outlet of a port, whether there is one that is empty; otherwise does nothing.
    #[inline]
    pub(super) fn send_all(&mut self, port: u16, burst: &mut Burst<BURST>, packets: &[Packet; BURST]) -> bool {
        let outlet = self.index.get(usize::from(port)).copied().unwrap_or(NO_OUTLET);
        let Some(outlet) = self.outlets.get_mut(usize::from(outlet)).filter(|outlet| outlet.burst.is_empty()) else { return false };
        outlet.filled = burst.len();
        outlet.burst.fill_from(burst);
        for (place, packet) in outlet.about.iter_mut().zip(packets).take(outlet.filled) {
            *place = packet.about();
        }
        true
    }

    /// Keeps a packet for the controller; gives it back if there is no room.
    #[inline]
    pub(super) fn punt(&mut self, mbuf: Mbuf, punt: Punt) -> Result<(), Mbuf> {
        let place = self.punts.mbufs.len();
        self.punts.mbufs.push(mbuf)?;
        if let Some(about) = self.punts.about.get_mut(place) {
            *about = punt;
        }
        Ok(())
    }

    /// Keeps a packet to give it back to its pool with others.
    #[inline]
    pub(super) fn drop(&mut self, mbuf: Mbuf) {
        // Where there is no room for it it is given back at once.
        drop(self.dropped.push(mbuf));
    }

    /// Gives dropped packets back to their pools.
    #[inline]
    pub(super) fn free_dropped(&mut self) {
        self.dropped.clear();
    }
}
