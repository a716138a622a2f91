//! What the P4Info says of tables and selectors, looked up by id.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use p4runtime_proto::p4::config::v1::action_profile::SelectorSizeSemantics;
use p4runtime_proto::p4::config::v1::match_field::{Match, MatchType};
use p4runtime_proto::p4::config::v1::table::IdleTimeoutBehavior;
use p4runtime_proto::p4::config::v1::{self as config, P4Info};
use svpn_contract::p4info;

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// The action of a miss.
    pub(super) default_action: u32,
    /// The selector of its members and groups.
    pub(super) selector: Option<u32>,
    /// Its match fields' ids, in order.
    pub(super) fields: Vec<u32>,
    features: Vec<Feature>,
}

/// What the entries of a table have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// A direct counter.
    Counter,
    /// A direct meter.
    Meter,
    /// An idle time-out.
    IdleTimeout,
    /// A priority: there are ternary or range fields.
    Priority,
}

/// What the sizes of a selector's groups are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SizeSemantics {
    /// Sums of weights.
    Weights,
    /// Numbers of members, of which none weighs more than this, if there is a limit.
    Members { heaviest: Option<u32> },
}

/// An action selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) name: String,
    /// The tables it serves.
    pub(super) tables: Vec<u32>,
    /// Members it takes.
    pub(super) size: u64,
    /// The largest group, if the P4Info says.
    pub(super) largest_group: Option<u32>,
    pub(super) semantics: SizeSemantics,
}

#[derive(Debug)]
struct Facts {
    tables: BTreeMap<u32, Table>,
    selectors: BTreeMap<u32, Selector>,
}

static FACTS: LazyLock<Facts> = LazyLock::new(|| Facts::of(&p4info()));

/// A table of the contract.
pub(super) fn table(id: u32) -> Option<&'static Table> {
    FACTS.tables.get(&id)
}

/// A selector of the contract.
pub(super) fn selector(id: u32) -> Option<&'static Selector> {
    FACTS.selectors.get(&id)
}

impl Table {
    pub(super) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}

impl Facts {
    fn of(info: &P4Info) -> Self {
        let tables = info.tables.iter().map(|table| (id(table.preamble.as_ref()), table_facts(table, info))).collect();
        let selectors = info.action_profiles.iter().filter(|profile| profile.with_selector);
        Self { tables, selectors: selectors.map(|profile| (id(profile.preamble.as_ref()), selector_facts(profile))).collect() }
    }
}

fn table_facts(table: &config::Table, info: &P4Info) -> Table {
    let direct = |preamble: Option<&config::Preamble>| table.direct_resource_ids.contains(&id(preamble));
    let prioritised = |field: &config::MatchField| {
        let kind = if let Some(Match::MatchType(kind)) = field.r#match { MatchType::try_from(kind).ok() } else { None };
        matches!(kind, Some(MatchType::Ternary | MatchType::Range | MatchType::Optional))
    };
    let has = [
        (Feature::Counter, info.direct_counters.iter().any(|counter| direct(counter.preamble.as_ref()))),
        (Feature::Meter, info.direct_meters.iter().any(|meter| direct(meter.preamble.as_ref()))),
        (Feature::IdleTimeout, table.idle_timeout_behavior() == IdleTimeoutBehavior::NotifyControl),
        (Feature::Priority, table.match_fields.iter().any(prioritised)),
    ];
    Table {
        name: name(table.preamble.as_ref()),
        default_action: table.const_default_action_id,
        selector: (table.implementation_id != 0).then_some(table.implementation_id),
        fields: table.match_fields.iter().map(|field| field.id).collect(),
        features: has.into_iter().filter_map(|(feature, present)| present.then_some(feature)).collect(),
    }
}

fn selector_facts(profile: &config::ActionProfile) -> Selector {
    let positive = |number: i32| u32::try_from(number).ok().filter(|number| *number > 0);
    Selector {
        name: name(profile.preamble.as_ref()),
        tables: profile.table_ids.clone(),
        size: u64::try_from(profile.size).unwrap_or_default(),
        largest_group: positive(profile.max_group_size),
        semantics: match &profile.selector_size_semantics {
            Some(SelectorSizeSemantics::SumOfMembers(of)) => SizeSemantics::Members { heaviest: positive(of.max_member_weight) },
            Some(SelectorSizeSemantics::SumOfWeights(_)) | None => SizeSemantics::Weights,
        },
    }
}

fn id(preamble: Option<&config::Preamble>) -> u32 {
    preamble.map_or(0, |preamble| preamble.id)
}

fn name(preamble: Option<&config::Preamble>) -> String {
    preamble.map_or_else(String::new, |preamble| preamble.name.clone())
}

#[cfg(test)]
mod tests {
    use svpn_contract::{FlowAclV4Key, FlowV4Key, NexthopKey, SessionKey, TABLES, TunnelKey, action_profile};

    use super::*;

    #[test]
    fn tables_have_what_the_program_gives_them() {
        let features = |id| table(id).unwrap().features.clone();
        assert_eq!(features(SessionKey::TABLE_ID), [Feature::Counter, Feature::Meter]);
        assert_eq!(features(FlowV4Key::TABLE_ID), [Feature::IdleTimeout]);
        assert_eq!(features(FlowAclV4Key::TABLE_ID), [Feature::Priority]);
        assert_eq!(table(TunnelKey::TABLE_ID).unwrap().selector, Some(action_profile::TUNNEL_SELECTOR));
        assert_eq!(FACTS.tables.len(), TABLES.len());
        assert_eq!(table(0), None);
    }

    #[test]
    fn selectors_serve_their_tables_and_sizes_are_read_as_written() {
        let nexthops = selector(action_profile::NEXTHOP_SELECTOR).unwrap();
        assert_eq!((nexthops.name.as_str(), nexthops.tables.as_slice()), ("nexthop_selector", [NexthopKey::TABLE_ID].as_slice()));
        assert_eq!(FACTS.selectors.len(), 2);
        let mut profile = p4info().action_profiles.remove(0);
        assert_eq!(selector_facts(&profile).semantics, SizeSemantics::Weights);
        profile.max_group_size = 8;
        let members = config::action_profile::SumOfMembers { max_member_weight: 4 };
        profile.selector_size_semantics = Some(SelectorSizeSemantics::SumOfMembers(members));
        let facts = selector_facts(&profile);
        assert_eq!((facts.largest_group, facts.semantics), (Some(8), SizeSemantics::Members { heaviest: Some(4) }));
    }
}
