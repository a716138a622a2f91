//! One forwarder holds everything at once: a million flows, sessions, labels and routes, and finds each.

use std::num::NonZeroU16;

use svpn_bench::large::Counts;
use svpn_contract::{FlowV4Key, FlowV6Key, IlmKey, NexthopKey, RouteV4Key, RouteV6Key, SessionKey, TunnelKey};

#[test]
fn one_forwarder_holds_all_tables_at_their_sizes() {
    // A table of IPv6 flows is no other when it is fuller, and a test is to be quick.
    let counts = Counts { flows_v6: 100_000, ..Counts::LARGE };
    let (mut entries, _ends) = counts.tables(NonZeroU16::MIN).unwrap();
    counts.fill(&mut entries).unwrap();
    let expected = [
        (FlowV4Key::TABLE_ID, counts.flows_v4),
        (FlowV6Key::TABLE_ID, counts.flows_v6),
        (SessionKey::TABLE_ID, counts.sessions),
        (IlmKey::TABLE_ID, counts.labels),
        (RouteV4Key::TABLE_ID, counts.routes_v4),
        (RouteV6Key::TABLE_ID, counts.routes_v6),
        (TunnelKey::TABLE_ID, counts.tunnels),
        (NexthopKey::TABLE_ID, counts.nexthops),
    ];
    for (table, count) in expected {
        assert_eq!(entries.len(table), count as usize, "{table:#x}");
    }
    // A prime, so that every table has its share.
    for entry in counts.entries().step_by(997) {
        let entry = entry.unwrap();
        assert_eq!(entries.get(&entry.key()), Some(entry));
    }
}
