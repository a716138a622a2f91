//! The models. Each panics if there is an order in which a thread sees what it may not see.

pub mod counting;
pub mod lookups;
pub mod standstill;

use std::num::NonZeroU16;

use loom::model::Builder;

use crate::Reclaimer;
use crate::sync::yield_now;

/// Tries all orders in which a thread is interrupted, where it could go on, at most so many times.
fn try_all(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(interruptions);
    // Filling a table takes many steps of one thread, before the others start.
    builder.max_branches = 100_000;
    builder.check(model);
}

fn reclaimer(readers: u16) -> Reclaimer {
    Reclaimer::new(NonZeroU16::new(readers).unwrap_or(NonZeroU16::MIN))
}

/// Waits until every reader has been quiescent, as `entries` does.
fn quiesce(reclaimer: &Reclaimer) {
    let period = reclaimer.start();
    while !reclaimer.is_over(period) {
        yield_now();
    }
}
