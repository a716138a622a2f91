//! Whose packets are whose, over time: no packet may ever belong to two sessions.

use std::collections::HashMap;

use svpn_contract::EntryKey;

use crate::admission::Interval;
use crate::network::RouterId;
use crate::plan::Planned;
use crate::request::{Refusal, SessionNumber};

/// What tells the packets of accepted sessions from others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims(HashMap<(RouterId, EntryKey), Owners>);

/// Whose they are, and when, in the order of the sessions' numbers: nearly always one.
type Owners = Vec<(SessionNumber, Interval)>;

impl Claims {
    /// Whether nobody but the session itself has these packets at any instant of an interval.
    pub(super) fn free(&self, planned: &Planned, session: SessionNumber, interval: Interval) -> Result<(), Refusal> {
        for (router, entry) in planned {
            let owners = self.0.get(&(*router, entry.key())).into_iter().flatten();
            let mut others = owners.filter(|(owner, theirs)| *owner != session && theirs.common(interval).is_some());
            if let Some((owner, _)) = others.next() {
                return Err(Refusal::NotAcceptable(format!("session {} has the same packets: release it, or narrow the match", owner.0)));
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, planned: &Planned, session: SessionNumber, interval: Interval) {
        for (router, entry) in planned {
            let owners = self.0.entry((*router, entry.key())).or_default();
            match place(owners, session) {
                Ok(there) => owners[there].1 = interval,
                Err(place) => {
                    owners.reserve_exact(1);
                    owners.insert(place, (session, interval));
                }
            }
        }
    }

    pub(super) fn remove(&mut self, planned: &Planned, session: SessionNumber) {
        for (router, entry) in planned {
            let key = (*router, entry.key());
            if let Some(owners) = self.0.get_mut(&key) {
                if let Ok(there) = place(owners, session) {
                    owners.remove(there);
                }
                if owners.is_empty() {
                    self.0.remove(&key);
                }
            }
        }
    }
}

fn place(owners: &Owners, session: SessionNumber) -> Result<usize, usize> {
    owners.binary_search_by_key(&session, |&(owner, _)| owner)
}
