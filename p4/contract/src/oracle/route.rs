//! `route_v4`, `route_v6` and `vrf_policer`: packets of no session.

use std::net::IpAddr;

use super::attachment::Side;
use super::ip::Ip;
use super::tunnel::TunnelUse;
use super::{Sent, Stop, Walk};
use crate::tables::{Reason, RouteV4Action, RouteV6Action, VrfPolicerKey};
use crate::wire::{Class, Colour, Label, NextHopId, TunnelId};

/// What a route does, whichever IP it is for.
#[derive(Debug, Clone, Copy)]
enum Route {
    ViaTunnel { tunnel: TunnelId, vpn_label: Label, class: Class },
    Local { nexthop: NextHopId },
    Receive,
    Discard,
}

impl From<RouteV4Action> for Route {
    fn from(action: RouteV4Action) -> Self {
        match action {
            RouteV4Action::ViaTunnel { tunnel, vpn_label, class } => Self::ViaTunnel { tunnel, vpn_label, class },
            RouteV4Action::Local { nexthop } => Self::Local { nexthop },
            RouteV4Action::Receive => Self::Receive,
            RouteV4Action::Discard => Self::Discard,
        }
    }
}

impl From<RouteV6Action> for Route {
    fn from(action: RouteV6Action) -> Self {
        match action {
            RouteV6Action::ViaTunnel { tunnel, vpn_label, class } => Self::ViaTunnel { tunnel, vpn_label, class },
            RouteV6Action::Local { nexthop } => Self::Local { nexthop },
            RouteV6Action::Receive => Self::Receive,
            RouteV6Action::Discard => Self::Discard,
        }
    }
}

impl Walk<'_> {
    /// Routes a packet in the VRF it is in.
    pub(super) fn route(&mut self, ip: &Ip<'_>, side: Side) -> Result<Sent, Stop> {
        let tables = &self.oracle.tables;
        let route = match ip.tuple.dst {
            IpAddr::V4(dst) => tables.route_v4(self.vrf, dst).map(|entry| Route::from(entry.action)),
            IpAddr::V6(dst) => tables.route_v6(self.vrf, dst).map(|entry| Route::from(entry.action)),
        };
        match route.ok_or(Stop::Drop(Reason::NoRoute))? {
            Route::Receive => Err(Stop::Punt(Reason::Receive)),
            Route::Discard => Err(Stop::Drop(Reason::RouteDiscard)),
            Route::ViaTunnel { .. } | Route::Local { .. } if ip.ttl <= 1 => Err(Stop::Punt(Reason::TtlExpired)),
            Route::ViaTunnel { tunnel, vpn_label, class } => {
                let colour = self.policed(side);
                self.tunnel(ip, TunnelUse { tunnel, vpn_label, class, colour })
            }
            Route::Local { .. } if self.policed(side) == Colour::RED => Err(Stop::Drop(Reason::RedDiscard)),
            Route::Local { nexthop } => self.leave(ip, nexthop),
        }
    }

    /// The colour of what a VRF sends without a session.
    fn policed(&mut self, side: Side) -> Colour {
        match side {
            Side::Attachment => self.metered(VrfPolicerKey { vrf: self.vrf }.into(), self.bytes.len() as u64),
            Side::Core => Colour::GREEN,
        }
    }
}
