//! The two rate three colour marker of RFC 2698, colour-blind, in exact arithmetic.

use std::time::Duration;

use crate::tables::MeterConfig;
use crate::wire::Colour;

/// Parts of a byte, or of a packet, in the buckets: at a rate of one per second one part arrives in each nanosecond, so nothing is ever rounded.
const PARTS: u128 = 1_000_000_000;

/// The buckets of one meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    config: MeterConfig,
    /// Parts in the bucket of the peak rate, "Tp".
    peak: u128,
    /// Parts in the bucket of the committed rate, "Tc".
    committed: u128,
    /// When they were last filled; `None` before the first packet.
    filled: Option<Duration>,
}

impl Meter {
    /// Full buckets.
    pub fn new(config: MeterConfig) -> Self {
        Self { config, peak: u128::from(config.pburst) * PARTS, committed: u128::from(config.cburst) * PARTS, filled: None }
    }

    /// Rates and bursts.
    pub fn config(&self) -> MeterConfig {
        self.config
    }

    /// The colour of a packet, and the buckets after it: `amount` is its bytes, or 1 where packets are metered. A time before that of the last packet counts as that one.
    #[must_use]
    pub fn metered(mut self, amount: u64, now: Duration) -> (Colour, Self) {
        let before = self.filled.unwrap_or(now);
        let elapsed = now.saturating_sub(before).as_nanos();
        self.filled = Some(now.max(before));
        let filled = |bucket: u128, rate: u64, burst: u64| (bucket + u128::from(rate) * elapsed).min(u128::from(burst) * PARTS);
        self.peak = filled(self.peak, self.config.pir, self.config.pburst);
        self.committed = filled(self.committed, self.config.cir, self.config.cburst);
        let needed = u128::from(amount) * PARTS;
        if self.peak < needed {
            return (Colour::RED, self);
        }
        self.peak -= needed;
        if self.committed < needed {
            return (Colour::YELLOW, self);
        }
        self.committed -= needed;
        (Colour::GREEN, self)
    }
}
