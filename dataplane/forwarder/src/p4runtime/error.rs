//! Why an update changes nothing.

use svpn_contract::{DecodeError, DecodeUpdateError, EntryKey};
use thiserror::Error;
use tonic::Code;

use super::profiles::ProfileError;
use crate::entries::ApplyError;

/// Why an update changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum UpdateError {
    /// It is none of the contract.
    #[error(transparent)]
    Decode(#[from] DecodeUpdateError),
    /// The tables do not take it.
    #[error("{key}: {source}")]
    Apply {
        /// The entry.
        key: Box<EntryKey>,
        /// Why.
        source: ApplyError,
    },
    /// A member or group does not take it.
    #[error(transparent)]
    Profile(Box<ProfileError>),
    /// A counter cell does not take it.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// This server has no such thing.
    #[error("{what} are not supported: {instead}")]
    Unsupported {
        /// What.
        what: &'static str,
        /// What to use.
        instead: &'static str,
    },
    /// The tables' default actions are constant.
    #[error("every table's default action is constant")]
    ConstantDefault,
    /// A default action is only ever modified.
    #[error("a default action cannot be inserted or deleted, and has neither match nor priority nor idle time-out")]
    DefaultAction,
    /// Some fields are for reading.
    #[error("{0} must not be set")]
    ReadOnly(&'static str),
    /// Only MODIFY makes sense.
    #[error("{0} can only be modified")]
    ModifyOnly(&'static str),
    /// The table has no direct counter or meter.
    #[error("{key}: the table has no {what}")]
    NoDirect {
        /// The entry.
        key: Box<EntryKey>,
        /// `direct counter` or `direct meter`.
        what: &'static str,
    },
    /// The update names no entry.
    #[error("the update names no table entry")]
    NoEntry,
    /// A count below zero.
    #[error("a counter cannot be {0}")]
    NegativeCount(i64),
    /// Given up because another update of the batch failed.
    #[error("not done, because another update of the batch failed")]
    Aborted,
}

/// Why a counter cell is not there or not set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum CellError {
    /// No such counter.
    #[error("there is no counter {0:#010x}")]
    UnknownCounter(u32),
    /// An index below zero.
    #[error("a counter index cannot be {0}")]
    NegativeIndex(i64),
    /// An index that is too large.
    #[error("counter {counter} has indices below {limit}, not {index}")]
    OutOfRange {
        /// Its name.
        counter: &'static str,
        /// What was given.
        index: i64,
        /// How many cells there are.
        limit: u64,
    },
    /// A cell of `drops` that no reason belongs to can only be zero.
    #[error("no reason has the number {0}, so nothing can be counted for it")]
    NoReason(u64),
}

impl CellError {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::OutOfRange { .. } => Code::OutOfRange,
            Self::UnknownCounter(_) | Self::NegativeIndex(_) | Self::NoReason(_) => Code::InvalidArgument,
        }
    }
}

impl From<DecodeError> for UpdateError {
    fn from(error: DecodeError) -> Self {
        DecodeUpdateError::from(error).into()
    }
}

impl From<ProfileError> for UpdateError {
    fn from(error: ProfileError) -> Self {
        Self::Profile(Box::new(error))
    }
}

impl UpdateError {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Apply { source, .. } => match source {
                ApplyError::AlreadyExists => Code::AlreadyExists,
                ApplyError::NotFound => Code::NotFound,
                ApplyError::TableFull { .. } => Code::ResourceExhausted,
                ApplyError::OutOfRange { .. } => Code::OutOfRange,
                ApplyError::Members { .. } => Code::InvalidArgument,
            },
            Self::Profile(error) => error.code(),
            Self::Cell(error) => error.code(),
            Self::Unsupported { .. } => Code::Unimplemented,
            Self::ConstantDefault => Code::PermissionDenied,
            Self::Aborted => Code::Aborted,
            Self::Decode(_)
            | Self::DefaultAction
            | Self::ReadOnly(_)
            | Self::ModifyOnly(_)
            | Self::NoDirect { .. }
            | Self::NoEntry
            | Self::NegativeCount(_) => Code::InvalidArgument,
        }
    }

    pub(super) fn apply(key: EntryKey) -> impl Fn(ApplyError) -> Self {
        move |source| Self::Apply { key: Box::new(key), source }
    }
}
