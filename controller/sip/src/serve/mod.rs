//! What the server does with each request.

mod identity;
mod invite;
mod register;

use std::sync::Arc;

use crate::stack::sip::prelude::HeadersExt;
use tokio::sync::Semaphore;

use crate::call::Found;
use crate::refusal::Rejection;
use crate::sdp::CONTENT_TYPE;
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Method, Request, StatusCode, To};
use crate::stack::{ALLOW, DialogKey, TRANSACTION_TIMEOUT, Transaction, TransactionReceiver, sequence};

/// More requests than this under way at once are answered 503.
const MAX_PENDING: usize = 4096;

/// Serves requests until the stack stops.
pub(crate) async fn serve<S: Sessions>(mut incoming: TransactionReceiver, services: Arc<Services<S>>) {
    let pending = Arc::new(Semaphore::new(MAX_PENDING));
    while let Some(mut transaction) = incoming.recv().await {
        let permit = Arc::clone(&pending).try_acquire_owned();
        let services = Arc::clone(&services);
        tokio::spawn(async move {
            if permit.is_err() {
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
async fn handle<S: Sessions>(mut transaction: Transaction, services: Arc<Services<S>>) -> Option<Transaction> {
    let request = transaction.original.clone();
    if let Err(rejection) = check_extensions(&request) {
        refuse(&mut transaction, rejection).await;
        return Some(transaction);
    }
    if matches!(request.to_header().map(To::tag), Ok(Ok(Some(_)))) {
        let (status, headers) = within_dialog(&request, &services);
        reply(&mut transaction, status, headers).await;
        return Some(transaction);
    }
    match request.method {
        Method::Invite => return invite::serve(transaction, services).await,
        Method::Register => match register::serve(&request, &services).await {
            Ok(headers) => reply(&mut transaction, 200, headers).await,
            Err(rejection) => refuse(&mut transaction, rejection).await,
        },
        Method::Options => reply(&mut transaction, 200, capabilities()).await,
        Method::Bye => refuse(&mut transaction, Rejection::new(481, "no such call")).await,
        other => refuse(&mut transaction, not_served(other)).await,
    }
    Some(transaction)
}

/// A request within a dialog.
fn within_dialog<S: Sessions>(request: &Request, services: &Services<S>) -> (u16, Vec<Header>) {
    let found =
        DialogKey::of_request(request).map_or(Found::Nothing, |key| services.calls.request(&key, request.method, sequence(request)));
    let rejection = match (found, request.method) {
        (Found::Nothing, _) => Rejection::new(481, "no such call"),
        (Found::Later, _) => Rejection::new(500, "this request is older than one already served"),
        (Found::Call, Method::Bye) => return (200, Vec::new()),
        (Found::Call, Method::Options) => return (200, capabilities()),
        (Found::Call, Method::Invite) => {
            Rejection::new(488, "a change in service is not served yet; the session goes on as it was granted")
        }
        (Found::Call, other) => not_served(other),
    };
    (rejection.status, rejection.into_headers())
}

/// RFC 3261 section 8.2.2.3: nothing that is required is known here.
fn check_extensions(request: &Request) -> Result<(), Rejection> {
    if request.method == Method::Cancel || request.method == Method::Ack {
        return Ok(());
    }
    let required: Vec<&str> = request
        .headers
        .iter()
        .filter(|header| matches!(header, Header::Require(_) | Header::ProxyRequire(_)))
        .flat_map(|header| header.value().split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .collect();
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
    vec![Header::Allow(ALLOW.into()), Header::Accept(CONTENT_TYPE.into()), Header::Supported("".into())]
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
    if let Err(error) = transaction.reply_with(StatusCode::from(status), headers, None).await {
        tracing::debug!(%error, status, "could not answer");
    }
}

/// Lets a transaction that was answered absorb repetitions and ACK.
async fn finish(mut transaction: Transaction) {
    let end = async { while transaction.receive().await.is_some() {} };
    // Longer than it lasts, unless the answer could not be sent.
    let _ = tokio::time::timeout(2 * TRANSACTION_TIMEOUT, end).await;
}
