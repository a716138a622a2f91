//! Applications that go to another CE of their VPN, and take their sessions along.
//!
//! A session follows by a change in service as any other: first what the old and the new way need together is reserved, then the new way is
//! written from its end to its beginning, then the packets are told from others where they begin now, and not any more where they began.
//! With `match=sites` the CE says all; else the session follows when the end that moved says its new addresses.
//!
//! What was carried from where a way began is counted there, so the entry that counts it stays until it was read: [`Domain::left_behind`],
//! then [`Domain::counted`].

use std::time::SystemTime;

use svpn_contract::wire::{Class, TunnelId};
use svpn_contract::{Entry, SessionKey};

use super::change::Proposal;
use super::effects::Effects;
use super::examine::belongs;
use super::session::{Change, Left, Session};
use super::{AnswerError, Answered, Domain, Mover, NotNow, WAYS};
use crate::demand::Demand;
use crate::durable::Counted;
use crate::network::{Network, RouterId};
use crate::plan::{self, Route};
use crate::request::{ApplicationId, CeName, Direction, Refusal, SessionNumber, SessionRequest};
use crate::session::{Event, OutOfTurn, State};

/// Where a way of a session began before its end moved: what its router has counted is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftBehind {
    /// The session.
    pub session: SessionNumber,
    /// The way.
    pub way: Direction,
    /// The router.
    pub router: RouterId,
}

/// Why a session does not follow its application to another CE. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// Its packets have addresses behind the old CE: it follows when the application offers new ones.
    #[error("its addresses are behind the old CE until new ones are offered")]
    Addresses,
    /// It cannot be had there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be moved at this moment.
    #[error(transparent)]
    NotNow(#[from] NotNow),
}

impl From<AnswerError> for MoveError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Refused(refusal) => Self::Refused(refusal),
            AnswerError::NotNow(error) => Self::NotNow(error),
        }
    }
}

impl Domain {
    /// The sessions in service or booked that have an application at another CE than this one, the lowest number first.
    pub fn sessions_elsewhere(&self, at: impl Fn(&ApplicationId) -> Option<CeName>) -> Vec<(SessionNumber, ApplicationId, CeName)> {
        let ends = |session: &Session| {
            let SessionRequest { caller, callee, .. } = &session.request;
            let moved = [caller, callee].into_iter().zip(session.circuits).filter_map(|(application, circuit)| {
                let circuit = &self.network.circuits()[circuit];
                let now = at(application).filter(|now| *now != circuit.ce && self.network.is_own(circuit.router))?;
                Some((session.number, application.clone(), now))
            });
            moved.collect::<Vec<_>>()
        };
        let settled = self.sessions.values().filter(|session| matches!(session.state, State::Established | State::Booked));
        let mut elsewhere: Vec<_> = settled.flat_map(ends).collect();
        elsewhere.sort_unstable();
        elsewhere
    }

    /// Moves a session's end to another CE of its VPN, with all else as it is, and make before break. Where it is already, nothing happens.
    ///
    /// # Errors
    /// [`MoveError`]
    pub fn relocate(
        &mut self,
        session: SessionNumber,
        application: &ApplicationId,
        ce: &CeName,
        now: SystemTime,
    ) -> Result<Answered, MoveError> {
        let found = self.sessions.get(session).ok_or(NotNow::Unknown(session))?;
        let (request, answer) = (&found.request, found.answer.clone());
        let Some(answer) = answer else {
            return Err(NotNow::OutOfTurn(OutOfTurn { state: found.state, event: Event::Accepted }).into());
        };
        let (mover, at) = if request.caller == *application {
            (Mover::Caller(ce.clone()), &request.caller_ce)
        } else {
            (Mover::Callee(ce.clone(), answer.clone()), &request.callee_ce)
        };
        if at == ce {
            return Ok(Answered { terms: self.terms_of(found), effects: Effects::default() });
        }
        let proposal = Proposal { media: request.media.clone(), class: None, window: request.window, mover: Some(mover) };
        let before = found.circuits;
        // Its facts are those of a change that is not agreed on: what is agreed on here comes behind them, or the fact that it is withdrawn.
        let mut effects = self.propose(session, proposal, now)?.effects;
        let moves = self.sessions.get(session).and_then(|session| session.change.as_ref()).is_some_and(|change| change.circuits != before);
        let confirmed = if moves { self.confirm(session, &answer, now).map_err(MoveError::from) } else { Err(MoveError::Addresses) };
        match confirmed {
            Ok(answered) => {
                effects.append(answered.effects);
                Ok(Answered { effects, ..answered })
            }
            Err(error) => {
                // Nobody was told of it.
                let _unheard = self.withdraw(session)?;
                Err(error)
            }
        }
    }

    /// Everything that is to be counted because an end has moved, of all sessions in service.
    pub fn left_behind(&self) -> Vec<LeftBehind> {
        self.sessions.numbers().flat_map(|&session| self.left_behind_by(session)).collect()
    }

    /// The same, of one session.
    pub fn left_behind_by(&self, session: SessionNumber) -> Vec<LeftBehind> {
        let live = self.sessions.get(session).filter(|session| session.state.is_live());
        let left = live.into_iter().flat_map(|session| &session.left);
        let router = |left: &Left| self.network.circuits()[left.circuit].router;
        left.map(|left| LeftBehind { session, way: WAYS[left.way], router: router(left) }).collect()
    }

    /// What a router has counted for a way that does not begin there any more is known: its entry goes.
    ///
    /// # Errors
    /// [`NotNow`]: the session is over, and what is left of it is counted then; or nothing is to be counted there.
    pub fn counted(&mut self, behind: LeftBehind, counted: Counted) -> Result<Effects, NotNow> {
        let mut effects = Effects::default();
        self.with(behind.session, |domain, session| {
            if !session.state.is_live() {
                return Err(NotNow::OutOfTurn(OutOfTurn { state: session.state, event: Event::Settled }));
            }
            let circuits = domain.network.circuits();
            let there = |left: &Left| WAYS[left.way] == behind.way && circuits[left.circuit].router == behind.router;
            let place = session.left.iter().position(there).ok_or(NotNow::Unknown(behind.session))?;
            let left = session.left.remove(place);
            session.counted[left.way] = session.counted[left.way].and(counted);
            domain.clear(session.id(), &left, &mut effects);
            Ok(())
        })?;
        self.tell_session(behind.session, &mut effects);
        Ok(effects)
    }

    /// Where the ends of a session are when one of them may have moved; the request names the CEs then.
    pub(super) fn places(&self, session: &Session, request: &mut SessionRequest, mover: Option<Mover>) -> Result<[usize; 2], Refusal> {
        let mut circuits = session.circuits;
        let (end, ce, ends) = match mover {
            None => return Ok(circuits),
            Some(Mover::Caller(ce)) => (0, ce, request.media.iter().map(|medium| medium.caller).collect::<Vec<_>>()),
            Some(Mover::Callee(ce, answer)) => (1, ce, answer.media.into_iter().flatten().collect()),
        };
        let all = self.network.circuits();
        let vpn = &request.caller.vpn;
        let own = |&circuit: &usize| self.network.is_own(all[circuit].router);
        let Some(circuit) = self.network.circuit(&ce, vpn).filter(own) else {
            return Err(Refusal::Forbidden(format!("CE {} is not attached to VPN {}", ce.0, vpn.0)));
        };
        if !own(&circuits[end]) {
            return Err(Refusal::Forbidden("who is at another provider moves there".into()));
        }
        if circuit == circuits[end] {
            return Ok(circuits);
        }
        let behind = |circuit: usize| ends.iter().try_for_each(|&end| belongs(end, &all[circuit], request.matching));
        if let Err(refusal) = behind(circuit) {
            // Its packets have the old addresses: it is where it was until it says others.
            return if behind(circuits[end]).is_ok() { Ok(circuits) } else { Err(refusal) };
        }
        circuits[end] = circuit;
        let [from, to] = circuits.map(|circuit| all[circuit].router);
        if from == to {
            let router = &self.network.router(from).name;
            return Err(Refusal::NotAcceptable(format!("both ends are on router {router} then: nothing between them crosses the network")));
        }
        *if end == 0 { &mut request.caller_ce } else { &mut request.callee_ce } = ce;
        Ok(circuits)
    }

    /// A way cannot begin where the session is still to be counted: one counter would count two ways.
    pub(super) fn uncounted(&self, session: &Session, circuits: [usize; 2], demands: [Option<Demand>; 2]) -> Result<(), Refusal> {
        let router = |circuit: usize| self.network.circuits()[circuit].router;
        let begins = |left: &&Left| (0..WAYS.len()).any(|way| demands[way].is_some() && router(circuits[way]) == router(left.circuit));
        session.left.iter().find(begins).map_or(Ok(()), |left| {
            let name = &self.network.router(router(left.circuit)).name;
            Err(Refusal::Unavailable(format!("router {name} has not yet said what it carried of the session before it left")))
        })
    }

    /// What becomes of the tunnels that ways do not ride any more when a change is carried out, in front of which this is called: those to
    /// leave, and what is left behind where an end moves.
    pub(super) fn left_by(
        &mut self,
        session: &mut Session,
        change: &Change,
        demands: [Option<Demand>; 2],
        unridden: Vec<(usize, TunnelId)>,
        effects: &mut Effects,
    ) -> (Vec<(RouterId, TunnelId)>, Vec<Left>) {
        let (mut leave, mut behind) = (Vec::new(), Vec::new());
        for (way, tunnel) in unridden {
            let [from, then] = [session.circuits[way], change.circuits[way]].map(|circuit| self.network.circuits()[circuit].router);
            if from == then {
                leave.push((from, tunnel));
            } else {
                behind.extend(self.left(session, way, tunnel));
            }
        }
        for way in (0..WAYS.len()).filter(|&way| change.circuits != session.circuits && demands[way].is_none()) {
            // It leads to where nobody is any more, or from there.
            let Some(tunnel) = session.legs[way].as_mut().and_then(|leg| leg.tunnel.take()) else { continue };
            let from = session.ends(&self.network, way)[0].router;
            if let Some(key) = self.arrival_key(session, way) {
                self.erase(&[key], effects);
                leave.push((from, tunnel));
            } else {
                behind.extend(self.left(session, way, tunnel));
            }
        }
        (leave, behind)
    }

    fn left(&self, session: &Session, way: usize, tunnel: TunnelId) -> Option<Left> {
        let to = session.ends(&self.network, way)[1];
        let label = if self.network.is_own(to.router) { self.base.vpn_label(to) } else { session.border?.mapped? };
        Some(Left { way, circuit: session.circuits[way], tunnel, label })
    }

    /// The session's packets do not begin there any more.
    pub(super) fn leave_behind(&mut self, session: &mut Session, behind: Vec<Left>, effects: &mut Effects) {
        for left in behind {
            let entry = self.carry_left(session, &left);
            self.put([entry], effects);
            session.left.push(left);
        }
    }

    /// The entry that is there for its counters' sake.
    pub(super) fn carry_left(&self, session: &Session, left: &Left) -> (RouterId, Entry) {
        let circuit = &self.network.circuits()[left.circuit];
        let policer = Demand::LEAST.policer(circuit.mtu, circuit.tags());
        (circuit.router, plan::carry(session.id(), left.tunnel, left.label, Class::default(), policer))
    }

    /// Takes what is left behind out of its router.
    pub(super) fn clear(&mut self, session: svpn_contract::wire::SessionId, left: &Left, effects: &mut Effects) {
        let router = self.network.circuits()[left.circuit].router;
        self.erase(&[(router, SessionKey { session }.into())], effects);
        self.leave_tunnel(router, left.tunnel, effects);
    }
}

/// Whether a route leads from where a way begins to where it ends.
pub(super) fn leads(route: &Route, network: &Network, circuits: [usize; 2], way: usize) -> bool {
    let [from, to] = super::session::ends(network, circuits, way);
    route.ingress(network) == from.router && route.egress(network) == to.router
}
