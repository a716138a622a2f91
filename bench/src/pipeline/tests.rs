//! Lanes through ports, without a peer; and that a wrong router is found out.

use std::time::Duration;

use svpn_dpdk::{Eal, EalOptions, Pool, PoolConfig};

use super::*;

const ENTRIES: u32 = 500;
const KEYS: Count = Count(1000);

fn pool(eal: Eal) -> Pool {
    Pool::new(eal, "frames", PoolConfig { mbufs: 2047, cache: 64, ..PoolConfig::default() }).unwrap()
}

#[test]
fn everything_received_is_sent_and_no_buffer_is_lost() {
    let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
    let pool = pool(eal);
    for scenario in [Scenario::Swap, Scenario::Session, Scenario::Egress, Scenario::Imix] {
        let sizes = scenario.frame_sizes(&[64])[0];
        let mut lanes = Bed::new(eal, scenario, ENTRIES, 2).unwrap().lanes(pool, sizes, KEYS, Seen::ByOne).unwrap();
        let ports = lane::null_ports(eal, pool, sizes, &mut lanes).unwrap();
        for stage in [Stage::Whole, Stage::Bare, Stage::Whole] {
            let rate = lane::through_ports(eal, &mut lanes, &[0, 0], stage, Duration::from_millis(2)).unwrap();
            assert!(rate > 0.0, "{scenario}");
        }
        let received = ports[0].statistics().unwrap().rx_packets;
        assert!(received > 0);
        assert_eq!(ports[1].statistics().unwrap().tx_packets, received);
        drop(lanes);
        drop(ports);
        assert_eq!(pool.available(), 2047);
    }
}

#[test]
fn a_router_that_does_something_else_is_no_measurement() {
    let eal = Eal::init(&EalOptions::virtual_devices(64)).unwrap();
    let pool = pool(eal);
    let sizes = FrameSizes::One(64);
    let lanes = |scenario, entries| Bed::new(eal, scenario, entries, 1).unwrap().lanes(pool, sizes, KEYS, Seen::ByOne).unwrap();
    let run = |mut lanes: Vec<Lane>| lane::in_memory(eal, &mut lanes, &[0], Duration::from_millis(1)).unwrap_err();

    // A router that swaps, asked to pop.
    let mut swapping = lanes(Scenario::Swap, ENTRIES);
    let popping = Traffic::new(Scenario::Php, Share::all(ENTRIES), sizes, 10, 1);
    swapping[0].set_check(Check::new(Scenario::Php, ENTRIES, &popping).unwrap());
    assert!(matches!(run(swapping), LaneError::Check(CheckError::Differs { packet: 0, .. })));

    // A router that knows too few labels, in the sample and in the measurement.
    let more = Traffic::new(Scenario::Swap, Share::all(2 * ENTRIES), sizes, 1000, 1);
    let mut narrow = lanes(Scenario::Swap, ENTRIES);
    narrow[0].set_check(Check::new(Scenario::Swap, 2 * ENTRIES, &more).unwrap());
    assert!(matches!(run(narrow), LaneError::Check(CheckError::Lost { .. })));
    let mut narrow = lanes(Scenario::Swap, ENTRIES);
    narrow[0].set_traffic(more);
    assert!(matches!(run(narrow), LaneError::Lost { lost: 1.., .. }));
    assert_eq!(pool.available(), 2047);
}
