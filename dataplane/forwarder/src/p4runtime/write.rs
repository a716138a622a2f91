//! `Write`: a batch of updates, and what became of each.

use p4runtime_proto::google::rpc;
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::write_request::Atomicity;
use prost::Message;
use prost_types::Any;
use svpn_contract::EntryKey;
use tonic::{Code, Status};

use super::Plane;
use super::cookies::Cookies;
use super::operation::{Operation, Undo, UpdateError};
use super::turns::Turns;

/// What the details of a failed batch's status hold.
const ERROR_URL: &str = "type.googleapis.com/p4.v1.Error";

/// What became of each update of a batch, in its order.
pub(super) type Results = Vec<Result<(), UpdateError>>;

/// Tries every update; those that fail leave the others alone. Tells which entries were written.
pub(super) fn continue_on_error<P: Plane>(
    turns: &mut Turns<'_, P>,
    cookies: &mut Cookies,
    updates: &[proto::Update],
    written: &mut dyn FnMut(EntryKey),
) -> Results {
    let mut perform = |update| {
        let operation = Operation::decode(update)?;
        let key = operation.written();
        operation.perform(turns.entries(), cookies)?;
        key.into_iter().for_each(&mut *written);
        Ok(())
    };
    updates.iter().map(&mut perform).collect()
}

/// Performs all updates or, if one fails, none: those before it are undone, in reverse.
pub(super) fn rollback_on_error<P: Plane>(
    turns: &mut Turns<'_, P>,
    cookies: &mut Cookies,
    updates: &[proto::Update],
    written: &mut dyn FnMut(EntryKey),
) -> Results {
    // What is no update at all is found before anything is touched.
    let decoded: Vec<_> = updates.iter().map(Operation::decode).collect();
    if decoded.iter().any(Result::is_err) {
        return decoded.into_iter().map(|operation| Err(operation.err().unwrap_or(UpdateError::Aborted))).collect();
    }
    let operations: Vec<Operation> = decoded.into_iter().flatten().collect();
    let keys: Vec<EntryKey> = operations.iter().filter_map(Operation::written).collect();
    let mut undo: Vec<Undo> = Vec::with_capacity(operations.len());
    for (index, operation) in operations.into_iter().enumerate() {
        match operation.perform(turns.entries(), cookies) {
            Ok(back) => undo.push(back),
            Err(error) => {
                for back in undo.into_iter().rev() {
                    if let Err(error) = back.perform(turns.entries(), cookies) {
                        tracing::error!(%error, "an update could not be rolled back");
                    }
                }
                return (0..updates.len()).map(|other| Err(if other == index { error.clone() } else { UpdateError::Aborted })).collect();
            }
        }
    }
    keys.into_iter().for_each(written);
    vec![Ok(()); updates.len()]
}

/// The mode of a request.
pub(super) fn atomicity(request: &proto::WriteRequest) -> Result<Atomicity, Status> {
    match Atomicity::try_from(request.atomicity) {
        Ok(Atomicity::DataplaneAtomic) => Err(Status::unimplemented(
            "DATAPLANE_ATOMIC is not supported: use ROLLBACK_ON_ERROR, or write in an order that is safe at each step",
        )),
        Ok(atomicity) => Ok(atomicity),
        Err(_) => Err(Status::invalid_argument(format!("{} is no atomicity", request.atomicity))),
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
    let details = results.iter().enumerate().map(|(index, result)| error(index, result)).collect();
    let details = rpc::Status { code: Code::Unknown.into(), message: text.clone(), details };
    Err(Status::with_details(Code::Unknown, text, details.encode_to_vec().into()))
}

fn error(index: usize, result: &Result<(), UpdateError>) -> Any {
    let error = match result {
        Ok(()) => proto::Error::default(),
        // There may be very many, and a client takes trailers of a limited size.
        Err(error @ UpdateError::Aborted) => proto::Error { canonical_code: error.code().into(), ..Default::default() },
        Err(error) => {
            let message = format!("update {index}: {error}");
            proto::Error { canonical_code: error.code().into(), message, space: "svpn-forwarder".into(), ..Default::default() }
        }
    };
    Any { type_url: ERROR_URL.to_owned(), value: error.encode_to_vec() }
}
