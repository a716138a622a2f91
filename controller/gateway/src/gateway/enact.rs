//! From effects to the journal and the routers.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use fail::fail_point;
use svpn_contract::EntryKey;
use svpn_store::{AppendError, Change, Commit, Journal};
use svpn_vpn::durable::Fact;
use svpn_vpn::request::Refusal;
use svpn_vpn::{Domain, Effects, RouterId};

use super::Gateway;
use crate::routers::{Booked, Firmness, PlanError};

/// How long to wait before what could not be made durable is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Why effects are not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnactError {
    /// They are not durable, and nothing was written to a router.
    #[error("the journal does not take it: {0}")]
    Journal(#[from] AppendError),
    /// They are durable, and routers hold a part of them.
    #[error(transparent)]
    Router(#[from] PlanError),
}

impl EnactError {
    /// What the caller is told. The log has the rest.
    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::Journal(_) => Refusal::Unavailable("the gateway cannot write its journal".to_owned()),
            Self::Router(error) => Refusal::Unavailable(format!("router {} does not take the session", error.router)),
        }
    }
}

/// Effects in the queues of the journal and the routers. All that is behind them in the routers' queues waits for them.
#[must_use = "all that is behind it in the routers' queues waits"]
pub(super) struct Enacted {
    gateway: Gateway,
    commit: Commit,
    journal: Journal,
    /// For another try.
    changes: Vec<Change>,
    /// What the steps are about, where they may fail.
    entries: Vec<(RouterId, EntryKey)>,
    steps: Booked,
}

/// What was decided, and not written: others may rest on it by now, as on a tunnel that they ride. It is written with what is decided next.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    facts: Vec<Fact>,
    entries: Vec<(RouterId, EntryKey)>,
}

impl Gateway {
    /// Queues what an operation asks for; the domain is shown to prove that nobody else decides anything meanwhile.
    pub(super) fn enact(&self, decided: &Domain, effects: Effects, more: Vec<Change>, firmness: Firmness) -> Enacted {
        let Unwritten { facts, entries } = std::mem::take(&mut *self.unwritten());
        if !(facts.is_empty() && entries.is_empty()) {
            let again = self.queue(decided.again(&facts, &entries), Vec::new(), Firmness::Surely);
            self.0.tasks.spawn(again.surely());
        }
        self.queue(effects, more, firmness)
    }

    fn queue(&self, effects: Effects, more: Vec<Change>, firmness: Firmness) -> Enacted {
        let changes: Vec<Change> = last_of_each(effects.facts).into_iter().map(Change::from).chain(more).collect();
        let entries = match firmness {
            Firmness::OrNot => {
                effects.steps.iter().flat_map(|step| step.updates.iter().map(|update| (step.router, update.key()))).collect()
            }
            Firmness::Surely => Vec::new(),
        };
        let journal = self.0.journal.clone();
        let commit = journal.append(changes.clone());
        Enacted { gateway: self.clone(), commit, journal, changes, entries, steps: self.0.routers.book(effects.steps, firmness) }
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.0.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A later fact replaces an earlier one of the same thing.
fn last_of_each(facts: Vec<Fact>) -> Vec<Fact> {
    let mut seen = std::collections::HashSet::new();
    let mut last: Vec<Fact> = facts.into_iter().rev().filter(|fact| seen.insert(fact.key())).collect();
    last.reverse();
    last
}

impl Enacted {
    /// Waits until they are durable, and then carried out.
    pub(super) async fn done(self) -> Result<(), EnactError> {
        if !self.changes.is_empty()
            && let Err(error) = self.commit.await
        {
            let facts = self.changes.into_iter().filter_map(|change| if let Change::Fact(fact) = change { Some(fact) } else { None });
            let mut unwritten = self.gateway.unwritten();
            unwritten.facts.extend(facts);
            unwritten.entries.extend(self.entries);
            return Err(error.into());
        }
        fail_point!("gateway: between journal and routers");
        if let Err(error) = self.steps.carry_out().await {
            self.gateway.unwritten().entries.extend(self.entries);
            return Err(error.into());
        }
        fail_point!("gateway: after the routers");
        Ok(())
    }

    /// Waits until they are durable, as long as that takes, and then carried out or as good as that.
    pub(super) async fn surely(self) {
        if let Some(durable) = self.durable().await {
            durable.sooner_or_later().await;
        }
    }

    /// Waits until they are durable, as long as that takes; `None` if the gateway stops before that.
    pub(super) async fn durable(self) -> Option<Durable> {
        let mut durable = self.commit.await;
        while let Err(error) = durable {
            if matches!(error, AppendError::Closed) {
                tracing::error!(changes = ?self.changes, "the gateway stops before this is durable");
                return None;
            }
            tracing::error!(%error, "the journal does not take what must be written: it is tried again");
            tokio::time::sleep(RETRY).await;
            durable = self.journal.append(self.changes.clone()).await;
        }
        Some(Durable(self.steps))
    }
}

/// Effects that are durable, with their steps in the queues of the routers.
#[must_use = "all that is behind it in the routers' queues waits"]
pub(super) struct Durable(Booked);

impl Durable {
    /// Waits until they are carried out, or it is known why not.
    pub(super) async fn carried_out(self) -> Result<(), PlanError> {
        fail_point!("gateway: surely between journal and routers");
        self.0.carry_out_all().await
    }

    /// Waits until they are carried out, or as good as that.
    pub(super) async fn sooner_or_later(self) {
        if let Err(error) = self.carried_out().await {
            tracing::warn!(%error, "not carried out yet: the router is put right when it answers");
        }
    }
}
