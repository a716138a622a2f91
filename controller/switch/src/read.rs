//! What a router's tables hold.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use svpn_contract::{DecodeError, Entry, TABLES};
use tonic::Status;

use crate::client::Client;
use crate::settings::Settings;
use crate::switch::State;

/// Why a read did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing was asked.
    #[error("the router cannot be read: {0}")]
    NotConnected(State),
    /// The router refused the call, or broke off.
    #[error("the router did not answer the read: {0}")]
    Call(#[from] Box<Status>),
}

/// What the tables held when they were read.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// In the order the router gave them.
    pub entries: Vec<Entry>,
    /// What is none of the contract's; somebody else wrote it.
    pub foreign: Vec<Foreign>,
}

/// An entry that is none of the contract's.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// As read.
    pub entry: proto::TableEntry,
    /// Why it is none.
    pub reason: DecodeError,
}

/// Reads every table of a router without a stream and without a bid for mastership: it changes nothing there, and whoever is primary
/// stays so.
///
/// # Errors
/// [`ReadError`] when the router does not answer.
pub async fn inspect(settings: &Settings) -> Result<Snapshot, ReadError> {
    Ok(tables(&Client::new(settings, settings.election)).await?)
}

/// Reads every table.
pub(crate) async fn tables(client: &Client) -> Result<Snapshot, Box<Status>> {
    let mut snapshot = Snapshot::default();
    client.read(wildcards(), |entity| snapshot.take(entity)).await?;
    Ok(snapshot)
}

impl Snapshot {
    fn take(&mut self, entity: proto::Entity) {
        // The pipeline fixes every default action, so there is nothing to know of them.
        let Some(Entity::TableEntry(entry)) = entity.entity else { return };
        if entry.is_default_action {
            return;
        }
        match Entry::decode(&entry) {
            Ok(entry) => self.entries.push(entry),
            Err(reason) => self.foreign.push(Foreign { entry, reason }),
        }
    }
}

/// One wildcard for each table. A router tells meters only to one who sets them in the request (P4Runtime specification, "`TableEntry`").
fn wildcards() -> Vec<proto::Entity> {
    let meters = svpn_contract::p4info().direct_meters;
    let wildcard = |id: u32| proto::TableEntry {
        table_id: id,
        meter_config: meters.iter().any(|meter| meter.direct_table_id == id).then(proto::MeterConfig::default),
        ..Default::default()
    };
    let entity = |id: u32| proto::Entity { entity: Some(Entity::TableEntry(wildcard(id))) };
    TABLES.iter().map(|table| entity(table.id)).collect()
}

#[cfg(test)]
mod tests {
    use svpn_contract::{PuntPolicerKey, SessionKey, VrfPolicerKey};

    use super::*;

    #[test]
    fn every_table_is_asked_and_meters_only_where_there_are_some() {
        let asked: Vec<_> = wildcards()
            .into_iter()
            .map(|entity| match entity.entity {
                Some(Entity::TableEntry(entry)) => (entry.table_id, entry.meter_config.is_some(), entry.r#match.len()),
                other => panic!("asked for {other:?}"),
            })
            .collect();
        let metered = [SessionKey::TABLE_ID, VrfPolicerKey::TABLE_ID, PuntPolicerKey::TABLE_ID];
        let expected: Vec<_> = TABLES.iter().map(|table| (table.id, metered.contains(&table.id), 0)).collect();
        assert_eq!(asked, expected);
    }

    #[test]
    fn default_actions_are_no_entries() {
        let entry = proto::TableEntry { table_id: SessionKey::TABLE_ID, is_default_action: true, ..Default::default() };
        let mut snapshot = Snapshot::default();
        snapshot.take(proto::Entity { entity: Some(Entity::TableEntry(entry)) });
        assert!(snapshot.entries.is_empty() && snapshot.foreign.is_empty());
    }
}
