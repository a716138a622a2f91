//! Views of what was agreed with customers: the configuration.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use svpn_vpn::agreement::{Consent, Options, Preemptable, Preemption, Protection};
use svpn_vpn::network::Contract;
use svpn_vpn::request::{ApplicationId, Class, VpnName};

use crate::config::Config;

/// Whom SIP calls what: the address of record.
fn address_of_record(config: &Config, application: &ApplicationId) -> String {
    format!("sip:{}@{}.{}", application.name, application.vpn.0, config.sip.domain)
}

fn known(config: &Config) -> Vec<&ApplicationId> {
    let mut applications: Vec<_> = config.secrets.keys().collect();
    applications.sort_unstable();
    applications
}

pub(super) fn component_groups(config: &Config) -> Vec<Value> {
    let mut vpns: BTreeMap<&str, Vec<String>> = config.network.vpns().map(|(name, _)| (name.0.as_str(), Vec::new())).collect();
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for application in known(config) {
        let component = address_of_record(config, application);
        for group in config.network.groups_of(application) {
            groups.entry(group).or_default().push(component.clone());
        }
        vpns.entry(&application.vpn.0).or_default().push(component);
    }
    let of = |kind: &'static str| move |(group, components)| json!({ "group": group, "kind": kind, "components": components });
    vpns.into_iter().map(of("vpn")).chain(groups.into_iter().map(of("closed user group"))).collect()
}

pub(super) fn applications(config: &Config) -> Vec<Value> {
    let network = &config.network;
    let of = |application: &ApplicationId| {
        let at_home = network.circuits().iter().filter(|circuit| circuit.vpn == application.vpn);
        json!({
            "application": application.to_string(),
            "address_of_record": address_of_record(config, application),
            "vpn": application.vpn,
            "vrf": network.vpns().find(|(name, _)| *name == &application.vpn).map(|(_, vrf)| vrf.get()),
            "contract": network.contract_of(application).map(|contract| &network.contract(contract).name),
            "groups": network.groups_of(application),
            "accepts": network.accepted_by(application).iter().map(ToString::to_string).collect::<Vec<_>>(),
            "ces": at_home.map(|circuit| &circuit.ce).collect::<Vec<_>>(),
        })
    };
    known(config).into_iter().map(of).collect()
}

pub(super) fn policies(config: &Config) -> Vec<Value> {
    let network = &config.network;
    let vpn = |(name, _): (&VpnName, _)| {
        let policy = network.policy(name).cloned().unwrap_or_default();
        json!({
            "vpn": name,
            "classes": policy.classes.as_deref().map(numbers),
            "max_priority": policy.max_priority,
            "matches": policy.matches,
            "consent": match policy.consent {
                Consent::Answer => "by answering",
                Consent::Named => "by answering callers that are named",
            },
            "contracts": network.contracts().iter().filter(|contract| contract.vpns.contains(name)).map(|contract| &contract.name).collect::<Vec<_>>(),
        })
    };
    network.vpns().map(vpn).chain(network.contracts().iter().map(contract)).collect()
}

fn numbers(classes: &[Class]) -> Vec<u8> {
    classes.iter().map(|class| class.get()).collect()
}

fn contract(contract: &Contract) -> Value {
    let Options { priority, max_priority, protection, preemption, preemptable, include, exclude, hours, quota, price } = &contract.options;
    let hours: Vec<_> = hours.hours.iter().map(ToString::to_string).collect();
    json!({
        "contract": contract.name,
        "vpns": contract.vpns,
        "classes": numbers(&contract.classes),
        "default_class": contract.default_class.get(),
        "max_rate": contract.max_rate,
        "max_sessions": contract.max_sessions,
        "priority": priority,
        "max_priority": max_priority,
        "protected": *protection == Protection::Disjoint,
        "may_preempt": *preemption == Preemption::LowerPriority,
        "may_be_preempted": preemptable.map_or("at priority 0", |preemptable| match preemptable {
            Preemptable::Always => "always",
            Preemptable::Never => "never",
        }),
        "affinities": { "include": include, "exclude": exclude },
        "hours": hours,
        "quota": { "bytes": quota.bytes, "megabit_hours": quota.megabit_hours },
        "price": price.as_ref().map(|price| &price.name),
    })
}
