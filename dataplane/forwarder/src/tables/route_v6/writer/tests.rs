use std::collections::BTreeMap;
use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::tables::carry::Carry;

fn routes(size: u32) -> (Arc<RouteTableV6>, RouteWriterV6) {
    let table = Arc::new(RouteTableV6::new(size).unwrap());
    (Arc::clone(&table), RouteWriterV6::new(table, size))
}

/// The route, and the steps it took to find it.
fn search(table: &RouteTableV6, vrf: u16, address: u128) -> (Option<Route>, u32) {
    let mut walk = table.start(vrf, address);
    let mut steps = 0;
    while table.step(&mut walk) {
        steps += 1;
    }
    (table.route(&walk), steps)
}

fn find(table: &RouteTableV6, vrf: u16, address: u128) -> Option<Route> {
    search(table, vrf, address).0
}

fn mask(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

fn prefixes() -> impl Strategy<Value = PrefixV6> {
    const SITE: u128 = 0x2001_0db8_0001_0000 << 64;
    // Addresses that share long prefixes, and any; lengths as they are used, and any.
    let near = (0..16_u128, 0..128_u32).prop_map(|(low, shift)| SITE ^ low.rotate_right(shift));
    let address = prop_oneof![1 => any::<u128>(), 4 => near];
    let length = prop_oneof![0..=128_u32, prop::sample::select(vec![0_u32, 32, 48, 56, 60, 64, 127, 128])];
    (address, length).prop_map(|(address, length)| PrefixV6 { address: address & mask(length), length })
}

fn route() -> impl Strategy<Value = Route> {
    prop_oneof![
        (any::<u32>(), 0..1_u32 << 20, 0..8_u8).prop_map(|(tunnel, vpn_label, class)| Route::ViaTunnel(Carry { tunnel, vpn_label, class })),
        any::<u32>().prop_map(Route::Local),
        Just(Route::Receive),
        Just(Route::Discard),
    ]
}

type Model = BTreeMap<(u16, u32, u128), Route>;

fn naive(model: &Model, vrf: u16, address: u128) -> Option<Route> {
    (0..=128).rev().find_map(|length| model.get(&(vrf, length, address & mask(length))).copied())
}

#[test]
fn levels_without_a_choice_take_no_step() {
    let (table, mut writer) = routes(300);
    let site = 0x2001_0db8_0001_0000_u128 << 64;
    for host in 0..16_u128 {
        let prefix = PrefixV6 { address: site | host << 64, length: 64 };
        writer.set(1, prefix, Route::Local(u32::try_from(host).unwrap())).unwrap();
    }
    // Below the root there are the fork at the last digit of the subnet, and the leaf.
    assert_eq!(search(&table, 1, site | 5 << 64 | 0x77), (Some(Route::Local(5)), 2));
    assert_eq!(search(&table, 1, site | 0x15 << 64), (None, 1));
    writer.set(1, PrefixV6 { address: 1, length: 128 }, Route::Receive).unwrap();
    assert_eq!(find(&table, 1, 1), Some(Route::Receive));
    assert_eq!(find(&table, 1, 3), None);
    assert_eq!(find(&table, 2, 1), None);
}

#[test]
fn a_deleted_table_gives_its_units_back() {
    let reclaimer = Reclaimer::new(NonZeroU16::MIN);
    let (table, mut writer) = routes(1);
    let prefixes = [(0x0a01_0203_u128, 128), (0x0a01_0200, 121), (1 << 127, 3), (0, 0), (0x0a01_0203 << 64, 64)];
    let prefixes = prefixes.map(|(address, length)| PrefixV6 { address, length });
    for _ in 0..1000 {
        for prefix in prefixes {
            writer.set(7, prefix, Route::Receive).unwrap();
            assert_eq!(find(&table, 7, prefix.address), Some(Route::Receive));
        }
        for prefix in prefixes {
            assert_eq!(writer.remove(7, prefix), Ok(true));
        }
        writer.publish(&reclaimer);
    }
    assert_eq!((find(&table, 7, 0), writer.len()), (None, 0));
    assert_eq!(writer.remove(7, prefixes[0]), Ok(false));
}

#[test]
fn a_change_without_room_changes_nothing() {
    let reclaimer = Reclaimer::new(NonZeroU16::MIN);
    let (table, mut writer) = routes(0);
    let prefix = |number: u128| PrefixV6 { address: number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), length: 128 };
    let mut held = 0;
    while writer.set(0, prefix(held), Route::Local(u32::try_from(held).unwrap())).is_ok() {
        held += 1;
    }
    let check = |writer: &RouteWriterV6, gone: u128| {
        for number in 0..=held {
            let expected = (gone..held).contains(&number).then(|| Route::Local(u32::try_from(number).unwrap()));
            assert_eq!((find(&table, 0, prefix(number).address), writer.get(0, prefix(number))), (expected, expected));
        }
    };
    check(&writer, 0);
    // What was replaced until now can be used again, and with it everything can be removed.
    for gone in 0..held {
        writer.publish(&reclaimer);
        assert_eq!(writer.remove(0, prefix(gone)), Ok(true));
        if gone % 64 == 0 {
            check(&writer, gone + 1);
        }
    }
    assert_eq!(writer.len(), 0);
}

proptest! {
    #[test]
    fn it_finds_the_longest_prefix_as_a_search_of_all_does(
        steps in prop::collection::vec((0..6_u8, 0..2_u16, prefixes(), route()), 0..120),
        asked in prop::collection::vec((0..2_u16, prefixes()), 40),
    ) {
        let (table, mut writer) = routes(200);
        let mut model = Model::new();
        for (step, vrf, prefix, route) in steps {
            // Deletions mostly of what is there.
            let there = model.keys().nth(usize::from(step) * 3).copied();
            match (step, there) {
                (3 | 5, Some((vrf, length, address))) => {
                    prop_assert_eq!(writer.remove(vrf, PrefixV6 { address, length }), Ok(true));
                    model.remove(&(vrf, length, address));
                }
                (4, _) => {
                    let gone = model.remove(&(vrf, prefix.length, prefix.address)).is_some();
                    prop_assert_eq!(writer.remove(vrf, prefix), Ok(gone));
                }
                _ => {
                    prop_assert_eq!(writer.set(vrf, prefix, route), Ok(()));
                    model.insert((vrf, prefix.length, prefix.address), route);
                }
            }
            prop_assert_eq!(writer.len(), model.len());
        }
        let near = model.keys().flat_map(|&(vrf, length, address)| [(vrf, address), (vrf, address | !mask(length)), (vrf, address ^ 1)]);
        for (vrf, address) in near.chain(asked.iter().map(|(vrf, prefix)| (*vrf, prefix.address))) {
            prop_assert_eq!(find(&table, vrf, address), naive(&model, vrf, address), "{} {:x}", vrf, address);
        }
        for (vrf, prefix) in asked {
            prop_assert_eq!(writer.get(vrf, prefix), model.get(&(vrf, prefix.length, prefix.address)).copied());
        }
        let listed: Model = writer.iter().map(|(vrf, prefix, route)| ((vrf, prefix.length, prefix.address), route)).collect();
        prop_assert_eq!(listed, model);
    }
}
