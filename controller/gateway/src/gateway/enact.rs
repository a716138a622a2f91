//! From effects to the journal and the routers.

use std::time::Duration;

use svpn_store::{AppendError, Change, Commit, Journal};
use svpn_vpn::durable::Fact;
use svpn_vpn::request::Refusal;
use svpn_vpn::{Domain, Effects};

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
    commit: Commit,
    journal: Journal,
    /// For another try.
    changes: Vec<Change>,
    steps: Booked,
}

impl Gateway {
    /// Queues what an operation asks for; the domain is shown to prove that nobody else decides anything meanwhile.
    pub(super) fn enact(&self, _decided: &Domain, effects: Effects, more: Vec<Change>, firmness: Firmness) -> Enacted {
        let changes: Vec<Change> = last_of_each(effects.facts).into_iter().map(Change::from).chain(more).collect();
        let journal = self.0.journal.clone();
        let commit = journal.append(changes.clone());
        Enacted { commit, journal, changes, steps: self.0.routers.book(effects.steps, firmness) }
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
        if !self.changes.is_empty() {
            self.commit.await?;
        }
        Ok(self.steps.carry_out().await?)
    }

    /// Waits until they are durable, as long as that takes, and then carried out or as good as that.
    pub(super) async fn surely(self) {
        let mut durable = self.commit.await;
        while let Err(error) = durable {
            if matches!(error, AppendError::Closed) {
                tracing::error!(changes = ?self.changes, "the gateway stops before this is durable");
                return;
            }
            tracing::error!(%error, "the journal does not take what must be written: it is tried again");
            tokio::time::sleep(RETRY).await;
            durable = self.journal.append(self.changes.clone()).await;
        }
        if let Err(error) = self.steps.carry_out_all().await {
            tracing::warn!(%error, "not carried out yet: the router is put right when it answers");
        }
    }
}
