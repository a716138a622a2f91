//! A cache line that polices: what `session`, `vrf_policer` and `punt_policer` have in common.
//!
//! ```text
//! word 0  | the table's own 1 | policing 2 | peak frozen 1 | committed frozen 1 | the table's own 59 |
//!      1  when the peak bucket is full    3  an amount's duration, peak rate       5  the peak bucket's depth, in time
//!      2  when the committed one is       4  an amount's duration, committed rate  6  the committed bucket's
//! ```

use svpn_contract::wire::Colour;

use super::meter::{self, Bucket, Buckets, Sharing};
use super::words::{LINE, Words};
use crate::sync::{AtomicU64, Ordering};

const POLICING_SHIFT: u32 = 61;
const PEAK_FROZEN: u64 = 1 << 60;
const COMMITTED_FROZEN: u64 = 1 << 59;

/// The bits that say how a line polices, and those of one with two buckets that fill.
const ALL_FLAGS: u64 = 3 << POLICING_SHIFT | PEAK_FROZEN | COMMITTED_FROZEN;
const PLAIN: u64 = (Policing::TwoBuckets as u64) << POLICING_SHIFT;

/// How a line polices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policing {
    /// Not at all.
    None = 0,
    /// By the peak bucket alone: the committed one always holds the same.
    OneBucket = 1,
    /// By both buckets.
    TwoBuckets = 2,
}

/// The bits of a line's first word that say how it polices; none without buckets.
pub(crate) fn flags(buckets: Option<&Buckets>) -> u64 {
    let policing = match buckets {
        None => Policing::None,
        Some(buckets) if buckets.are_one() => Policing::OneBucket,
        Some(_) => Policing::TwoBuckets,
    };
    let flag = |flag: u64, bucket: fn(&Buckets) -> Bucket| if buckets.is_some_and(|all| bucket(all).frozen) { flag } else { 0 };
    (policing as u64) << POLICING_SHIFT | flag(PEAK_FROZEN, |all| all.peak) | flag(COMMITTED_FROZEN, |all| all.committed)
}

/// The colour of an amount: bytes, or one packet.
#[inline(always)]
#[allow(clippy::inline_always, reason = "half of what a session's packet costs: a call would cost a third of it")]
pub(crate) fn colour(line: &[AtomicU64; LINE], amount: u32, now: u64, sharing: Sharing) -> Colour {
    let [flags, peak_at, committed_at, peak_cost, committed_cost, peak_burst, committed_burst, _] = line;
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    if load(flags) & ALL_FLAGS != PLAIN || amount >= meter::SHORT {
        return colour_otherwise(line, amount, now, sharing);
    }
    let amount = u64::from(amount);
    let conformance = meter::spend_plainly(peak_at, (load(peak_cost), load(peak_burst)), amount, now, sharing);
    meter::colour(conformance, || meter::spend_plainly(committed_at, (load(committed_cost), load(committed_burst)), amount, now, sharing))
}

/// [`colour`], of any line.
#[inline(never)]
fn colour_otherwise(line: &[AtomicU64; LINE], amount: u32, now: u64, sharing: Sharing) -> Colour {
    let [flags, peak_at, committed_at, peak_cost, committed_cost, peak_burst, committed_burst, _] = line;
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    let flags = load(flags);
    let policing = flags >> POLICING_SHIFT & 3;
    if policing == Policing::None as u64 {
        return Colour::GREEN;
    }
    let amount = u64::from(amount);
    let peak = Bucket { cost: load(peak_cost), burst: load(peak_burst), frozen: flags & PEAK_FROZEN != 0 };
    let conformance = meter::spend(peak_at, &peak, amount, now, sharing);
    meter::colour(conformance, || {
        if policing == Policing::OneBucket as u64 {
            return conformance;
        }
        let committed = Bucket { cost: load(committed_cost), burst: load(committed_burst), frozen: flags & COMMITTED_FROZEN != 0 };
        meter::spend(committed_at, &committed, amount, now, sharing)
    })
}

/// Makes the buckets of the line at `place` full, with new numbers.
pub(crate) fn configure<K>(words: &Words<K>, place: usize, buckets: &Buckets, now: u64) {
    let full = |bucket: &Bucket| if bucket.frozen { 0 } else { now };
    words.store(place + 3, buckets.peak.cost);
    words.store(place + 4, buckets.committed.cost);
    words.store(place + 5, buckets.peak.burst);
    words.store(place + 6, buckets.committed.burst);
    words.store(place + 1, full(&buckets.peak));
    words.store(place + 2, full(&buckets.committed));
}

/// Keeps the buckets of the line at `place` from looking, after months without a packet, as if they were to be full in the future.
pub(crate) fn refresh<K>(words: &Words<K>, place: usize, now: u64) {
    let Some([flags, peak_at, committed_at, ..]) = words.line(place) else { return };
    let flags = flags.load(Ordering::Relaxed);
    if flags >> POLICING_SHIFT & 3 == Policing::None as u64 {
        return;
    }
    for (word, frozen) in [(peak_at, flags & PEAK_FROZEN != 0), (committed_at, flags & COMMITTED_FROZEN != 0)] {
        if !frozen {
            meter::refresh(word, now);
        }
    }
}
