//! What a contract allows, and how much of it is used.

mod account;
pub(crate) mod hours;
mod options;
mod usage;

use svpn_contract::wire::Class;

use crate::admission::Interval;
use crate::network::Contract;
use crate::request::{BitRate, Match, Refusal, VpnName, utc};

pub use account::Account;
pub use hours::{Days, Hours, NoHours, Schedule, UtcOffset};
pub use options::{Consent, MAX_PRIORITY, Options, Preemptable, Preemption, Protection, Quota, VpnPolicy};
pub use usage::Usage;

/// The rates of a session's two directions, as its caller sees them; 0 = nothing flows that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rates {
    /// From the caller to the callee.
    pub from_caller: BitRate,
    /// From the callee to the caller.
    pub from_callee: BitRate,
}

/// Which class a request of a contract gets, before anything is known of its bandwidth.
///
/// # Errors
/// [`Refusal::Forbidden`] when the contract covers the VPN or the class asked for not.
pub fn class(contract: &Contract, vpn: &VpnName, asked: Option<Class>) -> Result<Class, Refusal> {
    if !contract.vpns.contains(vpn) {
        return Err(Refusal::Forbidden(format!("contract {} does not cover VPN {}", contract.name, vpn.0)));
    }
    let class = asked.unwrap_or(contract.default_class);
    if !contract.classes.contains(&class) {
        let covered: Vec<_> = contract.classes.iter().map(Class::to_string).collect();
        return Err(Refusal::Forbidden(format!("contract {} does not cover class {class}, only {}", contract.name, covered.join(", "))));
    }
    Ok(class)
}

/// Which priority a request of a contract gets.
///
/// # Errors
/// [`Refusal::Forbidden`] when it asks for more than the contract allows.
pub fn priority(contract: &Contract, asked: Option<u8>) -> Result<u8, Refusal> {
    let most = contract.options.max_priority;
    match asked {
        None => Ok(contract.options.priority),
        Some(asked) if asked <= most => Ok(asked),
        Some(asked) => Err(Refusal::Forbidden(format!("contract {} allows priorities up to {most}, and {asked} was asked", contract.name))),
    }
}

/// Whether a contract allows sessions at these hours. One without a stop time has to begin in them.
///
/// # Errors
/// [`Refusal::Forbidden`] with the first instant that it does not allow.
pub fn hours(contract: &Contract, interval: Interval) -> Result<(), Refusal> {
    let hours = &contract.options.hours;
    let gap = match interval.stop() {
        Some(stop) => hours.gap(interval.start(), stop),
        None => Some(interval.start()).filter(|&start| !hours.covers(start)),
    };
    gap.map_or(Ok(()), |gap| Err(Refusal::Forbidden(format!("contract {} allows no sessions at {}", contract.name, utc(gap)))))
}

impl VpnPolicy {
    /// Whether sessions of a VPN may be so.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] says which rule is in the way, and what it allows.
    pub fn allows(&self, vpn: &VpnName, class: Class, priority: u8, matching: Match) -> Result<(), Refusal> {
        let forbidden = |rule: String| Err(Refusal::Forbidden(format!("the policy of VPN {} {rule}", vpn.0)));
        if let Some(classes) = self.classes.as_ref().filter(|classes| !classes.contains(&class)) {
            let allowed: Vec<_> = classes.iter().map(Class::to_string).collect();
            return forbidden(format!("does not allow class {class}, only {}", allowed.join(", ")));
        }
        if let Some(most) = self.max_priority.filter(|most| priority > *most) {
            return forbidden(format!("allows priorities up to {most}, and {priority} was asked"));
        }
        if self.matches.as_ref().is_some_and(|matches| !matches.contains(&matching)) {
            return forbidden(format!("does not allow match={matching}"));
        }
        Ok(())
    }
}

impl Rates {
    /// The larger of both, each way.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { from_caller: self.from_caller.max(other.from_caller), from_callee: self.from_callee.max(other.from_callee) }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let sum = |a: BitRate, b: BitRate| BitRate(a.0.saturating_add(b.0));
        Self { from_caller: sum(self.from_caller, other.from_caller), from_callee: sum(self.from_callee, other.from_callee) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    pub(super) fn contract(max_rate: u64, max_sessions: u32) -> Contract {
        let mut contract = testing::network().contracts()[0].clone();
        (contract.max_rate, contract.max_sessions) = (BitRate(max_rate), max_sessions);
        contract
    }

    pub(super) fn rates(there: u64, back: u64) -> Rates {
        Rates { from_caller: BitRate(there), from_callee: BitRate(back) }
    }

    #[test]
    fn vpn_and_class_are_covered() {
        let (contract, vpn) = (contract(1, 1), VpnName("vpn-a".into()));
        assert_eq!(class(&contract, &vpn, None), Ok(testing::class(5)));
        assert_eq!(class(&contract, &vpn, Some(testing::class(0))), Ok(testing::class(0)));
        let reason = |refused: Result<Class, Refusal>| refused.unwrap_err().to_string();
        let other = class(&contract, &vpn, Some(testing::class(7)));
        assert_eq!(reason(other), "forbidden: contract gold does not cover class 7, only 0, 5");
        let other = class(&contract, &VpnName("vpn-b".into()), None);
        assert_eq!(reason(other), "forbidden: contract gold does not cover VPN vpn-b");
    }

    #[test]
    fn the_policy_of_a_vpn_says_what_it_allows() {
        let vpn = VpnName("vpn-a".into());
        let policy = VpnPolicy {
            classes: Some(vec![testing::class(5)]),
            max_priority: Some(3),
            matches: Some(vec![Match::Ports]),
            ..VpnPolicy::default()
        };
        let refused = |class, priority, matching| policy.allows(&vpn, testing::class(class), priority, matching).unwrap_err().to_string();
        assert_eq!(policy.allows(&vpn, testing::class(5), 3, Match::Ports), Ok(()));
        assert_eq!(refused(0, 0, Match::Ports), "forbidden: the policy of VPN vpn-a does not allow class 0, only 5");
        assert_eq!(refused(5, 4, Match::Ports), "forbidden: the policy of VPN vpn-a allows priorities up to 3, and 4 was asked");
        assert_eq!(refused(5, 0, Match::Sites), "forbidden: the policy of VPN vpn-a does not allow match=sites");
        assert_eq!(VpnPolicy::default().allows(&vpn, testing::class(7), 7, Match::Sites), Ok(()));
    }

    #[test]
    fn sessions_are_within_the_hours_of_the_contract() {
        let mut contract = contract(1, 1);
        // From 01:46:40 on there are two hours and some left of these.
        contract.options.hours.hours = vec![Hours::new(Days::ALL, 60, 240).unwrap()];
        let interval = |from, stop: Option<u64>| Interval::new(testing::at(from), stop.map(testing::at)).unwrap();
        assert_eq!(hours(&contract, interval(0, Some(8000))), Ok(()));
        assert_eq!(hours(&contract, interval(0, None)), Ok(()));
        let refused = hours(&contract, interval(0, Some(8001))).unwrap_err().to_string();
        assert_eq!(refused, "forbidden: contract gold allows no sessions at 2001-09-09T04:00:00Z");
        assert!(hours(&contract, interval(8000, None)).is_err());
    }
}
