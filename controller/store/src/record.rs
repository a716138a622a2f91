//! What one session is billed for.

use std::time::SystemTime;

use jiff::Unit;
use serde::{Deserialize, Serialize};
use svpn_vpn::price::Bill;

/// A point in time, written as RFC 3339 in UTC, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The time, to the millisecond; a time that no calendar has (before the year -9999 or after 9999) becomes the epoch.
    pub fn new(time: SystemTime) -> Self {
        let exact = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self(exact.round(Unit::Millisecond).unwrap_or(exact))
    }

    /// Milliseconds since 1970.
    pub fn milliseconds(self) -> i64 {
        self.0.as_millisecond()
    }
}

/// What one direction of a session was granted and carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// The PE whose counters these are: where the direction enters the provider's network.
    pub ingress: String,
    /// What the PE policed it to: bits per second of frames, destination MAC to end of payload, no FCS.
    pub policed_bits_per_second: u64,
    /// Packets that came in.
    pub offered_packets: u64,
    /// Bytes of those, frames as received without FCS.
    pub offered_bytes: u64,
    /// Packets of those that did not leave.
    pub discarded_packets: u64,
    /// Bytes of those.
    pub discarded_bytes: u64,
    /// Packets that are billed: offered less discarded.
    pub carried_packets: u64,
    /// Bytes that are billed: offered less discarded.
    pub carried_bytes: u64,
}

impl Traffic {
    /// A direction that carried nothing yet.
    pub fn none(ingress: String, policed_bits_per_second: u64) -> Self {
        Self {
            ingress,
            policed_bits_per_second,
            offered_packets: 0,
            offered_bytes: 0,
            discarded_packets: 0,
            discarded_bytes: 0,
            carried_packets: 0,
            carried_bytes: 0,
        }
    }

    /// With what the PE counted: packets and bytes that came in, and those of them that did not leave.
    #[must_use]
    pub fn counted(self, offered: (u64, u64), discarded: (u64, u64)) -> Self {
        Self {
            offered_packets: offered.0,
            offered_bytes: offered.1,
            discarded_packets: discarded.0,
            discarded_bytes: discarded.1,
            carried_packets: offered.0.saturating_sub(discarded.0),
            carried_bytes: offered.1.saturating_sub(discarded.1),
            ..self
        }
    }
}

/// What one session is billed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeRecord {
    /// The session's number; numbers are used again, so it names a session only together with `start`.
    pub session: u32,
    /// The contract that pays.
    pub contract: String,
    /// The VPN.
    pub vpn: String,
    /// Who called: `application@vpn`.
    pub caller: String,
    /// The CE of the caller.
    pub caller_ce: String,
    /// Who was called: `application@vpn`.
    pub callee: String,
    /// The CE of the callee.
    pub callee_ce: String,
    /// The service class.
    pub class: u8,
    /// When the bandwidth was reserved.
    pub start: Timestamp,
    /// When the callee accepted; absent if it never did.
    pub established: Option<Timestamp>,
    /// When the bandwidth was given back.
    pub end: Timestamp,
    /// Why it ended.
    pub cause: String,
    /// Caller to callee; absent if this way was not asked for.
    pub from_caller: Option<Traffic>,
    /// Callee to caller; absent if this way was not asked for.
    pub from_callee: Option<Traffic>,
    /// Whether the counters could be read at the end; if not, the traffic above is what was last known and less than what was carried.
    pub counters: CountersRead,
    /// What it costs, and how that came about; absent where the contract has no price plan.
    pub bill: Option<Bill>,
}

/// How sure the figures of a record are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountersRead {
    /// Read after the last packet.
    Final,
    /// A router did not answer, at the end or when an end had moved away from it: what it counted is missing, so it is never more than was carried.
    Incomplete,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn carried_is_offered_less_discarded() {
        let traffic = Traffic::none("pe1".into(), 8_000_000).counted((10, 15_000), (3, 4_500));
        assert_eq!((traffic.offered_packets, traffic.offered_bytes), (10, 15_000));
        assert_eq!((traffic.carried_packets, traffic.carried_bytes), (7, 10_500));
        // Discards are read a moment after what was offered, so they can be ahead of it.
        assert_eq!(Traffic::none("pe1".into(), 1).counted((1, 100), (2, 200)).carried_bytes, 0);
    }

    #[test]
    fn times_are_rfc_3339_to_the_millisecond() {
        let time = Timestamp::new(UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456));
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2027-01-15T08:00:00.123Z\"");
        assert_eq!(time.milliseconds(), 1_800_000_000_123);
    }
}
