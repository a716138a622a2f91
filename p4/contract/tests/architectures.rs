//! The `P4Info`s of the two architectures are one contract: they differ in what `p4/README.md` lists, and in nothing else.

use std::collections::BTreeMap;

use p4runtime_proto::p4::config::v1::{P4Info, Preamble};
use prost_reflect::{DescriptorPool, DynamicMessage};
use svpn_contract::p4info;

/// What Tofino has less room for.
const SMALLER: [&str; 16] = [
    "flow_acl_v4",
    "flow_acl_v6",
    "flow_v4",
    "flow_v6",
    "gre_ingress_v4",
    "gre_ingress_v6",
    "ilm",
    "nexthop",
    "nexthop_selector",
    "route_v4",
    "route_v6",
    "session",
    "session_discards",
    "tunnel",
    "tunnel_selector",
    "vrf_policer",
];

/// Members of one group of an action selector on Tofino; BMv2 knows no limit.
const MOST_MEMBERS: i32 = 32;

fn tofino() -> P4Info {
    let pool = DescriptorPool::decode(p4runtime_proto::FILE_DESCRIPTOR_SET).expect("our own descriptors decode");
    let descriptor = pool.get_message_by_name("p4.config.v1.P4Info").expect("P4Info is described");
    DynamicMessage::parse_text_format(descriptor, include_str!("../../compiled/p4info.tna.txtpb"))
        .expect("p4info.tna.txtpb is a P4Info in text format")
        .transcode_to()
        .expect("a P4Info is a P4Info")
}

fn name(preamble: Option<&Preamble>) -> String {
    preamble.expect("an object has a preamble").name.clone()
}

/// The size of everything that has one, by name; what they are taken from has none left.
fn take_sizes(info: &mut P4Info) -> BTreeMap<String, i64> {
    let tables = info.tables.iter_mut().map(|table| (name(table.preamble.as_ref()), &mut table.size));
    let counters = info.counters.iter_mut().map(|counter| (name(counter.preamble.as_ref()), &mut counter.size));
    let profiles = info.action_profiles.iter_mut().map(|profile| (name(profile.preamble.as_ref()), &mut profile.size));
    tables.chain(counters).chain(profiles).map(|(name, size)| (name, std::mem::take(size))).collect()
}

#[test]
fn what_tofino_has_less_room_for_is_listed() {
    let (v1model, tofino) = (take_sizes(&mut p4info()), take_sizes(&mut tofino()));
    assert_eq!(v1model.keys().collect::<Vec<_>>(), tofino.keys().collect::<Vec<_>>());
    let smaller: Vec<_> = tofino.iter().filter(|(name, size)| **size < v1model[*name]).map(|(name, _)| name.as_str()).collect();
    assert_eq!(smaller, SMALLER);
    assert!(tofino.iter().all(|(name, size)| *size > 0 && *size <= v1model[name]), "{tofino:?}");
    // A session's packets are counted by its number: the ids end where the counter does.
    assert_eq!(tofino["session"], tofino["session_discards"]);
}

#[test]
fn the_p4infos_differ_in_what_is_listed_and_in_nothing_else() {
    let (mut v1model, mut tofino) = (p4info(), tofino());
    for (info, arch) in [(&mut v1model, "v1model"), (&mut tofino, "tna")] {
        take_sizes(info);
        let package = info.pkg_info.as_mut().expect("a P4Info says what it is of");
        assert_eq!(std::mem::take(&mut package.arch), arch);
    }
    for profile in &mut tofino.action_profiles {
        assert_eq!(std::mem::take(&mut profile.max_group_size), MOST_MEMBERS);
    }
    // What the driver of Tofino keeps for each port; no table of ours reads it.
    let externs = std::mem::take(&mut tofino.externs);
    assert_eq!(externs.iter().map(|known| known.extern_type_name.as_str()).collect::<Vec<_>>(), ["PortMetadata"]);
    assert_eq!(v1model, tofino);
}
