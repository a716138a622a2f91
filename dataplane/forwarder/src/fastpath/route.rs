//! `route_v4` and `route_v6`: the way of packets of no session.

use svpn_contract::Reason;
use svpn_contract::wire::Colour;
use svpn_dpdk::Burst;

use super::packet::{Batch, List, Packet};
use super::parse::ETHERTYPE_IPV6;
use super::{BURST, View, marking, nexthop, policer, tunnel};
use crate::tables::counters::Counting;
use crate::tables::route::{Route, RouteTable, Walk};

/// Searches all routes, a level of all packets at a time.
#[inline(never)]
pub(super) fn search(batch: &mut Batch, burst: &Burst<BURST>, view: &View<'_>, counting: &mut Counting) {
    search_v4(batch, view);
    search_v6(batch, view);
    let Batch { packets, keys_v6, walks, walks_v6, routes, routes_v6, .. } = batch;
    let v4 = |index: usize| view.tables.route_v4.route(&walks[index]);
    let v6 = |index: usize| view.tables.route_v6.route(&walks_v6[index]);
    if routes_v6.is_empty() {
        let hash = |_, packet: &Packet| tunnel::hash_v4(packet, view);
        follow_all(packets, *routes, burst, view, counting, |index, _| v4(index), hash);
    } else if routes.is_empty() {
        let hash = |index: usize, _: &Packet| tunnel::hash_v6(keys_v6[index], view);
        follow_all(packets, *routes_v6, burst, view, counting, |index, _| v6(index), hash);
    } else {
        // Packets of both may be of one VRF, whose meter takes them as they came.
        let is_v6 = |packet: &Packet| packet.ethertype == ETHERTYPE_IPV6;
        let route = |index: usize, packet: &Packet| if is_v6(packet) { v6(index) } else { v4(index) };
        let hash = |index: usize, packet: &Packet| {
            if is_v6(packet) { tunnel::hash_v6(keys_v6[index], view) } else { tunnel::hash_v4(packet, view) }
        };
        follow_all(packets, routes.merged(*routes_v6), burst, view, counting, route, hash);
    }
}

#[inline]
fn search_v4(batch: &mut Batch, view: &View<'_>) {
    let Batch { packets, walks, routes, .. } = batch;
    let table: &RouteTable = &view.tables.route_v4;
    let mut going = List::default();
    for index in routes.iter() {
        let (packet, walk) = (&packets[index], &mut walks[index]);
        *walk = table.start(packet.vrf, packet.key.destination());
        going.push_if(walk.goes_on(), index);
    }
    // Only those that are not yet at their end.
    while !going.is_empty() {
        for index in std::mem::take(&mut going).iter() {
            let walk = &mut walks[index];
            table.step(walk);
            going.push_if(walk.goes_on(), index);
        }
    }
    for index in routes.iter() {
        let walk = &mut walks[index];
        if walk.has_to_begin_again() {
            *walk = search_from_root(&packets[index], view);
        }
        table.end(walk);
    }
}

/// Searches among the shorter prefixes: there are few of them, which most packets that come here have in common.
#[inline(never)]
fn search_from_root(packet: &Packet, view: &View<'_>) -> Walk {
    let mut walk = view.tables.route_v4.start_at_root(packet.vrf, packet.key.destination());
    while view.tables.route_v4.step(&mut walk) {}
    walk
}

#[inline]
fn search_v6(batch: &mut Batch, view: &View<'_>) {
    let Batch { packets, keys_v6, walks_v6, routes_v6, .. } = batch;
    for index in routes_v6.iter() {
        walks_v6[index] = view.tables.route_v6.start(packets[index].vrf, keys_v6[index].destination());
    }
    while routes_v6.iter().fold(false, |going, index| going | view.tables.route_v6.step(&mut walks_v6[index])) {}
}

/// Does what the route of each packet says.
#[inline]
fn follow_all(
    packets: &mut [Packet; BURST],
    list: List,
    burst: &Burst<BURST>,
    view: &View<'_>,
    counting: &mut Counting,
    route: impl Fn(usize, &Packet) -> Option<Route>,
    hash: impl Fn(usize, &Packet) -> u32,
) {
    for index in list.iter() {
        let packet = &mut packets[index];
        let Some(mbuf) = burst.get(index) else { continue };
        let followed = match follow(packet, route(index, packet), view) {
            Ok(Next::Tunnel(slot)) => tunnel::choose(packet, slot, |packet| hash(index, packet), view, counting),
            Ok(Next::Nexthop) => {
                nexthop::take(mbuf, packet, view);
                Ok(())
            }
            Err(reason) => Err(reason),
        };
        if let Err(reason) = followed {
            packet.stop(reason);
        }
    }
}

/// What comes after a route.
enum Next {
    /// A tunnel, by its slot.
    Tunnel(u32),
    /// The subject is the next hop's slot.
    Nexthop,
}

/// What becomes of a packet whose route was searched to the end.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a loop's straight way: a call for each packet would cost a third of it")]
fn follow(packet: &mut Packet, route: Option<Route>, view: &View<'_>) -> Result<Next, Reason> {
    match route.ok_or(Reason::NoRoute)? {
        Route::Receive => Err(Reason::Receive),
        Route::Discard => Err(Reason::RouteDiscard),
        Route::ViaTunnel(_) | Route::Local(_) if packet.ttl <= 1 => Err(Reason::TtlExpired),
        Route::ViaTunnel(carry) => {
            marking::mark(packet, carry.class, policer::routed(packet, view), view)?;
            packet.label = carry.vpn_label;
            Ok(Next::Tunnel(carry.tunnel))
        }
        Route::Local(nexthop) => {
            if policer::routed(packet, view) == Colour::RED {
                return Err(Reason::RedDiscard);
            }
            packet.subject = nexthop;
            Ok(Next::Nexthop)
        }
    }
}
