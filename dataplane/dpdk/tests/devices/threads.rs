//! Workers, queues, pools and tables together.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{eal, pool, port, small};
use svpn_dpdk::{Backing, Burst, LargeSlice, Placement, Publisher, Reclaimer, Worker};

/// One worker sends, another receives and reads a table that this thread keeps replacing: no packet is lost or
/// reordered, every value read is whole, and all memory and every buffer comes back.
#[test]
fn packets_pass_between_workers_while_tables_change() {
    const PACKETS: u32 = 200_000;
    let eal = eal();
    let pool = pool(eal, "pass");
    let port = port(eal, "net_ring0", &small(), pool);
    let (mut rx, mut tx) = (port.take_rx_queue(0).unwrap(), port.take_tx_queue(0).unwrap());
    let mut reclaimer = Reclaimer::new(NonZeroU16::new(2).unwrap());
    let mut snapshots = Publisher::new(&reclaimer, Box::new([0_u64; 32]));
    let snapshot = snapshots.subscribe();
    let mut reader = reclaimer.reader().unwrap();
    let finished = Arc::new(AtomicBool::new(false));

    let sender = Worker::spawn(eal, "sender", Placement::Anywhere, move |_| {
        let mut next = 0_u32;
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
                if tx.send(&mut burst) == 0 {
                    std::thread::yield_now();
                }
            }
        }
    })
    .unwrap();
    let end = Arc::clone(&finished);
    let receiver = Worker::spawn(eal, "receiver", Placement::Anywhere, move |_| {
        let mut online = reader.online();
        let mut burst: Burst<64> = Burst::new();
        let mut next = 0_u32;
        while next < PACKETS {
            if rx.recv(&mut burst) == 0 {
                std::thread::yield_now();
            }
            let current = snapshot.read(&online);
            assert_eq!(*current, [current[0]; 32]);
            for mbuf in &burst {
                assert_eq!(mbuf.data(), next.to_be_bytes());
                next += 1;
            }
            burst.clear();
            online.quiescent();
        }
        end.store(true, Ordering::Release);
    })
    .unwrap();
    let mut version = 0;
    while !finished.load(Ordering::Acquire) && !receiver.is_finished() {
        version += 1;
        snapshots.publish(Box::new([version; 32]));
        reclaimer.reclaim();
        std::thread::yield_now();
    }
    sender.join().unwrap();
    receiver.join().unwrap();
    reclaimer.reclaim();
    assert_eq!(reclaimer.pending(), 0);
    assert!(version > 0);
    drop(port);
    assert_eq!(pool.available(), 1023);
}

#[test]
fn the_eals_memory_is_zero_and_comes_back() {
    let eal = eal();
    let backing = Backing::Eal { eal, socket: None };
    // More than the EAL has, were it not given back.
    for _ in 0..20 {
        let mut slice = LargeSlice::<u64>::zeroed(3 << 20, backing).unwrap();
        assert!(slice.iter().all(|&word| word == 0));
        assert_eq!(slice.as_ptr() as usize % 64, 0);
        slice.fill(u64::MAX);
    }
    assert!(LargeSlice::<u64>::zeroed(1 << 30, backing).is_err());
}
