//! Further 2xx to an INVITE of ours that has been answered: a proxy between has forked it (RFC 3261 section 13.2.2.4).
//!
//! They are looked for in front of the library, so that no transaction has to wait for them with all that it holds: a 2xx that is only repeated
//! the library acknowledges without one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{CSeq, Header, Method, Response, StatusCodeKind, To};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::SipConnection;
use tokio::sync::mpsc::UnboundedSender;

use super::{Dialog, Stack, TRANSACTION_TIMEOUT};

/// More than so many that answer one INVITE are not believed: each is acknowledged and hung up on.
const MAX_ANSWERS: usize = 8;

/// A further 2xx.
pub(crate) struct Further {
    response: Response,
    /// What it came by.
    connection: Option<SipConnection>,
    met: Met,
}

/// How often it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    First,
    /// The ACK was lost, or is under way.
    Again,
}

/// The INVITEs that may be answered again.
pub(super) struct Forks {
    answered: Mutex<Answered>,
    further: UnboundedSender<Further>,
}

#[derive(Default)]
struct Answered {
    /// By whom, in the order in which they did: the tags of To.
    tags: HashMap<TransactionKey, Vec<String>>,
    since: VecDeque<(Instant, TransactionKey)>,
}

impl Forks {
    /// What comes goes to `further`.
    pub(super) fn new(further: UnboundedSender<Further>) -> Self {
        Self { answered: Mutex::default(), further }
    }

    /// The INVITE has got this 2xx; others may come for as long as a 2xx is repeated (timer M, RFC 6026 section 8.4).
    pub(super) fn expect(&self, invite: &TransactionKey, answer: &Response, now: Instant) {
        let Some(tag) = tag(answer) else { return };
        let mut answered = self.answered();
        while let Some((since, _)) = answered.since.front()
            && now.saturating_duration_since(*since) > TRANSACTION_TIMEOUT
            && let Some((_, over)) = answered.since.pop_front()
        {
            answered.tags.remove(&over);
        }
        answered.tags.insert(invite.clone(), vec![tag]);
        answered.since.push_back((now, invite.clone()));
    }

    /// Whether the response, which came by `connection`, is a further 2xx, and so nothing for the library.
    pub(super) fn takes(&self, response: &Response, connection: Option<&SipConnection>) -> bool {
        let is_answer = response.status_code.kind() == StatusCodeKind::Successful
            && matches!(response.cseq_header().and_then(CSeq::method), Ok(Method::Invite));
        let (true, Some(tag), Ok(key)) = (is_answer, tag(response), TransactionKey::from_response(response, TransactionRole::Client))
        else {
            return false;
        };
        let met = match self.answered().tags.get_mut(&key) {
            None => return false,
            Some(tags) if tags.first() == Some(&tag) => return false,
            Some(tags) if tags.contains(&tag) => Met::Again,
            Some(tags) if tags.len() < MAX_ANSWERS => {
                tags.push(tag);
                Met::First
            }
            Some(_) => {
                tracing::warn!(%key, "an INVITE is answered by too many");
                return true;
            }
        };
        // Nobody listens any more only when the server stops.
        let _ = self.further.send(Further { response: response.clone(), connection: connection.cloned(), met });
        true
    }

    fn answered(&self) -> MutexGuard<'_, Answered> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stack {
    /// Acknowledges a further 2xx, and hangs up on whom it is from.
    pub(crate) async fn hang_up_on(&self, further: Further, reason: Header) {
        let dialog = match Dialog::as_forked(&further.response, further.connection) {
            Ok(dialog) => dialog,
            Err(error) => {
                tracing::warn!(%error, "a further 200 makes no dialog");
                return;
            }
        };
        let hop = dialog.next_hop();
        let ack = dialog.ack(self.via(&hop));
        if let Some((connection, destination)) = self.reach(&hop).await
            && let Err(error) = connection.send(ack.into(), Some(&destination)).await
        {
            tracing::debug!(%error, %hop, "could not acknowledge");
        }
        if further.met == Met::First {
            self.bye(dialog, vec![reason]).await;
        }
    }
}

fn tag(answer: &Response) -> Option<String> {
    Some(answer.to_header().map(To::tag).ok()?.ok()??.value().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn response(status: &str, branch: u32, tag: &str) -> Response {
        let text = format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{branch}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag={tag}\r\n\
             Call-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.1>\r\n\r\n"
        );
        Response::try_from(text.as_str()).unwrap()
    }

    fn ok(branch: u32, tag: &str) -> Response {
        response("200 OK", branch, tag)
    }

    fn key(response: &Response) -> TransactionKey {
        TransactionKey::from_response(response, TransactionRole::Client).unwrap()
    }

    fn forks() -> (Forks, UnboundedReceiver<Further>) {
        let (sender, receiver) = unbounded_channel();
        (Forks::new(sender), receiver)
    }

    fn told(receiver: &mut UnboundedReceiver<Further>) -> Vec<Met> {
        std::iter::from_fn(|| receiver.try_recv().ok()).map(|further| further.met).collect()
    }

    #[test]
    fn an_answer_of_another_is_told_and_the_first_ones_repetition_is_not() {
        let (forks, mut further) = forks();
        assert!(!forks.takes(&ok(1, "late"), None), "nothing is known of it");
        forks.expect(&key(&ok(1, "one")), &ok(1, "one"), Instant::now());
        assert!(!forks.takes(&ok(1, "one"), None), "the library acknowledges it");
        assert!(!forks.takes(&ok(2, "other"), None), "of another INVITE");
        assert!(!forks.takes(&response("486 Busy Here", 1, "other"), None));
        assert!(told(&mut further).is_empty());
        assert!(forks.takes(&ok(1, "other"), None) && forks.takes(&ok(1, "other"), None) && forks.takes(&ok(1, "third"), None));
        assert_eq!(told(&mut further), [Met::First, Met::Again, Met::First]);
    }

    #[test]
    fn those_who_answer_are_bounded_and_forgotten() {
        let (forks, mut further) = forks();
        let begun = Instant::now();
        forks.expect(&key(&ok(1, "one")), &ok(1, "one"), begun);
        for number in 0..20 {
            assert!(forks.takes(&ok(1, &format!("t{number}")), None));
        }
        assert_eq!(told(&mut further).len(), MAX_ANSWERS - 1);
        forks.expect(&key(&ok(2, "one")), &ok(2, "one"), begun + TRANSACTION_TIMEOUT);
        assert!(forks.takes(&ok(1, "t0"), None), "it may come still");
        forks.expect(&key(&ok(3, "one")), &ok(3, "one"), begun + TRANSACTION_TIMEOUT + Duration::from_secs(1));
        assert!(!forks.takes(&ok(1, "t0"), None));
        assert!(forks.takes(&ok(2, "t0"), None) && forks.takes(&ok(3, "t0"), None));
        assert_eq!(forks.answered().since.len(), 2);
    }
}
