//! Tables that workers look something up in while the control thread changes them.

use std::num::NonZeroU16;
use std::sync::Arc;

use loom::thread::spawn;

use super::{quiesce, reclaimer, try_all};
use crate::tables::carry::Carry;
use crate::tables::chained::{ChainedTable, ChainedWriter};
use crate::tables::cuckoo::{Cuckoo, CuckooWriter};
use crate::tables::flow::{FlowKey, FlowTable, FlowWriter};
use crate::tables::group::{GroupTable, GroupWriter, MemberLine};
use crate::tables::hash::Seed;
use crate::tables::label::{LabelAction, LabelMap, LabelWriter};
use crate::tables::meter::Sharing;
use crate::tables::route::{Prefix, Route, RouteTable, RouteWriter};
use crate::tables::session::SessionTable;

/// Buckets of the smallest flow table.
const BUCKETS: u64 = 1024;

fn seed() -> Seed {
    Seed::derive(1, 1)
}

/// The flow of a number: ports and protocol are those of all.
fn flow(number: u64) -> FlowKey {
    FlowKey { addresses: number, rest: 17 << 32 }
}

/// A flow's two buckets.
fn buckets(number: u64) -> [u64; 2] {
    let hash = seed().hash([flow(number).addresses, flow(number).rest]);
    let [first, second] = [hash % BUCKETS, (hash >> 32) % BUCKETS];
    [first, if second == first { first ^ 1 } else { second }]
}

/// The first numbers from `from` on whose buckets are so.
fn numbers<const N: usize>(from: u64, are: impl Fn([u64; 2]) -> bool) -> [u64; N] {
    let mut found = (from..).filter(|number| are(buckets(*number)));
    std::array::from_fn(|_| found.next().unwrap_or_default())
}

fn flows() -> (Arc<FlowTable>, FlowWriter) {
    let table = Arc::new(FlowTable::new(1, seed()).expect("memory"));
    (Arc::clone(&table), FlowWriter::new(table))
}

fn find(table: &FlowTable, number: u64) -> Option<u32> {
    table.find(flow(number), table.hash(flow(number)))
}

/// A flow is found while it is moved to its other bucket to make room for another one.
pub fn a_flow_that_is_moved_is_found() {
    // Both buckets of the newcomer are full.
    let [one, other] = numbers(1, |[first, _]| first == 1);
    let [third, fourth] = numbers(1, |[first, second]| first == 2 && second != 1);
    let [newcomer] = numbers(1, |both| both == [1, 2]);
    assert!(![one, other, third, fourth].contains(&newcomer));
    try_all(2, move || {
        let (table, mut writer) = flows();
        let there = [one, other, third, fourth];
        let fill = |writer: &mut FlowWriter| {
            for (number, session) in there.into_iter().zip(1..) {
                writer.insert(flow(number), session, || {}).expect("there is room");
            }
        };
        // Everything has happened before, so that loom knows of all words.
        fill(&mut writer);
        writer.insert(flow(newcomer), 9, || {}).expect("one can be moved");
        there.into_iter().chain([newcomer]).for_each(|number| assert!(writer.remove(flow(number))));
        fill(&mut writer);
        let threads = [one, other].map(|number| {
            let table = Arc::clone(&table);
            let session = there.into_iter().zip(1..).find(|(there, _)| *there == number).map(|(_, session)| session);
            spawn(move || assert_eq!(find(&table, number), session, "a flow that stays"))
        });
        writer.insert(flow(newcomer), 9, || {}).expect("one can be moved");
        for thread in threads {
            thread.join().expect("readers do not panic");
        }
        assert_eq!(find(&table, newcomer), Some(9));
    });
}

/// A place that is used for another flow shows neither with what belongs to the other.
pub fn a_place_is_of_one_flow_at_a_time() {
    let [old, new] = numbers(1, |[first, _]| first == 1);
    try_all(3, move || {
        let (table, mut writer) = flows();
        writer.insert(flow(old), 1, || {}).expect("there is room");
        let thread = spawn({
            let table = Arc::clone(&table);
            move || {
                assert!([None, Some(2)].contains(&find(&table, new)));
                assert!([None, Some(1)].contains(&find(&table, old)));
            }
        });
        assert!(writer.remove(flow(old)));
        writer.insert(flow(new), 2, || {}).expect("there is room");
        thread.join().expect("the reader does not panic");
    });
}

/// A flow leads to a session that is there, when it gets another one and while hits are noted.
pub fn a_flow_leads_to_a_session_that_is_there() {
    const CARRY: Carry = Carry { tunnel: 7, vpn_label: 100, class: 3 };
    try_all(3, || {
        let (table, mut writer) = flows();
        let sessions = Arc::new(SessionTable::new(3, Sharing::OneWorker).expect("memory"));
        (1..3).for_each(|session| sessions.set(session, CARRY, None));
        sessions.clear(2);
        writer.insert(flow(1), 1, || {}).expect("there is room");
        table.ticker.set(1);
        let threads = [(); 2].map(|()| {
            let (table, sessions) = (Arc::clone(&table), Arc::clone(&sessions));
            spawn(move || {
                let session = find(&table, 1).expect("it stays");
                assert_eq!(sessions.carry(session), Some(CARRY), "session {session} was written before");
            })
        });
        sessions.set(2, CARRY, None);
        assert!(writer.modify(flow(1), 2));
        for thread in threads {
            thread.join().expect("readers do not panic");
        }
    });
}

/// The hash of IPv6 flows: what stays is found while others are moved around it, and a place is of one key at a time.
pub fn a_key_of_five_words_is_found_while_others_move() {
    const BUCKETS: u32 = 2;
    let key = |number: u64| [number, 0, 0, 0, 17];
    try_all(2, move || {
        let table = Arc::new(Cuckoo::<5>::new(BUCKETS, seed()).expect("memory"));
        let mut writer = CuckooWriter::new(Arc::clone(&table));
        let insert = |writer: &mut CuckooWriter<5>, number: u32| writer.insert(key(number.into()), number, || {}).is_ok();
        // Each of the four places is used twice.
        for _ in 0..2 {
            (1..=4).for_each(|number| assert!(insert(&mut writer, number)));
            (1..=4).for_each(|number| assert!(writer.remove(key(number))));
        }
        (1..=3).for_each(|number| assert!(insert(&mut writer, number)));
        let thread = spawn({
            let table = Arc::clone(&table);
            move || {
                let find = |number| table.find(key(number), table.hash(key(number)));
                assert_eq!(find(1), Some(1));
                assert!([None, Some(5)].contains(&find(5)));
            }
        });
        assert!(writer.remove(key(2)));
        insert(&mut writer, 5);
        thread.join().expect("the reader does not panic");
    });
}

/// Both labels and the next hop are of one change, in a map of a worker's own and in one of all workers.
pub fn both_labels_of_an_action_are_of_one_change() {
    let change = |number: u32| LabelAction::SwapPush { label: number, l2: 100 + number, nexthop: number };
    for workers in [1, 3] {
        try_all(3, move || {
            let maps = LabelMap::for_workers(1, NonZeroU16::new(workers).expect("not 0")).expect("memory");
            let mut writer = LabelWriter::new(maps.clone());
            writer.set(0, change(0), || {});
            let thread = spawn({
                let map = Arc::clone(&maps[0]);
                move || {
                    let mut last = 0;
                    for _ in 0..2 {
                        let Some(LabelAction::SwapPush { label, l2, nexthop }) = map.get(0) else { panic!("there is no other") };
                        assert_eq!((label, l2), (nexthop, 100 + nexthop));
                        assert!(nexthop >= last, "an older action");
                        last = nexthop;
                    }
                }
            });
            (1..4).for_each(|number| writer.set(0, change(number), || panic!("no version comes round")));
            thread.join().expect("the reader does not panic");
        });
    }
}

/// An entry stays to be found while the one before it in its chain goes and its line is used again.
pub fn a_chain_leads_on_while_entries_go() {
    let key = |number: u64| [number];
    // Of a table for one entry, which has two chains.
    let chain = |number: u64| seed().hash([number, 0]) & 1;
    let mut first = (1..1000).filter(|number| chain(*number) == 0);
    let [stays, goes] = std::array::from_fn(|_| first.next().unwrap_or_default());
    let comes = (1..1000).find(|number| chain(*number) == 1).unwrap_or_default();
    try_all(2, move || {
        let reclaimer = reclaimer(1);
        let mut reader = reclaimer.reader().expect("there is room for one");
        let table = Arc::new(ChainedTable::<1>::new(1, seed()).expect("memory"));
        let mut writer = ChainedWriter::new(Arc::clone(&table), 1);
        let insert = |writer: &mut ChainedWriter<1>, number: u64| writer.insert(&key(number), number).expect("there is a line");
        insert(&mut writer, comes);
        assert!(writer.remove(&key(comes)));
        writer.publish(&reclaimer);
        for number in [stays, goes] {
            insert(&mut writer, number);
        }
        let thread = spawn({
            let table = Arc::clone(&table);
            move || {
                let find = |number| table.find(&key(number), table.hash(&key(number)));
                let mut online = reader.online();
                for _ in 0..2 {
                    assert_eq!(find(stays), Some(stays), "an entry that stays");
                    assert!([None, Some(goes)].contains(&find(goes)));
                    online.quiescent();
                }
            }
        });
        assert!(writer.remove(&key(goes)));
        writer.publish(&reclaimer);
        writer.publish(&reclaimer);
        insert(&mut writer, comes);
        thread.join().expect("the reader does not panic");
        assert_eq!(writer.get(&key(comes)), Some(comes));
    });
}

/// A member that was chosen is read as it was when it could be chosen.
pub fn a_member_stays_until_nobody_has_chosen_it() {
    // Two lines: each third set of members lies where the first one was.
    const LINES: u32 = 2;
    let members = |number: u64| [MemberLine { weight: 1, line: [number << 32, number, 0, 0, 0, 0, 0, number] }];
    try_all(2, move || {
        let reclaimer = reclaimer(1);
        let mut reader = reclaimer.reader().expect("there is room for one");
        let table = Arc::new(GroupTable::new(1, LINES).expect("memory"));
        let mut writer = GroupWriter::new(Arc::clone(&table), LINES);
        for number in 1..3 {
            writer.set(0, &members(number)).expect("there are lines");
            writer.publish(&reclaimer);
        }
        let thread = spawn({
            let table = Arc::clone(&table);
            move || {
                let mut online = reader.online();
                let mut last = 0;
                for _ in 0..2 {
                    let line = table.view().choose(0, || 0).expect("there is a member");
                    let [first, second, .., end] = table.view().line::<8>(line);
                    assert_eq!((first >> 32, end), (second, second), "a line of two members");
                    assert!(second >= last, "an older member");
                    last = second;
                    online.quiescent();
                }
            }
        });
        for number in 3..5 {
            while writer.set(0, &members(number)).is_err() {
                writer.publish(&reclaimer);
                crate::sync::yield_now();
            }
            writer.publish(&reclaimer);
        }
        thread.join().expect("the reader does not panic");
    });
}

/// A route is found while others come and go that are kept in the same nodes, whose words are used again.
pub fn a_route_stays_while_others_come_and_go() {
    let [stays, comes] = [(0x0a00_0000, 8), (0x0a80_0000, 9)].map(|(address, length)| Prefix { address, length });
    let [local, other] = [Route::Local(1), Route::Local(2)];
    try_all(2, move || {
        let reclaimer = reclaimer(1);
        let mut reader = reclaimer.reader().expect("there is room for one");
        let table = Arc::new(RouteTable::new(1).expect("memory"));
        let mut writer = RouteWriter::new(Arc::clone(&table), 1);
        writer.set(0, stays, local).expect("there is room");
        writer.set(0, comes, other).expect("there is room");
        assert!(writer.remove(0, comes));
        writer.publish(&reclaimer);
        quiesce(&reclaimer);
        writer.publish(&reclaimer);
        let thread = spawn({
            let table = Arc::clone(&table);
            move || {
                let find = |address: u32| {
                    let mut walk = table.start(0, address);
                    while table.step(&mut walk) {}
                    table.end(&mut walk);
                    table.route(&walk)
                };
                let mut online = reader.online();
                assert_eq!(find(0x0a01_0203), Some(local), "a route that stays");
                assert!([Some(local), Some(other)].contains(&find(0x0a81_0203)));
                online.quiescent();
            }
        });
        writer.set(0, comes, other).expect("there is room");
        writer.publish(&reclaimer);
        assert!(writer.remove(0, comes));
        writer.publish(&reclaimer);
        thread.join().expect("the reader does not panic");
    });
}
