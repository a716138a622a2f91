//! Why a member or a group is not written or read, or a table entry does not refer to it.

use std::fmt;

use svpn_contract::DecodeError;
use svpn_contract::wire::PortId;
use thiserror::Error;
use tonic::Code;

/// What an id names: members and groups have ids of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::p4runtime) enum Part {
    Member(u32),
    Group(u32),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(id) => write!(f, "member {id}"),
            Self::Group(id) => write!(f, "group {id}"),
        }
    }
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in crate::p4runtime) enum ProfileError {
    /// No such selector.
    #[error("there is no action profile {0:#010x}")]
    UnknownProfile(u32),
    /// Ids begin at 1.
    #[error("0 is no id of a member or group")]
    ZeroId,
    /// A member does nothing.
    #[error("{selector}: member {id} has no action")]
    NoAction {
        /// The selector.
        selector: &'static str,
        /// The member.
        id: u32,
    },
    /// A member's action is none of the table's.
    #[error("{selector}: member {id}: {source}")]
    Action {
        /// The selector.
        selector: &'static str,
        /// The member.
        id: u32,
        /// Why.
        source: DecodeError,
    },
    /// It is there already.
    #[error("{selector}: {part} exists already")]
    AlreadyExists {
        /// The selector.
        selector: &'static str,
        /// What.
        part: Part,
    },
    /// It is not there.
    #[error("{selector}: there is no {part}")]
    NotFound {
        /// The selector.
        selector: &'static str,
        /// What.
        part: Part,
    },
    /// Something refers to it.
    #[error("{selector}: {part} is in use by {user}")]
    InUse {
        /// The selector.
        selector: &'static str,
        /// What.
        part: Part,
        /// By what, among others perhaps.
        user: String,
    },
    /// No more members.
    #[error("{selector} holds {size} members")]
    Full {
        /// The selector.
        selector: &'static str,
        /// How many.
        size: u64,
    },
    /// A group names a member twice.
    #[error("{selector}: group {group} has member {member} twice; give it a weight instead")]
    Duplicate {
        /// The selector.
        selector: &'static str,
        /// The group.
        group: u32,
        /// The member.
        member: u32,
    },
    /// A weight that is not positive, or above what the selector takes.
    #[error("{selector}: group {group}: member {member} cannot have weight {weight}")]
    Weight {
        /// The selector.
        selector: &'static str,
        /// The group.
        group: u32,
        /// The member.
        member: u32,
        /// What was given.
        weight: i32,
    },
    /// A watch port that is no port number.
    #[error("{selector}: group {group}: member {member}: the watch port is no port number of {bits} bits", bits = PortId::BITS)]
    WatchPort {
        /// The selector.
        selector: &'static str,
        /// The group.
        group: u32,
        /// The member.
        member: u32,
    },
    /// A port the router does not have.
    #[error("port {0} cannot be watched: this router has none of that number")]
    NoSuchPort(PortId),
    /// `max_size` differs from what it was when the group was made.
    #[error("{selector}: group {group} was made with max_size {made}, which cannot be changed to {given}")]
    MaxSizeChanged {
        /// The selector.
        selector: &'static str,
        /// The group.
        group: u32,
        /// As it was made.
        made: i32,
        /// What was given.
        given: i32,
    },
    /// `max_size` is negative, or none that the P4Info allows.
    #[error("{selector}: group {group} cannot have max_size {given}")]
    MaxSize {
        /// The selector.
        selector: &'static str,
        /// The group.
        group: u32,
        /// What was given.
        given: i32,
    },
    /// More members than the group promised, or the selector takes.
    #[error("{selector}: group {group} is of size {size}, and at most {most} is possible")]
    TooLarge {
        /// The selector.
        selector: &'static str,
        /// The group.
        group: u32,
        /// Its size.
        size: u64,
        /// The largest.
        most: u64,
    },
    /// The table has no selector.
    #[error("table {0} has no action profile, so its entries cannot refer to members or groups")]
    NoSelector(String),
    /// One-shot sets, and members and groups, at once.
    #[error("{selector} is programmed {used}: one selector takes either one-shot action sets or members and groups, not both")]
    Mixed {
        /// The selector.
        selector: &'static str,
        /// How it is programmed so far.
        used: &'static str,
    },
}

impl ProfileError {
    pub(in crate::p4runtime) fn code(&self) -> Code {
        match self {
            Self::AlreadyExists { .. } => Code::AlreadyExists,
            Self::NotFound { .. } => Code::NotFound,
            Self::InUse { .. } => Code::FailedPrecondition,
            Self::Full { .. } | Self::TooLarge { .. } => Code::ResourceExhausted,
            Self::UnknownProfile(_)
            | Self::ZeroId
            | Self::NoAction { .. }
            | Self::Action { .. }
            | Self::Duplicate { .. }
            | Self::Weight { .. }
            | Self::WatchPort { .. }
            | Self::NoSuchPort(_)
            | Self::MaxSizeChanged { .. }
            | Self::MaxSize { .. }
            | Self::NoSelector(_)
            | Self::Mixed { .. } => Code::InvalidArgument,
        }
    }
}
