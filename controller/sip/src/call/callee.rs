//! The callee's side of an INVITE of ours.

use std::pin::pin;

use super::setup::abandoned;
use super::{Input, Sender};
use crate::stack::InviteClient;
use crate::stack::sip::{Response, StatusCodeKind};

/// Follows an INVITE to its end, and tells the call each response, and `None` if there was no final one.
pub(super) fn follow<F>(mut client: InviteClient, call: Sender, input: F)
where
    F: Fn(Option<Response>) -> Input + Send + 'static,
{
    tokio::spawn(async move {
        let mut last = None;
        {
            let mut given_up = pin!(abandoned(&call));
            loop {
                let response = tokio::select! {
                    response = client.next() => response,
                    () = &mut given_up => None,
                };
                let Some(response) = response else { break };
                last = Some(response.status_code.kind());
                // A call that has ended needs to hear nothing.
                let _ = call.send(input(Some(response)));
            }
        }
        if matches!(last, None | Some(StatusCodeKind::Provisional)) {
            let _ = call.send(input(None));
        }
    });
}
