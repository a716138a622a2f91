//! `route_v4` and `route_v6`: the way of packets of no session.

use svpn_contract::Reason;
use svpn_contract::wire::Colour;

use super::packet::{Batch, List, Packet};
use super::parse::ETHERTYPE_IPV6;
use super::{BURST, View, ip, marking, policer};
use crate::tables::route::Route;

/// Searches all routes, a level of all packets at a time.
#[inline(never)]
pub(super) fn search(batch: &mut Batch, view: &View<'_>) {
    search_v4(batch, view);
    search_v6(batch, view);
    let Batch { packets, walks, walks_v6, routes, routes_v6, tunnels, nexthops, .. } = batch;
    if routes_v6.is_empty() {
        follow_all(packets, routes, tunnels, nexthops, view, |index, _| view.tables.route_v4.route(&walks[index]));
    } else if routes.is_empty() {
        follow_all(packets, routes_v6, tunnels, nexthops, view, |index, _| view.tables.route_v6.route(&walks_v6[index]));
    } else {
        // Packets of both may be of one VRF, whose meter takes them as they came.
        follow_all(packets, &routes.merged(routes_v6), tunnels, nexthops, view, |index, packet| match packet.ethertype {
            ETHERTYPE_IPV6 => view.tables.route_v6.route(&walks_v6[index]),
            _ => view.tables.route_v4.route(&walks[index]),
        });
    }
}

#[inline]
fn search_v4(batch: &mut Batch, view: &View<'_>) {
    let Batch { packets, walks, routes, .. } = batch;
    for index in routes.iter() {
        let packet = &packets[index];
        #[allow(clippy::cast_possible_truncation, reason = "the destination is the low half")]
        let destination = packet.key.addresses as u32;
        walks[index] = view.tables.route_v4.start(packet.vrf, destination);
    }
    while routes.iter().fold(false, |going, index| going | view.tables.route_v4.step(&mut walks[index])) {}
    for index in routes.iter() {
        view.tables.route_v4.prefetch_route(&walks[index]);
    }
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
    list: &List,
    tunnels: &mut List,
    nexthops: &mut List,
    view: &View<'_>,
    route: impl Fn(usize, &Packet) -> Option<Route>,
) {
    for index in list.iter() {
        let packet = &mut packets[index];
        match follow(packet, route(index, packet), view) {
            Ok(Next::Tunnel) => tunnels.push(index),
            Ok(Next::Nexthop) => nexthops.push(index),
            Err(reason) => packet.stop(reason),
        }
    }
}

/// What comes after a route.
enum Next {
    /// The subject is the tunnel's slot.
    Tunnel,
    /// The subject is the next hop's slot.
    Nexthop,
}

/// What becomes of a packet whose route was searched to the end.
#[inline]
fn follow(packet: &mut Packet, route: Option<Route>, view: &View<'_>) -> Result<Next, Reason> {
    match route.ok_or(Reason::NoRoute)? {
        Route::Receive => Err(Reason::Receive),
        Route::Discard => Err(Reason::RouteDiscard),
        Route::ViaTunnel(_) | Route::Local(_) if packet.ttl <= 1 => Err(Reason::TtlExpired),
        Route::ViaTunnel(carry) => {
            view.tables.tunnel.prefetch(carry.tunnel);
            marking::mark(packet, carry.class, policer::routed(packet, view), view)?;
            packet.vpn_label = carry.vpn_label;
            packet.subject = carry.tunnel;
            Ok(Next::Tunnel)
        }
        Route::Local(nexthop) => {
            if policer::routed(packet, view) == Colour::RED {
                return Err(Reason::RedDiscard);
            }
            view.tables.nexthop.prefetch(nexthop);
            ip::set_ttl(packet, packet.ttl - 1);
            packet.subject = nexthop;
            Ok(Next::Nexthop)
        }
    }
}
