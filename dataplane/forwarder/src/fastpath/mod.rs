//! The pipeline: one burst, read top to bottom.
//!
//! Passes over the burst, each a tight loop over those of its packets that a stage has to do with, so that memory fetched for one packet
//! arrives while others are worked on. [`FastPath::process`] calls them in packet order, a stage a file:
//!
//! 1. *Classify*, all packets: Ethernet, `attachment` and `station`, ARP, the checks of an IP header.
//! 2. *Look up*: `gre_ingress_v4` and `gre_ingress_v6`; `ilm`; `flow_v4`, `flow_v6` and their ACLs; `session`; `route_v4` and
//!    `route_v6`, a level of all packets at a time. What finds a tunnel or a next hop chooses its member and fetches it. Where a label is
//!    replaced and there are no tags, before or after, the frame is rewritten there.
//! 3. *Finish*, all packets in the order they came: the `tunnel`'s labels or delivery header, the `nexthop`'s Ethernet; rewrites the frame and
//!    puts it where it goes.
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
use crate::tables::group::GroupView;
use crate::tables::label::LabelMap;
use crate::tables::small::{Side, SmallTables};
use crate::tables::tunnel::pair;
use attachment::Ingress;
pub use output::{About, Outlet, Outputs, Punt, Punts};
use packet::{Batch, Fate, NO_SESSION, Packet};
use parse::{ETHERNET, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, HEAD, Place};
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
    /// Of the tables, nearer by.
    tunnels: GroupView<'a>,
    nexthops: GroupView<'a>,
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
        let (tunnels, nexthops) = (self.tables.tunnel.view(), self.tables.nexthop.view());
        let view = &View { tables: &self.tables, small: self.small.read(online), labels: &self.labels, tunnels, nexthops, now };
        let port = port.get();
        let (batch, counting) = (&mut *self.batch, &mut self.counting);

        batch.clear();
        classify_all(batch, burst, port, view);
        gre::terminate(batch, burst, view);
        ilm::look_up(batch, burst, view);
        flow::look_up(batch, view, counting);
        session::carry(batch, view, counting);
        route::search(batch, burst, view, counting);
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
    let ingress = Ingress::new(port, view.small);
    // What says where frames are, then frames.
    burst.iter().for_each(Mbuf::prefetch);
    burst.iter().for_each(Mbuf::prefetch_data);
    let core = |index, mbuf: &Mbuf, head: &[u8; HEAD], batch: &mut Batch| classify_core(index, mbuf, head, batch, view);
    let customer =
        |vrf| move |index, mbuf: &Mbuf, head: &[u8; HEAD], batch: &mut Batch| classify_customer(index, mbuf, head, vrf, batch, view);
    match ingress.untagged() {
        Some(Side::Core) => classify_each(batch, burst, ingress, view, core),
        Some(Side::Attachment(vrf)) => classify_each(batch, burst, ingress, view, customer(vrf)),
        None => classify_each(batch, burst, ingress, view, |_, _, _, _| false),
    }
}

/// Classifies a burst: frames as most are by `plainly`, which says whether a frame was such; if not, nothing has changed.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
fn classify_each(
    batch: &mut Batch,
    burst: &mut Burst<BURST>,
    mut ingress: Ingress<'_>,
    view: &View<'_>,
    plainly: impl Fn(usize, &Mbuf, &[u8; HEAD], &mut Batch) -> bool,
) {
    for (index, mbuf) in burst.iter_mut().enumerate() {
        // In one segment, for the address that the last was for.
        if let Some(head) = mbuf.window(0)
            && mbuf.len() == mbuf.total_len()
            && ingress.is_as_last(head)
            && plainly(index, mbuf, head, batch)
        {
            continue;
        }
        if let Err(reason) = classify_other(index, mbuf, batch, &mut ingress, view) {
            batch.packets[index % BURST].stop(reason);
        }
    }
}

/// An untagged frame from the core that is as most are: a label of those to be looked up, or IPv4.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
fn classify_core(index: usize, mbuf: &Mbuf, head: &[u8; HEAD], batch: &mut Batch, view: &View<'_>) -> bool {
    match parse::ethertype(head) {
        ETHERTYPE_MPLS => {
            let packet = ilm::read_plainly(mbuf, head, view);
            if let Some(packet) = packet {
                batch.packets[index % BURST] = packet;
                batch.ilm.push(index);
            }
            packet.is_some()
        }
        ETHERTYPE_IPV4 => {
            let packet = read_ipv4(mbuf, head, 0);
            if let Some(packet) = packet {
                batch.packets[index % BURST] = packet;
                gre::classify(index, mbuf, batch, ip::Version::V4, view);
            }
            packet.is_some()
        }
        _ => false,
    }
}

/// An untagged frame of a customer's that is as most are: IPv4.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
fn classify_customer(index: usize, mbuf: &Mbuf, head: &[u8; HEAD], vrf: u16, batch: &mut Batch, view: &View<'_>) -> bool {
    let packet = if parse::ethertype(head) == ETHERTYPE_IPV4 { read_ipv4(mbuf, head, vrf) } else { None };
    if let Some(packet) = packet {
        let hash = view.tables.flow_v4.hash(packet.key);
        view.tables.flow_v4.prefetch(hash);
        batch.packets[index % BURST] = packet;
        batch.hashes[index % BURST] = hash;
        batch.flows.push(index);
    }
    packet.is_some()
}

/// An untagged frame of a plain IPv4 packet.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
fn read_ipv4(mbuf: &Mbuf, head: &[u8; HEAD], vrf: u16) -> Option<Packet> {
    let mut packet = Packet { vrf, start: parse::UNTAGGED.network, ..Packet::new(length(mbuf)) };
    let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, rest @ ..] = head;
    let available = mbuf.len().checked_sub(ETHERNET)?;
    ip::read_plainly(rest.first_chunk()?, available, &mut packet, u8::MAX).then_some(packet)
}

/// Brings the headers together that lie in several segments.
#[cold]
fn gather(mbuf: &mut Mbuf) {
    // Where the first segment's buffer is too small for it, they count as cut short.
    let _ = mbuf.gather(HEADERS);
}

/// Any frame.
#[inline(never)]
fn classify_other(index: usize, mbuf: &mut Mbuf, batch: &mut Batch, ingress: &mut Ingress<'_>, view: &View<'_>) -> Result<(), Reason> {
    if mbuf.is_chained() {
        gather(mbuf);
    }
    batch.packets[index % BURST] = Packet::new(length(mbuf));
    // A buffer has room for it.
    let head = mbuf.window(0).ok_or(Reason::FrameTruncated)?;
    let ethernet = parse::ethernet(head, mbuf.len())?;
    let place = Place { vlans: ethernet.vlans, network: ethernet.network };
    match ethernet.ethertype {
        ETHERTYPE_MPLS => labelled(index, mbuf, head, place, batch, ingress, view),
        ETHERTYPE_IPV4 => ipv4(index, mbuf, head, place, batch, ingress, view),
        ethertype => {
            let packet = &mut batch.packets[index % BURST];
            let side = enter(packet, place, ingress)?;
            match ethertype {
                ETHERTYPE_ARP => return arp::classify(mbuf.data(), ethernet, packet, ingress.port, view),
                ETHERTYPE_IPV6 if ipv6::is_neighbour_discovery(head, ethernet, mbuf.len()) => return Err(Reason::Nd),
                _ => {}
            }
            ingress.station(head)?;
            if ethertype == ETHERTYPE_IPV6 { ipv6(index, mbuf, side, batch, view) } else { Err(Reason::UnknownEthertype) }
        }
    }
}

/// Notes the circuit that a frame came in on.
fn enter(packet: &mut Packet, place: Place, ingress: &mut Ingress<'_>) -> Result<Side, Reason> {
    packet.start = place.network;
    let side = ingress.side(place.vlans)?;
    if let Side::Attachment(vrf) = side {
        packet.vrf = vrf;
    }
    Ok(side)
}

fn labelled(
    index: usize,
    mbuf: &Mbuf,
    head: &[u8; HEAD],
    place: Place,
    batch: &mut Batch,
    ingress: &mut Ingress<'_>,
    view: &View<'_>,
) -> Result<(), Reason> {
    let packet = &mut batch.packets[index % BURST];
    let side = enter(packet, place, ingress)?;
    ingress.station(head)?;
    ilm::classify(mbuf, head, place.network, packet, side, view)?;
    batch.ilm.push(index);
    Ok(())
}

fn ipv4(
    index: usize,
    mbuf: &Mbuf,
    head: &[u8; HEAD],
    place: Place,
    batch: &mut Batch,
    ingress: &mut Ingress<'_>,
    view: &View<'_>,
) -> Result<(), Reason> {
    let packet = &mut batch.packets[index % BURST];
    let side = enter(packet, place, ingress)?;
    ingress.station(head)?;
    let window = head.get(usize::from(place.network)..).and_then(<[u8]>::first_chunk);
    ip::check(mbuf, window.ok_or(Reason::IpTruncated)?, packet, u8::MAX)?;
    if side == Side::Core {
        gre::classify(index, mbuf, batch, ip::Version::V4, view);
        return Ok(());
    }
    let hash = view.tables.flow_v4.hash(packet.key);
    view.tables.flow_v4.prefetch(hash);
    batch.hashes[index % BURST] = hash;
    batch.flows.push(index);
    Ok(())
}

fn ipv6(index: usize, mbuf: &Mbuf, side: Side, batch: &mut Batch, view: &View<'_>) -> Result<(), Reason> {
    let key = ipv6::check(mbuf, &mut batch.packets[index % BURST], u8::MAX)?;
    batch.keys_v6[index % BURST] = key;
    if side == Side::Core {
        gre::classify(index, mbuf, batch, ip::Version::V6, view);
    } else {
        let hash = view.tables.flow_v6.hash(key);
        view.tables.flow_v6.prefetch(hash);
        batch.hashes[index % BURST] = hash;
        batch.flows_v6.push(index);
    }
    Ok(())
}

/// What [`leave_all`] notes of a packet that leaves by no port.
const NOWHERE: u16 = u16::MAX;

/// Last pass, in the order the packets came: all of a burst that leaves by one port are put into its outlet together.
#[inline(never)]
fn finish_all(batch: &mut Batch, burst: &mut Burst<BURST>, port: u16, view: &View<'_>, counting: &mut Counting, out: &mut Outputs) {
    let mut exits = [NOWHERE; BURST];
    let same = leave_all(batch, burst, &mut exits, port, view);
    let is_up = |exit| view.tables.up.contains(exit);
    if same.is_some_and(|exit| is_up(exit) && out.send_all(exit, burst, &batch.packets)) {
        return;
    }
    for ((mbuf, packet), exit) in burst.drain().zip(&batch.packets).zip(exits) {
        let about = packet.about();
        let punt = |port, reason| Punt { port, reason, vrf: packet.vrf, about };
        if exit == NOWHERE {
            stop(mbuf, punt(port, packet.reason), view, counting, out);
        } else if !is_up(exit) {
            stop(mbuf, punt(port, Reason::PortUnavailable), view, counting, out);
        } else if let Err(mbuf) = out.send(exit, mbuf, about) {
            stop(mbuf, punt(exit, Reason::TransmitQueueFull), view, counting, out);
        }
    }
}

/// Rewrites the frames that leave, and notes by which port; returns it if it is the same for all.
#[inline]
fn leave_all(batch: &mut Batch, burst: &mut Burst<BURST>, exits: &mut [u16; BURST], port: u16, view: &View<'_>) -> Option<u16> {
    let count = burst.len();
    for ((mbuf, packet), exit) in burst.iter_mut().zip(&mut batch.packets).zip(&mut *exits) {
        let left = match packet.fate {
            Fate::Leave if packet.pushed == 0 => nexthop::leave(mbuf, packet, packet.subject, None, view),
            Fate::Enter => tunnel::leave(mbuf, packet, view),
            Fate::Left => Ok(packet.exit()),
            _ => leave_otherwise(mbuf, packet, port, view),
        };
        *exit = left.unwrap_or_else(|reason| {
            packet.stop(reason);
            NOWHERE
        });
    }
    let (exits, first) = (exits.get(..count)?, *exits.first()?);
    let differences = exits.iter().fold(0, |differences, exit| differences | (exit ^ first));
    (differences == 0 && first != NOWHERE).then_some(first)
}

/// What becomes of few packets.
#[inline(never)]
fn leave_otherwise(mbuf: &mut Mbuf, packet: &Packet, port: u16, view: &View<'_>) -> Result<u16, Reason> {
    match packet.fate {
        // What enters a tunnel or has left has its own way.
        Fate::Leave | Fate::Enter | Fate::Left => {
            let entries = [0, pair(0, packet.label.to_be())];
            nexthop::leave(mbuf, packet, packet.subject, Some(nexthop::Stack { entries, labels: packet.pushed }), view)
        }
        Fate::Answer => arp::answer(mbuf, port, view),
        Fate::Stop => Err(packet.reason),
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
