//! What `p4testgen` derived from the P4 program: ways through it, each with a frame that takes it and what must become of that.
//!
//! `p4/testgen/cases.txt` has them as text; `p4/testgen/convert.py` wrote it and says what the words mean.

use std::{fs, io};

use p4runtime_proto::p4::config::v1::{P4Info, Preamble, Table};
use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::field_match::{Exact, FieldMatchType, Lpm, Range, Ternary};
use p4runtime_proto::p4::v1::table_action::Type as ActionType;

use crate::error::DecodeError;
use crate::oracle::Outcome;
use crate::packet::{PacketIn, PacketOut};
use crate::tables::{Entry, Reason};
use crate::wire::{PortId, VrfId};

/// Where they are. Read when asked for: half a megabyte is no part of a program.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testgen/cases.txt");

/// A rate that no test exceeds, in bytes or packets per second, and a burst of a second.
const ENOUGH: i64 = 1 << 30;

/// From empty tables on, one frame and what must become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// Its number in the text.
    pub number: u64,
    /// The tables. Meters give every packet the same colour, at all times.
    pub entries: Vec<Entry>,
    /// The frame, and where it comes from.
    pub origin: Origin,
    /// What must become of it.
    pub outcome: Outcome,
}

/// Where a frame comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A port.
    Port(PortId, Vec<u8>),
    /// The controller, for a port.
    Controller(PacketOut),
}

/// Why there are no cases.
#[derive(Debug, thiserror::Error)]
pub enum DerivedError {
    /// The file cannot be read.
    #[error("{CASES}: {0}")]
    Read(#[from] io::Error),
    /// It is none of the forms there are.
    #[error("line {line}: {what} is none of the forms there are")]
    Form {
        /// The line, from 1.
        line: usize,
        /// What was read.
        what: String,
    },
    /// The contract has no such thing.
    #[error("line {line}: the contract knows no {what}")]
    Unknown {
        /// The line, from 1.
        line: usize,
        /// What was named.
        what: String,
    },
    /// The entry is none of the contract.
    #[error("line {line}: {source}")]
    Entry {
        /// The line, from 1.
        line: usize,
        /// Why.
        source: DecodeError,
    },
}

/// All of them.
///
/// # Errors
/// [`DerivedError`] where the file is not there or does not belong to the contract.
pub fn derived() -> Result<Vec<Derived>, DerivedError> {
    parse(&fs::read_to_string(CASES)?, &crate::p4info())
}

/// A line's number and words.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    info: &'a P4Info,
}

fn parse(text: &str, info: &P4Info) -> Result<Vec<Derived>, DerivedError> {
    let mut cases = Vec::new();
    let mut entries = Vec::new();
    let (mut number, mut origin) = (0, None);
    for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.starts_with('#')) {
        let line = Line { number: index + 1, info };
        let words: Vec<&str> = text.split(' ').collect();
        match (&*words, origin.take()) {
            (["case", count], None) => number = count.parse().map_err(|_| line.form(text))?,
            (["insert", entry @ ..], None) => entries.push(line.entry(entry)?),
            (["receive", port, frame], None) => origin = Some(Origin::Port(line.port(port)?, line.bytes(frame)?)),
            (["packet-out", port, frame], None) => {
                origin = Some(Origin::Controller(PacketOut { egress_port: line.port(port)?, frame: line.bytes(frame)? }));
            }
            (words, Some(origin)) => {
                let outcome = line.outcome(words, &origin)?;
                cases.push(Derived { number, entries: std::mem::take(&mut entries), origin, outcome });
            }
            _ => return Err(line.form(text)),
        }
    }
    Ok(cases)
}

fn alias(preamble: Option<&Preamble>) -> &str {
    preamble.map(|preamble| &*preamble.alias).unwrap_or_default()
}

/// The shortest big-endian string (P4Runtime specification, "Bytestrings").
fn canonical(number: u128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take(bytes.len() - 1).take_while(|byte| **byte == 0).count();
    bytes[zeros..].to_vec()
}

impl Line<'_> {
    fn form(self, what: &str) -> DerivedError {
        DerivedError::Form { line: self.number, what: what.to_owned() }
    }

    fn unknown(self, what: &str) -> DerivedError {
        DerivedError::Unknown { line: self.number, what: what.to_owned() }
    }

    fn value(self, word: &str) -> Result<u128, DerivedError> {
        u128::from_str_radix(word, 16).map_err(|_| self.form(word))
    }

    fn wire(self, word: &str) -> Result<Vec<u8>, DerivedError> {
        self.value(word).map(canonical)
    }

    fn port(self, word: &str) -> Result<PortId, DerivedError> {
        let number: u16 = word.parse().map_err(|_| self.form(word))?;
        PortId::new(number).map_err(|_| self.form(word))
    }

    fn bytes(self, word: &str) -> Result<Vec<u8>, DerivedError> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        word.as_bytes().chunks(2).map(pair).collect::<Option<_>>().ok_or_else(|| self.form(word))
    }

    fn reason(self, name: &str) -> Result<Reason, DerivedError> {
        Reason::ALL.iter().copied().find(|reason| reason.name() == name).ok_or_else(|| self.unknown(name))
    }

    fn outcome(self, words: &[&str], origin: &Origin) -> Result<Outcome, DerivedError> {
        match (words, origin) {
            (["send", port, frame], _) => Ok(Outcome::Sent { port: self.port(port)?, frame: self.bytes(frame)? }),
            (["drop", reason], _) => Ok(Outcome::Dropped(self.reason(reason)?)),
            (["punt", reason, vrf], Origin::Port(ingress_port, frame)) => {
                let number = self.value(vrf.strip_prefix("vrf=").ok_or_else(|| self.form(vrf))?)?;
                let vrf = u16::try_from(number).ok().and_then(|vrf| VrfId::new(vrf).ok()).ok_or_else(|| self.form(vrf))?;
                Ok(Outcome::Punt(PacketIn { ingress_port: *ingress_port, reason: self.reason(reason)?, vrf, frame: frame.clone() }))
            }
            _ => Err(self.form(&words.join(" "))),
        }
    }

    /// The entry that `TABLE FIELD=VALUE… -> ACTION NAME=VALUE…` stands for.
    fn entry(self, words: &[&str]) -> Result<Entry, DerivedError> {
        let arrow = words.iter().position(|word| *word == "->").ok_or_else(|| self.form(&words.join(" ")))?;
        let ([name, keys @ ..], [_, action, params @ ..]) = words.split_at(arrow) else { return Err(self.form(&words.join(" "))) };
        let found = self.info.tables.iter().find(|table| alias(table.preamble.as_ref()) == *name);
        let table = found.ok_or_else(|| self.unknown(name))?;
        let mut entry = proto::TableEntry { table_id: id(table.preamble.as_ref()), ..Default::default() };
        for key in keys {
            match self.pair(key)? {
                ("priority", value) => entry.priority = i32::try_from(self.value(value)?).map_err(|_| self.form(key))?,
                (field, value) => entry.r#match.push(self.field(table, field, value)?),
            }
        }
        let mut settings = Vec::new();
        for param in params {
            match self.pair(param)? {
                ("colour", colour) => entry.meter_config = Some(self.meter(colour)?),
                setting => settings.push(setting),
            }
        }
        let action = self.action(action, &settings)?;
        entry.action =
            Some(proto::TableAction { r#type: Some(if table.implementation_id == 0 { ActionType::Action(action) } else { only(action) }) });
        Entry::decode(&entry).map_err(|source| DerivedError::Entry { line: self.number, source })
    }

    fn pair(self, word: &str) -> Result<(&str, &str), DerivedError> {
        word.split_once('=').ok_or_else(|| self.form(word))
    }

    fn field(self, table: &Table, name: &str, value: &str) -> Result<proto::FieldMatch, DerivedError> {
        let field = table.match_fields.iter().find(|field| field.name == name).ok_or_else(|| self.unknown(name))?;
        let kind = if let Some((prefix, length)) = value.split_once('/') {
            FieldMatchType::Lpm(Lpm { value: self.wire(prefix)?, prefix_len: length.parse().map_err(|_| self.form(length))? })
        } else if let Some((value, mask)) = value.split_once('&') {
            FieldMatchType::Ternary(Ternary { value: self.wire(value)?, mask: self.wire(mask)? })
        } else if let Some((low, high)) = value.split_once("..") {
            FieldMatchType::Range(Range { low: self.wire(low)?, high: self.wire(high)? })
        } else {
            FieldMatchType::Exact(Exact { value: self.wire(value)? })
        };
        Ok(proto::FieldMatch { field_id: field.id, field_match_type: Some(kind) })
    }

    fn action(self, name: &str, settings: &[(&str, &str)]) -> Result<proto::Action, DerivedError> {
        let found = self.info.actions.iter().find(|action| alias(action.preamble.as_ref()) == name);
        let action = found.ok_or_else(|| self.unknown(name))?;
        let param = |(name, value): &(&str, &str)| {
            let param = action.params.iter().find(|param| param.name == *name).ok_or_else(|| self.unknown(name))?;
            Ok(proto::action::Param { param_id: param.id, value: self.wire(value)? })
        };
        let params = settings.iter().map(param).collect::<Result<_, DerivedError>>()?;
        Ok(proto::Action { action_id: id(action.preamble.as_ref()), params })
    }

    /// A meter that gives every packet this colour: a bucket that never has anything, or never too little.
    fn meter(self, colour: &str) -> Result<proto::MeterConfig, DerivedError> {
        let (committed, peak) = match colour {
            "green" => (ENOUGH, ENOUGH),
            "yellow" => (0, ENOUGH),
            "red" => (0, 0),
            _ => return Err(self.unknown(colour)),
        };
        Ok(proto::MeterConfig { cir: committed, cburst: committed, pir: peak, pburst: peak, ..Default::default() })
    }
}

fn id(preamble: Option<&Preamble>) -> u32 {
    preamble.map(|preamble| preamble.id).unwrap_or_default()
}

/// An action set of one member.
fn only(action: proto::Action) -> ActionType {
    let member = proto::ActionProfileAction { action: Some(action), weight: 1, ..Default::default() };
    ActionType::ActionProfileActionSet(proto::ActionProfileActionSet { action_profile_actions: vec![member], ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A note.
case 7
insert flow_acl_v4 priority=1 vrf=4&c src=a000000&ff000000 dport=50..ffff -> assign session=3f
insert route_v4 vrf=ff dst=a000000/8 -> discard
insert session session=0 -> carry tunnel=1 vpn_label=fffff class=7 colour=yellow
insert nexthop nexthop=9 -> rewrite port=4 src_mac=20000000001 dst_mac=ffffffffffff vlan=0 inner_vlan=0 mtu=5dc
receive 3 00ff
punt ttl_expired vrf=fffe
case 8
packet-out 2 0102
send 2 0102
";

    #[test]
    fn text_says_all_of_a_case() {
        let cases = parse(TEXT, &crate::p4info()).unwrap();
        let [first, second] = &*cases else { panic!("{cases:?}") };
        let entries: Vec<String> = first.entries.iter().map(ToString::to_string).collect();
        let expected = [
            "flow_acl_v4 vrf=4&12 src=10.0.0.0&255.0.0.0 dst=* proto=* sport=* dport=80..65535 priority=1 -> assign session=63",
            "route_v4 vrf=255 dst=10.0.0.0/8 -> discard",
            "session session=0 -> carry tunnel=1 vpn_label=1048575 class=7 cir=0 cburst=0 pir=1073741824 pburst=1073741824",
            "nexthop nexthop=9 -> rewrite port=4 src_mac=02:00:00:00:00:01 dst_mac=ff:ff:ff:ff:ff:ff vlan=0 inner_vlan=0 mtu=1500",
        ];
        assert_eq!(entries, expected);
        let port = |number| PortId::new(number).unwrap();
        assert_eq!((first.number, second.number), (7, 8));
        assert_eq!(first.origin, Origin::Port(port(3), vec![0, 0xff]));
        let vrf = VrfId::new(0xfffe).unwrap();
        assert_eq!(first.outcome, Outcome::Punt(PacketIn { ingress_port: port(3), reason: Reason::TtlExpired, vrf, frame: vec![0, 0xff] }));
        assert_eq!(second.entries, []);
        assert_eq!(second.origin, Origin::Controller(PacketOut { egress_port: port(2), frame: vec![1, 2] }));
        assert_eq!(second.outcome, Outcome::Sent { port: port(2), frame: vec![1, 2] });
    }

    #[test]
    fn text_that_is_no_case_is_refused() {
        for text in [
            "receive 1",
            "receive 512 00",
            "receive 1 0",
            "receive 1 00\ncase 2",
            "receive 1 00\ndrop nothing",
            "receive 1 00\npunt arp",
            "packet-out 1 00\npunt arp vrf=0",
            "insert station port=1 dst_mac=1",
            "insert station port=1 -> accept",
            "insert station port=200 dst_mac=1 -> accept",
            "insert station port=1 dst_mac=1&1 -> accept",
            "insert station port=1 dst_mac=1 -> discard",
            "insert station port=1 dst_mac=1 -> accept it=1",
            "insert session session=1 -> carry tunnel=1 vpn_label=1 class=1 colour=blue",
            "drop arp",
        ] {
            assert!(parse(text, &crate::p4info()).is_err(), "{text:?}");
        }
    }
}
