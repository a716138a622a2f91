//! Batches of updates, and what became of each.

use std::fmt;

use p4runtime_proto::google::rpc;
use p4runtime_proto::p4::v1 as proto;
use prost::Message;
use tonic::{Code, Status};

use crate::switch::State;

/// An update that the router refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which of those given.
    pub index: usize,
    /// Why, in gRPC's terms.
    pub code: Code,
    /// Why, in words.
    pub message: String,
    /// Names the target, which defines `target_code`; empty if it defines none.
    pub space: String,
    /// The target's own number for the reason.
    pub target_code: i32,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "update {}: {:?}: {}", self.index, self.code, self.message)
    }
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing was sent.
    #[error("the router cannot be written: {0}")]
    NotReady(State),
    /// The router refused updates; those it did not refuse are undone.
    #[error("the router refused {} of {updates} updates; first {}", refusals.len(), Listed(refusals))]
    Refused {
        /// Those it refused, in order; at least one.
        refusals: Vec<Refusal>,
        /// How many were given.
        updates: usize,
    },
    /// The router refused a whole call, and carried out nothing of it.
    #[error("the router refused the call: {0}")]
    Rejected(#[source] Box<Status>),
    /// There was no answer. The tables are read again, and what should not be there goes.
    #[error("it is not known what the router did: {0}")]
    Unknown(#[source] Box<Status>),
}

struct Listed<'a>(&'a [Refusal]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.first().map_or(Ok(()), |first| fmt::Display::fmt(first, f))
    }
}

/// What became of one call.
#[derive(Debug)]
pub(crate) enum BatchError {
    Refused(Vec<Refusal>),
    Rejected(Box<Status>),
    Unknown(Box<Status>),
}

impl BatchError {
    /// Reads the answer to a batch of so many updates, whose first is number `base` of the caller's.
    pub(crate) fn read(status: Status, updates: usize, base: usize) -> Self {
        if let Some(refusals) = refusals(status.details(), updates, base) {
            return Self::Refused(refusals);
        }
        match status.code() {
            // What a server says before it touches a table (P4Runtime specification, "Write RPC").
            Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::Unimplemented => Self::Rejected(Box::new(status)),
            _ => Self::Unknown(Box::new(status)),
        }
    }
}

/// The updates, or the requests of a read, that `google.rpc.Status` details as failed; it must name every one, and at least one as
/// failed.
pub(crate) fn refusals(details: &[u8], updates: usize, base: usize) -> Option<Vec<Refusal>> {
    let status = rpc::Status::decode(details).ok()?;
    if status.details.len() != updates {
        return None;
    }
    let mut refusals = Vec::new();
    for (index, detail) in status.details.into_iter().enumerate() {
        if !detail.type_url.ends_with("/p4.v1.Error") {
            return None;
        }
        let error = proto::Error::decode(&*detail.value).ok()?;
        if error.canonical_code != 0 {
            refusals.push(Refusal {
                index: base + index,
                code: Code::from_i32(error.canonical_code),
                message: error.message,
                space: error.space,
                target_code: error.code,
            });
        }
    }
    (!refusals.is_empty()).then_some(refusals)
}

#[cfg(test)]
mod tests {
    use prost_types::Any;

    use super::*;

    fn details(errors: &[(i32, &str)]) -> Vec<u8> {
        let pack = |&(canonical_code, message): &(i32, &str)| {
            let error = proto::Error { canonical_code, message: message.into(), space: "test".into(), code: 5, details: None };
            Any { type_url: "type.googleapis.com/p4.v1.Error".into(), value: error.encode_to_vec() }
        };
        rpc::Status { code: 2, message: "some failed".into(), details: errors.iter().map(pack).collect() }.encode_to_vec()
    }

    fn status(code: Code, details: Vec<u8>) -> Status {
        Status::with_details(code, "some failed", details.into())
    }

    #[test]
    fn names_each_refused_update_by_the_callers_index() {
        let details = details(&[(0, ""), (6, "is there"), (0, ""), (8, "full")]);
        let BatchError::Refused(refusals) = BatchError::read(status(Code::Unknown, details), 4, 100) else {
            panic!("not read as refusals");
        };
        let read: Vec<_> = refusals.iter().map(|refusal| (refusal.index, refusal.code, refusal.message.as_str())).collect();
        assert_eq!(read, [(101, Code::AlreadyExists, "is there"), (103, Code::ResourceExhausted, "full")]);
        assert_eq!((refusals[0].space.as_str(), refusals[0].target_code), ("test", 5));
    }

    #[test]
    fn details_that_do_not_fit_the_batch_say_nothing_of_it() {
        let wrong = [details(&[(6, "one")]), details(&[(0, ""), (0, "")]), vec![0xff, 0xff], Vec::new()];
        for details in wrong {
            let error = BatchError::read(status(Code::Unknown, details), 2, 0);
            assert!(matches!(error, BatchError::Unknown(_)), "{error:?}");
        }
    }

    #[test]
    fn details_of_another_type_say_nothing_of_it() {
        let detail = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: vec![8, 6] };
        let details = rpc::Status { code: 2, message: String::new(), details: vec![detail] }.encode_to_vec();
        let error = BatchError::read(status(Code::Unknown, details), 1, 0);
        assert!(matches!(error, BatchError::Unknown(_)), "{error:?}");
    }

    #[test]
    fn call_that_never_reached_the_tables_is_told_from_one_that_may_have() {
        let read = |code| BatchError::read(status(code, Vec::new()), 1, 0);
        assert!(matches!(read(Code::PermissionDenied), BatchError::Rejected(_)));
        assert!(matches!(read(Code::FailedPrecondition), BatchError::Rejected(_)));
        assert!(matches!(read(Code::Unavailable), BatchError::Unknown(_)));
        assert!(matches!(read(Code::DeadlineExceeded), BatchError::Unknown(_)));
    }

    #[test]
    fn error_tells_the_first_refusal() {
        let refusals = refusals(&details(&[(0, ""), (8, "the session table is full")]), 2, 0).expect("refusals");
        let error = WriteError::Refused { refusals, updates: 2 };
        assert_eq!(error.to_string(), "the router refused 1 of 2 updates; first update 1: ResourceExhausted: the session table is full");
    }
}
