//! The pipeline configuration: the one this router is, or none.

use std::collections::{BTreeMap, HashSet};

use p4runtime_proto::p4::config::v1::{self as config, P4Info};
use p4runtime_proto::p4::v1::ForwardingPipelineConfig;
use p4runtime_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use p4runtime_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use svpn_contract::p4info;
use thiserror::Error;
use tonic::{Code, Status};

use super::operation::Written;

/// Why a pipeline is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum PipelineError {
    /// The action needs a configuration.
    #[error("this action needs a config with a P4Info")]
    Missing,
    /// COMMIT takes none.
    #[error("COMMIT takes no config: it puts the saved one into service")]
    Unexpected,
    /// No action.
    #[error("the action is none of VERIFY, VERIFY_AND_SAVE, VERIFY_AND_COMMIT, COMMIT and RECONCILE_AND_COMMIT")]
    Action,
    /// Another pipeline.
    #[error("this router runs one pipeline, and the P4Info is of another: {0}")]
    Foreign(Difference),
    /// COMMIT without a saved configuration.
    #[error("no pipeline is saved: VERIFY_AND_SAVE first")]
    NothingSaved,
}

impl From<PipelineError> for Status {
    fn from(error: PipelineError) -> Self {
        let code = if error == PipelineError::NothingSaved { Code::NotFound } else { Code::InvalidArgument };
        Self::new(code, error.to_string())
    }
}

/// The first thing that two P4Info messages say differently.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Difference {
    /// Only this router has it.
    #[error("{0} is missing")]
    Missing(String),
    /// Only the other has it.
    #[error("{0} is unknown")]
    Unknown(String),
    /// Both have it, and not the same.
    #[error("{what} is {theirs}, and here {ours}")]
    Changed {
        /// What.
        what: String,
        /// What the other says.
        theirs: String,
        /// What this router says.
        ours: String,
    },
}

/// What becomes of the entries when a pipeline goes into service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing goes into service.
    Untouched,
    /// They stay.
    All,
    /// Those stay that were written since the pipeline was saved, or none.
    Only(HashSet<Written>),
}

#[derive(Debug)]
struct Saved {
    config: ForwardingPipelineConfig,
    written: HashSet<Written>,
}

/// What was configured.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    in_service: Option<ForwardingPipelineConfig>,
    saved: Option<Saved>,
}

impl Pipeline {
    /// Whether entries can be written and read.
    pub(super) fn is_in_service(&self) -> bool {
        self.in_service.is_some()
    }

    /// Remembers what was written after a pipeline was saved.
    pub(super) fn note_written(&mut self, what: Written) {
        if let Some(saved) = &mut self.saved {
            saved.written.insert(what);
        }
    }

    /// Takes a configuration. Nothing has changed after an error.
    pub(super) fn set(&mut self, action: Action, config: Option<ForwardingPipelineConfig>) -> Result<Keep, PipelineError> {
        if action == Action::Commit {
            if config.is_some() {
                return Err(PipelineError::Unexpected);
            }
            let saved = self.saved.take().ok_or(PipelineError::NothingSaved)?;
            self.in_service = Some(saved.config);
            return Ok(Keep::Only(saved.written));
        }
        if action == Action::Unspecified {
            return Err(PipelineError::Action);
        }
        let config = config.ok_or(PipelineError::Missing)?;
        let theirs = config.p4info.as_ref().ok_or(PipelineError::Missing)?;
        if let Some(difference) = difference(&p4info(), theirs) {
            return Err(PipelineError::Foreign(difference));
        }
        Ok(match action {
            Action::VerifyAndSave => {
                self.saved = Some(Saved { config, written: HashSet::new() });
                Keep::Untouched
            }
            Action::VerifyAndCommit => {
                (self.in_service, self.saved) = (Some(config), None);
                Keep::Only(HashSet::new())
            }
            Action::ReconcileAndCommit => {
                (self.in_service, self.saved) = (Some(config), None);
                Keep::All
            }
            Action::Verify | Action::Commit | Action::Unspecified => Keep::Untouched,
        })
    }

    /// The configuration in service, as far as it is asked for.
    pub(super) fn get(&self, wanted: ResponseType) -> Option<ForwardingPipelineConfig> {
        let mut config = self.in_service.clone()?;
        if matches!(wanted, ResponseType::CookieOnly | ResponseType::DeviceConfigAndCookie) {
            config.p4info = None;
        }
        if matches!(wanted, ResponseType::CookieOnly | ResponseType::P4infoAndCookie) {
            config.p4_device_config.clear();
        }
        Some(config)
    }
}

/// Where another P4Info differs from ours. Sizes, annotations, documentation and the package's name may.
fn difference(ours: &P4Info, theirs: &P4Info) -> Option<Difference> {
    let (ours, theirs) = (facts(ours), facts(theirs));
    let missing = ours.keys().find(|what| !theirs.contains_key(*what)).map(|what| Difference::Missing(what.clone()));
    let unknown = || theirs.keys().find(|what| !ours.contains_key(*what)).map(|what| Difference::Unknown(what.clone()));
    let changed = || {
        let (what, fact) = ours.iter().find(|(what, fact)| theirs.get(*what) != Some(fact))?;
        Some(Difference::Changed { what: what.clone(), theirs: theirs[what].clone(), ours: fact.clone() })
    };
    missing.or_else(unknown).or_else(changed)
}

/// Everything a P4Info says that matters on the wire, by what it says it about.
fn facts(info: &P4Info) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for table in &info.tables {
        table_facts(table, &mut facts);
    }
    for action in &info.actions {
        let params: Vec<_> = action.params.iter().map(|param| (param.id, &param.name, param.bitwidth)).collect();
        facts.insert(name("action", action.preamble.as_ref()), format!("{} with parameters {params:?}", id(action.preamble.as_ref())));
    }
    for profile in &info.action_profiles {
        let fact =
            format!("{}, selector: {}, of tables {:?}", id(profile.preamble.as_ref()), profile.with_selector, sorted(&profile.table_ids));
        facts.insert(name("action profile", profile.preamble.as_ref()), fact);
    }
    for counter in &info.counters {
        facts.insert(name("counter", counter.preamble.as_ref()), format!("{}, {:?}", id(counter.preamble.as_ref()), counter.spec));
    }
    for counter in &info.direct_counters {
        let fact = format!("{}, {:?}, of table {:#x}", id(counter.preamble.as_ref()), counter.spec, counter.direct_table_id);
        facts.insert(name("direct counter", counter.preamble.as_ref()), fact);
    }
    for meter in &info.direct_meters {
        let fact = format!("{}, {:?}, of table {:#x}", id(meter.preamble.as_ref()), meter.spec, meter.direct_table_id);
        facts.insert(name("direct meter", meter.preamble.as_ref()), fact);
    }
    for header in &info.controller_packet_metadata {
        let fields: Vec<_> = header.metadata.iter().map(|field| (field.id, &field.name, field.bitwidth)).collect();
        facts.insert(name("packet header", header.preamble.as_ref()), format!("{fields:?}"));
    }
    other_facts(info, &mut facts);
    facts
}

fn table_facts(table: &config::Table, facts: &mut BTreeMap<String, String>) {
    let table_name = name("table", table.preamble.as_ref());
    for field in &table.match_fields {
        let fact = format!("match field {} of {} bits, matched {:?}", field.id, field.bitwidth, field.r#match);
        facts.insert(format!("{table_name}, {:?}", field.name), fact);
    }
    let mut actions: Vec<_> = table.action_refs.iter().map(|action| (action.id, action.scope().as_str_name())).collect();
    actions.sort_unstable();
    let idle = table.idle_timeout_behavior().as_str_name();
    let (profile, resources) = (table.implementation_id, sorted(&table.direct_resource_ids));
    let fact =
        format!("{}, actions {actions:?}, action profile {profile}, direct resources {resources:?}, {idle}", id(table.preamble.as_ref()));
    facts.insert(table_name, fact);
}

/// What our pipeline has little or nothing of.
fn other_facts(info: &P4Info, facts: &mut BTreeMap<String, String>) {
    let mut present = |kind: &str, preambles: Vec<Option<&config::Preamble>>| {
        facts.extend(preambles.into_iter().map(|preamble| (name(kind, preamble), id(preamble))));
    };
    present("meter", info.meters.iter().map(|meter| meter.preamble.as_ref()).collect());
    present("value set", info.value_sets.iter().map(|set| set.preamble.as_ref()).collect());
    present("register", info.registers.iter().map(|register| register.preamble.as_ref()).collect());
    present("digest", info.digests.iter().map(|digest| digest.preamble.as_ref()).collect());
    facts.extend(info.externs.iter().map(|of| (format!("extern {:?}", of.extern_type_name), of.extern_type_id.to_string())));
    let types = info.type_info.clone().unwrap_or_default();
    for (name, of) in &types.serializable_enums {
        let members = of.members.iter().map(|member| (format!("{name}.{}", member.name), format!("{:?}", member.value)));
        facts.extend(members);
    }
}

fn name(kind: &str, preamble: Option<&config::Preamble>) -> String {
    format!("{kind} {:?}", preamble.map_or("", |preamble| preamble.name.as_str()))
}

fn id(preamble: Option<&config::Preamble>) -> String {
    format!("{:#010x}", preamble.map_or(0, |preamble| preamble.id))
}

fn sorted(ids: &[u32]) -> Vec<u32> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

#[cfg(test)]
mod tests {
    use p4runtime_proto::p4::v1::forwarding_pipeline_config::Cookie;

    use super::*;

    fn with(info: P4Info, cookie: u64) -> ForwardingPipelineConfig {
        ForwardingPipelineConfig { p4info: Some(info), p4_device_config: vec![7], cookie: Some(Cookie { cookie }) }
    }

    fn named(preamble: Option<&config::Preamble>, name: &str) -> bool {
        preamble.is_some_and(|preamble| preamble.name == name)
    }

    fn table<'a>(info: &'a mut P4Info, name: &str) -> &'a mut config::Table {
        info.tables.iter_mut().find(|table| named(table.preamble.as_ref(), name)).unwrap()
    }

    fn action<'a>(info: &'a mut P4Info, name: &str) -> &'a mut config::Action {
        info.actions.iter_mut().find(|action| named(action.preamble.as_ref(), name)).unwrap()
    }

    #[test]
    fn sizes_order_and_words_may_differ() {
        let mut theirs = p4info();
        theirs.pkg_info = None;
        theirs.tables.reverse();
        for table in &mut theirs.tables {
            table.size += 1;
            table.action_refs.reverse();
            table.preamble.as_mut().unwrap().annotations.push("@brief(\"x\")".into());
        }
        theirs.counters[0].size = 3;
        theirs.action_profiles[0].max_group_size = 1;
        assert_eq!(difference(&p4info(), &theirs), None);
    }

    #[test]
    fn every_other_difference_is_named() {
        type Change = fn(&mut P4Info);
        let changes: [(&str, Change); 10] = [
            ("table \"nexthop\" is missing", |info| info.tables.retain(|table| !named(table.preamble.as_ref(), "nexthop"))),
            ("action \"extra\" is unknown", |info| {
                let preamble = Some(config::Preamble { name: "extra".into(), id: 9, ..Default::default() });
                info.actions.push(config::Action { preamble, ..Default::default() });
            }),
            ("table \"attachment\", \"vlan\" is match field 2 of 13 bits", |info| table(info, "attachment").match_fields[1].bitwidth = 13),
            ("table \"station\" is 0x00000001", |info| table(info, "station").preamble.as_mut().unwrap().id = 1),
            ("table \"route_v4\" is 0x02000007, actions [(16777224", |info| drop(table(info, "route_v4").action_refs.remove(0))),
            ("action \"reply\" is 0x01000004 with parameters [(1, \"mac\", 32)]", |info| action(info, "reply").params[0].bitwidth = 32),
            ("packet header \"packet_in\" is [(1,", |info| drop(info.controller_packet_metadata[0].metadata.pop())),
            ("Reason.LLDP is [9]", |info| {
                info.type_info.as_mut().unwrap().serializable_enums.get_mut("Reason").unwrap().members[1].value = vec![9];
            }),
            ("direct meter \"session_meter\" is 0x15000001, Some(MeterSpec { unit: Packets", |info| {
                let meter = info.direct_meters.iter_mut().find(|meter| named(meter.preamble.as_ref(), "session_meter"));
                meter.unwrap().spec.as_mut().unwrap().unit = config::meter_spec::Unit::Packets.into();
            }),
            ("register \"state\" is unknown", |info| {
                let preamble = Some(config::Preamble { name: "state".into(), ..Default::default() });
                info.registers.push(config::Register { preamble, ..Default::default() });
            }),
        ];
        for (expected, change) in changes {
            let mut theirs = p4info();
            change(&mut theirs);
            let text = difference(&p4info(), &theirs).map(|difference| difference.to_string());
            assert!(text.as_ref().is_some_and(|text| text.starts_with(expected)), "{text:?} where {expected} was expected");
        }
    }

    #[test]
    fn actions_do_as_they_are_named() {
        let mut pipeline = Pipeline::default();
        assert_eq!(pipeline.set(Action::Commit, None), Err(PipelineError::NothingSaved));
        assert_eq!(pipeline.set(Action::Verify, Some(with(p4info(), 1))), Ok(Keep::Untouched));
        assert_eq!(pipeline.set(Action::VerifyAndSave, Some(with(p4info(), 2))), Ok(Keep::Untouched));
        assert!(!pipeline.is_in_service());
        let key = Written::Entry(svpn_contract::SessionKey { session: svpn_contract::wire::SessionId::MAX }.into());
        pipeline.note_written(key);
        assert_eq!(pipeline.set(Action::Commit, Some(with(p4info(), 3))), Err(PipelineError::Unexpected));
        assert_eq!(pipeline.set(Action::Commit, None), Ok(Keep::Only([key].into())));
        assert_eq!(pipeline.get(ResponseType::CookieOnly).and_then(|config| config.cookie), Some(Cookie { cookie: 2 }));
        assert_eq!(pipeline.set(Action::Commit, None), Err(PipelineError::NothingSaved));
        assert_eq!(pipeline.set(Action::ReconcileAndCommit, Some(with(p4info(), 4))), Ok(Keep::All));
        assert_eq!(pipeline.set(Action::VerifyAndCommit, Some(with(p4info(), 5))), Ok(Keep::Only(HashSet::new())));
        assert!(matches!(pipeline.set(Action::VerifyAndCommit, Some(with(P4Info::default(), 6))), Err(PipelineError::Foreign(_))));
        assert_eq!(pipeline.set(Action::VerifyAndCommit, None), Err(PipelineError::Missing));
        assert_eq!(pipeline.set(Action::Verify, Some(ForwardingPipelineConfig::default())), Err(PipelineError::Missing));
        assert_eq!(pipeline.set(Action::Unspecified, Some(with(p4info(), 7))), Err(PipelineError::Action));
        assert_eq!(pipeline.get(ResponseType::All), Some(with(p4info(), 5)), "errors change nothing");
    }

    #[test]
    fn only_what_is_asked_for_is_told() {
        let mut pipeline = Pipeline::default();
        assert_eq!(pipeline.get(ResponseType::All), None);
        pipeline.set(Action::VerifyAndCommit, Some(with(p4info(), 5))).unwrap();
        let told = |wanted| {
            let config = pipeline.get(wanted).unwrap();
            assert_eq!(config.cookie, Some(Cookie { cookie: 5 }));
            (config.p4info.is_some(), !config.p4_device_config.is_empty())
        };
        assert_eq!(told(ResponseType::All), (true, true));
        assert_eq!(told(ResponseType::CookieOnly), (false, false));
        assert_eq!(told(ResponseType::P4infoAndCookie), (true, false));
        assert_eq!(told(ResponseType::DeviceConfigAndCookie), (false, true));
    }
}
