//! The pipeline: one burst, read top to bottom.
//!
//! Passes over the burst, each a tight loop over those of its packets that a stage has to do with, so that memory fetched for one packet
//! arrives while others are worked on. [`FastPath::process`] calls them in packet order, a stage a file:
//!
//! 1. *Classify*, all packets: Ethernet, `attachment` and `station`, ARP, the checks of an IP header.
//! 2. *Look up*: `gre_ingress_v4` and `gre_ingress_v6`; `ilm`; `flow_v4`, `flow_v6` and their ACLs; `session`; `route_v4` and
//!    `route_v6`, a level of all packets at a time; `tunnel`; `nexthop`.
//! 3. *Finish*, all packets in the order they came: rewrites the frame and puts it where it goes.
//!
//! A pass takes its packets from a list ([`packet::Batch`]) and puts each into the list of a later pass, having fetched what that one
//! will read, or stops it with a reason. What a packet carries from pass to pass is one cache line ([`packet::Packet`]). A stage is
//! added as a list, a pass that works it off, and those that put packets into it. A pass is out of line (`#[inline(never)]`), so that its loop
//! has all registers; so is what happens to few packets (`#[cold]`), which then costs the others nothing.
//!
//! A frame is changed last, when nothing can stop it any more, so what goes to the controller goes as it was received: passes only note
//! where the rest of the frame begins ([`packet::Packet::start`]), which four bytes of it change ([`packet::Packet::word`]) and what is
//! put in front.
//!
//! Headers lie in the first segment of a packet. They are read and written through windows of constant size
//! ([`svpn_dpdk::Mbuf::window`]), whose bounds are checked once; what a window shows beyond the frame's end means nothing, so lengths
//! are compared first.
//!
//! Every frame of a burst ends in [`Outputs`] as one of output, punt or drop. The clock is read by the caller, once for a burst. Nothing
//! here takes a lock, allocates, logs, panics or calls the system.

mod arp;
mod attachment;
mod delivery;
mod flow;
mod gre;
mod ilm;
mod ip;
mod ipv6;
mod marking;
mod nexthop;
mod output;
mod packet;
mod parse;
mod policer;
mod route;
mod selector;
mod session;
mod spread;
mod tunnel;

use std::sync::Arc;

use svpn_contract::Reason;
use svpn_contract::wire::PortId;
use svpn_dpdk::{Burst, Mbuf, Online, Published, Reader};

use crate::entries::WorkerEnd;
use crate::tables::Tables;
use crate::tables::counters::Counting;
use crate::tables::label::LabelMap;
use crate::tables::small::{Side, SmallTables};
use attachment::Ingress;
pub use output::{About, Outlet, Outputs, Punt, Punts};
use packet::{Batch, Fate, LABELS, NO_DELIVERY, NO_SESSION, Packet};
pub(crate) use spread::Spreader;

/// Most packets of a burst.
pub const BURST: usize = 64;
/// Bytes at the start of a frame in which all headers lie that are looked at or changed: Ethernet and two tags, the longest IPv4 header, GRE,
/// four labels, another longest header and its ports are 190.
const HEADERS: usize = 256;

/// One worker's pipeline.
#[derive(Debug)]
pub struct FastPath {
    tables: Arc<Tables>,
    small: Published<SmallTables>,
    labels: Arc<LabelMap>,
    counting: Counting,
    batch: Box<Batch>,
}

/// The tables, for one burst.
#[derive(Clone, Copy)]
struct View<'a> {
    tables: &'a Tables,
    small: &'a SmallTables,
    labels: &'a LabelMap,
    /// The moment it is, for meters.
    now: u64,
}

/// The first reason that is a drop; those of punts are below.
const FIRST_DROP: u8 = 32;

impl FastPath {
    /// A worker's pipeline, and the reader that is to be online while it runs.
    pub fn new(end: WorkerEnd) -> (Self, Reader) {
        let fastpath = Self {
            tables: end.tables,
            small: end.small,
            labels: end.own.labels,
            counting: Counting::new(end.own.counters),
            batch: Box::new(Batch::new()),
        };
        (fastpath, end.reader)
    }

    /// Takes all packets of a burst, which were received on `port`, through the pipeline. `now` is the clock's reading, in ticks.
    ///
    /// # Panics
    /// If `online` is not of the reader made with this pipeline.
    #[inline]
    pub fn process(&mut self, online: &Online<'_>, burst: &mut Burst<BURST>, port: PortId, now: u64, out: &mut Outputs) {
        let now = self.tables.timebase.moment(now);
        let view = &View { tables: &self.tables, small: self.small.read(online), labels: &self.labels, now };
        let port = port.get();
        let (batch, counting) = (&mut *self.batch, &mut self.counting);

        batch.clear();
        classify_all(batch, burst, port, view);
        gre::terminate(batch, burst, view);
        ilm::look_up(batch, burst, view);
        flow::look_up(batch, view, counting);
        session::carry(batch, view, counting);
        route::search(batch, view);
        tunnel::choose(batch, view, counting);
        tunnel::enter(batch, view);
        nexthop::choose(batch, burst, view);
        finish_all(batch, burst, port, view, counting, out);
        out.free_dropped();
    }

    /// Counts packets that a transmit queue did not take.
    pub fn not_transmitted(&mut self, packets: &[About]) {
        for about in packets {
            count_drop(&mut self.counting, Reason::TransmitQueueFull, *about);
        }
    }

    /// Counts a packet that the way to the controller had no room for. That it does not leave by a port was counted before.
    pub fn not_punted(&mut self, about: About) {
        count_drop(&mut self.counting, Reason::PuntQueueFull, About { session: NO_SESSION, ..about });
    }

    /// Counts a frame of the controller's for which there was no packet buffer.
    pub(crate) fn no_buffer(&mut self, bytes: usize) {
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        count_drop(&mut self.counting, Reason::TransmitQueueFull, About::bytes(length));
    }

    /// Puts a frame of the controller's into the outlet of a port, or counts why not.
    pub(crate) fn send(&mut self, port: PortId, mbuf: Mbuf, out: &mut Outputs) {
        let about = About::bytes(length(&mbuf));
        if !self.tables.up.contains(port.get()) {
            count_drop(&mut self.counting, Reason::PortUnavailable, about);
        } else if out.send(port.get(), mbuf, about).is_err() {
            count_drop(&mut self.counting, Reason::TransmitQueueFull, about);
        }
    }
}

/// Bytes of a frame over all its segments.
#[inline]
fn length(mbuf: &Mbuf) -> u32 {
    u32::try_from(mbuf.total_len()).unwrap_or(u32::MAX)
}

/// First pass: puts every packet into the list of the table that is next.
#[inline(never)]
fn classify_all(batch: &mut Batch, burst: &mut Burst<BURST>, port: u16, view: &View<'_>) {
    let mut ingress = Ingress::new(port, view.small);
    // What says where frames are, then frames.
    burst.iter().for_each(Mbuf::prefetch);
    burst.iter().for_each(Mbuf::prefetch_data);
    for index in 0..burst.len() {
        let Some(mbuf) = burst.get_mut(index) else { break };
        if mbuf.is_chained() {
            gather(mbuf);
        }
        if let Err(reason) = classify(index, mbuf, batch, &mut ingress, view) {
            batch.packets[index % BURST].stop(reason);
        }
    }
}

/// Brings the headers together that lie in several segments.
#[cold]
fn gather(mbuf: &mut Mbuf) {
    // Where the first segment's buffer is too small for it, they count as cut short.
    let _ = mbuf.gather(HEADERS);
}

#[inline]
fn classify(index: usize, mbuf: &Mbuf, batch: &mut Batch, ingress: &mut Ingress<'_>, view: &View<'_>) -> Result<(), Reason> {
    let packet = &mut batch.packets[index % BURST];
    *packet = Packet::new(length(mbuf));
    // A buffer has room for it.
    let head = mbuf.window(0).ok_or(Reason::FrameTruncated)?;
    let ethernet = parse::ethernet(head, mbuf.len())?;
    packet.network = ethernet.network;
    packet.start = ethernet.network;
    let side = ingress.side(ethernet.vlans)?;
    if let Side::Attachment(vrf) = side {
        packet.vrf = vrf;
    }
    match ethernet.ethertype {
        parse::ETHERTYPE_ARP => return arp::classify(mbuf.data(), ethernet, packet, ingress.port, view),
        parse::ETHERTYPE_IPV6 if ipv6::is_neighbour_discovery(head, ethernet, mbuf.len()) => return Err(Reason::Nd),
        _ => {}
    }
    ingress.station(head)?;
    match ethernet.ethertype {
        parse::ETHERTYPE_MPLS => {
            ilm::classify(mbuf, head, packet, side, view)?;
            batch.ilm.push(index);
        }
        parse::ETHERTYPE_IPV4 => {
            let window = head.get(usize::from(packet.start)..).and_then(<[u8]>::first_chunk);
            ip::check(mbuf, window.ok_or(Reason::IpTruncated)?, packet, u8::MAX)?;
            if side == Side::Core {
                gre::classify(index, mbuf, batch, ip::Version::V4, view);
            } else {
                let hash = view.tables.flow_v4.hash(packet.key);
                view.tables.flow_v4.prefetch(hash);
                batch.hashes[index % BURST] = hash;
                batch.flows.push(index);
            }
        }
        parse::ETHERTYPE_IPV6 => {
            let key = ipv6::check(mbuf, packet, u8::MAX)?;
            batch.keys_v6[index % BURST] = key;
            if side == Side::Core {
                gre::classify(index, mbuf, batch, ip::Version::V6, view);
            } else {
                let hash = view.tables.flow_v6.hash(key);
                view.tables.flow_v6.prefetch(hash);
                batch.hashes[index % BURST] = hash;
                batch.flows_v6.push(index);
            }
        }
        _ => return Err(Reason::UnknownEthertype),
    }
    Ok(())
}

/// Last pass, in the order the packets came.
#[inline(never)]
fn finish_all(batch: &Batch, burst: &mut Burst<BURST>, port: u16, view: &View<'_>, counting: &mut Counting, out: &mut Outputs) {
    for ((mbuf, packet), labels) in burst.drain().zip(&batch.packets).zip(&batch.labels) {
        finish(mbuf, packet, *labels, port, view, counting, out);
    }
}

/// Puts a packet where it goes, into the outlet of its port, to the controller, or nowhere.
#[inline]
fn finish(mut mbuf: Mbuf, packet: &Packet, labels: [u32; LABELS], port: u16, view: &View<'_>, counting: &mut Counting, out: &mut Outputs) {
    let about = About { length: packet.length, session: packet.session };
    let left = match packet.fate {
        Fate::Leave if packet.delivery != NO_DELIVERY => delivery::leave(&mut mbuf, packet, labels[LABELS - 1], view),
        Fate::Leave => nexthop::leave(&mut mbuf, packet, labels, view),
        Fate::Answer => arp::answer(&mut mbuf, port, view),
        Fate::Stop(reason) => Err(reason),
    };
    match left {
        Ok(port) => {
            if let Err(mbuf) = out.send(port, mbuf, about) {
                stop(mbuf, Punt { port, reason: Reason::TransmitQueueFull, vrf: packet.vrf, about }, view, counting, out);
            }
        }
        Err(reason) => stop(mbuf, Punt { port, reason, vrf: packet.vrf, about }, view, counting, out),
    }
}

/// Punts or drops a packet.
#[inline(never)]
fn stop(mbuf: Mbuf, punt: Punt, view: &View<'_>, counting: &mut Counting, out: &mut Outputs) {
    let about = punt.about;
    let dropped = if punt.reason as u8 >= FIRST_DROP { Some(punt.reason) } else { policer::punt(punt.reason, view) };
    if let Some(reason) = dropped {
        count_drop(counting, reason, about);
        out.drop(mbuf);
        return;
    }
    if about.session != NO_SESSION {
        counting.session_discard(about.session, about.length);
    }
    if let Err(mbuf) = out.punt(mbuf, punt) {
        count_drop(counting, Reason::PuntQueueFull, About { session: NO_SESSION, ..about });
        out.drop(mbuf);
    }
}

/// Counts a drop, and that its session's packet did not leave.
fn count_drop(counting: &mut Counting, reason: Reason, about: About) {
    counting.drop(reason, about.length);
    if about.session != NO_SESSION {
        counting.session_discard(about.session, about.length);
    }
}
