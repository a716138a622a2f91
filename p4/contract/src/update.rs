//! One change to a router's tables.

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::update::Type;

use crate::error::DecodeError;
use crate::tables::{Entry, EntryKey};

/// One change to a router's tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Update {
    /// Adds an entry that is not there.
    Insert(Entry),
    /// Replaces the action, meter and time-out of an entry that is there.
    Modify(Entry),
    /// Removes an entry that is there.
    Delete(EntryKey),
}

/// Why a P4Runtime update is none of the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeUpdateError {
    /// Neither INSERT nor MODIFY nor DELETE.
    #[error("the update's type {0} is none of INSERT, MODIFY and DELETE")]
    Type(i32),
    /// Not a table entry.
    #[error("the update holds no table entry")]
    NoTableEntry,
    /// A table entry that is none of the contract.
    #[error(transparent)]
    Entry(#[from] DecodeError),
}

impl Update {
    /// What names the entry.
    pub fn key(&self) -> EntryKey {
        match self {
            Self::Insert(entry) | Self::Modify(entry) => entry.key(),
            Self::Delete(key) => *key,
        }
    }

    /// As a P4Runtime message.
    pub fn encode(&self) -> proto::Update {
        let (kind, entry) = match self {
            Self::Insert(entry) => (Type::Insert, entry.encode()),
            Self::Modify(entry) => (Type::Modify, entry.encode()),
            Self::Delete(key) => (Type::Delete, key.encode()),
        };
        proto::Update { r#type: kind.into(), entity: Some(proto::Entity { entity: Some(Entity::TableEntry(entry)) }) }
    }

    /// From a P4Runtime message.
    ///
    /// # Errors
    /// [`DecodeUpdateError`] says why it is none.
    pub fn decode(update: &proto::Update) -> Result<Self, DecodeUpdateError> {
        let Some(Entity::TableEntry(entry)) = update.entity.as_ref().and_then(|entity| entity.entity.as_ref()) else {
            return Err(DecodeUpdateError::NoTableEntry);
        };
        match update.r#type() {
            Type::Insert => Ok(Self::Insert(Entry::decode(entry)?)),
            Type::Modify => Ok(Self::Modify(Entry::decode(entry)?)),
            Type::Delete => Ok(Self::Delete(EntryKey::decode(entry)?)),
            Type::Unspecified => Err(DecodeUpdateError::Type(update.r#type)),
        }
    }
}
