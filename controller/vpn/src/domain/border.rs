//! Sessions whose other end is another provider's: the labels by which packets cross the link between the two.
//!
//! Each provider chooses the label by which it knows what arrives for a session, and tells it the other: the label mapping. Ours is
//! taken with the session and given back with it, so a label is never two sessions'. Theirs is what our ingress PE pushes as the VPN
//! label: the tunnel to the link ends there, and one label is left on it.

use svpn_contract::IlmKey;
use svpn_contract::wire::Label;

use super::session::{Border, Session};
use super::{Domain, Effects, NotNow};
use crate::network::{Network, RouterId};
use crate::plan::{self, Planned};
use crate::request::{Refusal, SessionNumber};
use crate::session::{Event, OutOfTurn};

impl Domain {
    /// The peer has mapped a label to a session: what our PE puts on packets for it. The same label again changes nothing.
    ///
    /// # Errors
    /// [`NotNow`]: the session is not there, over, or not one that crosses to a peer.
    pub fn mapped(&mut self, session: SessionNumber, label: Label) -> Result<Effects, NotNow> {
        let mut effects = Effects::default();
        self.with(session, |domain, session| {
            let number = session.number;
            if !session.state.is_live() {
                return Err(NotNow::OutOfTurn(OutOfTurn { state: session.state, event: Event::Written }));
            }
            session.border.as_mut().ok_or(NotNow::NoPeer(number))?.mapped = Some(label);
            let carries = domain.carries(session);
            domain.put(carries, &mut effects);
            Ok::<_, NotNow>(())
        })?;
        self.tell_session(session, &mut effects);
        Ok(effects)
    }

    /// A label for what comes from the peer, where one end of a session is beyond a link to one.
    pub(super) fn border(&mut self, circuits: [usize; 2]) -> Result<Option<Border>, Refusal> {
        let Some(border) = border_router(&self.network, circuits) else { return Ok(None) };
        let taken = self.numbers.take_label(border);
        let label = taken.map_err(|none| Refusal::Unavailable(format!("router {} has {none}", self.network.router(border).name)))?;
        Ok(Some(Border { label, mapped: None }))
    }

    /// Gives a session's label back.
    pub(super) fn forget_border(&mut self, session: &mut Session) {
        if let (Some(border), Some(router)) = (session.border.take(), border_router(&self.network, session.circuits)) {
            self.numbers.give_back_label(router, border.label);
        }
    }

    /// What our border router does with packets of a way that come from a peer.
    pub(super) fn arrival(&self, session: &Session, way: usize) -> Option<(RouterId, svpn_contract::Entry)> {
        let (border, id) = (session.border?, session.legs[way].as_ref()?.tunnel?);
        let [from, to] = session.ends(&self.network, way);
        let tunnel = self.tunnels.get(from.router, id)?;
        Some(plan::arrival(border.label, tunnel, to, &self.network, &self.base))
    }

    /// What tells packets of a way that come from a peer from others.
    pub(super) fn arrival_key(&self, session: &Session, way: usize) -> Option<(RouterId, svpn_contract::EntryKey)> {
        let [from, _] = session.ends(&self.network, way);
        let nni = self.network.nni(from.router)?;
        Some((nni.border, IlmKey { label: session.border?.label }.into()))
    }
}

/// Our border router, where one of these circuits is beyond it.
pub(super) fn border_router(network: &Network, circuits: [usize; 2]) -> Option<RouterId> {
    circuits.into_iter().find_map(|circuit| network.nni(network.circuits()[circuit].router)).map(|nni| nni.border)
}

/// Without what would be a peer's to do.
pub(super) fn ours(network: &Network, mut planned: Planned) -> Planned {
    planned.retain(|(router, _)| network.is_own(*router));
    planned
}
