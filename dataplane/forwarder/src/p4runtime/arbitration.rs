//! Which controller is primary (P4Runtime specification, "Client Arbitration and Controller Replication").
//!
//! Pure: bids and departures come in, notices to send go out. Per role, the primary is the connected controller whose election id is
//! the highest that was ever seen; when it leaves or lowers its bid there is none until somebody bids as high.

use std::collections::BTreeMap;

use p4runtime_proto::p4::v1::Uint128;
use thiserror::Error;

/// A controller's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Connection(pub(super) u64);

/// A bid: 128 bits, the higher wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ElectionId(u128);

impl From<Uint128> for ElectionId {
    fn from(wire: Uint128) -> Self {
        Self(u128::from(wire.high) << 64 | u128::from(wire.low))
    }
}

impl From<ElectionId> for Uint128 {
    #[allow(clippy::cast_possible_truncation, reason = "each half is cut to its width")]
    fn from(id: ElectionId) -> Self {
        Self { high: (id.0 >> 64) as u64, low: id.0 as u64 }
    }
}

/// What a controller is told about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is primary.
    Primary,
    /// Another one is.
    Backup,
    /// Nobody is.
    NoPrimary,
}

/// Something to tell a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) to: Connection,
    pub(super) standing: Standing,
    /// The highest bid that was ever the primary's.
    pub(super) highest: Option<ElectionId>,
}

/// Why a bid ends its stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum BidError {
    /// Another connected controller of the role has it.
    #[error("the election id is taken by another controller")]
    ElectionIdTaken,
    /// A stream keeps its role.
    #[error("this stream bids for role {now:?}, and began with role {before:?}")]
    RoleChanged {
        /// The role it began with.
        before: String,
        /// The role it bids for.
        now: String,
    },
    /// The role has as many controllers as it can.
    #[error("a role has at most {limit} controllers")]
    TooManyControllers {
        /// How many it can have.
        limit: usize,
    },
    /// There are as many roles as there can be.
    #[error("there are at most {limit} roles")]
    TooManyRoles {
        /// How many there can be.
        limit: usize,
    },
}

/// The controllers of a role, with their bids, and the highest one ever.
#[derive(Debug, Default)]
struct Role {
    controllers: BTreeMap<Connection, Option<ElectionId>>,
    highest: Option<ElectionId>,
}

/// All roles of the device. A role that was bid for is never forgotten, nor is its highest bid.
#[derive(Debug, Default)]
pub(super) struct Arbitration {
    roles: BTreeMap<String, Role>,
}

impl Role {
    fn primary(&self) -> Option<Connection> {
        let highest = self.highest?;
        self.controllers.iter().find_map(|(connection, bid)| (*bid == Some(highest)).then_some(*connection))
    }

    fn notice(&self, to: Connection) -> Notice {
        let standing = match self.primary() {
            Some(primary) if primary == to => Standing::Primary,
            Some(_) => Standing::Backup,
            None => Standing::NoPrimary,
        };
        Notice { to, standing, highest: self.highest }
    }

    /// To all, the primary last.
    fn notices(&self) -> Vec<Notice> {
        let mut notices: Vec<Notice> = self.controllers.keys().map(|connection| self.notice(*connection)).collect();
        notices.sort_by_key(|notice| notice.standing == Standing::Primary);
        notices
    }
}

impl Arbitration {
    const CONTROLLERS: usize = 32;
    const ROLES: usize = 32;

    /// A controller bids for a role; without an election id it stands by and never becomes primary.
    ///
    /// # Errors
    /// [`BidError`]: the stream has to end, and nothing has changed.
    pub(super) fn bid(&mut self, connection: Connection, role: &str, bid: Option<ElectionId>) -> Result<Vec<Notice>, BidError> {
        if let Some(before) = self.role_of(connection)
            && before != role
        {
            return Err(BidError::RoleChanged { before: before.to_owned(), now: role.to_owned() });
        }
        if !self.roles.contains_key(role) && self.roles.len() >= Self::ROLES {
            return Err(BidError::TooManyRoles { limit: Self::ROLES });
        }
        let role = self.roles.entry(role.to_owned()).or_default();
        if bid.is_some() && role.controllers.iter().any(|(other, others)| *other != connection && *others == bid) {
            return Err(BidError::ElectionIdTaken);
        }
        if !role.controllers.contains_key(&connection) && role.controllers.len() >= Self::CONTROLLERS {
            return Err(BidError::TooManyControllers { limit: Self::CONTROLLERS });
        }
        let was_primary = role.primary() == Some(connection);
        role.controllers.insert(connection, bid);
        if bid.is_some() && bid >= role.highest {
            role.highest = bid;
            return Ok(role.notices());
        }
        Ok(if was_primary { role.notices() } else { vec![role.notice(connection)] })
    }

    /// A controller's stream has ended. The others hear of it if it was primary.
    pub(super) fn leave(&mut self, connection: Connection) -> Vec<Notice> {
        let Some(role) = self.roles.values_mut().find(|role| role.controllers.contains_key(&connection)) else { return Vec::new() };
        let was_primary = role.primary() == Some(connection);
        role.controllers.remove(&connection);
        if was_primary { role.notices() } else { Vec::new() }
    }

    /// The role of a stream.
    pub(super) fn role_of(&self, connection: Connection) -> Option<&str> {
        self.roles.iter().find_map(|(name, role)| role.controllers.contains_key(&connection).then_some(name.as_str()))
    }

    /// Whether anybody ever bid for a role.
    pub(super) fn knows(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// Whether a stream is primary of its role.
    pub(super) fn is_primary(&self, connection: Connection) -> bool {
        self.roles.values().any(|role| role.primary() == Some(connection))
    }

    /// Whether the primary of a role has bid this.
    pub(super) fn is_primary_bid(&self, role: &str, bid: Option<ElectionId>) -> bool {
        self.roles.get(role).is_some_and(|role| bid.is_some() && bid == role.highest && role.primary().is_some())
    }

    /// The primary of every role that has one.
    pub(super) fn primaries(&self) -> impl Iterator<Item = Connection> + '_ {
        self.roles.values().filter_map(Role::primary)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(notices: &[Notice]) -> Vec<(u64, Standing, Option<u128>)> {
        notices.iter().map(|notice| (notice.to.0, notice.standing, notice.highest.map(|id| id.0))).collect()
    }

    #[test]
    fn the_highest_bid_wins_and_all_are_told() {
        use Standing::{Backup, NoPrimary, Primary};
        let mut arbitration = Arbitration::default();
        let mut bid = |connection, id: Option<u128>| told(&arbitration.bid(Connection(connection), "", id.map(ElectionId)).unwrap());
        assert_eq!(bid(1, None), [(1, NoPrimary, None)]);
        assert_eq!(bid(2, Some(5)), [(1, Backup, Some(5)), (2, Primary, Some(5))]);
        assert_eq!(bid(3, Some(4)), [(3, Backup, Some(5))], "nobody else hears of a backup");
        assert_eq!(bid(3, Some(9)), [(1, Backup, Some(9)), (2, Backup, Some(9)), (3, Primary, Some(9))]);
        assert_eq!(bid(3, Some(9)), [(1, Backup, Some(9)), (2, Backup, Some(9)), (3, Primary, Some(9))]);
        assert_eq!(
            bid(3, Some(3)),
            [(1, NoPrimary, Some(9)), (2, NoPrimary, Some(9)), (3, NoPrimary, Some(9))],
            "5 is not the highest ever"
        );
        assert_eq!(bid(2, Some(8)), [(2, NoPrimary, Some(9))]);
        assert_eq!(bid(2, Some(9)).last(), Some(&(2, Primary, Some(9))));
    }

    #[test]
    fn nobody_is_primary_after_the_primary_left() {
        let mut arbitration = Arbitration::default();
        for (connection, id) in [(1, 7), (2, 6)] {
            arbitration.bid(Connection(connection), "", Some(ElectionId(id))).unwrap();
        }
        assert_eq!(told(&arbitration.leave(Connection(1))), [(2, Standing::NoPrimary, Some(7))]);
        assert!(!arbitration.is_primary_bid("", Some(ElectionId(7))), "a dead primary's id is worth nothing");
        assert!(arbitration.leave(Connection(1)).is_empty());
        arbitration.bid(Connection(3), "", Some(ElectionId(7))).unwrap();
        assert!(arbitration.is_primary(Connection(3)) && arbitration.is_primary_bid("", Some(ElectionId(7))));
        assert!(arbitration.leave(Connection(2)).is_empty(), "a backup leaves silently");
    }

    #[test]
    fn bids_that_cannot_be_change_nothing() {
        let mut arbitration = Arbitration::default();
        arbitration.bid(Connection(1), "", Some(ElectionId(7))).unwrap();
        assert_eq!(arbitration.bid(Connection(2), "", Some(ElectionId(7))), Err(BidError::ElectionIdTaken));
        arbitration.bid(Connection(2), "tester", Some(ElectionId(7))).unwrap();
        assert!(arbitration.is_primary(Connection(1)) && arbitration.is_primary(Connection(2)), "roles do not compete");
        let changed = BidError::RoleChanged { before: "tester".into(), now: String::new() };
        assert_eq!(arbitration.bid(Connection(2), "", Some(ElectionId(9))), Err(changed));
        arbitration.bid(Connection(3), "", Some(ElectionId(6))).unwrap();
        assert_eq!(arbitration.bid(Connection(3), "", Some(ElectionId(7))), Err(BidError::ElectionIdTaken));
        assert!(!arbitration.is_primary_bid("", None) && !arbitration.is_primary_bid("other", Some(ElectionId(7))));
        for connection in 10..10 + Arbitration::CONTROLLERS as u64 - 2 {
            arbitration.bid(Connection(connection), "", None).unwrap();
        }
        assert_eq!(arbitration.bid(Connection(99), "", None), Err(BidError::TooManyControllers { limit: 32 }));
        for role in 0..Arbitration::ROLES - 2 {
            arbitration.bid(Connection(100 + role as u64), &role.to_string(), None).unwrap();
        }
        assert_eq!(arbitration.bid(Connection(999), "one more", None), Err(BidError::TooManyRoles { limit: 32 }));
    }

    #[test]
    fn election_ids_have_128_bits() {
        let wire = Uint128 { high: 1, low: 2 };
        assert_eq!(Uint128::from(ElectionId::from(wire)), wire);
        assert!(ElectionId::from(wire) > ElectionId::from(Uint128 { high: 0, low: u64::MAX }));
    }

    proptest! {
        /// At most one primary, never with less than the highest bid, and what a controller was last told is true.
        #[test]
        fn what_controllers_were_told_is_true(events in proptest::collection::vec((0..4_u64, proptest::option::of(0..5_u128), any::<bool>()), 0..40)) {
            let mut arbitration = Arbitration::default();
            let mut last: BTreeMap<u64, Standing> = BTreeMap::new();
            for (connection, bid, leaves) in events {
                let notices = if leaves {
                    last.remove(&connection);
                    arbitration.leave(Connection(connection))
                } else {
                    arbitration.bid(Connection(connection), "", bid.map(ElectionId)).unwrap_or_default()
                };
                last.extend(notices.iter().map(|notice| (notice.to.0, notice.standing)));
                let primaries: Vec<_> = arbitration.primaries().collect();
                prop_assert!(primaries.len() <= 1);
                for (controller, standing) in &last {
                    let expected = match primaries.first() {
                        None => Standing::NoPrimary,
                        Some(Connection(primary)) if primary == controller => Standing::Primary,
                        Some(_) => Standing::Backup,
                    };
                    prop_assert_eq!(*standing, expected);
                }
            }
        }
    }
}
