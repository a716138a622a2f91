//! One INVITE to one contact of the callee: a pure machine for how it ends, and the task around it.
//!
//! A contact that is not to have the call any more is cancelled when it has been heard (RFC 3261 section 9.1), and hung up on if it answers
//! all the same. The task outlives the call as long as that takes.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::fork::Branch;
use super::setup::{PATIENCE, abandoned};
use super::{Input, Sender};
use crate::services::Services;
use crate::sessions::Sessions;
use crate::stack::sip::{Header, Request, Response, StatusCodeKind};
use crate::stack::{Dialog, InviteClient, NextHop};

/// Where an INVITE stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// It is under way; `heard` once there was a provisional response.
    Ringing { heard: Heard },
    /// It is not wanted any more.
    Abandoned { cancel: Cancel },
    /// A 2xx has come, and the call knows of it.
    Answered,
    /// Nothing more can come that the call wants.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancel {
    Waiting,
    Sent,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Provisional,
    /// The 2xx.
    Answered,
    Refused,
    /// The call wants it no more.
    Abandon,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The call is to hear of it.
    Tell,
    /// CANCEL.
    Cancel,
    /// BYE to who answered.
    HangUp,
}

fn step(line: Line, event: Event) -> (Line, Option<Action>) {
    match (line, event) {
        (Line::Ringing { .. }, Event::Provisional) => (Line::Ringing { heard: Heard::Yes }, Some(Action::Tell)),
        (Line::Ringing { .. }, Event::Answered) => (Line::Answered, Some(Action::Tell)),
        (Line::Ringing { .. }, Event::Refused) => (Line::Over, Some(Action::Tell)),
        (Line::Ringing { heard: Heard::Yes }, Event::Abandon) => (Line::Abandoned { cancel: Cancel::Sent }, Some(Action::Cancel)),
        (Line::Ringing { heard: Heard::No }, Event::Abandon) => (Line::Abandoned { cancel: Cancel::Waiting }, None),
        (Line::Abandoned { cancel: Cancel::Waiting }, Event::Provisional) => {
            (Line::Abandoned { cancel: Cancel::Sent }, Some(Action::Cancel))
        }
        (Line::Abandoned { .. }, Event::Refused) => (Line::Over, None),
        (Line::Abandoned { .. }, Event::Answered) => (Line::Over, Some(Action::HangUp)),
        (line, _) => (line, None),
    }
}

/// What a call hears of a branch.
pub(crate) enum News {
    /// A provisional response.
    Provisional(Response),
    /// The 2xx, and the dialog it makes, if it makes one.
    Answered(Response, Option<Box<Dialog>>),
    /// A final response that is no success.
    Refused(Response),
    /// There was no final response.
    Failed,
}

/// The call's hold on a branch: tell it to end, and why.
pub(super) struct Hold(oneshot::Sender<Option<Header>>);

impl Hold {
    /// The call wants it no more, for this reason (RFC 3326).
    pub(super) fn abandon(self, reason: Option<Header>) {
        // A branch that is over has nothing to end.
        let _ = self.0.send(reason);
    }
}

/// A branch's task.
struct Follower<S: Sessions> {
    services: Arc<Services<S>>,
    call: Sender,
    branch: Branch,
    invite: Request,
    hop: NextHop,
    line: Line,
    /// Why it was abandoned.
    reason: Option<Header>,
    /// Until it is over or the call has it, the server waits for it.
    talking: Option<TaskTrackerToken>,
}

/// Invites a contact. The future ends when nothing more can come of it.
pub(super) fn invite<S: Sessions>(
    services: Arc<Services<S>>,
    call: Sender,
    branch: Branch,
    invite: Request,
    hop: NextHop,
    talking: TaskTrackerToken,
) -> (Hold, impl Future<Output = ()> + Send + 'static) {
    let (hold, told) = oneshot::channel();
    let line = Line::Ringing { heard: Heard::No };
    let follower = Follower { services, call, branch, invite, hop, line, reason: None, talking: Some(talking) };
    (Hold(hold), follower.run(told))
}

impl<S: Sessions> Follower<S> {
    async fn run(mut self, told: oneshot::Receiver<Option<Header>>) {
        let Some(mut client) = InviteClient::send(&self.services.stack, self.invite.clone(), &self.hop).await else {
            self.tell(News::Failed).await;
            return;
        };
        let call = self.call.clone();
        let mut given_up = pin!(abandoned(&call));
        let mut told = pin!(async {
            match told.await {
                Ok(reason) => reason,
                // The call goes on, or is over, without a word to this branch.
                Err(_) => std::future::pending().await,
            }
        });
        loop {
            let mut next = pin!(client.next());
            // A response on its way must not be lost to the call's word.
            let response = loop {
                let wanted = matches!(self.line, Line::Ringing { .. });
                tokio::select! {
                    response = &mut next => break response,
                    reason = &mut told, if wanted => {
                        self.reason = reason;
                        self.on(Event::Abandon, None).await;
                    }
                    // RFC 3261 section 9.1: who does not even answer CANCEL is cancelled all the same.
                    () = sleep(PATIENCE), if matches!(self.line, Line::Abandoned { .. }) => return,
                    () = &mut given_up => break None,
                }
            };
            let Some(response) = response else { break };
            let event = match response.status_code.kind() {
                StatusCodeKind::Provisional => Event::Provisional,
                StatusCodeKind::Successful => Event::Answered,
                _ => Event::Refused,
            };
            self.on(event, Some(response)).await;
        }
        if matches!(self.line, Line::Ringing { .. }) {
            self.tell(News::Failed).await;
        }
    }

    async fn on(&mut self, event: Event, response: Option<Response>) {
        let dialog =
            response.as_ref().filter(|_| event == Event::Answered).map(|response| Dialog::as_caller(&self.invite, response, &self.hop));
        let dialog = dialog
            .and_then(|dialog| dialog.inspect_err(|error| tracing::warn!(%error, contact = %self.hop, "the 200 makes no dialog")).ok());
        let (line, action) = step(self.line, event);
        self.line = line;
        if matches!(line, Line::Answered | Line::Over) {
            self.talking = None;
        }
        match (action, response) {
            (Some(Action::Tell), Some(response)) => {
                let news = match event {
                    Event::Provisional => News::Provisional(response),
                    Event::Answered => News::Answered(response, dialog.map(Box::new)),
                    Event::Refused | Event::Abandon => News::Refused(response),
                };
                self.tell(news).await;
            }
            (Some(Action::Cancel), _) => {
                let (services, invite, hop) = (Arc::clone(&self.services), self.invite.clone(), self.hop.clone());
                let reason = self.reason.clone();
                tokio::spawn(async move { services.stack.cancel(&invite, &hop, reason).await });
            }
            (Some(Action::HangUp), _) => {
                if let Some(dialog) = dialog {
                    self.hang_up(dialog);
                }
            }
            _ => {}
        }
    }

    /// Tells the call; an answer that no call is there for is hung up on.
    async fn tell(&self, news: News) {
        if let Err(unheard) = self.call.send(Input::Branch(self.branch, news))
            && let Input::Branch(_, News::Answered(_, Some(dialog))) = *unheard
        {
            Box::pin(self.services.stack.bye(*dialog, self.reason.clone().into_iter().collect())).await;
        }
    }

    fn hang_up(&self, dialog: Dialog) {
        let (services, reason) = (Arc::clone(&self.services), self.reason.clone());
        tokio::spawn(async move { services.stack.bye(dialog, reason.into_iter().collect()).await });
    }
}

#[cfg(test)]
mod tests;
