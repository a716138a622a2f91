//! The façade, from outside: plans, refusals, and what is left when everything is over.

mod bookings;
mod forwarding;
mod gre;
mod ipv6;
mod moves;
mod peering;
mod plans;
mod properties;
mod refusals;
mod services;
mod world;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use svpn_contract::{EntryKey, Update};

use super::*;
use crate::admission::Interval;
use crate::request::{Answer, BitRate, Cause, SessionRequest};
use crate::testing::{at, network};

fn domain() -> Domain {
    Domain::new(network()).unwrap()
}

fn id(domain: &Domain, name: &str) -> RouterId {
    domain.network().routers().find(|(_, router)| router.name == name).unwrap().0
}

/// Lets a session in and has its callee accept.
fn establish(domain: &mut Domain, request: SessionRequest, answer: &Answer) -> (SessionNumber, Vec<Step>) {
    let admission = domain.request(request, at(0)).unwrap();
    let _facts = (domain.programmed(admission.session).unwrap(), domain.ringing(admission.session).unwrap());
    let answered = domain.answered(admission.session, answer, at(1)).unwrap();
    (admission.session, [admission.effects.steps, answered.effects.steps].concat())
}

/// What routers hold that do what they are told, and only that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Routers(HashMap<RouterId, BTreeMap<EntryKey, Entry>>);

impl Routers {
    /// Writes steps as strictly as P4Runtime: nothing is inserted twice, nothing is changed or deleted that is not there.
    fn write(&mut self, steps: &[Step]) {
        for step in steps {
            assert!(!step.updates.is_empty());
            let entries = self.0.entry(step.router).or_default();
            for update in &step.updates {
                let (key, there) = (update.key(), entries.contains_key(&update.key()));
                assert_eq!(there, !matches!(update, Update::Insert(_)), "{update:?} to {:?}", step.router);
                match update {
                    Update::Insert(entry) | Update::Modify(entry) => entries.insert(key, entry.clone()),
                    Update::Delete(key) => entries.remove(key),
                };
            }
        }
    }

    fn expect(domain: &Domain) -> Self {
        let entries = |router| domain.expected_entries(router).map(|entry| (entry.key(), entry.clone())).collect();
        Self(
            domain
                .network()
                .routers()
                .map(|(router, _)| (router, entries(router)))
                .filter(|(_, entries): &(_, BTreeMap<_, _>)| !entries.is_empty())
                .collect(),
        )
    }
}

/// Ends a session for good: what was written for it is undone.
fn finish(domain: &mut Domain, session: SessionNumber, cause: Cause, seconds: u64) -> (Summary, Vec<Step>) {
    let release = domain.released(session, cause, at(seconds)).unwrap();
    let clear = domain.settled(session, Carried::default()).unwrap();
    (release.summary, [release.effects.steps, clear.steps].concat())
}

/// Everything that sessions take: numbers, bandwidth, accounts, entries.
fn taken(domain: &Domain) -> impl PartialEq + std::fmt::Debug + use<> {
    taken_at(domain, 0)
}

/// The same, what came before an instant left aside.
fn taken_at(domain: &Domain, seconds: u64) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut accounts = domain.accounts.clone();
    for account in &mut accounts {
        account.advance(at(seconds));
    }
    let forever = Interval::new(at(1_000_000), None).unwrap();
    let free: Vec<_> = domain.network().topology().links().map(|(link, _)| domain.calendar().available(link, forever)).collect();
    let numbers: BTreeSet<_> = domain.session_numbers.used().iter().copied().collect();
    let times = (domain.starts.clone(), domain.stops.clone());
    (domain.numbers.used(), numbers, free, accounts, domain.tunnels.clone(), domain.tables.clone(), domain.claims.clone(), times)
}
