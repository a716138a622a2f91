//! Why an entity of a read selects nothing.

use svpn_contract::{DecodeError, EntryKey};
use thiserror::Error;
use tonic::Code;

use crate::p4runtime::error::CellError;

/// Why nothing is read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in crate::p4runtime) enum ReadError {
    /// The key is none of the contract.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The counter cell is not there.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The table has no such thing.
    #[error("table {table} has no {what}")]
    NoDirect {
        /// Its name.
        table: &'static str,
        /// What it does not have.
        what: &'static str,
    },
    /// No such selector.
    #[error("there is no action profile {0:#010x}")]
    UnknownProfile(u32),
    /// An entity without content.
    #[error("the entity is empty")]
    Empty,
    /// All tables at once are not filtered.
    #[error("a read of all tables takes no filter")]
    Filtered,
    /// The filter takes an action's id only.
    #[error("entries are filtered by the id of a single action only, and not those of a table with an action profile")]
    ActionFilter,
    /// No entry has this key.
    #[error("there is no entry {0}")]
    NotFound(Box<EntryKey>),
    /// This server has no such thing.
    #[error("{0} are not supported")]
    Unsupported(&'static str),
}

impl ReadError {
    pub(in crate::p4runtime) fn code(&self) -> Code {
        match self {
            Self::Cell(error) => error.code(),
            Self::NotFound(_) => Code::NotFound,
            Self::Unsupported(_) => Code::Unimplemented,
            Self::Decode(_) | Self::NoDirect { .. } | Self::UnknownProfile(_) | Self::Empty | Self::Filtered | Self::ActionFilter => {
                Code::InvalidArgument
            }
        }
    }
}
