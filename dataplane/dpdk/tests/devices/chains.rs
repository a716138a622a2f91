//! Frames that lie in several buffers: what they hold is what a plain vector would, and every buffer comes back.

use std::time::{Duration, Instant};

use crate::support::{eal, port, small};
use nix::sched::{CloneFlags, unshare};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use svpn_dpdk::{Burst, Mbuf, NoRoom, Pool, PoolConfig, PortConfig, RxQueue};

/// Bytes that tell where they belong.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

/// A frame in segments of these sizes.
fn chained(pool: Pool, frame: &[u8], sizes: &[usize]) -> Mbuf {
    let mut rest = frame;
    let mut parts = sizes.iter().map(|&size| {
        let (part, after) = rest.split_at(size);
        rest = after;
        pool.alloc_with(part).unwrap()
    });
    let mut head = parts.next().unwrap();
    parts.for_each(|part| head.chain(part).unwrap());
    head
}

fn content(mbuf: &Mbuf) -> Vec<u8> {
    mbuf.segments().collect::<Vec<_>>().concat()
}

#[derive(Debug, Clone)]
enum Change {
    Gather(usize),
    TrimFront(usize),
    Prepend(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let count = || prop_oneof![3 => 0..300_usize, 1 => 0..3000_usize, 1 => Just(usize::MAX)];
    let change = prop_oneof![3 => count().prop_map(Change::Gather), 2 => count().prop_map(Change::TrimFront), 1 => count().prop_map(Change::Prepend)];
    prop::collection::vec(change, 0..12)
}

#[test]
fn a_chain_holds_what_a_vector_would() {
    let eal = eal();
    let pool = Pool::new(eal, "chains", PoolConfig { mbufs: 255, cache: 0, ..PoolConfig::default() }).unwrap();
    let size = prop_oneof![3 => 0..5_usize, 2 => 0..200_usize, 1 => 0..=2048_usize];
    TestRunner::new(Config { cases: 500, ..Config::default() })
        .run(&(prop::collection::vec(size, 1..12), changes()), |(sizes, changes)| {
            let mut model = bytes(sizes.iter().sum());
            let mut mbuf = chained(pool, &model, &sizes);
            prop_assert_eq!(mbuf.is_chained(), sizes.len() > 1);
            for change in changes {
                let (first, room) = (mbuf.len(), mbuf.tailroom());
                match change {
                    Change::Gather(count) => {
                        let wanted = count.min(model.len());
                        let needed = wanted.saturating_sub(first);
                        if needed > room {
                            prop_assert_eq!(mbuf.gather(count), Err(NoRoom { needed, room }));
                        } else {
                            prop_assert_eq!(mbuf.gather(count), Ok(()));
                            prop_assert_eq!(mbuf.len(), first.max(wanted));
                        }
                    }
                    Change::TrimFront(count) => {
                        prop_assert_eq!(mbuf.trim_front(count).is_some(), count <= first);
                        if count <= first {
                            model.drain(..count);
                        }
                    }
                    Change::Prepend(count) => {
                        let room = mbuf.headroom();
                        prop_assert_eq!(mbuf.prepend(count).map(|front| front.fill(7)).is_some(), count <= room);
                        if count <= room {
                            model.splice(..0, vec![7; count]);
                        }
                    }
                }
                prop_assert_eq!(&content(&mbuf), &model);
                prop_assert_eq!(mbuf.total_len(), model.len());
                prop_assert_eq!(mbuf.is_chained(), mbuf.segments().count() > 1);
                // A buffer for each segment, and no more.
                prop_assert_eq!(pool.available() as usize, 255 - mbuf.segments().count());
            }
            drop(mbuf);
            prop_assert_eq!(pool.available(), 255);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_frame_takes_as_many_buffers_as_it_needs() {
    let eal = eal();
    let pool = Pool::new(eal, "frame", PoolConfig { mbufs: 7, cache: 0, frame_bytes: 1000, socket: None }).unwrap();
    for (length, segments) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (6999, 7), (7000, 7)] {
        let mbuf = pool.alloc_chain(&bytes(length)).unwrap();
        assert_eq!((content(&mbuf), mbuf.segments().count()), (bytes(length), segments));
    }
    pool.alloc_chain(&bytes(7001)).unwrap_err();
    assert_eq!(pool.available(), 7);
}

/// The next frame of so many bytes; the kernel's own, such as router solicitations, are passed over.
fn receive(queue: &mut RxQueue, length: usize) -> Mbuf {
    let start = Instant::now();
    let mut burst: Burst = Burst::new();
    loop {
        queue.recv(&mut burst);
        if let Some(mbuf) = burst.drain().find(|mbuf| mbuf.total_len() == length) {
            return mbuf;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "no frame of {length} bytes came");
        std::thread::yield_now();
    }
}

/// A frame of 9,000 bytes out of one large buffer comes through a kernel interface into buffers of 1,000, and another one comes back. Needs the
/// privilege to make a network namespace.
#[test]
fn devices_receive_and_send_frames_in_one_buffer_and_in_several() {
    unshare(CloneFlags::CLONE_NEWNET).expect("privilege to make a network namespace");
    let eal = eal();
    let small_buffers = Pool::new(eal, "small", PoolConfig { mbufs: 1023, frame_bytes: 1000, ..PoolConfig::default() }).unwrap();
    let large_buffers = Pool::new(eal, "large", PoolConfig { mbufs: 511, cache: 0, frame_bytes: 16_384, socket: None }).unwrap();
    let config = PortConfig { mtu: Some(9000), ..small() };
    let inside = port(eal, "net_tap0,iface=svpnjumbo0", &config, small_buffers);
    let raised = std::process::Command::new("ip").args(["link", "set", "svpnjumbo0", "mtu", "9000"]).status();
    assert!(raised.unwrap().success());
    let outside = port(eal, "net_af_packet0,iface=svpnjumbo0,blocksz=65536,framesz=16384,framecnt=64", &config, large_buffers);
    let (mut rx, mut tx) = (inside.take_rx_queue(0).unwrap(), inside.take_tx_queue(0).unwrap());
    let (mut kernel_rx, mut kernel_tx) = (outside.take_rx_queue(0).unwrap(), outside.take_tx_queue(0).unwrap());
    let mut frame = bytes(9014);
    // An ethertype that the kernel has no use for.
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    let mut burst: Burst = Burst::new();
    burst.push(large_buffers.alloc_with(&frame).unwrap()).unwrap();
    assert_eq!(kernel_tx.send(&mut burst), 1);

    let mbuf = receive(&mut rx, 9014);
    assert!(mbuf.is_chained() && mbuf.len() <= 1000);
    assert_eq!(content(&mbuf), frame);
    drop(mbuf);

    // The driver sends no larger frame than 1,522 bytes.
    let frame = bytes(1514);
    burst.push(small_buffers.alloc_chain(&frame).unwrap()).unwrap();
    assert!(burst[0].is_chained());
    assert_eq!(tx.send(&mut burst), 1);
    let mbuf = receive(&mut kernel_rx, 1514);
    assert!(!mbuf.is_chained());
    assert_eq!(mbuf.data(), frame);
    drop((rx, tx, inside, kernel_rx, kernel_tx, outside, mbuf, burst));
    assert_eq!((small_buffers.available(), large_buffers.available()), (1023, 511));
}
