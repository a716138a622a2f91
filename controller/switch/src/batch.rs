//! A batch of updates, as it goes to a router.
//!
//! An indexed counter outlives the entries that count into it. So with the entry of a session goes what its cell of `session_discards`
//! holds: the next session of that number is billed by the same cell. By then no flow leads to the session, and its counters were read
//! before, so it does not matter which of the two a router carries out first.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::wire::SessionId;
use svpn_contract::{EntryKey, SessionKey, Update, counter};

use crate::client::Client;
use crate::write::{BatchError, Refusal};

/// What goes to a router in one call.
#[derive(Debug)]
pub(crate) struct Batch {
    updates: Vec<proto::Update>,
    given: usize,
    cleared: Vec<SessionId>,
}

/// One of the changes that a batch consists of.
pub(crate) trait Encode {
    /// As P4Runtime has it.
    fn encode(&self) -> proto::Update;
    /// The entry that it deletes, if it deletes one of the contract's.
    fn deletes(&self) -> Option<EntryKey>;
}

impl Encode for Update {
    fn encode(&self) -> proto::Update {
        Self::encode(self)
    }

    fn deletes(&self) -> Option<EntryKey> {
        match self {
            Self::Delete(key) => Some(*key),
            Self::Insert(_) | Self::Modify(_) => None,
        }
    }
}

impl Batch {
    pub(crate) fn new<C: Encode>(changes: &[C]) -> Self {
        let session = |change: &C| match change.deletes() {
            Some(EntryKey::Session(SessionKey { session })) => Some(session),
            _ => None,
        };
        let cleared: Vec<_> = changes.iter().filter_map(session).collect();
        let updates = changes.iter().map(Encode::encode).chain(cleared.iter().copied().map(clear)).collect();
        Self { updates, given: changes.len(), cleared }
    }

    /// Has it carried out; its first change is number `base` of the caller's.
    pub(crate) async fn send(self, client: &Client, base: usize) -> Result<(), BatchError> {
        let Self { updates, given, cleared } = self;
        let count = updates.len();
        let Err(status) = client.write(updates).await else { return Ok(()) };
        match BatchError::read(status, count, base) {
            BatchError::Refused(mut refusals) => {
                let unclear = refusals.split_off(refusals.partition_point(|refusal| refusal.index < base + given));
                for refusal in &unclear {
                    complain(cleared[refusal.index - base - given], refusal);
                }
                if refusals.is_empty() { Ok(()) } else { Err(BatchError::Refused(refusals)) }
            }
            other => Err(other),
        }
    }
}

/// There is nothing that could be undone: the session is over.
fn complain(session: SessionId, refusal: &Refusal) {
    let Refusal { code, message, .. } = refusal;
    tracing::error!(%session, ?code, message, "the router does not clear session_discards: the next session of this number is billed less");
}

fn clear(session: SessionId) -> proto::Update {
    let cell = proto::CounterEntry {
        counter_id: counter::SESSION_DISCARDS,
        index: Some(proto::Index { index: i64::from(session.get()) }),
        data: Some(proto::CounterData::default()),
    };
    // The only thing that can be done to a cell (P4Runtime specification, "CounterEntry").
    proto::Update { r#type: Type::Modify.into(), entity: Some(proto::Entity { entity: Some(Entity::CounterEntry(cell)) }) }
}
