//! Desired against actual.

use tonic::{Code, Status};

use crate::batch::Batch;
use crate::desired::Change;
use crate::read;
use crate::switch::{Shared, State};
use crate::write::{BatchError, Refusal};

/// What a reconciliation did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Entries that were missing.
    pub inserted: usize,
    /// Entries that were not as desired.
    pub modified: usize,
    /// Entries that nobody wants.
    pub deleted: usize,
    /// Changes that the router refused. They are tried again.
    pub refused: Vec<RefusedChange>,
}

/// A change that the router refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedChange {
    /// What it was, in words.
    pub change: String,
    /// Why, in gRPC's terms.
    pub code: Code,
    /// Why, in words.
    pub message: String,
}

/// Why a reconciliation broke off. What it had done by then is right.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Nothing was sent.
    #[error("the router cannot be reconciled: {0}")]
    NotPrimary(State),
    /// The tables were not read.
    #[error("the router's tables were not read: {0}")]
    Read(#[source] Box<Status>),
    /// A call was refused as a whole, or not answered.
    #[error("the router's tables were not written: {0}")]
    Write(#[source] Box<Status>),
}

impl Shared {
    /// Reads every table and writes the difference to the desired entries. Nobody else writes meanwhile.
    pub(crate) async fn reconcile(&self) -> Result<Report, ReconcileError> {
        let _alone = self.gate.write().await;
        let client = self.primary_client().map_err(ReconcileError::NotPrimary)?;
        let snapshot = read::tables(&client).await.map_err(ReconcileError::Read)?;
        let plan = self.desired().plan(snapshot);
        let mut report = Report::default();
        for step in plan {
            for batch in step.chunks(self.settings.batch.get()) {
                let refusals = match Batch::new(batch).send(&client, 0).await {
                    Ok(()) => Vec::new(),
                    Err(BatchError::Refused(refusals)) => refusals,
                    Err(BatchError::Rejected(status) | BatchError::Unknown(status)) => return Err(ReconcileError::Write(status)),
                };
                report.add(batch, refusals);
            }
        }
        Ok(report)
    }
}

impl Report {
    /// Nothing was to be done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, batch: &[Change], refusals: Vec<Refusal>) {
        let mut refusals = refusals.into_iter().peekable();
        for (index, change) in batch.iter().enumerate() {
            match refusals.next_if(|refusal| refusal.index == index) {
                // Somebody, or an idle timeout, was faster.
                Some(refusal) if change.removes() && refusal.code == Code::NotFound => {}
                Some(refusal) => {
                    self.refused.push(RefusedChange { change: describe(change), code: refusal.code, message: refusal.message });
                }
                None => self.count(change),
            }
        }
    }

    fn count(&mut self, change: &Change) {
        use svpn_contract::Update;
        match change {
            Change::Update(Update::Insert(_)) => self.inserted += 1,
            Change::Update(Update::Modify(_)) => self.modified += 1,
            Change::Update(Update::Delete(_)) | Change::Remove(_) => self.deleted += 1,
        }
    }
}

fn describe(change: &Change) -> String {
    match change {
        Change::Update(update) => format!("{update:?}"),
        Change::Remove(foreign) => format!("Delete of what is none of the contract's: {}", foreign.reason),
    }
}
