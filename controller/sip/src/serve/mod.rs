//! What the server does with each request.

mod front;
mod identity;
mod invite;
mod register;
mod within;

pub(crate) use front::Front;

use std::sync::Arc;

use fail::fail_point;

use crate::stack::sip::prelude::HeadersExt;
use tokio::sync::Semaphore;

use crate::options;
use crate::peers;
use crate::refusal::Rejection;
use crate::sdp::CONTENT_TYPE;
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Method, Request, StatusCode, To};
use crate::stack::{ALLOW, TRANSACTION_TIMEOUT, Transaction, TransactionReceiver, next_message};

/// With more requests than this under way at once, those that begin something are answered 503.
const MAX_PENDING: usize = 4096;

/// New calls are turned away sooner than the rest.
const MAX_PENDING_CALLS: usize = MAX_PENDING / 4 * 3;

/// Serves requests until the stack stops.
pub(crate) async fn serve<S: Sessions>(mut incoming: TransactionReceiver, services: Arc<Services<S>>) {
    let pending = Arc::new(Semaphore::new(MAX_PENDING));
    while let Some(transaction) = incoming.recv().await {
        // In a box: what attends it hands it on from one future to the next.
        let mut transaction = Box::new(transaction);
        let within = matches!(transaction.original.to_header().map(To::tag), Ok(Ok(Some(_))));
        let calls = MAX_PENDING - pending.available_permits();
        let shed = transaction.original.method == Method::Invite && calls >= MAX_PENDING_CALLS;
        let permit = if shed { Err(()) } else { Arc::clone(&pending).try_acquire_owned().map_err(|_| ()) };
        let services = Arc::clone(&services);
        tokio::spawn(async move {
            // What belongs to something accepted is always served.
            if permit.is_err() && !within {
                refuse(&mut transaction, Rejection::unavailable("too many requests at once")).await;
                finish(transaction).await;
                return;
            }
            if let Some(transaction) = handle(transaction, services).await {
                drop(permit);
                finish(transaction).await;
            }
        });
    }
}

/// Serves one request; returns its transaction if that is not attended elsewhere.
async fn handle<S: Sessions>(mut transaction: Box<Transaction>, services: Arc<Services<S>>) -> Option<Box<Transaction>> {
    let request = transaction.original.clone();
    if let Err(rejection) = check_extensions(&request) {
        refuse(&mut transaction, rejection).await;
        return Some(transaction);
    }
    if matches!(request.to_header().map(To::tag), Ok(Ok(Some(_)))) {
        return within::serve(transaction, &services).await;
    }
    match request.method {
        Method::Invite => return invite::serve(transaction, services).await,
        Method::Register => match register::serve(&request, transaction.connection.as_ref(), &services).await {
            Ok(headers) => reply(&mut transaction, 200, headers).await,
            Err(rejection) => refuse(&mut transaction, rejection).await,
        },
        // To whoever is no peer it is a method like others that are not served.
        Method::Message if services.peers.speaks(&request) => match peers::serve(&services.peers, &request) {
            Ok(()) => reply(&mut transaction, 200, Vec::new()).await,
            Err(rejection) => refuse(&mut transaction, rejection).await,
        },
        Method::Options => reply(&mut transaction, 200, capabilities()).await,
        Method::Bye => refuse(&mut transaction, Rejection::new(481, "no such call")).await,
        other => refuse(&mut transaction, not_served(other)).await,
    }
    Some(transaction)
}

/// RFC 3261 section 8.2.2.3: what is required must be known here.
fn check_extensions(request: &Request) -> Result<(), Rejection> {
    if request.method == Method::Cancel || request.method == Method::Ack {
        return Ok(());
    }
    let required = options::not_served(request);
    if required.is_empty() {
        return Ok(());
    }
    let tags = required.join(", ");
    let unsupported = Header::Unsupported(tags.clone().into());
    Err(Rejection::new(420, format!("{tags} cannot be required here")).with(unsupported))
}

fn not_served(method: Method) -> Rejection {
    let allow = Header::Allow(ALLOW.into());
    Rejection::new(405, format!("{method} is not served here, see Allow")).with(allow)
}

fn capabilities() -> Vec<Header> {
    vec![Header::Allow(ALLOW.into()), Header::Accept(CONTENT_TYPE.into()), options::supported()]
}

async fn refuse(transaction: &mut Transaction, rejection: Rejection) {
    let status = rejection.status;
    let Request { method, uri, .. } = &transaction.original;
    if matches!(status, 401 | 407) {
        tracing::debug!(%method, %uri, status, reason = rejection.reason, "challenged");
    } else {
        tracing::info!(%method, %uri, status, reason = rejection.reason, "refused");
    }
    reply(transaction, status, rejection.into_headers()).await;
}

async fn reply(transaction: &mut Transaction, status: u16, headers: Vec<Header>) {
    fail_point!("signalling: before an answer");
    if let Err(error) = Box::pin(transaction.reply_with(StatusCode::from(status), headers, None)).await {
        tracing::debug!(%error, status, "could not answer");
    }
    fail_point!("signalling: after an answer");
}

/// Lets a transaction that was answered absorb repetitions and ACK.
async fn finish(mut transaction: Box<Transaction>) {
    let end = async { while next_message(&mut transaction).await.is_some() {} };
    // Longer than it lasts, unless the answer could not be sent.
    let _ = tokio::time::timeout(2 * TRANSACTION_TIMEOUT, end).await;
}

/// Reads what a REGISTER wants.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_register(request: &Request) {
    register::fuzz(request);
}
