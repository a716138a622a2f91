//! Holding the entries for a long batch, a turn at a time.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::Plane;
use crate::entries::Entries;

/// How long the entries are held at a time: a port that fails meanwhile is noticed after it.
const TURN: Duration = Duration::from_millis(5);
/// How long others get the chance to take them; a lock that is taken again at once starves whoever waits.
const REST: Duration = Duration::from_micros(100);

/// The entries of a plane, published and let go between turns and at the end. Nobody else writes entries meanwhile, because whoever
/// does holds the service's state.
pub(super) struct Turns<'a, P: Plane> {
    plane: &'a P,
    held: Option<(MutexGuard<'a, Entries>, Instant)>,
}

impl<'a, P: Plane> Turns<'a, P> {
    pub(super) fn new(plane: &'a P) -> Self {
        Self { plane, held: None }
    }

    /// The entries, for one update.
    pub(super) fn entries(&mut self) -> &mut Entries {
        if self.held.as_ref().is_some_and(|(_, since)| since.elapsed() > TURN) {
            self.let_go();
            std::thread::sleep(REST);
        }
        let plane = self.plane;
        &mut self.held.get_or_insert_with(|| (plane.entries(), Instant::now())).0
    }

    fn let_go(&mut self) {
        if let Some((mut entries, _)) = self.held.take() {
            entries.publish();
        }
    }
}

impl<P: Plane> Drop for Turns<'_, P> {
    fn drop(&mut self) {
        self.let_go();
    }
}
