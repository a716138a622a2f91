//! Calls with one end at another provider: the label mappings that both gateways wait for before anybody is alerted.
//!
//! For a peer's caller, ours goes out and the peer's is waited for before the callee is invited. For a peer's callee, the INVITE and our
//! mapping go out together, and the caller hears nothing of the callee until the peer's mapping is there and programmed.

use std::sync::Arc;

use svpn_vpn::request::{Cause, CeName, Mapping, Refusal, SessionRequest, Terms};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::within::Side;
use super::{Input, Sender};
use crate::peers::{Key, Peer, SessionId, failed, tell};
use crate::refusal::{Rejection, told};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Response};

/// What a call has to do with another provider.
#[derive(Debug, Clone)]
pub(crate) struct Crossing {
    peer: Arc<Peer>,
    session: SessionId,
    /// The end that is there.
    side: Side,
}

/// Both label mappings of a call to a peer's callee, on their way; dropped, they are given up.
pub(super) struct Exchange {
    done: watch::Receiver<Option<Result<(), Refusal>>>,
    _task: AbortOnDropHandle<()>,
}

impl Crossing {
    /// A call that a peer's application makes.
    pub(crate) fn from_peer(peer: Arc<Peer>, session: SessionId) -> Self {
        Self { peer, session, side: Side::Caller }
    }

    /// A call to a peer's application.
    pub(crate) fn to_peer(peer: Arc<Peer>) -> Self {
        Self { peer, session: SessionId::new(), side: Side::Callee }
    }

    /// The peer, if the caller is there.
    pub(super) fn caller(&self) -> Option<&Peer> {
        (self.side == Side::Caller).then_some(&*self.peer)
    }

    /// The peer, if the callee is there.
    pub(super) fn callee(&self) -> Option<&Peer> {
        (self.side == Side::Callee).then_some(&*self.peer)
    }

    pub(super) fn session_id(&self) -> Header {
        self.session.header()
    }

    fn key(&self) -> Key {
        Key { peer: self.peer.domain().to_owned(), session: self.session.clone() }
    }

    /// Why the peer's gateway did not take a call: what it said itself, where it said something.
    pub(super) fn declined(&self, response: &Response) -> Rejection {
        let status = response.status_code.code();
        let domain = self.peer.domain();
        match status {
            300..=399 | 401 | 407 => {
                Rejection::new(502, format!("the gateway of {domain} answered {status}, which this one does not follow"))
            }
            408 => Rejection::new(504, format!("the gateway of {domain} does not answer")),
            _ => told(status, response, domain),
        }
    }

    /// The same, where there was no response.
    pub(super) fn silent(&self) -> Rejection {
        Rejection::new(504, format!("the gateway of {} does not answer", self.peer.domain()))
    }
}

/// Reserves; for a peer's caller, both mappings belong to it, and for a peer's callee there may be several links to choose from.
pub(super) async fn reserve<S: Sessions>(
    services: &Services<S>,
    request: SessionRequest,
    crossing: Option<Crossing>,
) -> Result<Terms, Refusal> {
    let Some(crossing) = crossing else { return services.sessions.reserve(request).await };
    if crossing.side == Side::Callee {
        return Box::pin(reserve_on_a_link(services, request, crossing.peer.nnis())).await;
    }
    // A mapping that came before the INVITE has waited for this; one that comes while we reserve is not missed.
    let expected = services.peers.labels.wait_for(crossing.key());
    let terms = services.sessions.reserve(request).await?;
    match Box::pin(exchange(services, &crossing, &terms, expected)).await {
        Ok(()) => Ok(terms),
        Err(refusal) => {
            services.sessions.release(terms.session, Cause::Signalling).await;
            Err(refusal)
        }
    }
}

/// Reserves on the first link with room.
async fn reserve_on_a_link<S: Sessions>(services: &Services<S>, request: SessionRequest, links: &[CeName]) -> Result<Terms, Refusal> {
    let mut first = None;
    for link in links {
        match services.sessions.reserve(SessionRequest { callee_ce: link.clone(), ..request.clone() }).await {
            Err(full @ (Refusal::NoBandwidth { .. } | Refusal::NoPath { .. })) => drop(first.get_or_insert(full)),
            other => return other,
        }
    }
    Err(first.unwrap_or_else(|| Refusal::Unavailable("there is no link to that provider".to_owned())))
}

impl Exchange {
    /// Begins it; the call hears how it ends.
    pub(super) fn begin<S: Sessions>(services: Arc<Services<S>>, crossing: Crossing, terms: Terms, call: Sender) -> Self {
        let (tell, done) = watch::channel(None);
        let expected = services.peers.labels.wait_for(crossing.key());
        let task = tokio::spawn(async move {
            let result = exchange(&services, &crossing, &terms, expected).await;
            tell.send_replace(Some(result.clone()));
            // A call that has ended needs to hear nothing.
            let _ = call.send(Input::Mapped(result.map_err(timed_out)));
        });
        Self { done, _task: AbortOnDropHandle::new(task) }
    }

    /// Whether both are done.
    pub(super) fn is_done(&self) -> bool {
        matches!(*self.done.borrow(), Some(Ok(())))
    }

    /// Waits for its end.
    pub(super) fn end(&self) -> impl Future<Output = Result<(), Refusal>> + Send + use<> {
        let mut done = self.done.clone();
        async move {
            let gone = || Err(Refusal::Unavailable("the label mappings were given up".to_owned()));
            done.wait_for(Option::is_some).await.map_or_else(|_| gone(), |result| result.clone().unwrap_or_else(gone))
        }
    }
}

/// What the caller is told of a peer that does not do its part.
fn timed_out(refusal: Refusal) -> Rejection {
    match refusal {
        Refusal::Unavailable(reason) => Rejection::new(504, reason),
        other => other.into(),
    }
}

/// Tells our mapping, waits for the peer's, and has it programmed.
async fn exchange<S: Sessions>(
    services: &Services<S>,
    crossing: &Crossing,
    terms: &Terms,
    mut expected: crate::peers::Expected,
) -> Result<(), Refusal> {
    let (peer, limit) = (&*crossing.peer, services.peers.label_timeout);
    let ours = terms.mapping.as_ref().ok_or_else(|| failed(peer, "has no link for the session"))?;
    let telling = tell(&services.stack, services.domain.name(), peer, &crossing.session, ours);
    let telling =
        async { tokio::time::timeout(limit, telling).await.unwrap_or_else(|_| Err(failed(peer, "does not answer the label mapping"))) };
    let hearing = async { expected.within(limit).await.ok_or_else(|| failed(peer, "has mapped no label to the session in time")) };
    let ((), Mapping { nni, label }) = tokio::try_join!(telling, hearing)?;
    if nni != ours.nni {
        return Err(failed(peer, &format!("has mapped a label on link {}, and not on {}", nni.0, ours.nni.0)));
    }
    services.sessions.map(terms.session, label).await
}
