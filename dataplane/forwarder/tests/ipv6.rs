//! The IPv6 tables as the controller sees them: what is written is read back and listed, and what cannot be is refused.

use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::num::{NonZeroU16, NonZeroU64};
use std::time::Duration;

use svpn_contract::wire::{Class, L4Port, Label, NextHopId, Protocol, SessionId, TunnelId, VrfId};
use svpn_contract::{
    Entry, FlowAclV6Action, FlowAclV6Entry, FlowAclV6Key, FlowV6Action, FlowV6Entry, FlowV6Key, Prefix, Priority, Range, RouteV6Action,
    RouteV6Entry, RouteV6Key, Ternary, Update,
};
use svpn_forwarder::entries::{Clock, EntriesConfig};
use svpn_forwarder::{ApplyError, Entries, TableSizes};

/// Entries each table takes.
const SIZE: u32 = 8;

fn entries() -> Entries {
    let sizes = TableSizes {
        flow_v4: 8,
        flow_v6: SIZE,
        flow_acl_v6: SIZE,
        session: 8,
        route_v4: 8,
        route_v6: SIZE,
        tunnel: 8,
        ilm: 8,
        nexthop: 8,
        ..TableSizes::default()
    };
    let clock = Clock { hertz: NonZeroU64::new(1_000_000_000).unwrap(), now: || 0 };
    Entries::new(&EntriesConfig { sizes, workers: NonZeroU16::MIN, seed: 1, clock }).unwrap().0
}

fn address(number: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(number) << 64 | u128::from(number))
}

fn flow(number: u32, session: u32) -> Entry {
    let key = FlowV6Key {
        vrf: VrfId::new(u16::MAX).unwrap(),
        src: address(number),
        dst: Ipv6Addr::from_bits(u128::MAX),
        proto: Protocol::new(255).unwrap(),
        sport: L4Port::new(u16::MAX).unwrap(),
        dport: L4Port::new(1).unwrap(),
    };
    let idle_timeout = (number % 2 == 1).then_some(Duration::from_secs(30));
    FlowV6Entry { key, action: FlowV6Action::Assign { session: SessionId::new(session).unwrap() }, idle_timeout }.into()
}

fn acl(number: u32, session: u32) -> Entry {
    let any_port = Range { low: L4Port::default(), high: L4Port::MAX };
    let key = FlowAclV6Key {
        vrf: Ternary { value: VrfId::new(1).unwrap(), mask: VrfId::MAX },
        src: Ternary { value: address(number), mask: Ipv6Addr::from_bits(u128::MAX) },
        dst: Ternary { value: Ipv6Addr::UNSPECIFIED, mask: Ipv6Addr::UNSPECIFIED },
        proto: Ternary { value: Protocol::default(), mask: Protocol::default() },
        sport: any_port,
        dport: any_port,
        priority: Priority::new(7).unwrap(),
    };
    FlowAclV6Entry { key, action: FlowAclV6Action::Assign { session: SessionId::new(session).unwrap() } }.into()
}

fn route(number: u32, variant: u32) -> Entry {
    let tunnel = TunnelId::new(1000 + number).unwrap();
    let action = match (number + variant) % 4 {
        0 => RouteV6Action::ViaTunnel { tunnel, vpn_label: Label::MAX, class: Class::MAX },
        1 => RouteV6Action::Local { nexthop: NextHopId::new(2000 + number).unwrap() },
        2 => RouteV6Action::Receive,
        _ => RouteV6Action::Discard,
    };
    let dst = Prefix { value: address(number << 16), length: if number == 0 { 0 } else { 128 } };
    let dst = if number == 0 { Prefix { value: Ipv6Addr::UNSPECIFIED, ..dst } } else { dst };
    RouteV6Entry { key: RouteV6Key { vrf: VrfId::new(9).unwrap(), dst }, action }.into()
}

fn check(entry: impl Fn(u32, u32) -> Entry) {
    let mut entries = entries();
    let table = entry(0, 0).key().table_id();
    for number in 0..SIZE {
        let new = entry(number, number);
        assert_eq!(entries.apply(&Update::Modify(new.clone())), Err(ApplyError::NotFound));
        assert_eq!(entries.apply(&Update::Delete(new.key())), Err(ApplyError::NotFound));
        entries.apply(&Update::Insert(new.clone())).unwrap();
        assert_eq!(entries.apply(&Update::Insert(new.clone())), Err(ApplyError::AlreadyExists));
        assert_eq!(entries.get(&new.key()), Some(new));
    }
    let more = entry(SIZE, 0);
    assert_eq!(entries.apply(&Update::Insert(more.clone())), Err(ApplyError::TableFull { size: SIZE.into() }));
    assert_eq!(entries.get(&more.key()), None);
    for number in 0..SIZE {
        entries.apply(&Update::Modify(entry(number, number + 1))).unwrap();
    }
    entries.publish();
    let expected: HashSet<Entry> = (0..SIZE).map(|number| entry(number, number + 1)).collect();
    assert_eq!(entries.iter(table).collect::<HashSet<_>>(), expected);
    for number in 0..SIZE {
        entries.apply(&Update::Delete(entry(number, 0).key())).unwrap();
        assert_eq!((entries.len(table), entries.get(&entry(number, 0).key())), ((SIZE - number - 1) as usize, None));
    }
    // There is room again, and what was named and is no longer does not stand in the way.
    for round in 0..1000 {
        entries.apply(&Update::Insert(entry(round % SIZE, round))).unwrap();
        entries.apply(&Update::Delete(entry(round % SIZE, round).key())).unwrap();
        entries.publish();
    }
    assert_eq!(entries.len(table), 0);
}

#[test]
fn flows_are_read_as_they_were_written() {
    check(flow);
}

#[test]
fn classifier_entries_are_read_as_they_were_written() {
    check(acl);
}

#[test]
fn routes_are_read_as_they_were_written() {
    check(route);
}
