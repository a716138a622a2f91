//! What a contract allows, and how much of it is used.

use svpn_contract::wire::Class;

use crate::network::Contract;
use crate::request::{BitRate, Refusal, VpnName};

/// The rates of a session's two directions, as its caller sees them; 0 = nothing flows that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rates {
    /// From the caller to the callee.
    pub from_caller: BitRate,
    /// From the callee to the caller.
    pub from_callee: BitRate,
}

/// What the live sessions of one contract have together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    sessions: u32,
    rates: Rates,
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

impl Account {
    /// Adds a session.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] with the figures, when the contract allows no more sessions or not that much rate.
    pub fn enter(&mut self, contract: &Contract, rates: Rates) -> Result<(), Refusal> {
        if self.sessions >= contract.max_sessions {
            return Err(Refusal::Forbidden(format!(
                "contract {} allows {} sessions at one time, and {} are up",
                contract.name, contract.max_sessions, self.sessions
            )));
        }
        let sum = self.rates.plus(rates);
        for (way, used, asked, sum) in [
            ("from caller to callee", self.rates.from_caller, rates.from_caller, sum.from_caller),
            ("from callee to caller", self.rates.from_callee, rates.from_callee, sum.from_callee),
        ] {
            if sum > contract.max_rate && asked.0 > 0 {
                return Err(Refusal::Forbidden(format!(
                    "contract {} allows {} bit/s {way}: {} are in use, and {} more were asked with headers",
                    contract.name, contract.max_rate.0, used.0, asked.0
                )));
            }
        }
        *self = Self { sessions: self.sessions + 1, rates: sum };
        Ok(())
    }

    /// Takes a session away that was added with these rates.
    pub fn leave(&mut self, rates: Rates) {
        self.sessions -= 1;
        self.rates.from_caller.0 -= rates.from_caller.0;
        self.rates.from_callee.0 -= rates.from_callee.0;
    }

    /// A live session has less from now on.
    pub fn reduce(&mut self, before: Rates, after: Rates) {
        self.leave(before);
        self.sessions += 1;
        self.rates = self.rates.plus(after);
    }
}

impl Rates {
    fn plus(self, other: Self) -> Self {
        let sum = |a: BitRate, b: BitRate| BitRate(a.0.saturating_add(b.0));
        Self { from_caller: sum(self.from_caller, other.from_caller), from_callee: sum(self.from_callee, other.from_callee) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    fn contract(max_rate: u64, max_sessions: u32) -> Contract {
        Contract {
            name: "gold".into(),
            vpns: vec![VpnName("vpn-a".into())],
            classes: vec![testing::class(0), testing::class(5)],
            default_class: testing::class(5),
            max_rate: BitRate(max_rate),
            max_sessions,
        }
    }

    fn rates(there: u64, back: u64) -> Rates {
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
    fn the_figures_are_told() {
        let contract = contract(100, 2);
        let mut account = Account::default();
        account.enter(&contract, rates(60, 10)).unwrap();
        let before = account;
        let refused = account.enter(&contract, rates(41, 10)).unwrap_err();
        assert!(matches!(refused, Refusal::Forbidden(_)));
        let told = "forbidden: contract gold allows 100 bit/s from caller to callee: 60 are in use, and 41 more were asked with headers";
        assert_eq!(refused.to_string(), told);
        assert!(account.enter(&contract, rates(0, 91)).unwrap_err().to_string().contains("from callee to caller: 10 are in use"));
        assert_eq!(account, before);
        account.enter(&contract, rates(40, 90)).unwrap();
        let refused = account.enter(&contract, rates(0, 0)).unwrap_err();
        assert_eq!(refused.to_string(), "forbidden: contract gold allows 2 sessions at one time, and 2 are up");
    }

    proptest! {
        #[test]
        fn an_account_never_exceeds_its_contract(steps in prop::collection::vec((0..40_u64, 0..40_u64, any::<usize>(), 0..3_u8), 0..60)) {
            let contract = contract(100, 5);
            let (mut account, mut live) = (Account::default(), Vec::<Rates>::new());
            for (there, back, which, step) in steps {
                let asked = rates(there, back);
                let sum = live.iter().fold(asked, |sum, live| sum.plus(*live));
                if step == 0 && !live.is_empty() {
                    let which = which % live.len();
                    account.leave(live.swap_remove(which));
                } else if step == 1 && !live.is_empty() {
                    let which = which % live.len();
                    let less = rates(live[which].from_caller.0.min(there), live[which].from_callee.0.min(back));
                    account.reduce(live[which], less);
                    live[which] = less;
                } else {
                    let fits = live.len() < 5 && sum.from_caller.0 <= 100 && sum.from_callee.0 <= 100;
                    prop_assert_eq!(account.enter(&contract, asked).is_ok(), fits);
                    if fits {
                        live.push(asked);
                    }
                }
                let total = live.iter().fold(Rates::default(), |sum, live| sum.plus(*live));
                prop_assert_eq!(account, Account { sessions: u32::try_from(live.len()).unwrap(), rates: total });
            }
        }
    }
}
