//! Ports over virtual devices: packets in = packets out, and no buffer is lost.

use std::fs;
use std::path::PathBuf;

use crate::support::{eal, pool, port, small};
use nix::sched::{CloneFlags, unshare};
use svpn_dpdk::{AttachError, AttachedPort, Burst, Link, Pool, PoolConfig, PortConfig, PortError, PortSpec, TakeQueueError};

/// Fills a burst with frames that are all different.
fn frames<const N: usize>(pool: Pool, first: u32) -> Burst<N> {
    let mut burst = Burst::new();
    for number in (first..).take(N) {
        let mut frame = vec![0x5a; 60 + (number as usize % 1400)];
        frame[..4].copy_from_slice(&number.to_be_bytes());
        burst.push(pool.alloc_with(&frame).unwrap()).unwrap();
    }
    burst
}

#[test]
fn a_ring_returns_what_was_sent_in_order() {
    let eal = eal();
    let pool = pool(eal, "ring");
    let port = port(eal, "net_ring0", &small(), pool);
    let (mut rx, mut tx) = (port.take_rx_queue(0).unwrap(), port.take_tx_queue(0).unwrap());
    for round in 0..1000 {
        let mut out: Burst<32> = frames(pool, round * 32);
        assert_eq!(tx.send(&mut out), 32);
        assert!(out.is_empty());
        let mut back: Burst = Burst::new();
        assert_eq!(rx.recv(&mut back), 32);
        for (number, mbuf) in (round * 32..).zip(&back) {
            assert_eq!(mbuf.data()[..4], number.to_be_bytes());
            assert_eq!(mbuf.len(), 60 + (number as usize % 1400));
            assert_eq!(mbuf.total_len(), mbuf.len());
        }
    }
    assert_eq!(pool.available(), 1023);
}

#[test]
fn a_full_queue_returns_the_rest_in_order() {
    let eal = eal();
    let pool = Pool::new(eal, "full", PoolConfig { mbufs: 2047, ..PoolConfig::default() }).unwrap();
    let port = port(eal, "net_ring0", &small(), pool);
    let (mut rx, mut tx) = (port.take_rx_queue(0).unwrap(), port.take_tx_queue(0).unwrap());
    // net_ring's ring holds less than the pool.
    let mut sent = 0_u32;
    let rest = loop {
        let mut out: Burst<60> = Burst::new();
        pool.alloc_bulk(&mut out, 60).unwrap();
        for (number, mbuf) in (sent..).zip(&mut out) {
            mbuf.set_data(&number.to_be_bytes()).unwrap();
        }
        let taken = tx.send(&mut out);
        assert_eq!(taken + out.len(), 60);
        sent += u32::try_from(taken).unwrap();
        if !out.is_empty() {
            for (number, mbuf) in (sent..).zip(&out) {
                assert_eq!(mbuf.data(), number.to_be_bytes());
            }
            break out;
        }
    };
    let mut received = 0_u32;
    let mut back: Burst<64> = Burst::new();
    while rx.recv(&mut back) > 0 {
        for mbuf in back.drain() {
            assert_eq!(mbuf.data(), received.to_be_bytes());
            received += 1;
        }
    }
    assert_eq!(received, sent);
    drop(rest);
    assert_eq!(pool.available(), 2047);
}

#[test]
fn null_ports_make_and_swallow_packets() {
    let eal = eal();
    let pool = pool(eal, "null");
    let port = port(eal, "net_null0,size=128", &small(), pool);
    let (mut rx, mut tx) = (port.take_rx_queue(0).unwrap(), port.take_tx_queue(0).unwrap());
    let mut burst: Burst<32> = Burst::new();
    for _ in 0..1000 {
        assert_eq!(rx.recv(&mut burst), 32);
        assert!(burst.iter().all(|mbuf| mbuf.len() == 128 && mbuf.port() == port.id()));
        assert_eq!(tx.send(&mut burst), 32);
    }
    let counts = port.statistics().unwrap();
    assert_eq!((counts.rx_packets, counts.tx_packets), (32_000, 32_000));
    assert_eq!(port.link().unwrap(), Link::Up { megabits_per_second: 10_000 });
    drop((rx, tx, port));
    assert_eq!(pool.available(), 1023);
}

/// A new directory for files of one test.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("svpn-dpdk-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_capture_file_returns_the_bytes_sent() {
    let eal = eal();
    let pool = pool(eal, "pcap");
    let directory = directory("pcap");
    let file = directory.join("frames.pcap");
    let writer = port(eal, &format!("net_pcap0,tx_pcap={}", file.display()), &small(), pool);
    let mut tx = writer.take_tx_queue(0).unwrap();
    let mut out: Burst<32> = frames(pool, 1390);
    assert_eq!(tx.send(&mut out), 32);
    drop((tx, writer));

    let reader = port(eal, &format!("net_pcap0,rx_pcap={}", file.display()), &small(), pool);
    let mut rx = reader.take_rx_queue(0).unwrap();
    let mut back: Burst<64> = Burst::new();
    assert_eq!(rx.recv(&mut back), 32);
    let expected: Burst<32> = frames(pool, 1390);
    for (received, sent) in back.iter().zip(&expected) {
        assert_eq!(received.segments().collect::<Vec<_>>().concat(), sent.data());
    }
    drop((rx, reader, back, expected));
    assert_eq!(pool.available(), 1023);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_chained_packet_is_seen_and_replaced_whole() {
    let eal = eal();
    let large = Pool::new(eal, "large", PoolConfig { frame_bytes: 9000, mbufs: 63, cache: 0, socket: None }).unwrap();
    let pool = pool(eal, "chain");
    let directory = directory("chain");
    let file = directory.join("jumbo.pcap");
    let frame: Vec<u8> = (0_u32..7000).map(|number| (number % 251) as u8).collect();
    let writer = port(eal, &format!("net_pcap0,tx_pcap={}", file.display()), &small(), pool);
    let mut out: Burst = Burst::new();
    out.push(large.alloc_with(&frame).unwrap()).unwrap();
    assert_eq!(writer.take_tx_queue(0).unwrap().send(&mut out), 1);
    drop(writer);

    let reader = port(eal, &format!("net_pcap1,rx_pcap={}", file.display()), &small(), pool);
    let mut back: Burst = Burst::new();
    assert_eq!(reader.take_rx_queue(0).unwrap().recv(&mut back), 1);
    let mut mbuf = back.pop().unwrap();
    assert!(mbuf.is_chained());
    assert_eq!(mbuf.total_len(), 7000);
    assert!(mbuf.len() < 7000);
    assert_eq!(mbuf.segments().collect::<Vec<_>>().concat(), frame);
    // The end of the first segment is not the end of the packet.
    assert!(mbuf.append(1).is_none());
    assert!(mbuf.trim_back(1).is_none());
    mbuf.trim_front(100).unwrap();
    mbuf.prepend(50).unwrap().fill(1);
    assert_eq!(mbuf.total_len(), 6950);
    assert_eq!(mbuf.segments().map(<[u8]>::len).sum::<usize>(), 6950);
    mbuf.set_data(&frame[..64]).unwrap();
    assert!(!mbuf.is_chained());
    assert_eq!((mbuf.total_len(), mbuf.data()), (64, &frame[..64]));
    assert_eq!(pool.available(), 1022);
    drop((mbuf, reader));
    assert_eq!((pool.available(), large.available()), (1023, 63));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_queue_is_taken_once() {
    let eal = eal();
    let pool = pool(eal, "queues");
    let port = port(eal, "net_null0", &small(), pool);
    let rx = port.take_rx_queue(0).unwrap();
    assert_eq!(port.take_rx_queue(0).unwrap_err(), TakeQueueError::Taken { queue: 0 });
    drop(rx);
    assert_eq!(port.take_rx_queue(0).unwrap_err(), TakeQueueError::Taken { queue: 0 });
    assert_eq!(port.take_rx_queue(1).unwrap_err(), TakeQueueError::NoSuchQueue { queue: 1, count: 1 });
    port.take_tx_queue(0).unwrap();
    assert_eq!(port.take_tx_queue(0).unwrap_err(), TakeQueueError::Taken { queue: 0 });
    assert_eq!(port.take_tx_queue(9).unwrap_err(), TakeQueueError::NoSuchQueue { queue: 9, count: 1 });
}

#[test]
fn queues_keep_a_dropped_port_running() {
    let eal = eal();
    let pool = pool(eal, "outlive");
    let port = port(eal, "net_ring0", &small(), pool);
    let (mut rx, mut tx) = (port.take_rx_queue(0).unwrap(), port.take_tx_queue(0).unwrap());
    drop(port);
    let spec = PortSpec::parse("net_ring0").unwrap();
    assert!(matches!(AttachedPort::attach(eal, &spec), Err(AttachError::Attached { .. })));
    let moved = std::thread::spawn(move || {
        let mut out: Burst<8> = frames(pool, 0);
        assert_eq!(tx.send(&mut out), 8);
        let mut back: Burst<32> = Burst::new();
        assert_eq!(rx.recv(&mut back), 8);
    });
    moved.join().unwrap();
    assert_eq!(pool.available(), 1023);
}

#[test]
fn a_dropped_port_can_be_attached_again() {
    let eal = eal();
    let pool = pool(eal, "again");
    for _ in 0..3 {
        let attached = AttachedPort::attach(eal, &PortSpec::parse("net_null0").unwrap()).unwrap();
        assert_eq!(attached.name(), "net_null0");
        drop(attached);
        port(eal, "net_null0", &small(), pool).take_rx_queue(0).unwrap();
    }
    assert_eq!(pool.available(), 1023);
}

#[test]
fn a_missing_device_is_named_with_what_there_is() {
    let eal = eal();
    let attach = |text: &str| AttachedPort::attach(eal, &PortSpec::parse(text).unwrap()).unwrap_err();
    match attach("net_af_packet0,iface=nosuchif0") {
        AttachError::NoSuchInterface { device, interface, available } => {
            assert_eq!((device.name(), interface.as_str()), ("net_af_packet0", "nosuchif0"));
            assert!(available.contains(&"lo".to_owned()), "{available:?}");
        }
        other => panic!("{other}"),
    }
    match attach("ffff:ff:1f.7") {
        error @ AttachError::NoSuchPciDevice { .. } => assert!(error.to_string().contains("ffff:ff:1f.7"), "{error}"),
        other => panic!("{other}"),
    }
    for text in ["net_nosuchdriver0", "net_pcap0,rx_pcap=/nonexistent/file.pcap", "net_null0,nosuchkey=1"] {
        match attach(text) {
            AttachError::Refused { device, .. } => assert_eq!(device.to_string(), text),
            other => panic!("{text}: {other}"),
        }
    }
}

#[test]
fn a_configuration_beyond_the_device_is_refused() {
    let eal = eal();
    let pool = pool(eal, "config");
    let start =
        |config: PortConfig| AttachedPort::attach(eal, &PortSpec::parse("net_null0").unwrap()).unwrap().start(&config, pool).map(|_| ());
    assert!(matches!(start(PortConfig { rx_queues: 0, ..small() }), Err(PortError::RxQueues { asked: 0, .. })));
    assert!(matches!(start(PortConfig { rx_queues: 5000, ..small() }), Err(PortError::RxQueues { asked: 5000, .. })));
    assert!(matches!(start(PortConfig { tx_queues: 5000, ..small() }), Err(PortError::TxQueues { asked: 5000, .. })));
    assert!(matches!(start(PortConfig { mtu: Some(20), ..small() }), Err(PortError::Mtu { asked: 20, .. })));
    assert!(matches!(start(PortConfig { mtu: Some(9000), ..small() }), Err(PortError::Buffer { needed: 9022, .. })));
    start(small()).unwrap();
    start(PortConfig { mtu: Some(2000), ..small() }).unwrap();
}

/// Needs the privilege to make a network namespace, in which the interface of `net_tap` does not meet any other.
#[test]
fn every_virtual_driver_used_is_found() {
    unshare(CloneFlags::CLONE_NEWNET).expect("privilege to make a network namespace");
    let eal = eal();
    let pool = pool(eal, "drivers");
    let directory = directory("memif");
    let socket = directory.join("memif.sock");
    for spec in [
        "net_af_packet0,iface=lo".to_owned(),
        "net_ring0".to_owned(),
        "net_null0".to_owned(),
        format!("net_memif0,role=server,socket={},socket-abstract=no", socket.display()),
        "net_tap0,iface=svpntest0".to_owned(),
    ] {
        let port = port(eal, &spec, &small(), pool);
        assert!(spec.starts_with(port.name()));
        port.mac().unwrap();
        assert!(port.mtu().unwrap() >= 1500, "{spec}");
    }
    assert_eq!(pool.available(), 1023);
    fs::remove_dir_all(directory).unwrap();
}
