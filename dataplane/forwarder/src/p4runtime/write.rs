//! `Write`: a batch of updates, and what became of each.

use p4runtime_proto::google::rpc;
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use super::error::UpdateError;
use super::operation::{Operation, Undo, Written};
use super::turns::Turns;
use super::{Books, Plane};

/// What the details of a failed batch's status hold.
const ERROR_URL: &str = "type.googleapis.com/p4.v1.Error";

/// Updates of a batch that workers stand still for: some hundred microseconds, in which a port's queue does not overflow.
const MOST_AT_ONCE: usize = 256;

/// What became of each update of a batch, in its order.
pub(super) type Results = Vec<Result<(), UpdateError>>;

/// Performs a batch as it asks for. Tells what was written.
pub(super) fn perform<P: Plane>(
    plane: &P,
    books: &mut Books,
    atomicity: Atomicity,
    updates: &[proto::Update],
    written: &mut dyn FnMut(Written),
) -> Results {
    match atomicity {
        Atomicity::ContinueOnError => continue_on_error(plane, &mut Turns::new(plane), books, updates, written),
        Atomicity::RollbackOnError => all_or_nothing(plane, &mut Turns::new(plane), books, updates, written),
        Atomicity::DataplaneAtomic => all_or_nothing(plane, &mut Turns::at_once(plane), books, updates, written),
    }
}

/// From the wire, and possible with the ports there are.
fn decode<P: Plane>(plane: &P, update: &proto::Update) -> Result<Operation, UpdateError> {
    let operation = Operation::decode(update)?;
    operation.check_ports(|port| plane.has_port(port))?;
    Ok(operation)
}

/// Tries every update; those that fail leave the others alone.
fn continue_on_error<P: Plane>(
    plane: &P,
    turns: &mut Turns<'_, P>,
    books: &mut Books,
    updates: &[proto::Update],
    written: &mut dyn FnMut(Written),
) -> Results {
    let mut perform = |update| {
        let operation = decode(plane, update)?;
        let what = operation.written();
        operation.perform(turns.entries(), books)?;
        what.into_iter().for_each(&mut *written);
        Ok(())
    };
    updates.iter().map(&mut perform).collect()
}

/// Performs all updates or, if one fails, none: those before it are undone, in reverse.
fn all_or_nothing<P: Plane>(
    plane: &P,
    turns: &mut Turns<'_, P>,
    books: &mut Books,
    updates: &[proto::Update],
    written: &mut dyn FnMut(Written),
) -> Results {
    // What is no update at all is found before anything is touched.
    let decoded: Vec<_> = updates.iter().map(|update| decode(plane, update)).collect();
    if decoded.iter().any(Result::is_err) {
        return decoded.into_iter().map(|operation| Err(operation.err().unwrap_or(UpdateError::Aborted))).collect();
    }
    let operations: Vec<Operation> = decoded.into_iter().flatten().collect();
    let all: Vec<Written> = operations.iter().filter_map(Operation::written).collect();
    let mut done: Vec<Undo> = Vec::with_capacity(operations.len());
    for (index, operation) in operations.into_iter().enumerate() {
        let entries = turns.entries();
        let performed = operation.undo(entries, books).and_then(|undo| operation.perform(entries, books).map(|()| undo));
        match performed {
            Ok(undo) => done.push(undo),
            Err(error) => {
                for undo in done.into_iter().rev() {
                    if let Err(error) = undo.perform(turns.entries(), books) {
                        tracing::error!(%error, "an update could not be rolled back");
                    }
                }
                return (0..updates.len()).map(|other| Err(if other == index { error.clone() } else { UpdateError::Aborted })).collect();
            }
        }
    }
    all.into_iter().for_each(written);
    vec![Ok(()); updates.len()]
}

/// The mode of a request.
pub(super) fn atomicity(request: &proto::WriteRequest) -> Result<Atomicity, Status> {
    let atomicity =
        Atomicity::try_from(request.atomicity).map_err(|_| Status::invalid_argument(format!("{} is no atomicity", request.atomicity)))?;
    let updates = request.updates.len();
    if atomicity == Atomicity::DataplaneAtomic && updates > MOST_AT_ONCE {
        return Err(Status::unimplemented(format!(
            "DATAPLANE_ATOMIC is possible with up to {MOST_AT_ONCE} updates, not {updates}: use ROLLBACK_ON_ERROR, or write in an order \
             that is safe at each step"
        )));
    }
    Ok(atomicity)
}

/// Counts the updates of a batch by what became of them.
pub(super) fn count<P: Plane>(results: &Results, plane: &P) {
    let good = results.iter().filter(|result| result.is_ok()).count();
    plane.note_updates(Code::Ok, good as u64);
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        plane.note_updates(error.code(), 1);
    }
}

/// The status of a batch: with a `p4.v1.Error` for each update in its details if one failed.
pub(super) fn status(results: &Results) -> Result<(), Status> {
    let Some(first) = results.iter().position(Result::is_err) else { return Ok(()) };
    let failed = results.iter().filter(|result| !matches!(result, Ok(()) | Err(UpdateError::Aborted))).count();
    let example = results.iter().enumerate().find_map(|(index, result)| match result {
        Ok(()) | Err(UpdateError::Aborted) => None,
        Err(error) => Some(format!("update {index}: {error}")),
    });
    let text = format!("{failed} of {} updates failed; {}", results.len(), example.unwrap_or_else(|| format!("update {first}")));
    let error = |(index, result): (usize, &Result<(), UpdateError>)| match result {
        Ok(()) => proto::Error::default(),
        // There may be very many, and a client takes trailers of a limited size.
        Err(error @ UpdateError::Aborted) => proto::Error { canonical_code: error.code().into(), ..Default::default() },
        Err(error) => detail(error.code(), format!("update {index}: {error}")),
    };
    Err(detailed(text, results.iter().enumerate().map(error)))
}

/// An error of ours.
pub(super) fn detail(code: Code, message: String) -> proto::Error {
    proto::Error { canonical_code: code.into(), message, space: "svpn-forwarder".into(), ..Default::default() }
}

/// The status of a call of which parts failed, with what became of each.
pub(super) fn detailed(text: String, errors: impl Iterator<Item = proto::Error>) -> Status {
    let details = errors.map(|error| Any { type_url: ERROR_URL.to_owned(), value: error.encode_to_vec() }).collect();
    let details = rpc::Status { code: Code::Unknown.into(), message: text.clone(), details };
    Status::with_details(Code::Unknown, text, details.encode_to_vec().into())
}
