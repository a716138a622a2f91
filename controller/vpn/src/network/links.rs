//! The links of a configuration: their ends, kinds, risks and pools.

use std::num::NonZeroU32;

use super::build::{Checker, checked_mtu, named, unicast};
use super::spec::{LinkEndSpec, LinkSpec, PoolSpec};
use super::{InvalidNetwork, Item};
use crate::admission::{ClassSet, Pool, Share};
use crate::request::BitRate;
use crate::topology::{Affinities, Link, LinkEnd, Names, RiskId};

impl Checker {
    pub(super) fn links(&mut self, specs: Vec<LinkSpec>) -> Result<Vec<Link>, InvalidNetwork> {
        specs.into_iter().map(|spec| self.link(spec)).collect()
    }

    fn link(&mut self, spec: LinkSpec) -> Result<Link, InvalidNetwork> {
        let name = spec.name.unwrap_or_else(|| format!("{}-{}", spec.a.router, spec.b.router));
        let item = named(Item::Link(name.clone()), &name)?;
        if self.links.insert(name.clone(), item.clone()).is_some() {
            return Err(InvalidNetwork::Duplicate(item));
        }
        if spec.capacity == BitRate(0) {
            return Err(InvalidNetwork::Zero { item, quantity: "the capacity" });
        }
        let metric = NonZeroU32::new(spec.metric.unwrap_or(LinkSpec::DEFAULT_METRIC))
            .ok_or_else(|| InvalidNetwork::Zero { item: item.clone(), quantity: "the metric" })?;
        let mtu = checked_mtu(&item, spec.mtu.unwrap_or(LinkSpec::DEFAULT_MTU))?;
        let (affinities, risks) = (self.affinities(&item, &spec.affinity)?, self.risks(&item, &spec.risk)?);
        let pools = pools(&item, spec.capacity, &spec.pools)?;
        let a = self.link_end(&item, &spec.a)?;
        let b = self.link_end(&item, &spec.b)?;
        if a.router == b.router {
            return Err(InvalidNetwork::Loop { item, router: spec.a.router });
        }
        Ok(Link { name, capacity: spec.capacity, metric, mtu, affinities, risks, pools, a, b })
    }

    fn link_end(&mut self, item: &Item, spec: &LinkEndSpec) -> Result<LinkEnd, InvalidNetwork> {
        let router = self.router(item, &spec.router)?;
        unicast(item, spec.mac)?;
        if let Some(first) = self.core_ports.insert((router, spec.port), item.clone()) {
            return Err(InvalidNetwork::PortInUse { router: spec.router.clone(), port: spec.port, first, second: item.clone() });
        }
        Ok(LinkEnd { router, port: spec.port, mac: spec.mac })
    }

    fn affinities(&mut self, item: &Item, names: &[String]) -> Result<Affinities, InvalidNetwork> {
        once(item, "the affinity", names)?;
        names.iter().try_fold(Affinities::default(), |set, name| {
            let place = self.affinities.place(name);
            if place >= Names::MOST_AFFINITIES {
                return Err(InvalidNetwork::TooMany { item: item.clone(), what: "affinities", most: Names::MOST_AFFINITIES as usize });
            }
            Ok(set.with(place))
        })
    }

    fn risks(&mut self, item: &Item, names: &[String]) -> Result<Vec<RiskId>, InvalidNetwork> {
        once(item, "the risk", names)?;
        let mut risks: Vec<_> = names.iter().map(|name| RiskId(self.risks.place(name))).collect();
        risks.sort_unstable();
        Ok(risks)
    }
}

fn once(item: &Item, what: &'static str, names: &[String]) -> Result<(), InvalidNetwork> {
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(InvalidNetwork::Unnamed(item.clone()));
        }
        if names[..index].contains(name) {
            return Err(InvalidNetwork::Twice { item: item.clone(), what, name: name.clone() });
        }
    }
    Ok(())
}

fn pools(item: &Item, capacity: BitRate, specs: &[PoolSpec]) -> Result<Vec<Pool>, InvalidNetwork> {
    if specs.len() > Pool::MOST {
        return Err(InvalidNetwork::TooMany { item: item.clone(), what: "pools", most: Pool::MOST });
    }
    specs.iter().map(|spec| pool(item, capacity, spec)).collect()
}

fn pool(item: &Item, capacity: BitRate, spec: &PoolSpec) -> Result<Pool, InvalidNetwork> {
    let item = || item.clone();
    if spec.classes.is_empty() {
        return Err(InvalidNetwork::NoClasses { item: item() });
    }
    for (index, class) in spec.classes.iter().enumerate() {
        if spec.classes[..index].contains(class) {
            return Err(InvalidNetwork::Twice { item: item(), what: "in a pool the class", name: class.to_string() });
        }
    }
    match spec.share {
        Share::Rate(share) if share > capacity => return Err(InvalidNetwork::LargePool { item: item(), share }),
        share if share.of(capacity) == BitRate(0) => return Err(InvalidNetwork::Zero { item: item(), quantity: "the share of a pool" }),
        _ => {}
    }
    Ok(Pool { classes: spec.classes.iter().copied().collect::<ClassSet>(), share: spec.share })
}
