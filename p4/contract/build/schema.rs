//! What the generator needs of a P4Info, checked: every field has a Rust type, and its width is that type's.

use std::collections::BTreeMap;

use p4runtime_proto::p4::config::v1 as config;

/// How a field is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matching {
    Exact,
    Lpm,
    Ternary,
    Range,
}

/// A key field, an action parameter or a packet metadata field.
pub(crate) struct Field {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) bits: u32,
    /// Its type in `crate::wire` or `std::net`.
    pub(crate) rust: &'static str,
}

pub(crate) struct Action {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) params: Vec<Field>,
}

/// What the entries of a table have besides a key and an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    Selector,
    ByteMeter,
    PacketMeter,
    Counter,
    IdleTimeout,
}

pub(crate) struct Table {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) keys: Vec<(Field, Matching)>,
    pub(crate) actions: Vec<Action>,
    pub(crate) features: Vec<Feature>,
}

pub(crate) struct Named {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) size: u64,
}

pub(crate) struct Schema {
    pub(crate) tables: Vec<Table>,
    pub(crate) counters: Vec<Named>,
    pub(crate) direct_counters: Vec<Named>,
    pub(crate) direct_meters: Vec<Named>,
    pub(crate) action_profiles: Vec<Named>,
    pub(crate) packet_metadata: Vec<(String, Vec<Field>)>,
    pub(crate) reasons: Vec<(String, u8)>,
}

/// The Rust type of a field, by the name the contract gives it and its width.
fn rust_type(name: &str, bits: u32) -> Result<&'static str, String> {
    let (rust, width) = match name {
        "port" | "ingress_port" | "egress_port" => ("PortId", 9),
        "vlan" | "inner_vlan" => ("VlanId", 12),
        "mac" | "src_mac" | "dst_mac" => ("MacAddr", 48),
        "vrf" => ("VrfId", 16),
        "session" => ("SessionId", 32),
        "tunnel" => ("TunnelId", 32),
        "nexthop" => ("NextHopId", 32),
        "label" | "vpn_label" | "l1" | "l2" | "l3" => ("Label", 20),
        "class" => ("Class", 3),
        "tc" => ("TrafficClass", 3),
        "dscp" => ("Dscp", 6),
        "colour" => ("Colour", 2),
        "ttl_mode" => ("TtlMode", 8),
        "mtu" => ("Mtu", 16),
        "proto" => ("Protocol", 8),
        "sport" | "dport" => ("L4Port", 16),
        "reason" => ("Reason", 8),
        "key" => ("GreKey", 32),
        "src" | "dst" if bits == 128 => ("Ipv6Addr", 128),
        "src" | "dst" | "target" => ("Ipv4Addr", 32),
        other => return Err(format!("no Rust type is known for a field named {other}: add it to rust_type in build/schema.rs")),
    };
    if width == bits { Ok(rust) } else { Err(format!("field {name} has {bits} bits where {rust} has {width}")) }
}

fn width(bits: i32) -> Result<u32, String> {
    u32::try_from(bits).map_err(|_| format!("negative width {bits}"))
}

impl Field {
    fn read(id: u32, name: &str, bits: i32) -> Result<Self, String> {
        let bits = width(bits)?;
        Ok(Self { id, name: name.to_owned(), bits, rust: rust_type(name, bits)? })
    }
}

fn preamble(of: Option<&config::Preamble>) -> Result<(u32, String), String> {
    let of = of.ok_or("an object without a preamble")?;
    Ok((of.id, of.alias.clone()))
}

fn named(of: Option<&config::Preamble>, size: i64) -> Result<Named, String> {
    let (id, name) = preamble(of)?;
    let size = u64::try_from(size).map_err(|_| format!("{name} has a negative size"))?;
    Ok(Named { id, name, size })
}

fn matching(field: &config::MatchField) -> Result<Matching, String> {
    use config::match_field::{Match, MatchType};
    let Some(Match::MatchType(matched)) = field.r#match else {
        return Err(format!("field {} has no standard match type", field.name));
    };
    match MatchType::try_from(matched) {
        Ok(MatchType::Exact) => Ok(Matching::Exact),
        Ok(MatchType::Lpm) => Ok(Matching::Lpm),
        Ok(MatchType::Ternary) => Ok(Matching::Ternary),
        Ok(MatchType::Range) => Ok(Matching::Range),
        other => Err(format!("field {} is matched by {other:?}, which no table of the contract uses", field.name)),
    }
}

fn read_actions(info: &config::P4Info) -> Result<BTreeMap<u32, (String, Vec<config::action::Param>)>, String> {
    let mut actions = BTreeMap::new();
    for action in &info.actions {
        let (id, name) = preamble(action.preamble.as_ref())?;
        actions.insert(id, (name, action.params.clone()));
    }
    Ok(actions)
}

fn read_table(table: &config::Table, info: &config::P4Info) -> Result<Table, String> {
    let (id, name) = preamble(table.preamble.as_ref())?;
    let all_actions = read_actions(info)?;
    let mut keys = Vec::new();
    for field in &table.match_fields {
        keys.push((Field::read(field.id, &field.name, field.bitwidth)?, matching(field)?));
    }
    let mut actions = Vec::new();
    for reference in &table.action_refs {
        if reference.scope() == config::action_ref::Scope::DefaultOnly {
            continue;
        }
        let (action, params) =
            all_actions.get(&reference.id).ok_or_else(|| format!("table {name} names unknown action {}", reference.id))?;
        let params = params.iter().map(|param| Field::read(param.id, &param.name, param.bitwidth)).collect::<Result<Vec<_>, _>>()?;
        actions.push(Action { id: reference.id, name: action.clone(), params });
    }
    let direct = |id: &u32| table.direct_resource_ids.contains(id);
    let ids = |preambles: Vec<Option<&config::Preamble>>| preambles.into_iter().flatten().any(|preamble| direct(&preamble.id));
    let meters = |unit: config::meter_spec::Unit| {
        let measures = |meter: &&config::DirectMeter| meter.spec.as_ref().is_some_and(|spec| spec.unit() == unit);
        ids(info.direct_meters.iter().filter(measures).map(|meter| meter.preamble.as_ref()).collect())
    };
    let has = [
        (Feature::Selector, table.implementation_id != 0),
        (Feature::ByteMeter, meters(config::meter_spec::Unit::Bytes)),
        (Feature::PacketMeter, meters(config::meter_spec::Unit::Packets)),
        (Feature::Counter, ids(info.direct_counters.iter().map(|counter| counter.preamble.as_ref()).collect())),
        (Feature::IdleTimeout, table.idle_timeout_behavior() == config::table::IdleTimeoutBehavior::NotifyControl),
    ];
    let features = has.into_iter().filter_map(|(feature, present)| present.then_some(feature)).collect();
    Ok(Table { id, name, size: u64::try_from(table.size).map_err(|_| "negative table size".to_owned())?, keys, actions, features })
}

fn read_reasons(info: &config::P4Info) -> Result<Vec<(String, u8)>, String> {
    let types = info.type_info.as_ref().ok_or("no type_info")?;
    let reasons = types.serializable_enums.get("Reason").ok_or("no enum Reason")?;
    reasons
        .members
        .iter()
        .map(|member| match member.value.as_slice() {
            [value] => Ok((member.name.clone(), *value)),
            _ => Err(format!("reason {} is not one byte", member.name)),
        })
        .collect()
}

fn read_packet_metadata(info: &config::P4Info) -> Result<Vec<(String, Vec<Field>)>, String> {
    let mut headers = Vec::new();
    for header in &info.controller_packet_metadata {
        let (_, name) = preamble(header.preamble.as_ref())?;
        let mut fields = Vec::new();
        for field in &header.metadata {
            let bits = width(field.bitwidth)?;
            let rust = if field.name == "padding" { "padding" } else { rust_type(&field.name, bits)? };
            fields.push(Field { id: field.id, name: field.name.clone(), bits, rust });
        }
        headers.push((name, fields));
    }
    Ok(headers)
}

impl Table {
    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    pub(crate) fn is_metered(&self) -> bool {
        self.has(Feature::ByteMeter) || self.has(Feature::PacketMeter)
    }
}

impl Schema {
    pub(crate) fn read(info: &config::P4Info) -> Result<Self, String> {
        let tables = info.tables.iter().map(|table| read_table(table, info)).collect::<Result<_, _>>()?;
        Ok(Self {
            tables,
            counters: info.counters.iter().map(|counter| named(counter.preamble.as_ref(), counter.size)).collect::<Result<_, _>>()?,
            direct_counters: info.direct_counters.iter().map(|counter| named(counter.preamble.as_ref(), 0)).collect::<Result<_, _>>()?,
            direct_meters: info.direct_meters.iter().map(|meter| named(meter.preamble.as_ref(), 0)).collect::<Result<_, _>>()?,
            action_profiles: info
                .action_profiles
                .iter()
                .map(|profile| named(profile.preamble.as_ref(), profile.size))
                .collect::<Result<_, _>>()?,
            packet_metadata: read_packet_metadata(info)?,
            reasons: read_reasons(info)?,
        })
    }
}
