//! Between typed values and P4Runtime's byte strings.
//!
//! A value is written in its canonical form, the shortest big-endian string (P4Runtime specification, "Bytestrings"), and read in any
//! form that fits its width.

use std::num::NonZeroU32;
use std::time::Duration;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::action_profile_action::WatchKind;
use p4runtime_proto::p4::v1::field_match::{self, FieldMatchType};
use p4runtime_proto::p4::v1::table_action::Type as ActionType;

use crate::error::{DecodeError, ValueError};
use crate::tables::{Choice, Member, MeterConfig, Prefix, Priority, Range, Ternary};
use crate::value::{Value, ones};
use crate::wire::PortId;

/// A key field: a value and how it is matched.
pub(crate) trait MatchField: Sized {
    const EXPECTED: &'static str;
    /// What a field left out means; `None` where it may not be.
    fn absent() -> Option<Self>;
    fn decode(wire: &FieldMatchType) -> Option<Result<Self, ValueError>>;
    /// `None` where it matches everything.
    fn encode(&self) -> Option<FieldMatchType>;
}

impl<V: Value> MatchField for V {
    const EXPECTED: &'static str = "exact";

    fn absent() -> Option<Self> {
        None
    }

    fn decode(wire: &FieldMatchType) -> Option<Result<Self, ValueError>> {
        let FieldMatchType::Exact(exact) = wire else { return None };
        Some(V::from_bytes(&exact.value))
    }

    fn encode(&self) -> Option<FieldMatchType> {
        Some(FieldMatchType::Exact(field_match::Exact { value: self.to_bytes() }))
    }
}

impl<V: Value> Prefix<V> {
    fn check(value: V, length: i32) -> Result<Self, ValueError> {
        let bad = ValueError::PrefixLength { length, bits: V::BITS };
        let short = u8::try_from(length).map_err(|_| bad.clone())?;
        match u32::from(short) {
            0 => Err(ValueError::DontCare),
            bits if bits > V::BITS => Err(bad),
            bits if value.bits() & ones(V::BITS - bits) != 0 => Err(ValueError::OutsideMask),
            _ => Ok(Self { value, length: short }),
        }
    }
}

impl<V: Value> MatchField for Prefix<V> {
    const EXPECTED: &'static str = "lpm";

    fn absent() -> Option<Self> {
        Some(Self::any())
    }

    fn decode(wire: &FieldMatchType) -> Option<Result<Self, ValueError>> {
        let FieldMatchType::Lpm(lpm) = wire else { return None };
        Some(V::from_bytes(&lpm.value).and_then(|value| Self::check(value, lpm.prefix_len)))
    }

    fn encode(&self) -> Option<FieldMatchType> {
        let lpm = field_match::Lpm { value: self.value.to_bytes(), prefix_len: i32::from(self.length) };
        (self.length != 0).then_some(FieldMatchType::Lpm(lpm))
    }
}

impl<V: Value> MatchField for Ternary<V> {
    const EXPECTED: &'static str = "ternary";

    fn absent() -> Option<Self> {
        Some(Self::any())
    }

    fn decode(wire: &FieldMatchType) -> Option<Result<Self, ValueError>> {
        let FieldMatchType::Ternary(ternary) = wire else { return None };
        let decoded = || {
            let (value, mask) = (V::from_bytes(&ternary.value)?, V::from_bytes(&ternary.mask)?);
            match mask.bits() {
                0 => Err(ValueError::DontCare),
                bits if value.bits() & !bits != 0 => Err(ValueError::OutsideMask),
                _ => Ok(Self { value, mask }),
            }
        };
        Some(decoded())
    }

    fn encode(&self) -> Option<FieldMatchType> {
        let ternary = field_match::Ternary { value: self.value.to_bytes(), mask: self.mask.to_bytes() };
        (self.mask.bits() != 0).then_some(FieldMatchType::Ternary(ternary))
    }
}

impl<V: Value> MatchField for Range<V> {
    const EXPECTED: &'static str = "range";

    fn absent() -> Option<Self> {
        Some(Self::any())
    }

    fn decode(wire: &FieldMatchType) -> Option<Result<Self, ValueError>> {
        let FieldMatchType::Range(range) = wire else { return None };
        let decoded = || {
            let (low, high) = (V::from_bytes(&range.low)?, V::from_bytes(&range.high)?);
            match (low.bits(), high.bits()) {
                (low, high) if low > high => Err(ValueError::EmptyRange),
                (0, high) if high == ones(V::BITS) => Err(ValueError::DontCare),
                _ => Ok(Self { low, high }),
            }
        };
        Some(decoded())
    }

    fn encode(&self) -> Option<FieldMatchType> {
        let range = field_match::Range { low: self.low.to_bytes(), high: self.high.to_bytes() };
        (self.low.bits() != 0 || self.high.bits() != ones(V::BITS)).then_some(FieldMatchType::Range(range))
    }
}

/// Fields that were taken, by their places in a message. None behind the 64th can be: no table or action has so many.
#[derive(Debug, Clone, Copy, Default)]
struct Taken(u64);

impl Taken {
    /// Where there are more, one is unknown, and nothing else is worth to be found out.
    const MOST: usize = 64;

    fn add(&mut self, place: usize) {
        self.0 |= Self::bit(place);
    }

    fn has(self, place: usize) -> bool {
        self.0 & Self::bit(place) != 0
    }

    fn bit(place: usize) -> u64 {
        u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or_default()
    }
}

/// Takes the key fields of an entry one by one.
pub(crate) struct MatchReader<'a> {
    table: &'static str,
    entry: &'a proto::TableEntry,
    taken: Taken,
}

impl<'a> MatchReader<'a> {
    pub(crate) fn new(table: &'static str, entry: &'a proto::TableEntry) -> Result<Self, DecodeError> {
        for (index, field) in entry.r#match.iter().enumerate().take(Taken::MOST) {
            if entry.r#match[..index].iter().any(|other| other.field_id == field.field_id) {
                return Err(DecodeError::DuplicateField { table, id: field.field_id });
            }
        }
        Ok(Self { table, entry, taken: Taken::default() })
    }

    pub(crate) fn take<M: MatchField>(&mut self, id: u32, field: &'static str) -> Result<M, DecodeError> {
        let table = self.table;
        let Some((place, found)) = self.entry.r#match.iter().enumerate().find(|(_, found)| found.field_id == id) else {
            return M::absent().ok_or(DecodeError::MissingField { table, field });
        };
        self.taken.add(place);
        let decoded = found.field_match_type.as_ref().and_then(M::decode);
        decoded.ok_or(DecodeError::WrongMatch { table, field, expected: M::EXPECTED })?.map_err(|source| DecodeError::BadField {
            table,
            field,
            source,
        })
    }

    pub(crate) fn priority(&self) -> Result<Priority, DecodeError> {
        let priority = self.entry.priority;
        Priority::new(priority).ok_or(DecodeError::PriorityNeeded { table: self.table, priority })
    }

    pub(crate) fn no_priority(&self) -> Result<(), DecodeError> {
        if self.entry.priority == 0 { Ok(()) } else { Err(DecodeError::PriorityForbidden { table: self.table }) }
    }

    /// Fails where a field was given that nobody took.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.entry.r#match.iter().enumerate().find(|(place, _)| !self.taken.has(*place)) {
            None => Ok(()),
            Some((_, field)) => Err(DecodeError::UnknownField { table: self.table, id: field.field_id }),
        }
    }
}

/// Collects the key fields of an entry.
#[derive(Default)]
pub(crate) struct MatchWriter(Vec<proto::FieldMatch>);

impl MatchWriter {
    pub(crate) fn put<M: MatchField>(&mut self, field_id: u32, field: &M) {
        if let Some(wire) = field.encode() {
            self.0.push(proto::FieldMatch { field_id, field_match_type: Some(wire) });
        }
    }

    pub(crate) fn finish(self) -> Vec<proto::FieldMatch> {
        self.0
    }
}

/// Takes the parameters of an action one by one.
pub(crate) struct ParamReader<'a> {
    table: &'static str,
    action: &'a proto::Action,
    taken: Taken,
}

impl<'a> ParamReader<'a> {
    pub(crate) fn new(table: &'static str, action: &'a proto::Action) -> Result<Self, DecodeError> {
        for (index, param) in action.params.iter().enumerate().take(Taken::MOST) {
            if action.params[..index].iter().any(|other| other.param_id == param.param_id) {
                return Err(DecodeError::UnknownParam { table, action: action.action_id, id: param.param_id });
            }
        }
        Ok(Self { table, action, taken: Taken::default() })
    }

    pub(crate) fn take<V: Value>(&mut self, id: u32, param: &'static str) -> Result<V, DecodeError> {
        let table = self.table;
        let found = self.action.params.iter().enumerate().find(|(_, found)| found.param_id == id);
        let (place, found) = found.ok_or(DecodeError::MissingParam { table, param })?;
        self.taken.add(place);
        V::from_bytes(&found.value).map_err(|source| DecodeError::BadParam { table, param, source })
    }

    /// Fails where a parameter was given that nobody took.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.action.params.iter().enumerate().find(|(place, _)| !self.taken.has(*place)) {
            None => Ok(()),
            Some((_, param)) => Err(DecodeError::UnknownParam { table: self.table, action: self.action.action_id, id: param.param_id }),
        }
    }
}

pub(crate) fn encode_action(action_id: u32, params: Vec<(u32, Vec<u8>)>) -> proto::Action {
    let params = params.into_iter().map(|(param_id, value)| proto::action::Param { param_id, value }).collect();
    proto::Action { action_id, params }
}

/// The actions of one table.
pub(crate) trait ActionCodec: Sized {
    fn decode(action: &proto::Action) -> Result<Self, DecodeError>;
    fn encode(&self) -> proto::Action;
}

/// What an entry holds: one action, or a [`Choice`] of them.
pub(crate) trait ActionField: Sized {
    fn decode(table: &'static str, action: Option<&proto::TableAction>) -> Result<Self, DecodeError>;
    fn encode(&self) -> proto::TableAction;
}

fn action_type<'a>(table: &'static str, action: Option<&'a proto::TableAction>) -> Result<&'a ActionType, DecodeError> {
    action.and_then(|action| action.r#type.as_ref()).ok_or(DecodeError::NoAction { table })
}

impl<A: ActionCodec> ActionField for A {
    fn decode(table: &'static str, action: Option<&proto::TableAction>) -> Result<Self, DecodeError> {
        match action_type(table, action)? {
            ActionType::Action(action) => A::decode(action),
            _ => Err(DecodeError::WrongActionKind { table, expected: "an action" }),
        }
    }

    fn encode(&self) -> proto::TableAction {
        proto::TableAction { r#type: Some(ActionType::Action(ActionCodec::encode(self))) }
    }
}

impl<A: ActionCodec> ActionField for Choice<A> {
    fn decode(table: &'static str, action: Option<&proto::TableAction>) -> Result<Self, DecodeError> {
        let ActionType::ActionProfileActionSet(set) = action_type(table, action)? else {
            return Err(DecodeError::WrongActionKind { table, expected: "an action profile action set" });
        };
        if set.action_profile_actions.is_empty() {
            return Err(DecodeError::EmptyActionSet { table });
        }
        let extras = [
            ("group_action", set.group_action.is_some()),
            ("action_selection_mode", set.action_selection_mode != 0),
            ("size_semantics", set.size_semantics != 0),
        ];
        if let Some((field, _)) = extras.into_iter().find(|(_, given)| *given) {
            return Err(DecodeError::ActionSetOption { table, field });
        }
        let members = set.action_profile_actions.iter().enumerate().map(|(index, member)| decode_member(table, index, member));
        Ok(Self { members: members.collect::<Result<_, _>>()? })
    }

    fn encode(&self) -> proto::TableAction {
        let members = self.members.iter().map(|member| proto::ActionProfileAction {
            action: Some(ActionCodec::encode(&member.action)),
            weight: i32::try_from(member.weight.get()).unwrap_or(i32::MAX),
            watch_kind: member.watch_port.map(|port| WatchKind::WatchPort(port.to_bytes())),
        });
        let set = proto::ActionProfileActionSet { action_profile_actions: members.collect(), ..Default::default() };
        proto::TableAction { r#type: Some(ActionType::ActionProfileActionSet(set)) }
    }
}

fn decode_member<A: ActionCodec>(table: &'static str, index: usize, member: &proto::ActionProfileAction) -> Result<Member<A>, DecodeError> {
    let action = A::decode(member.action.as_ref().ok_or(DecodeError::NoAction { table })?)?;
    let weight = u32::try_from(member.weight).ok().and_then(NonZeroU32::new);
    let weight = weight.ok_or(DecodeError::BadWeight { table, member: index, weight: member.weight })?;
    let watch_port = match &member.watch_kind {
        None => None,
        Some(WatchKind::WatchPort(port)) => {
            Some(Value::from_bytes(port).map_err(|source| DecodeError::BadWatchPort { table, member: index, source })?)
        }
        // The older, integer form (deprecated in P4Runtime 1.4).
        #[allow(deprecated, reason = "controllers still send it")]
        Some(WatchKind::Watch(port)) => {
            let port = u64::try_from(*port).ok().and_then(|port| PortId::try_from(port).ok());
            let source = ValueError::TooWide { bits: PortId::BITS };
            Some(port.ok_or(DecodeError::BadWatchPort { table, member: index, source })?)
        }
    };
    Ok(Member { action, weight, watch_port })
}

impl MeterConfig {
    /// As a P4Runtime message.
    pub fn encode(self) -> proto::MeterConfig {
        let saturate = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        proto::MeterConfig {
            cir: saturate(self.cir),
            cburst: saturate(self.cburst),
            pir: saturate(self.pir),
            pburst: saturate(self.pburst),
            ..Default::default()
        }
    }

    /// From a P4Runtime message, for the table it belongs to.
    ///
    /// # Errors
    /// [`DecodeError::BadMeter`] for a negative figure, a peak below the committed rate, or an excess burst, which is RFC 2697's.
    pub fn decode(table: &'static str, wire: &proto::MeterConfig) -> Result<Self, DecodeError> {
        let figure = |field: &'static str, value: i64| u64::try_from(value).map_err(|_| DecodeError::BadMeter { table, field, value });
        let config = Self {
            cir: figure("cir", wire.cir)?,
            cburst: figure("cburst", wire.cburst)?,
            pir: figure("pir", wire.pir)?,
            pburst: figure("pburst", wire.pburst)?,
        };
        if wire.eburst != 0 {
            return Err(DecodeError::BadMeter { table, field: "eburst", value: wire.eburst });
        }
        if config.pir < config.cir {
            return Err(DecodeError::BadMeter { table, field: "pir", value: wire.pir });
        }
        Ok(config)
    }
}

pub(crate) fn decode_meter(table: &'static str, entry: &proto::TableEntry) -> Result<Option<MeterConfig>, DecodeError> {
    entry.meter_config.as_ref().map(|meter| MeterConfig::decode(table, meter)).transpose()
}

pub(crate) fn forbid_meter(table: &'static str, entry: &proto::TableEntry) -> Result<(), DecodeError> {
    if entry.meter_config.is_none() { Ok(()) } else { Err(DecodeError::MeterForbidden { table }) }
}

pub(crate) fn decode_idle_timeout(table: &'static str, entry: &proto::TableEntry) -> Result<Option<Duration>, DecodeError> {
    let nanoseconds = entry.idle_timeout_ns;
    let timeout = u64::try_from(nanoseconds).map_err(|_| DecodeError::IdleTimeoutForbidden { table, nanoseconds })?;
    Ok((timeout != 0).then(|| Duration::from_nanos(timeout)))
}

pub(crate) fn encode_idle_timeout(timeout: Option<Duration>) -> i64 {
    timeout.map_or(0, |timeout| i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX))
}

pub(crate) fn forbid_idle_timeout(table: &'static str, entry: &proto::TableEntry) -> Result<(), DecodeError> {
    match entry.idle_timeout_ns {
        0 => Ok(()),
        nanoseconds => Err(DecodeError::IdleTimeoutForbidden { table, nanoseconds }),
    }
}
