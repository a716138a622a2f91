//! What of the contract a test comes to: every action that makes a difference to a frame, and every reason.

use std::collections::BTreeSet;

use p4runtime_proto::p4::config::v1::action_ref::Scope;
use p4runtime_proto::p4::config::v1::{P4Info, Preamble};
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use svpn_contract::oracle::{Oracle, Outcome};
use svpn_contract::wire::PortId;
use svpn_contract::{Entry, Reason, Update, p4info};

use crate::conformance::{NOW, Step};

/// An action of a table, by their ids.
type Place = (u32, u32);

/// What tests have not come to yet.
#[derive(Debug, Clone)]
pub struct Unreached {
    places: BTreeSet<Place>,
    reasons: BTreeSet<Reason>,
}

fn id(preamble: Option<&Preamble>) -> u32 {
    preamble.map(|preamble| preamble.id).unwrap_or_default()
}

/// The actions of an entry, one of which is chosen.
fn places(entry: &Entry) -> Vec<Place> {
    let message = entry.encode();
    let actions = match message.action.and_then(|action| action.r#type) {
        Some(ActionType::Action(action)) => vec![action.action_id],
        Some(ActionType::ActionProfileActionSet(set)) => {
            set.action_profile_actions.iter().filter_map(|member| member.action.as_ref()).map(|action| action.action_id).collect()
        }
        _ => Vec::new(),
    };
    actions.into_iter().map(|action| (message.table_id, action)).collect()
}

fn name(info: &P4Info, (table, action): Place) -> String {
    let preambles = info.tables.iter().map(|table| &table.preamble).chain(info.actions.iter().map(|action| &action.preamble));
    let of = |wanted: u32| {
        let found = preambles.clone().flatten().find(|preamble| preamble.id == wanted);
        found.map_or_else(|| wanted.to_string(), |preamble| preamble.alias.clone())
    };
    format!("{} in {}", of(action), of(table))
}

impl Unreached {
    /// Every action of every table, and these reasons.
    pub fn all(reasons: impl IntoIterator<Item = Reason>) -> Self {
        let mut places = BTreeSet::new();
        for table in &p4info().tables {
            let actions = table.action_refs.iter().filter(|action| action.scope() != Scope::DefaultOnly);
            places.extend(actions.map(|action| (id(table.preamble.as_ref()), action.id)));
        }
        Self { places, reasons: reasons.into_iter().collect() }
    }

    /// Takes away what these steps come to on a router with these ports. An action is come to by a frame that would have another outcome
    /// without its entry.
    pub fn take(&mut self, ports: &[PortId], steps: &[Step]) {
        let mut oracle = Oracle::new(ports.iter().copied());
        for step in steps {
            match step {
                // An update that is refused changes nothing.
                Step::Write(updates) => updates.iter().for_each(|update| drop(oracle.apply(update))),
                Step::Frames(frames) => frames.iter().for_each(|(port, frame)| self.take_frame(&mut oracle, *port, frame)),
            }
        }
    }

    fn take_frame(&mut self, oracle: &mut Oracle, port: PortId, frame: &[u8]) {
        let outcomes = oracle.possible(port, frame, NOW);
        for entry in oracle.entries() {
            // Of several members nobody knows which was chosen.
            let [place] = *places(entry) else { continue };
            if !self.places.contains(&place) {
                continue;
            }
            let mut without = oracle.clone();
            let deleted = without.apply(&Update::Delete(entry.key()));
            if deleted.is_ok() && without.possible(port, frame, NOW) != outcomes {
                self.places.remove(&place);
            }
        }
        match oracle.process(port, frame, NOW) {
            Outcome::Punt(packet) => self.reasons.remove(&packet.reason),
            Outcome::Dropped(reason) => self.reasons.remove(&reason),
            Outcome::Sent { .. } => false,
        };
    }

    /// The names of what is left.
    pub fn names(&self) -> Vec<String> {
        let info = p4info();
        let reasons = self.reasons.iter().map(|reason| reason.name().to_owned());
        self.places.iter().map(|place| name(&info, *place)).chain(reasons).collect()
    }
}
