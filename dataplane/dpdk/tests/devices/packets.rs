//! Packets and bursts: what they hold is what a plain vector would, and every buffer comes back.

use std::mem;

use crate::support::{eal, pool};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use svpn_dpdk::{AllocWithError, Burst, Mbuf, NoRoom, Pool, PoolConfig, PoolError, PoolExhausted};

#[derive(Debug, Clone)]
enum Change {
    Prepend(usize),
    TrimFront(usize),
    Append(usize),
    TrimBack(usize),
    Set(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let count = || prop_oneof![4 => 0..80_usize, 2 => 0..2300_usize, 1 => Just(65_536_usize), 1 => Just(usize::MAX)];
    let change = prop_oneof![
        count().prop_map(Change::Prepend),
        count().prop_map(Change::TrimFront),
        count().prop_map(Change::Append),
        count().prop_map(Change::TrimBack),
        (0..2300_usize).prop_map(Change::Set),
    ];
    prop::collection::vec(change, 0..40)
}

/// A buffer as DPDK describes it: headroom, data, tailroom.
struct Model {
    headroom: usize,
    data: Vec<u8>,
}

impl Model {
    const BUFFER: usize = PoolConfig::HEADROOM + 2048;

    fn tailroom(&self) -> usize {
        Self::BUFFER - self.headroom - self.data.len()
    }
}

/// Does the same to both, and checks that both say the same.
fn apply(change: &Change, fill: u8, mbuf: &mut Mbuf, model: &mut Model) -> Result<(), TestCaseError> {
    match *change {
        Change::Prepend(count) => {
            let added = mbuf.prepend(count).map(|bytes| bytes.fill(fill)).is_some();
            prop_assert_eq!(added, count <= model.headroom);
            if added {
                model.headroom -= count;
                model.data.splice(0..0, vec![fill; count]);
            }
        }
        Change::TrimFront(count) => {
            let left = mbuf.trim_front(count).map(|bytes| bytes.len());
            prop_assert_eq!(left, model.data.len().checked_sub(count));
            if left.is_some() {
                model.headroom += count;
                model.data.drain(..count);
            }
        }
        Change::Append(count) => {
            let added = mbuf.append(count).map(|bytes| bytes.fill(fill)).is_some();
            prop_assert_eq!(added, count <= model.tailroom());
            if added {
                model.data.extend(vec![fill; count]);
            }
        }
        Change::TrimBack(count) => {
            let left = mbuf.trim_back(count).map(|bytes| bytes.len());
            prop_assert_eq!(left, model.data.len().checked_sub(count));
            model.data.truncate(left.unwrap_or(model.data.len()));
        }
        Change::Set(count) => {
            let frame = vec![fill; count];
            if count <= 2048 {
                prop_assert_eq!(mbuf.set_data(&frame), Ok(()));
                *model = Model { headroom: PoolConfig::HEADROOM, data: frame };
            } else {
                prop_assert_eq!(mbuf.set_data(&frame), Err(NoRoom { needed: count, room: 2048 }));
            }
        }
    }
    prop_assert_eq!(mbuf.data(), &model.data);
    prop_assert_eq!((mbuf.headroom(), mbuf.tailroom()), (model.headroom, model.tailroom()));
    prop_assert_eq!((mbuf.total_len(), mbuf.is_empty(), mbuf.is_chained()), (model.data.len(), model.data.is_empty(), false));
    Ok(())
}

#[test]
fn a_packet_is_a_vector_with_room_before_and_behind() {
    let eal = eal();
    let pool = pool(eal, "model");
    TestRunner::new(Config::with_cases(500))
        .run(&changes(), |changes| {
            let mut mbuf = pool.alloc().unwrap();
            let mut model = Model { headroom: PoolConfig::HEADROOM, data: Vec::new() };
            for (fill, change) in (0..).zip(&changes) {
                apply(change, fill, &mut mbuf, &mut model)?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(pool.available(), 1023);
}

/// A packet that carries its number.
fn numbered(pool: Pool, number: u8) -> Mbuf {
    pool.alloc_with(&[number]).unwrap()
}

fn numbers(burst: &[Mbuf]) -> Vec<u8> {
    burst.iter().map(|mbuf| mbuf.data()[0]).collect()
}

#[derive(Debug, Clone)]
enum Move {
    Push,
    Pop,
    Take(usize),
    Swap(usize, usize),
    /// Drains, keeping this many.
    Drain(usize),
    /// Splits here and keeps the tail.
    SplitOff(usize),
    /// Moves all into a burst with this many packets, and keeps that.
    FillFrom(usize),
    Clear,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let index = || 0..10_usize;
    let step = prop_oneof![
        8 => Just(Move::Push),
        1 => Just(Move::Pop),
        2 => index().prop_map(Move::Take),
        2 => (index(), index()).prop_map(|(one, other)| Move::Swap(one, other)),
        1 => index().prop_map(Move::Drain),
        1 => index().prop_map(Move::SplitOff),
        1 => index().prop_map(Move::FillFrom),
        1 => Just(Move::Clear),
    ];
    prop::collection::vec(step, 0..80)
}

const CAPACITY: usize = 8;

/// Does the same to a burst and to a vector of numbers; returns the packets that came out, with the numbers they should have.
fn step(step: &Move, next: u8, pool: Pool, burst: &mut Burst<CAPACITY>, model: &mut Vec<u8>) -> (Vec<Mbuf>, Vec<u8>) {
    match *step {
        Move::Push => {
            let refused = burst.push(numbered(pool, next)).err();
            let full = model.len() == CAPACITY;
            if !full {
                model.push(next);
            }
            (refused.into_iter().collect(), if full { vec![next] } else { Vec::new() })
        }
        Move::Pop => (burst.pop().into_iter().collect(), model.pop().into_iter().collect()),
        Move::Take(index) => {
            let expected = (index < model.len()).then(|| model.remove(index));
            (burst.take(index).into_iter().collect(), expected.into_iter().collect())
        }
        Move::Swap(one, other) => {
            if one.max(other) < model.len() {
                burst.swap(one, other);
                model.swap(one, other);
            }
            (Vec::new(), Vec::new())
        }
        Move::Drain(keep) => {
            let kept = burst.drain().take(keep).collect();
            (kept, mem::take(model).into_iter().take(keep).collect())
        }
        Move::SplitOff(index) => {
            let tail = burst.split_off(index);
            let mut front = mem::replace(burst, tail);
            let expected: Vec<u8> = model.drain(..index.min(model.len())).collect();
            (front.drain().collect(), expected)
        }
        Move::FillFrom(count) => {
            let mut target = Burst::new();
            for _ in 0..count.min(CAPACITY) {
                target.push(numbered(pool, next)).unwrap();
            }
            target.fill_from(burst);
            let mut rest = mem::replace(burst, target);
            let moved = model.len().min(CAPACITY - count.min(CAPACITY));
            let expected = model.split_off(moved);
            model.splice(0..0, vec![next; count.min(CAPACITY)]);
            (rest.drain().collect(), expected)
        }
        Move::Clear => {
            burst.clear();
            model.clear();
            (Vec::new(), Vec::new())
        }
    }
}

#[test]
fn a_burst_is_a_short_vector_that_loses_no_packet() {
    let eal = eal();
    let pool = pool(eal, "burst");
    TestRunner::new(Config::with_cases(500))
        .run(&moves(), |moves| {
            let mut burst: Burst<CAPACITY> = Burst::new();
            let mut model = Vec::new();
            for (next, change) in (0..).zip(&moves) {
                let (out, expected) = step(change, next, pool, &mut burst, &mut model);
                prop_assert_eq!(numbers(&out), expected);
                prop_assert_eq!(numbers(&burst), &model[..]);
                prop_assert_eq!((burst.len(), burst.is_full()), (model.len(), model.len() == CAPACITY));
                prop_assert_eq!(burst.room(), CAPACITY - model.len());
                drop(out);
                prop_assert_eq!(pool.available() as usize, 1023 - model.len());
            }
            drop(burst);
            prop_assert_eq!(pool.available(), 1023);
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_empty_pool_gives_nothing_and_takes_back() {
    let eal = eal();
    let pool = Pool::new(eal, "small", PoolConfig { mbufs: 63, cache: 0, ..PoolConfig::default() }).unwrap();
    let mut bursts: Vec<Burst<20>> = Vec::new();
    for _ in 0..3 {
        let mut burst = Burst::new();
        pool.alloc_bulk(&mut burst, 100).unwrap();
        assert_eq!(burst.len(), 20);
        bursts.push(burst);
    }
    let mut last: Burst<20> = Burst::new();
    assert_eq!(pool.alloc_bulk(&mut last, 4), Err(PoolExhausted));
    assert!(last.is_empty());
    pool.alloc_bulk(&mut last, 3).unwrap();
    assert_eq!(pool.available(), 0);
    assert_eq!(pool.alloc().unwrap_err(), PoolExhausted);
    assert!(matches!(pool.alloc_with(&[1]), Err(AllocWithError::Exhausted(PoolExhausted))));
    drop(last);
    assert!(matches!(pool.alloc_with(&[1; 2049]), Err(AllocWithError::NoRoom(NoRoom { needed: 2049, room: 2048 }))));
    drop(bursts);
    assert_eq!(pool.available(), 63);
}

#[test]
fn an_impossible_pool_is_refused_by_cause() {
    let eal = eal();
    let small = PoolConfig { mbufs: 63, cache: 0, ..PoolConfig::default() };
    let made = |name: &str, config| Pool::new(eal, name, config).map(|_| ());
    made("twice", small).unwrap();
    assert!(matches!(made("twice", small), Err(PoolError::Exists(name)) if name == "twice"));
    for name in ["", "a\0b", "a name of 26 bytes exactly"] {
        assert!(matches!(made(name, small), Err(PoolError::Name(refused)) if refused == name), "{name:?}");
    }
    made("a name of 25 bytes, it is", small).unwrap();
    for config in [
        PoolConfig { cache: 513, ..PoolConfig::default() },
        PoolConfig { cache: 60, ..small },
        PoolConfig { frame_bytes: u16::MAX, ..small },
        PoolConfig { socket: Some(u32::MAX), ..small },
    ] {
        assert!(matches!(made("config", config), Err(PoolError::Config(refused)) if refused == config), "{config:?}");
    }
    let vast = PoolConfig { mbufs: 1 << 22, ..PoolConfig::default() };
    match made("vast", vast) {
        Err(PoolError::Memory(refused)) => assert_eq!(refused, vast),
        other => panic!("{other:?}"),
    }
}
