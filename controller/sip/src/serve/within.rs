//! Requests within dialogs: BYE ends the call, re-INVITE and UPDATE change its session or only refresh it.

use std::time::Duration;

use tokio::time::timeout;

use crate::call::{Asked, Found, Input, attend_within};
use crate::refusal::Rejection;
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::Method;
use crate::stack::{DialogKey, TRANSACTION_TIMEOUT, Transaction, sequence};

use super::{capabilities, not_served, refuse, reply};

/// Who hangs up is told so when the session is released, for then no restart brings it back; or else that it is not, while the answer is
/// waited for.
const RELEASED: Duration = TRANSACTION_TIMEOUT.saturating_sub(Duration::from_secs(4));

/// Serves a request within a dialog; returns its transaction if it was answered.
pub(super) async fn serve<S: Sessions>(mut transaction: Box<Transaction>, services: &Services<S>) -> Option<Box<Transaction>> {
    let request = &transaction.original;
    let method = request.method;
    let found = DialogKey::of_request(request).map_or(Found::Nothing, |key| services.calls.request(&key, method, sequence(request)));
    match (found, method) {
        (Found::Nothing, _) => refuse(&mut transaction, Rejection::new(481, "no such call")).await,
        (Found::Later, _) => refuse(&mut transaction, Rejection::new(500, "this request is older than one already served")).await,
        (Found::Leaving(left), _) => match timeout(RELEASED, left).await {
            Ok(_released) => reply(&mut transaction, 200, Vec::new()).await,
            Err(_) => refuse(&mut transaction, Rejection::unavailable("the session cannot be released now")).await,
        },
        (Found::Call(..), Method::Options) => reply(&mut transaction, 200, capabilities()).await,
        (Found::Call(call, side), Method::Invite | Method::Update | Method::PRack) => {
            if method == Method::Invite
                && let Err(error) = Box::pin(transaction.send_trying()).await
            {
                tracing::debug!(%error, "could not send 100");
            }
            let request = transaction.original.clone();
            let connection = transaction.connection.clone();
            let asked = Asked { side, request, connection, responder: Some(transaction.tu_sender.clone()) };
            if call.send(Input::Asked(asked)).is_ok() {
                tokio::spawn(attend_within(transaction, call, side));
                return None;
            }
            refuse(&mut transaction, Rejection::new(481, "the call has ended")).await;
        }
        (Found::Call(..), other) => refuse(&mut transaction, not_served(other)).await,
    }
    Some(transaction)
}
