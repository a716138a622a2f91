//! How a call is reached.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Input;

/// Reaches a call; clones reach the same one.
///
/// A channel takes memory for 32 of what it carries as long as it is open, and an input has room for a SIP message: only where it lies is
/// carried.
#[derive(Clone)]
pub(crate) struct Sender(UnboundedSender<Box<Input>>);

/// Where a call takes what reaches it.
pub(super) struct Inbox(UnboundedReceiver<Box<Input>>);

/// A call that can be reached.
pub(super) fn inbox() -> (Sender, Inbox) {
    let (sender, receiver) = unbounded_channel();
    (Sender(sender), Inbox(receiver))
}

impl Sender {
    /// Tells the call.
    ///
    /// # Errors
    /// The call has ended; the input is returned.
    pub(crate) fn send(&self, input: Input) -> Result<(), Box<Input>> {
        self.0.send(Box::new(input)).map_err(|unheard| unheard.0)
    }

    /// Returns when the call has ended.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Whether both reach one call.
    pub(super) fn reaches_the_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Inbox {
    /// The next input; `None` when there are no more to come.
    pub(super) async fn next(&mut self) -> Option<Box<Input>> {
        self.0.recv().await
    }

    /// Nothing can be sent any more. What was sent before can be taken still.
    pub(super) fn close(&mut self) {
        self.0.close();
    }
}
