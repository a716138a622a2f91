//! What is left of a session: what a charge record says of it.

use std::time::SystemTime;

use svpn_contract::wire::Class;

use super::WAYS;
use super::session::Session;
use crate::agreement::Rates;
use crate::demand::Demand;
use crate::durable::{Counted, EndRecord, Period, SessionRecord, WayRecord};
use crate::network::{Network, RouterId};
use crate::request::{ApplicationId, Bandwidth, BitRate, Cause, CeName, Direction, SessionNumber, SessionRequest};

/// What a charge record says of a session, but for packets and bytes: those are the `session` counter less `session_discards` of the
/// session's number on each router of [`Summary::counted_at`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its number.
    pub session: SessionNumber,
    /// Who asked, and the VPN.
    pub caller: ApplicationId,
    /// Whom.
    pub callee: ApplicationId,
    /// The caller's CE.
    pub caller_ce: CeName,
    /// The callee's CE.
    pub callee_ce: CeName,
    /// The contract that pays.
    pub contract: String,
    /// The class.
    pub class: Class,
    /// The bandwidths of the offer, as it expressed them: with or without headers.
    pub asked: Rates,
    /// What each way was policed to, in frames without FCS.
    pub granted: Rates,
    /// When it was asked for.
    pub requested: SystemTime,
    /// When the callee accepted; `None` = never, and nothing was carried.
    pub established: Option<SystemTime>,
    /// When it ended.
    pub ended: SystemTime,
    /// Why.
    pub cause: Cause,
    /// What it had while it carried packets, oldest first; the last until it ended.
    pub periods: Vec<Period>,
    /// What was counted before it ended, at PEs that its ends have left, caller's first.
    pub counted: [Counted; 2],
    /// The ingress PE of each way it had when it ended, caller's first; none for a way that begins at another provider. Then those PEs
    /// that its ends have left and that were not asked yet.
    pub counted_at: Vec<(Direction, RouterId)>,
}

impl Session {
    pub(super) fn summary(&self, network: &Network, ended: EndRecord) -> Summary {
        let own = |way: usize| network.is_own(self.ends(network, way)[0].router);
        let counted_at = WAYS.into_iter().enumerate().filter(|(way, _)| self.legs[*way].is_some() && own(*way));
        Summary {
            class: self.class,
            granted: self.rates(),
            counted: self.counted,
            counted_at: counted_at
                .map(|(way, direction)| (direction, self.ends(network, way)[0].router))
                .chain(self.left.iter().map(|left| (WAYS[left.way], network.circuits()[left.circuit].router)))
                .collect(),
            ..summary(
                &self.request,
                &network.contract(self.contract).name,
                self.requested,
                self.established,
                &self.periods,
                ended,
                self.number,
            )
        }
    }
}

impl Summary {
    /// Of a session that there is no place for any more: it was counted at those of its ingress routers that there are still.
    pub(super) fn of(record: &SessionRecord, network: &Network, ended: EndRecord) -> Self {
        let router = |way: &WayRecord| {
            let name = &way.route.primary.first()?.from;
            network.routers().find(|(_, router)| router.name == *name).map(|(id, _)| id)
        };
        let counted_at = WAYS.into_iter().zip(&record.ways).filter_map(|(direction, way)| Some((direction, router(way.as_ref()?)?)));
        let rate = |way: usize| record.ways[way].as_ref().and_then(|way| way.demand).map_or(BitRate(0), Demand::policed);
        let SessionRecord { request, contract, requested, established, periods, .. } = record;
        Self {
            class: Class::new(record.class).unwrap_or_default(),
            granted: Rates { from_caller: rate(0), from_callee: rate(1) },
            counted: record.counted,
            counted_at: counted_at.collect(),
            ..summary(request, contract, *requested, *established, periods, ended, record.number)
        }
    }
}

/// What does not need the network to be told.
fn summary(
    request: &SessionRequest,
    contract: &str,
    requested: SystemTime,
    established: Option<SystemTime>,
    periods: &[Period],
    ended: EndRecord,
    session: SessionNumber,
) -> Summary {
    Summary {
        session,
        class: Class::default(),
        contract: contract.to_owned(),
        asked: Rates { from_caller: asked(request, Direction::FromCaller), from_callee: asked(request, Direction::FromCallee) },
        granted: Rates::default(),
        requested,
        established,
        ended: ended.at,
        cause: ended.cause,
        periods: periods.to_vec(),
        counted: [Counted::default(); 2],
        counted_at: Vec::new(),
        caller: request.caller.clone(),
        callee: request.callee.clone(),
        caller_ce: request.caller_ce.clone(),
        callee_ce: request.callee_ce.clone(),
    }
}

fn asked(request: &SessionRequest, way: Direction) -> BitRate {
    let media = request.media.iter().filter(|medium| super::examine::goes(medium.direction, way));
    let rate = |bandwidth| match bandwidth {
        Bandwidth::TransportIndependent { rate, .. } | Bandwidth::ApplicationSpecific { rate, .. } => rate.0,
    };
    BitRate(media.map(|medium| rate(medium.bandwidth)).fold(0, u64::saturating_add))
}
