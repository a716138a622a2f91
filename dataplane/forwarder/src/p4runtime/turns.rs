//! Holding the entries for a long batch, a turn at a time.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::Plane;
use crate::entries::Entries;

/// How long the entries are held at a time: a port that fails meanwhile is noticed after it.
const TURN: Duration = Duration::from_millis(5);
/// How long others get the chance to take them; a lock that is taken again at once starves whoever waits.
const REST: Duration = Duration::from_micros(100);
/// Updates between two looks at the clock.
const STRIDE: u32 = 32;

/// What workers see of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// One update after the other.
    EachUpdate,
    /// All of it at once: they stand still until it is done.
    WholeBatch,
}

/// The entries of a plane, published and let go between turns and at the end. Nobody else writes entries meanwhile, because whoever
/// does holds the service's state.
pub(super) struct Turns<'a, P: Plane> {
    plane: &'a P,
    view: View,
    held: Option<(MutexGuard<'a, Entries>, Instant)>,
    /// Updates until the next look at the clock.
    left: u32,
}

impl<'a, P: Plane> Turns<'a, P> {
    pub(super) fn new(plane: &'a P) -> Self {
        Self::with(plane, View::EachUpdate)
    }

    /// One turn, in which no worker forwards anything.
    pub(super) fn at_once(plane: &'a P) -> Self {
        Self::with(plane, View::WholeBatch)
    }

    fn with(plane: &'a P, view: View) -> Self {
        Self { plane, view, held: None, left: STRIDE }
    }

    /// The entries, for one update.
    pub(super) fn entries(&mut self) -> &mut Entries {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 && self.view == View::EachUpdate {
            self.left = STRIDE;
            if self.held.as_ref().is_some_and(|(_, since)| since.elapsed() > TURN) {
                self.let_go();
                std::thread::sleep(REST);
            }
        }
        let (plane, view) = (self.plane, self.view);
        let take = || {
            let mut entries = plane.entries();
            if view == View::WholeBatch {
                entries.pause();
            }
            (entries, Instant::now())
        };
        &mut self.held.get_or_insert_with(take).0
    }

    fn let_go(&mut self) {
        if let Some((mut entries, _)) = self.held.take() {
            entries.publish();
            entries.resume();
        }
    }
}

impl<P: Plane> Drop for Turns<'_, P> {
    fn drop(&mut self) {
        self.let_go();
    }
}
