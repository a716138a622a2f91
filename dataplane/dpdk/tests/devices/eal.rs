//! Starting DPDK, and threads it knows.

use svpn_dpdk::{Eal, EalError, EalOptions, Memory, PciDevices, Placement, Worker, WorkerError, tsc};

#[test]
fn the_eal_starts_once() {
    let eal = crate::support::eal();
    assert!(!eal.has_hugepages());
    assert!(eal.tsc_hz().get() > 1_000_000, "{}", eal.tsc_hz());
    let again = Eal::init(&EalOptions::virtual_devices(128));
    assert!(matches!(again, Err(EalError::NotFirst)), "{again:?}");
}

#[test]
fn the_calling_thread_keeps_its_processors() {
    use nix::sched::sched_getaffinity;
    use nix::unistd::Pid;
    let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
    crate::support::eal();
    assert_eq!(before, sched_getaffinity(Pid::from_raw(0)).unwrap());
}

#[test]
fn a_bad_argument_is_named() {
    let mut options = EalOptions::virtual_devices(64);
    options.arguments.push("--no-such-argument".into());
    match Eal::init(&options) {
        Err(EalError::Argument { arguments }) => assert!(arguments.contains(&"--no-such-argument".into())),
        other => panic!("{other:?}"),
    }
    // DPDK was called, so it cannot be again.
    assert!(matches!(Eal::init(&EalOptions::virtual_devices(64)), Err(EalError::NotFirst)));
}

#[test]
fn an_argument_with_nul_may_be_corrected() {
    let mut options = EalOptions::virtual_devices(64);
    options.arguments.push("a\0b".into());
    assert!(matches!(Eal::init(&options), Err(EalError::Nul(argument)) if argument == "a\0b"));
    options.arguments.clear();
    Eal::init(&options).unwrap();
}

#[test]
fn hugepages_are_used_or_missed_by_name() {
    let options = EalOptions { memory: Memory::Hugepages, pci: PciDevices::Never, arguments: Vec::new() };
    match Eal::init(&options) {
        Ok(eal) => assert!(eal.has_hugepages()),
        Err(EalError::NoHugepages) => {
            // Nothing was started, so the advice can be followed in the same process.
            Eal::init(&EalOptions::virtual_devices(64)).unwrap();
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn workers_have_lcores_of_their_own_and_give_them_back() {
    let eal = crate::support::eal();
    let mut seen = Vec::new();
    for _ in 0..300 {
        let (first, second) = (
            Worker::spawn(eal, "first", Placement::Anywhere, Worker::lcore).unwrap(),
            Worker::spawn(eal, "second", Placement::Anywhere, |worker| (worker.lcore(), tsc())).unwrap(),
        );
        seen.push(first.join().unwrap());
        seen.push(second.join().unwrap().0);
    }
    // More threads than DPDK has lcores, and never one on the main lcore.
    assert!(seen.iter().all(|&lcore| lcore != 0 && lcore < 128), "{seen:?}");
    let panicked = Worker::spawn(eal, "panics", Placement::Anywhere, |_| panic!("on purpose")).unwrap().join();
    assert!(panicked.is_err());
}

#[test]
fn workers_alive_together_differ() {
    let eal = crate::support::eal();
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let first = Worker::spawn(eal, "first", Placement::Processor(0), move |worker| {
        let _ = wait.recv();
        worker.lcore()
    })
    .unwrap();
    let second = Worker::spawn(eal, "second", Placement::Anywhere, Worker::lcore).unwrap().join().unwrap();
    drop(end);
    assert_ne!(first.join().unwrap(), second);
}

#[test]
fn a_worker_needs_an_existing_processor() {
    let eal = crate::support::eal();
    let refused = Worker::spawn(eal, "nowhere", Placement::Processor(1000), |_| ());
    assert!(matches!(refused, Err(WorkerError::Processor { processor: 1000, .. })));
    let refused = Worker::spawn(eal, "nowhere", Placement::Processor(1_000_000), |_| ());
    assert!(matches!(refused, Err(WorkerError::Processor { processor: 1_000_000, .. })));
    let refused = Worker::spawn(eal, "no\0name", Placement::Anywhere, |_| ());
    assert!(matches!(refused, Err(WorkerError::Thread { .. })));
}
