//! Which routers answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use svpn_vpn::RouterId;
use tokio::task::JoinSet;

use crate::gateway::Gateway;

/// How a router is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// It answers.
    Well,
    /// It is connected, and answers nothing.
    Silent,
    /// It is not connected, or not ready.
    Away,
}

/// Every router, and when it answered last.
#[derive(Debug)]
pub(super) struct Pulse(HashMap<RouterId, Router>);

#[derive(Debug)]
struct Router {
    answered: Arc<Mutex<Option<Instant>>>,
    /// Since when it is connected and ready.
    speaks: Option<Instant>,
    condition: Condition,
}

impl Pulse {
    /// Nothing is known of them yet.
    pub(super) fn new(routers: impl Iterator<Item = RouterId>) -> Self {
        Self(routers.map(|id| (id, Router { answered: Arc::default(), speaks: None, condition: Condition::Away })).collect())
    }

    /// Asks each router again and again, as long as what is returned is kept.
    pub(super) fn feel(&self, gateway: &Gateway, every: Duration) -> JoinSet<()> {
        let mut feeling = JoinSet::new();
        for (&id, router) in &self.0 {
            let (gateway, answered) = (gateway.clone(), Arc::clone(&router.answered));
            feeling.spawn(async move {
                loop {
                    if gateway.speaks(id) && gateway.ping(id).await {
                        *answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                    }
                    tokio::time::sleep(every).await;
                }
            });
        }
        feeling
    }

    /// Notes how each router is. One whose last answer is older than `patience` is silent, and one that has had as long for its first.
    pub(super) fn look(&mut self, gateway: &Gateway, patience: Duration) {
        for (&id, router) in &mut self.0 {
            let answered = *router.answered.lock().unwrap_or_else(PoisonError::into_inner);
            router.speaks = gateway.speaks(id).then(|| router.speaks.unwrap_or_else(Instant::now));
            let condition = match (router.speaks, answered) {
                (None, _) => Condition::Away,
                (_, Some(at)) if at.elapsed() <= patience => Condition::Well,
                (Some(since), _) if since.elapsed() <= patience && router.condition == Condition::Away => Condition::Away,
                _ => Condition::Silent,
            };
            let (name, before) = (gateway.router_name(id), std::mem::replace(&mut router.condition, condition));
            match (before, condition) {
                (Condition::Well | Condition::Away, Condition::Silent) => {
                    tracing::warn!(
                        router = name,
                        "the router does not answer: what it forwards goes on, and nothing is known of its links"
                    );
                }
                (Condition::Silent | Condition::Away, Condition::Well) => tracing::info!(router = name, "the router answers"),
                _ => {}
            }
        }
    }

    /// Whether a router answered when it was looked at last.
    pub(super) fn beats(&self, id: RouterId) -> bool {
        self.0.get(&id).is_some_and(|router| router.condition == Condition::Well)
    }
}
