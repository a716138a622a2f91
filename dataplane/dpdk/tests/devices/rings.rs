//! Packets handed from thread to thread.

use std::collections::VecDeque;
use std::num::NonZeroU16;

use crate::support::{eal, pool};
use proptest::prelude::*;
use svpn_dpdk::{Burst, Placement, Pool, Worker, ring};

fn capacity(packets: u16) -> NonZeroU16 {
    NonZeroU16::new(packets).unwrap()
}

/// Packets that hold these numbers.
fn numbered(pool: Pool, numbers: impl IntoIterator<Item = u32>) -> Burst<64> {
    let mut burst = Burst::new();
    for number in numbers {
        let mut mbuf = pool.alloc_with(&number.to_be_bytes()).unwrap();
        mbuf.set_tag(tag(number));
        burst.push(mbuf).unwrap();
    }
    burst
}

/// A packet's tag by its number: every bit is used.
fn tag(number: u32) -> u64 {
    u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn number(data: &[u8]) -> u32 {
    u32::from_be_bytes(data.try_into().unwrap())
}

#[test]
fn a_ring_is_a_bounded_queue() {
    let eal = eal();
    let pool = pool(eal, "model");
    let mut runner = proptest::test_runner::TestRunner::default();
    let steps = prop::collection::vec((any::<bool>(), 0..=64_u32), 0..40);
    runner
        .run(&(1..200_u16, steps), |(most, steps)| {
            let (mut sender, mut receiver) = ring(capacity(most));
            let mut model: VecDeque<u32> = VecDeque::new();
            let mut next = 0;
            for (sends, count) in steps {
                if sends {
                    let mut burst = numbered(pool, next..next + count);
                    let fit = (usize::from(most) - model.len()).min(count as usize);
                    prop_assert_eq!(sender.send(&mut burst), fit);
                    model.extend((next..next + count).take(fit));
                    let left: Vec<u32> = burst.iter().map(|mbuf| number(mbuf.data())).collect();
                    prop_assert_eq!(left, (next..next + count).skip(fit).collect::<Vec<_>>());
                    next += count;
                } else {
                    let mut burst: Burst<48> = Burst::new();
                    let there = model.len().min(48);
                    prop_assert_eq!(receiver.recv(&mut burst), there);
                    for mbuf in &burst {
                        let expected = model.pop_front();
                        prop_assert_eq!(Some(number(mbuf.data())), expected);
                        prop_assert_eq!(Some(mbuf.tag()), expected.map(tag));
                    }
                }
            }
            prop_assert_eq!(pool.available(), 1023 - u32::try_from(model.len()).unwrap());
            prop_assert!(!receiver.is_closed());
            drop(sender);
            prop_assert!(receiver.is_closed());
            drop(receiver);
            prop_assert_eq!(pool.available(), 1023);
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_was_sent_before_the_end_is_received_after_it() {
    let eal = eal();
    let pool = pool(eal, "end");
    let (mut sender, mut receiver) = ring(capacity(100));
    assert_eq!(sender.send(&mut numbered(pool, 0..64)), 64);
    assert_eq!(sender.send(&mut numbered(pool, 64..128)), 36);
    drop(sender);
    assert!(receiver.is_closed());
    let mut burst: Burst<128> = Burst::new();
    assert_eq!(receiver.recv(&mut burst), 100);
    assert_eq!(burst.iter().map(|mbuf| number(mbuf.data())).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(receiver.recv(&mut Burst::<8>::new()), 0);
}

/// Three workers in a row, through rings too small for what they carry: nothing is lost, doubled or reordered.
#[test]
fn packets_keep_their_order_from_worker_to_worker() {
    const PACKETS: u32 = 100_000;
    let eal = eal();
    let pool = pool(eal, "row");
    let (mut first, mut from_first) = ring(capacity(31));
    let (mut second, mut from_second) = ring(capacity(200));
    let source = Worker::spawn(eal, "source", Placement::Anywhere, move |_| {
        let mut next = 0;
        while next < PACKETS {
            let mut burst: Burst<32> = Burst::new();
            if pool.alloc_bulk(&mut burst, 32).is_err() {
                std::thread::yield_now();
                continue;
            }
            for mbuf in &mut burst {
                mbuf.set_data(&next.to_be_bytes()).unwrap();
                next += 1;
            }
            while !burst.is_empty() {
                if first.send(&mut burst) == 0 {
                    std::thread::yield_now();
                }
            }
        }
    })
    .unwrap();
    let middle = Worker::spawn(eal, "middle", Placement::Anywhere, move |_| {
        let mut burst: Burst<64> = Burst::new();
        loop {
            let last = from_first.is_closed();
            if from_first.recv(&mut burst) == 0 && last {
                break;
            }
            while !burst.is_empty() {
                if second.send(&mut burst) == 0 {
                    std::thread::yield_now();
                }
            }
            std::thread::yield_now();
        }
    })
    .unwrap();
    let sink = Worker::spawn(eal, "sink", Placement::Anywhere, move |_| {
        let mut burst: Burst<64> = Burst::new();
        let mut next = 0;
        loop {
            let last = from_second.is_closed();
            if from_second.recv(&mut burst) == 0 {
                if last {
                    return next;
                }
                std::thread::yield_now();
            }
            for mbuf in burst.drain() {
                assert_eq!(number(mbuf.data()), next);
                next += 1;
            }
        }
    })
    .unwrap();
    source.join().unwrap();
    middle.join().unwrap();
    assert_eq!(sink.join().unwrap(), PACKETS);
    assert_eq!(pool.available(), 1023);
}
