//! All routers, and how a plan is written to them.

use std::collections::HashMap;

use svpn_contract::wire::SessionId;
use svpn_switch::{ElectionId, SessionCounters, Switch, WriteError};
use svpn_vpn::{Domain, RouterId, Step};

use crate::config::RouterConfig;

/// Why a plan could not be written.
#[derive(Debug, thiserror::Error)]
#[error("router {router}: {source}")]
pub(crate) struct PlanError {
    pub(crate) router: String,
    #[source]
    pub(crate) source: WriteError,
}

/// One of the provider's routers.
#[derive(Debug)]
struct Router {
    name: String,
    switch: Switch,
}

/// All routers.
#[derive(Debug)]
pub struct Routers(HashMap<RouterId, Router>);

impl Routers {
    /// Begins to connect to every router; each is brought to what the domain expects of it as soon as it answers, also when it comes
    /// back later. Must be called within a tokio runtime.
    pub fn start(routers: &[RouterConfig], election: ElectionId, domain: &Domain) -> Self {
        let start = |router: &RouterConfig| {
            let expected = domain.expected_entries(router.id).cloned();
            let (switch, events) = Switch::start(router.settings(election), expected);
            tokio::spawn(watch_events(router.name.clone(), events));
            (router.id, Router { name: router.name.clone(), switch })
        };
        Self(routers.iter().map(start).collect())
    }

    /// Waits until every router holds what it should.
    pub async fn ready(&self) {
        for router in self.0.values() {
            router.switch.ready().await;
            tracing::info!(router = router.name, "router is ready");
        }
    }

    pub(crate) fn name(&self, id: RouterId) -> &str {
        self.0.get(&id).map_or("", |router| &router.name)
    }

    /// Writes steps in their order and stops at the first that a router refuses: what was written before it stays.
    pub(crate) async fn write(&self, steps: &[Step]) -> Result<(), PlanError> {
        for step in steps {
            let Some(router) = self.0.get(&step.router) else { continue };
            let written = router.switch.write(&step.updates).await;
            written.map_err(|source| PlanError { router: router.name.clone(), source })?;
        }
        Ok(())
    }

    /// Writes steps that give something back, in their order. Deletions are final: where a router does not answer, it loses the entries
    /// when it is back.
    pub(crate) async fn give_back(&self, steps: &[Step]) {
        for step in steps {
            let Some(router) = self.0.get(&step.router) else { continue };
            if let Err(error) = router.switch.apply(&step.updates).await {
                tracing::warn!(router = router.name, %error, "not given back yet: the router is put right when it answers");
            }
        }
    }

    /// What a session's ingress PE counted; `None` if it does not tell.
    pub(crate) async fn count(&self, id: RouterId, session: SessionId) -> Option<SessionCounters> {
        let router = self.0.get(&id)?;
        match router.switch.session_counters(&[session]).await {
            Ok(counters) => counters.get(&session).copied(),
            Err(error) => {
                tracing::error!(router = router.name, %session, %error, "the session's counters could not be read");
                None
            }
        }
    }
}

/// What routers send by themselves: logged, so that a person who looks for lost packets finds them.
async fn watch_events(router: String, mut events: tokio::sync::mpsc::Receiver<svpn_switch::Event>) {
    while let Some(event) = events.recv().await {
        tracing::debug!(router, ?event, "the router tells");
    }
}
