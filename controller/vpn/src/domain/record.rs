//! What is left of a session: the steps that end it, and what a charge record says of it.

use std::time::SystemTime;

use svpn_contract::wire::Class;

use super::{Session, WAYS};
use crate::agreement::Rates;
use crate::network::{Network, RouterId};
use crate::plan::Step;
use crate::request::{ApplicationId, Bandwidth, BitRate, Cause, CeName, Direction, SessionNumber};

/// How a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// To be written first: no packet is the session's any more. Its counters stand still then, and can be read.
    pub stop: Vec<Step>,
    /// To be written after the counters were read: the session and the tunnels nobody else rides are gone.
    pub clear: Vec<Step>,
    /// What it was.
    pub summary: Summary,
}

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
    /// The ingress PE of each way it had when it ended, caller's first.
    pub counted_at: Vec<(Direction, RouterId)>,
}

impl Session {
    pub(super) fn summary(self, network: &Network, cause: Cause, now: SystemTime) -> Summary {
        let counted_at = WAYS.into_iter().enumerate().filter(|(way, _)| self.demands[*way].is_some());
        Summary {
            session: self.number,
            class: self.class,
            contract: network.contract(self.contract).name.clone(),
            asked: Rates { from_caller: self.asked(Direction::FromCaller), from_callee: self.asked(Direction::FromCallee) },
            granted: self.rates(),
            requested: self.requested,
            established: self.established,
            ended: now,
            cause,
            counted_at: counted_at.map(|(way, direction)| (direction, self.ends(network, way)[0].router)).collect(),
            caller: self.request.caller,
            callee: self.request.callee,
            caller_ce: self.request.caller_ce,
            callee_ce: self.request.callee_ce,
        }
    }

    fn asked(&self, way: Direction) -> BitRate {
        let media = self.request.media.iter().filter(|medium| super::examine::goes(medium.direction, way));
        let rate = |bandwidth| match bandwidth {
            Bandwidth::TransportIndependent { rate, .. } | Bandwidth::ApplicationSpecific { rate, .. } => rate.0,
        };
        BitRate(media.map(|medium| rate(medium.bandwidth)).fold(0, u64::saturating_add))
    }
}
