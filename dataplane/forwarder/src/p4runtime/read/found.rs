//! What was read, small until it is told.

use std::time::Duration;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use svpn_contract::{Entry, EntryKey};

use crate::entries::CounterData;
use crate::p4runtime::cookies::Cookie;
use crate::p4runtime::facts;
use crate::p4runtime::profiles::Reference;

/// One thing read.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::p4runtime) enum Found {
    /// An entry of which nothing else is known or asked for.
    Entry(Entry, Meter),
    /// An entry with all that goes with it.
    Full(Box<Full>),
    /// A table's default action.
    Default(u32),
    /// An entry's direct counter.
    DirectCounter(EntryKey, CounterData),
    /// An entry's meter.
    DirectMeter(EntryKey, Option<proto::MeterConfig>),
    /// A cell of an indexed counter.
    Cell(u32, u32, CounterData),
    /// A member of a selector.
    Member(proto::ActionProfileMember),
    /// A group of a selector.
    Group(proto::ActionProfileGroup),
}

/// An entry, with what was asked for of its counter and time-out, and what the controller keeps with it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::p4runtime) struct Full {
    pub(super) entry: Entry,
    pub(super) meter: Meter,
    pub(super) cookie: Cookie,
    pub(super) count: Option<CounterData>,
    /// Since a packet hit it.
    pub(super) idle: Option<Duration>,
    /// Where it is not its own actions that were written.
    pub(super) reference: Option<Reference>,
}

/// Whether an entry's meter was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::p4runtime) enum Meter {
    /// It was.
    Told,
    /// It was not.
    LeftOut,
}

impl Found {
    /// As a P4Runtime message.
    pub(in crate::p4runtime) fn encode(self) -> proto::Entity {
        let entity = match self {
            Self::Entry(entry, meter) => Entity::TableEntry(meter.told(entry.encode())),
            Self::Full(full) => Entity::TableEntry(full.encode()),
            Self::Default(table_id) => {
                let action_id = facts::table(table_id).map_or(0, |table| table.default_action);
                let action = proto::TableAction { r#type: Some(ActionType::Action(proto::Action { action_id, params: Vec::new() })) };
                Entity::TableEntry(proto::TableEntry { table_id, is_default_action: true, action: Some(action), ..Default::default() })
            }
            Self::DirectCounter(key, count) => {
                Entity::DirectCounterEntry(proto::DirectCounterEntry { table_entry: Some(key.encode()), data: Some(counter_data(count)) })
            }
            Self::DirectMeter(key, config) => {
                Entity::DirectMeterEntry(proto::DirectMeterEntry { table_entry: Some(key.encode()), config, counter_data: None })
            }
            Self::Cell(counter_id, index, count) => Entity::CounterEntry(proto::CounterEntry {
                counter_id,
                index: Some(proto::Index { index: index.into() }),
                data: Some(counter_data(count)),
            }),
            Self::Member(member) => Entity::ActionProfileMember(member),
            Self::Group(group) => Entity::ActionProfileGroup(group),
        };
        proto::Entity { entity: Some(entity) }
    }
}

impl Full {
    fn encode(self) -> proto::TableEntry {
        let mut wire = match self.reference {
            Some(reference) => proto::TableEntry { action: Some(reference.encode()), ..self.entry.key().encode() },
            None => self.meter.told(self.entry.encode()),
        };
        wire.counter_data = self.count.map(counter_data);
        let elapsed = |idle: Duration| i64::try_from(idle.as_nanos()).unwrap_or(i64::MAX);
        wire.time_since_last_hit = self.idle.map(|idle| proto::table_entry::IdleTimeout { elapsed_ns: elapsed(idle) });
        self.cookie.fill(&mut wire);
        wire
    }
}

impl Meter {
    fn told(self, entry: proto::TableEntry) -> proto::TableEntry {
        match self {
            Self::Told => entry,
            Self::LeftOut => proto::TableEntry { meter_config: None, ..entry },
        }
    }
}

fn counter_data(count: CounterData) -> proto::CounterData {
    let saturate = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    proto::CounterData { byte_count: saturate(count.bytes), packet_count: saturate(count.packets) }
}
