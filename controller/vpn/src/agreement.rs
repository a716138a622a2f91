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
