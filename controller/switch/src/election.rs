//! Who is to be primary.

use std::fmt;
use std::num::NonZeroU128;

use p4runtime_proto::p4::v1::Uint128;

/// A controller's bid: of all that are connected, the highest is primary (P4Runtime specification, "Client Arbitration and Controller
/// Replication"). Never 0, which is the bid of one that does not want to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElectionId(NonZeroU128);

/// 0 was given as an election id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an election id of 0 is never primary")]
pub struct ZeroElectionId;

impl ElectionId {
    /// The number.
    pub const fn get(self) -> u128 {
        self.0.get()
    }

    /// The next bid above another: its high half is one more than the other's, its low half stays ours, so that gateways whose low
    /// halves differ never make the same bid. `None` at the end of all numbers.
    pub(crate) fn above(self, other: Self) -> Option<Self> {
        let term = (other.get() >> 64) + 1;
        let own = self.get() & u128::from(u64::MAX);
        Self::try_from(u128::from(u64::try_from(term).ok()?) << 64 | own).ok()
    }

    #[allow(clippy::cast_possible_truncation, reason = "the halves fit: one is shifted, the other masked")]
    pub(crate) fn encode(self) -> Uint128 {
        Uint128 { high: (self.get() >> 64) as u64, low: (self.get() & u128::from(u64::MAX)) as u64 }
    }

    pub(crate) fn decode(wire: Uint128) -> Result<Self, ZeroElectionId> {
        Self::try_from(u128::from(wire.high) << 64 | u128::from(wire.low))
    }
}

impl TryFrom<u128> for ElectionId {
    type Error = ZeroElectionId;

    fn try_from(number: u128) -> Result<Self, ZeroElectionId> {
        NonZeroU128::new(number).map(Self).ok_or(ZeroElectionId)
    }
}

impl fmt::Display for ElectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_is_no_election_id() {
        assert_eq!(ElectionId::try_from(0), Err(ZeroElectionId));
        assert_eq!(ElectionId::decode(Uint128 { high: 0, low: 0 }), Err(ZeroElectionId));
    }

    #[test]
    fn high_half_comes_first() {
        let election = ElectionId::try_from((7 << 64) | 9).expect("not 0");
        assert_eq!(election.encode(), Uint128 { high: 7, low: 9 });
    }

    #[test]
    fn no_bid_is_above_the_last_term() {
        let one = ElectionId::try_from(1).expect("not 0");
        assert_eq!(one.above(ElectionId::try_from(u128::MAX).expect("not 0")), None);
    }

    proptest! {
        #[test]
        fn bid_above_another_is_higher_and_our_own(ours in 1..=u128::MAX, other in 1..=u128::MAX >> 1) {
            let (ours, other) = (ElectionId::try_from(ours).expect("not 0"), ElectionId::try_from(other).expect("not 0"));
            let above = ours.above(other).expect("there are more");
            prop_assert!(above > other);
            prop_assert_eq!(above.encode().low, ours.encode().low);
        }

        #[test]
        fn wire_and_back(number in 1..=u128::MAX) {
            let election = ElectionId::try_from(number).expect("not 0");
            prop_assert_eq!(ElectionId::decode(election.encode()), Ok(election));
        }
    }
}
