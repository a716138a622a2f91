//! The contracts of a configuration.

use super::build::{Checker, named};
use super::spec::ContractSpec;
use super::{Contract, ContractId, InvalidNetwork, Item};
use crate::agreement::MAX_PRIORITY;
use crate::topology::{Constraint, Topology};

impl Checker {
    pub(super) fn contracts(&mut self, specs: Vec<ContractSpec>, topology: &Topology) -> Result<Vec<Contract>, InvalidNetwork> {
        let mut contracts = Vec::with_capacity(specs.len());
        for (index, spec) in (0..).zip(specs) {
            let item = named(Item::Contract(spec.name.clone()), &spec.name)?;
            if self.contracts.insert(spec.name.clone(), ContractId(index)).is_some() {
                return Err(InvalidNetwork::Duplicate(item));
            }
            contracts.push(self.contract(item, spec, topology)?);
        }
        Ok(contracts)
    }

    fn contract(&self, item: Item, spec: ContractSpec, topology: &Topology) -> Result<Contract, InvalidNetwork> {
        for vpn in &spec.vpns {
            self.vrf(&item, vpn)?;
        }
        if !spec.classes.contains(&spec.default_class) {
            return Err(InvalidNetwork::DefaultClass { item, class: spec.default_class });
        }
        let options = spec.options;
        if options.max_priority > MAX_PRIORITY || options.priority > options.max_priority {
            let (priority, max_priority) = (options.priority, options.max_priority);
            return Err(InvalidNetwork::Priorities { item, priority, max_priority });
        }
        let known = |names: &[String]| {
            let found = topology.affinities(names.iter().map(String::as_str));
            found.map_err(|unknown| InvalidNetwork::Affinity { item: item.clone(), name: unknown.name })
        };
        let constraint = Constraint { include: known(&options.include)?, exclude: known(&options.exclude)? };
        Ok(Contract {
            name: spec.name,
            vpns: spec.vpns,
            classes: spec.classes,
            default_class: spec.default_class,
            max_rate: spec.max_rate,
            max_sessions: spec.max_sessions,
            constraint,
            options,
        })
    }
}
