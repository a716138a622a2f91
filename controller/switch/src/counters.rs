//! What sessions carried.

use std::collections::BTreeMap;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use svpn_contract::wire::SessionId;
use svpn_contract::{EntryKey, SessionKey, counter};
use tonic::{Code, Status};

use crate::client::Client;
use crate::write::refusals;

/// Packets and bytes since the entry was inserted; bytes as the contract counts them, destination MAC to end of payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The two counts of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionCounters {
    /// What its application sent.
    pub offered: Count,
    /// What of it was dropped or punted.
    pub discarded: Count,
}

impl SessionCounters {
    /// What is billed: offered less discarded. The router reads the two one after the other, so of a packet in between only the
    /// second may be counted; that is no reason to bill less than nothing.
    pub fn carried(&self) -> Count {
        Count {
            packets: self.offered.packets.saturating_sub(self.discarded.packets),
            bytes: self.offered.bytes.saturating_sub(self.discarded.bytes),
        }
    }
}

/// Reads so many sessions at once; those that the router does not have are left out.
pub(crate) async fn sessions(
    client: &Client,
    sessions: &[SessionId],
    batch: usize,
) -> Result<BTreeMap<SessionId, SessionCounters>, Box<Status>> {
    let mut counters = Counters::default();
    for some in sessions.chunks(batch) {
        match counters.read(client, some).await {
            // A server that does not detail what is missing may have left out the rest, so they are asked one by one.
            Err(status) if status.code() == Code::NotFound => {
                for one in some {
                    match counters.read(client, &[*one]).await {
                        Err(status) if status.code() == Code::NotFound => {}
                        other => other?,
                    }
                }
            }
            other => other?,
        }
    }
    Ok(counters.joined())
}

#[derive(Default)]
struct Counters {
    offered: BTreeMap<SessionId, Count>,
    discarded: BTreeMap<SessionId, Count>,
}

impl Counters {
    async fn read(&mut self, client: &Client, sessions: &[SessionId]) -> Result<(), Status> {
        let entities = sessions.iter().flat_map(|session| [discarded(*session), offered(*session)]).collect();
        match client.read(entities, |entity| self.take(entity)).await {
            // What is there was told before.
            Err(status) if only_missing(&status, 2 * sessions.len()) => Ok(()),
            other => other,
        }
    }

    fn take(&mut self, entity: proto::Entity) {
        match entity.entity {
            Some(Entity::DirectCounterEntry(counter)) => {
                let key = counter.table_entry.as_ref().map(EntryKey::decode);
                if let (Some(Ok(EntryKey::Session(key))), Some(data)) = (key, counter.data) {
                    self.offered.insert(key.session, Count::from(data));
                }
            }
            Some(Entity::CounterEntry(cell)) if cell.counter_id == counter::SESSION_DISCARDS => {
                let session = cell.index.and_then(|index| u32::try_from(index.index).ok());
                if let (Some(Ok(session)), Some(data)) = (session.map(SessionId::new), cell.data) {
                    self.discarded.insert(session, Count::from(data));
                }
            }
            _ => {}
        }
    }

    /// A session is there if its entry is; a cell of the array always is.
    fn joined(self) -> BTreeMap<SessionId, SessionCounters> {
        let discarded = self.discarded;
        let join = |(session, offered)| {
            let discarded = discarded.get(&session).copied().unwrap_or_default();
            (session, SessionCounters { offered, discarded })
        };
        self.offered.into_iter().map(join).collect()
    }
}

/// Whether so many requests failed for nothing but that some of them ask for what is not there.
fn only_missing(status: &Status, requests: usize) -> bool {
    refusals(status.details(), requests, 0).is_some_and(|refusals| refusals.iter().all(|refusal| refusal.code == Code::NotFound))
}

fn offered(session: SessionId) -> proto::Entity {
    let entry = EntryKey::from(SessionKey { session }).encode();
    proto::Entity { entity: Some(Entity::DirectCounterEntry(proto::DirectCounterEntry { table_entry: Some(entry), data: None })) }
}

fn discarded(session: SessionId) -> proto::Entity {
    let index = proto::Index { index: i64::from(session.get()) };
    let cell = proto::CounterEntry { counter_id: counter::SESSION_DISCARDS, index: Some(index), data: None };
    proto::Entity { entity: Some(Entity::CounterEntry(cell)) }
}

impl From<proto::CounterData> for Count {
    /// Counters are unsigned in P4 and signed in P4Runtime; the bits are the same.
    fn from(data: proto::CounterData) -> Self {
        Self { packets: data.packet_count.cast_unsigned(), bytes: data.byte_count.cast_unsigned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carried_is_never_below_zero() {
        let counters = SessionCounters { offered: Count { packets: 7, bytes: 700 }, discarded: Count { packets: 8, bytes: 600 } };
        assert_eq!(counters.carried(), Count { packets: 0, bytes: 100 });
    }
}
