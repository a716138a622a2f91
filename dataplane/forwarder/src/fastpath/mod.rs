//! The pipeline: one burst, read top to bottom.
//!
//! Three passes over the burst, each over all its packets, so that memory fetched for one packet arrives while others are worked on:
//!
//! 1. *Classify*: parse, `attachment` and `station`, ARP, the checks of an IP header; says which table is next, and fetches from it.
//! 2. *Look up*: first `ilm` and `flow_v4`, then `session` and `route_v4`, the latter a level of all packets at a time; says where the
//!    packet goes, and fetches from there.
//! 3. *Apply*: marking, tunnel, next hop; rewrites the frame and puts it where it goes.
//!
//! A frame is changed last, when nothing can stop it any more, so what goes to the controller goes as it was received. Every frame of a
//! burst ends in [`Outputs`] as one of output, punt or drop. The clock is read by the caller, once for a burst. Nothing here takes a
//! lock, allocates, logs, panics or calls the system.

mod arp;
mod attachment;
mod ilm;
mod ip;
mod marking;
mod nexthop;
mod output;
mod parse;
mod selector;
mod session;
mod tunnel;

use svpn_contract::Reason;
use svpn_contract::wire::{Colour, PortId};
use svpn_dpdk::{Burst, Mbuf, Online, Published, Reader};

use crate::entries::WorkerEnd;
use crate::tables::counters::Counting;
use crate::tables::flow::FlowKey;
use crate::tables::label::LabelMap;
use crate::tables::meter::moment;
use crate::tables::route::Walk;
use crate::tables::small::{SmallTables, word_mac};
use crate::tables::{Tables, carry::Carry};
use nexthop::Departure;
pub use output::{About, Outlet, Outputs, Punt, Punts};
use std::sync::Arc;

/// Most packets of a burst.
pub const BURST: usize = 64;

/// One worker's pipeline.
#[derive(Debug)]
pub struct FastPath {
    tables: Arc<Tables>,
    small: Published<SmallTables>,
    labels: Arc<LabelMap>,
    counting: Counting,
    packets: [Packet; BURST],
    classified: [Result<Classified, Stop>; BURST],
    found: [Result<Found, Stop>; BURST],
    decided: [Result<Decided, Stop>; BURST],
}

/// The tables, for one burst.
#[derive(Clone, Copy)]
struct View<'a> {
    tables: &'a Tables,
    small: &'a SmallTables,
    labels: &'a LabelMap,
}

/// What is known of a packet whatever becomes of it.
#[derive(Debug, Clone, Copy, Default)]
struct Packet {
    /// Bytes of the frame as received.
    length: u32,
    /// Where it came in.
    port: u16,
    /// VIDs as received, 0 for none.
    vlan: u16,
    inner_vlan: u16,
    /// Behind the tags.
    ethertype: u16,
    /// Where what follows Ethernet and tags begins.
    network: u16,
    /// The VRF known so far.
    vrf: u16,
    /// Where the IPv4 header acted upon begins.
    ip: u16,
    /// Its TTL, after what a pop says of it (RFC 3443).
    ttl: u8,
    /// Its VRF and 5-tuple.
    key: FlowKey,
    /// The session that carries it.
    session: Option<u32>,
}

/// Why a packet goes no further. The reason says whether the controller gets it: those of punts are below 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stop(Reason);

/// The first reason that is a drop.
const FIRST_DROP: u8 = 32;

impl Stop {
    #[inline]
    fn is_punt(self) -> bool {
        (self.0 as u8) < FIRST_DROP
    }
}

/// After the first pass: which table is next.
#[derive(Debug, Clone, Copy)]
enum Classified {
    /// `ilm`, for this label stack entry.
    Label(u32),
    /// `flow_v4` and `flow_acl_v4`, with the key's hash.
    Flow(u64),
    /// `route_v4`.
    Route,
    /// None: an ARP request is answered with this address.
    Answer(u64),
}

/// Between the two look-ups.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// `session`.
    Session(u32),
    /// `route_v4`, which is being searched.
    Route(Walk),
    /// Nothing more to find.
    Decided(Decided),
}

/// After the look-ups: where the packet goes.
#[derive(Debug, Clone, Copy)]
enum Decided {
    /// Into a tunnel, with this colour.
    Tunnel(Carry, Colour),
    /// To a next hop.
    Leave(Departure),
    /// Back where it came from, as an ARP reply of this address.
    Answer(u64),
}

impl FastPath {
    /// A worker's pipeline, and the reader that is to be online while it runs.
    pub fn new(end: WorkerEnd) -> (Self, Reader) {
        let fastpath = Self {
            tables: end.tables,
            small: end.small,
            labels: end.own.labels,
            counting: Counting::new(end.own.counters),
            packets: [Packet::default(); BURST],
            classified: [Err(Stop(Reason::None)); BURST],
            found: [Err(Stop(Reason::None)); BURST],
            decided: [Err(Stop(Reason::None)); BURST],
        };
        (fastpath, end.reader)
    }

    /// Takes all packets of a burst, which were received on `port`, through the pipeline. `now` is the clock's reading, in ticks.
    ///
    /// # Panics
    /// If `online` is not of the reader made with this pipeline.
    #[inline]
    pub fn process(&mut self, online: &Online<'_>, burst: &mut Burst<BURST>, port: PortId, now: u64, out: &mut Outputs) {
        let view = View { tables: &self.tables, small: self.small.read(online), labels: &self.labels };
        let now = moment(now);

        for ((mbuf, packet), classified) in burst.iter().zip(&mut self.packets).zip(&mut self.classified) {
            *packet = Packet { length: length(mbuf), port: port.get(), ..Packet::default() };
            *classified = classify(mbuf.data(), packet, view);
        }
        for (((mbuf, packet), classified), found) in burst.iter().zip(&mut self.packets).zip(&self.classified).zip(&mut self.found) {
            *found = match *classified {
                Ok(classified) => look_up(mbuf.data(), packet, classified, view, &self.counting),
                Err(stop) => Err(stop),
            };
        }
        let found = self.found.get_mut(..burst.len()).unwrap_or_default();
        while search(found, view) {}
        for ((packet, found), decided) in self.packets.iter_mut().zip(found).zip(&mut self.decided) {
            *decided = match *found {
                Ok(found) => decide(packet, found, view, now, &mut self.counting),
                Err(stop) => Err(stop),
            };
        }
        for ((mut mbuf, packet), decided) in burst.drain().zip(&self.packets).zip(&self.decided) {
            let left = match decided {
                Ok(decided) => apply(&mut mbuf, packet, decided, view, &mut self.counting),
                Err(stop) => Err(*stop),
            };
            put(mbuf, packet, left, &mut self.counting, out);
        }
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
        count_drop(&mut self.counting, Reason::PuntQueueFull, About { session: None, ..about });
    }

    /// Counts a frame of the controller's for which there was no packet buffer.
    pub(crate) fn no_buffer(&mut self, bytes: usize) {
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        count_drop(&mut self.counting, Reason::TransmitQueueFull, About { length, session: None });
    }

    /// Puts a frame of the controller's into the outlet of a port, or counts why not.
    pub(crate) fn send(&mut self, port: PortId, mbuf: Mbuf, out: &mut Outputs) {
        let about = About { length: length(&mbuf), session: None };
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

/// First pass: which table is next.
#[inline]
fn classify(frame: &[u8], packet: &mut Packet, view: View<'_>) -> Result<Classified, Stop> {
    parse::ethernet(frame, packet)?;
    let side = attachment::side(packet, view)?;
    if packet.ethertype == parse::ETHERTYPE_ARP {
        return arp::classify(frame, packet, view);
    }
    attachment::station(frame, packet, view)?;
    match packet.ethertype {
        parse::ETHERTYPE_IPV4 => ip::classify(frame, packet, side, view),
        parse::ETHERTYPE_MPLS => ilm::classify(frame, packet, side, view),
        _ => Err(Stop(Reason::UnknownEthertype)),
    }
}

/// Second pass, first look-up.
#[inline]
fn look_up(frame: &[u8], packet: &mut Packet, classified: Classified, view: View<'_>, counting: &Counting) -> Result<Found, Stop> {
    match classified {
        Classified::Label(entry) => ilm::look_up(frame, packet, entry, view),
        Classified::Flow(hash) => Ok(session::of_flow(packet, hash, view, counting)),
        Classified::Route => Ok(ip::start(packet, view)),
        Classified::Answer(mac) => Ok(Found::Decided(Decided::Answer(mac))),
    }
}

/// Second pass, between the look-ups: takes the search of every route one level down; whether any had one.
#[inline]
fn search(found: &mut [Result<Found, Stop>], view: View<'_>) -> bool {
    let mut going = false;
    for found in found {
        if let Ok(Found::Route(walk)) = found {
            going |= view.tables.route_v4.step(walk);
        }
    }
    going
}

/// Second pass, second look-up.
#[inline]
fn decide(packet: &mut Packet, found: Found, view: View<'_>, now: u64, counting: &mut Counting) -> Result<Decided, Stop> {
    match found {
        Found::Session(session) => session::carry(packet, session, view, now, counting),
        Found::Route(walk) => ip::route(packet, &walk, view),
        Found::Decided(decided) => Ok(decided),
    }
}

/// Third pass: does what was decided, and returns the port the packet leaves by.
#[inline]
fn apply(mbuf: &mut Mbuf, packet: &Packet, decided: &Decided, view: View<'_>, counting: &mut Counting) -> Result<u16, Stop> {
    match decided {
        Decided::Tunnel(carry, colour) => tunnel::enter(mbuf, packet, *carry, *colour, view, counting),
        Decided::Leave(departure) => nexthop::leave(mbuf, packet, departure, &[], view),
        Decided::Answer(mac) => arp::answer(mbuf, packet, word_mac(*mac), view),
    }
}

/// Puts a packet where it goes: into the outlet of its port, to the controller, or nowhere.
#[inline]
fn put(mut mbuf: Mbuf, packet: &Packet, left: Result<u16, Stop>, counting: &mut Counting, out: &mut Outputs) {
    let about = About { length: packet.length, session: packet.session };
    let stop = match left {
        Ok(port) => match out.send(port, mbuf, about) {
            Ok(()) => return,
            Err(kept) => {
                mbuf = kept;
                Stop(Reason::TransmitQueueFull)
            }
        },
        Err(stop) => stop,
    };
    if !stop.is_punt() {
        count_drop(counting, stop.0, about);
        out.drop(mbuf);
        return;
    }
    if let Some(session) = about.session {
        counting.session_discard(session, about.length);
    }
    if let Err(mbuf) = out.punt(mbuf, Punt { port: packet.port, reason: stop.0, vrf: packet.vrf, about }) {
        count_drop(counting, Reason::PuntQueueFull, About { session: None, ..about });
        out.drop(mbuf);
    }
}

/// Counts a drop, and that its session's packet did not leave.
#[inline]
fn count_drop(counting: &mut Counting, reason: Reason, about: About) {
    counting.drop(reason, about.length);
    if let Some(session) = about.session {
        counting.session_discard(session, about.length);
    }
}
