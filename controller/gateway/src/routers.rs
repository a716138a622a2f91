//! All routers, and how plans are written to them.

mod counting;
mod queue;

use std::collections::HashMap;

use svpn_contract::packet::PacketOut;
use svpn_contract::wire::SessionId;
use svpn_switch::{ElectionId, Event, SessionCounters, State, Switch, WriteError};
use svpn_vpn::{Domain, RouterId, Step};
use tokio::sync::mpsc;

use crate::config::RouterConfig;
use counting::Counting;
use queue::{Queue, Ticket, Work, WorkError};

/// Most notices of all routers that wait to be looked at.
const NOTICES: usize = 4096;

/// What a router tells by itself.
#[derive(Debug)]
pub struct Notice {
    /// Which.
    pub router: RouterId,
    /// What.
    pub event: Event,
}

/// Why a plan could not be written.
#[derive(Debug, thiserror::Error)]
#[error("router {router}: {source}")]
pub(crate) struct PlanError {
    pub(crate) router: String,
    #[source]
    pub(crate) source: WorkError,
}

impl PlanError {
    /// Whether the router said no, and not only nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(&self.source, WorkError::Refused(error) if matches!(**error, WriteError::Refused { .. } | WriteError::Rejected(_)))
    }
}

/// One of the provider's routers.
#[derive(Debug)]
struct Router {
    name: String,
    switch: Switch,
    queue: Queue,
    counting: Counting,
}

/// All routers.
#[derive(Debug)]
pub(crate) struct Routers(HashMap<RouterId, Router>);

/// Whether a plan's writes may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firmness {
    /// A router takes all of a step or nothing, and the plan ends there.
    OrNot,
    /// A router that is away gets it when it is back.
    Surely,
}

/// A plan with its place in the queue of every router it touches.
#[derive(Debug)]
#[must_use = "all that is behind it in the queues waits"]
pub(crate) struct Booked(Vec<(String, Ticket)>);

impl Booked {
    /// Has the steps written in their order, and stops at the first that a router refuses: what was written before it stays.
    pub(crate) async fn carry_out(self) -> Result<(), PlanError> {
        for (router, ticket) in self.0 {
            ticket.carry_out().await.map_err(|source| PlanError { router, source })?;
        }
        Ok(())
    }

    /// Has the steps written in their order, whatever becomes of one. The first failure is told.
    pub(crate) async fn carry_out_all(self) -> Result<(), PlanError> {
        let mut first = Ok(());
        for (router, ticket) in self.0 {
            let written = ticket.carry_out().await.map_err(|source| PlanError { router, source });
            first = first.and(written);
        }
        first
    }
}

impl Routers {
    /// Begins to connect to every router; each is brought to what the domain expects of it as soon as it answers, also when it comes
    /// back later. What routers tell comes by the receiver. Must be called within a tokio runtime.
    pub(crate) fn start(routers: &[RouterConfig], election: ElectionId, domain: &Domain) -> (Self, mpsc::Receiver<Notice>) {
        let (notices, told) = mpsc::channel(NOTICES);
        let start = |router: &RouterConfig| {
            let expected = domain.expected_entries(router.id).cloned();
            let (switch, events) = Switch::start(router.settings(election), expected);
            tokio::spawn(pass_on(router.id, events, notices.clone()));
            let queue = Queue::start(switch.clone());
            let counting = Counting::start(router.name.clone(), switch.clone());
            (router.id, Router { name: router.name.clone(), switch, queue, counting })
        };
        (Self(routers.iter().map(start).collect()), told)
    }

    /// Waits until every router holds what it should.
    pub(crate) async fn ready(&self) {
        for router in self.0.values() {
            router.switch.ready().await;
            tracing::info!(router = router.name, "router is ready");
        }
    }

    pub(crate) fn name(&self, id: RouterId) -> &str {
        self.0.get(&id).map_or("", |router| &router.name)
    }

    /// Whether a router takes packets from us and gives us its own.
    pub(crate) fn speaks(&self, id: RouterId) -> bool {
        self.0.get(&id).is_some_and(|router| router.switch.state() == State::Ready)
    }

    /// Waits for an answer of a router; whether one came.
    pub(crate) async fn ping(&self, id: RouterId) -> bool {
        let Some(router) = self.0.get(&id) else { return false };
        router.switch.ping().await.is_ok()
    }

    /// Sends a packet out of a router's port; one that cannot be sent now is not.
    pub(crate) fn send(&self, id: RouterId, packet: PacketOut) {
        let Some(router) = self.0.get(&id) else { return };
        if let Err(error) = router.switch.packet_out(packet) {
            tracing::debug!(router = router.name, %error, "a packet was not sent");
        }
    }

    /// Takes a place for each step in its router's queue.
    pub(crate) fn book(&self, steps: Vec<Step>, firmness: Firmness) -> Booked {
        let book = |Step { router, updates }: Step| {
            let work = match firmness {
                Firmness::OrNot => Work::Write(updates),
                Firmness::Surely => Work::Apply(updates),
            };
            self.0.get(&router).map(|router| (router.name.clone(), router.queue.take(work)))
        };
        Booked(steps.into_iter().filter_map(book).collect())
    }

    /// What a session's ingress PE counted: `None` if it does not answer now, `Some(None)` if it does not know the session.
    pub(crate) async fn count(&self, id: RouterId, session: SessionId) -> Option<Option<SessionCounters>> {
        self.0.get(&id)?.counting.count(session).await
    }
}

/// What nobody looks at in time is shed.
async fn pass_on(router: RouterId, mut events: mpsc::Receiver<Event>, notices: mpsc::Sender<Notice>) {
    while let Some(event) = events.recv().await {
        if notices.try_send(Notice { router, event }).is_err() {
            tracing::debug!(router = router.index(), "a notice of a router is shed");
        }
    }
}
