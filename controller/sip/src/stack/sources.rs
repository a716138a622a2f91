//! How much one address may send: a token bucket each, in a table that does not grow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that are remembered at once. More have to share.
const MAX_SOURCES: usize = 16_384;

/// All addresses.
pub(super) struct Sources {
    /// Messages per second.
    rate: f64,
    table: Mutex<Table>,
}

/// The buckets, and when those that are full again were last taken out.
#[derive(Default)]
struct Table {
    buckets: HashMap<Source, Bucket>,
    swept: Option<Instant>,
}

/// How often the table is swept, at most: it takes its time, and strangers decide when.
const SWEEP: Duration = Duration::from_secs(1);

/// Who shares a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    /// An IPv4 address, or the first half of an IPv6 address: one customer has all of the second.
    Prefix(u64),
    /// Those there is no room for.
    Others,
}

/// What an address may still send at once.
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Sources {
    pub(super) fn new(messages_per_second: u32) -> Self {
        Self { rate: f64::from(messages_per_second.max(1)), table: Mutex::default() }
    }

    /// Whether a message from there is taken now.
    pub(super) fn admit(&self, from: IpAddr, now: Instant) -> bool {
        let most = 2.0 * self.rate;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Table { buckets, swept } = &mut *table;
        let mut source = Source::of(from);
        if buckets.len() >= MAX_SOURCES && !buckets.contains_key(&source) {
            // Who has been quiet long enough to have all its tokens again is as good as unknown.
            if swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
                *swept = Some(now);
                buckets.retain(|_, bucket| bucket.after(now, self.rate) < most);
            }
            if buckets.len() >= MAX_SOURCES {
                source = Source::Others;
            }
        }
        let bucket = buckets.entry(source).or_insert(Bucket { tokens: most, filled: now });
        bucket.tokens = most.min(bucket.after(now, self.rate));
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Waits until a message from there is taken.
    pub(super) async fn turn(&self, from: IpAddr) {
        while !self.admit(from, Instant::now()) {
            tokio::time::sleep(Duration::from_secs_f64((1.0 / self.rate).max(0.001))).await;
        }
    }
}

impl Bucket {
    /// What is in it by now, if nothing ran over.
    fn after(&self, now: Instant, rate: f64) -> f64 {
        self.tokens + now.saturating_duration_since(self.filled).as_secs_f64() * rate
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Prefix(u32::from(address).into()),
            // Never below 2^32: nobody has an address that begins with four zero bytes but those above.
            IpAddr::V6(address) => Self::Prefix(u64::try_from(u128::from(address) >> 64).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(sources: &Sources, from: [u8; 4], now: Instant, messages: usize) -> usize {
        (0..messages).filter(|_| sources.admit(from.into(), now)).count()
    }

    #[test]
    fn a_source_gets_two_seconds_worth_at_once_and_then_its_rate() {
        let (sources, now) = (Sources::new(10), Instant::now());
        assert_eq!(admitted(&sources, [10, 0, 0, 1], now, 100), 20);
        assert_eq!(admitted(&sources, [10, 0, 0, 1], now + Duration::from_millis(500), 100), 5);
        assert_eq!(admitted(&sources, [10, 0, 0, 1], now + Duration::from_mins(1), 100), 20);
    }

    #[test]
    fn a_flood_from_one_address_takes_nothing_from_another() {
        let (sources, now) = (Sources::new(10), Instant::now());
        admitted(&sources, [10, 0, 0, 1], now, 1000);
        assert_eq!(admitted(&sources, [10, 0, 0, 2], now, 5), 5);
    }

    #[test]
    fn one_customer_s_ipv6_addresses_share() {
        let (sources, now) = (Sources::new(1), Instant::now());
        let admitted = (0..10u128).filter(|host| sources.admit(IpAddr::V6((0x2001_0db8 << 96 | host).into()), now)).count();
        assert_eq!(admitted, 2);
    }

    #[test]
    fn the_table_does_not_grow_and_forgets_who_is_quiet() {
        let (sources, now) = (Sources::new(1), Instant::now());
        let flood = |base: u32, now| (0..20_000).filter(|host| sources.admit(IpAddr::V4((base + host).into()), now)).count();
        let first = flood(0x0a00_0000, now);
        assert_eq!(first, MAX_SOURCES + 2, "each known one once, the others together twice");
        assert!(sources.table.lock().unwrap().buckets.len() <= MAX_SOURCES + 1);
        assert_eq!(flood(0x0b00_0000, now + Duration::from_mins(1)), MAX_SOURCES + 2);
    }
}
