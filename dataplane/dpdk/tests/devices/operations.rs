//! Telemetry, log and shared memory, as an operator's tools use them.

use std::io;
use std::sync::Mutex;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use std::os::fd::AsRawFd as _;
use svpn_dpdk::{
    Eal, EalError, EalOptions, LogLevel, Memory, NoAnswer, Placement, SharedMemory, TelemetryValue, Worker, WorkerError, dpdk_version,
    log_to,
};

/// Asks by the protocol of `dpdk-telemetry.py`.
fn ask(eal: Eal, question: &str) -> io::Result<String> {
    let wire = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::empty(), None)?;
    connect(wire.as_raw_fd(), &UnixAddr::new(&eal.runtime_directory().join("dpdk_telemetry.v2"))?)?;
    let mut buffer = [0; 16384];
    let greeting = recv(wire.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    assert!(buffer[..greeting].starts_with(b"{"));
    send(wire.as_raw_fd(), question.as_bytes(), MsgFlags::empty())?;
    let length = recv(wire.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn eal(prefix: &str) -> Eal {
    let mut options = EalOptions::virtual_devices(64);
    options.arguments = vec!["--file-prefix".into(), format!("{prefix}-{}", std::process::id())];
    Eal::init(&options).unwrap()
}

#[test]
fn telemetry_gives_numbers_texts_and_groups() {
    let eal = eal("svpn-telemetry");
    let answer = |parameter: Option<&str>| match parameter {
        None => Ok(vec![
            ("number".to_owned(), u64::MAX.into()),
            ("text".to_owned(), "a \"quoted\" one".into()),
            ("numbers".to_owned(), TelemetryValue::Numbers(vec![1, 2])),
            ("group".to_owned(), TelemetryValue::Group(vec![("packets".to_owned(), 5.into())])),
        ]),
        Some("7") => Ok(vec![("seven".to_owned(), "x".repeat(1000).into())]),
        Some("panic") => panic!("on purpose"),
        Some(_) => Err(NoAnswer),
    };
    eal.answer_telemetry("/test/all", "Everything.", answer).unwrap();
    assert_eq!(
        ask(eal, "/test/all").unwrap(),
        r#"{"/test/all":{"number":18446744073709551615,"text":"a \"quoted\" one","numbers":[1,2],"group":{"packets":5}}}"#
    );
    // What is too long is cut.
    assert_eq!(ask(eal, "/test/all,7").unwrap(), format!(r#"{{"/test/all":{{"seven":"{}"}}}}"#, "x".repeat(127)));
    for nonsense in ["/test/all,8", "/test/all,panic"] {
        assert_eq!(ask(eal, nonsense).unwrap(), r#"{"/test/all":null}"#);
    }
    // A later function takes over.
    eal.answer_telemetry("/test/all", "Nothing.", |_| Ok(Vec::new())).unwrap();
    assert_eq!(ask(eal, "/test/all").unwrap(), r#"{"/test/all":{}}"#);
    assert!(eal.answer_telemetry("no-slash", "", |_| Ok(Vec::new())).is_err());
    std::fs::remove_dir_all(eal.runtime_directory()).unwrap();
}

static LINES: Mutex<Vec<(LogLevel, String)>> = Mutex::new(Vec::new());

#[test]
fn the_log_comes_line_by_line_with_levels() {
    log_to(|level, line| LINES.lock().unwrap().push((level, line.to_owned())));
    crate::support::eal();
    let lines = LINES.lock().unwrap();
    assert!(lines.iter().any(|(level, line)| *level == LogLevel::Info && line.starts_with("EAL: Detected CPU lcores")), "{lines:?}");
    assert!(lines.iter().all(|(_, line)| !line.is_empty() && !line.contains('\n')), "{lines:?}");
    assert!(dpdk_version().starts_with("DPDK "));
}

fn shared_by_threads<T: Sync>(_: &T) {}

#[test]
fn shared_memory_has_workers_that_the_eal_made() {
    let shared =
        SharedMemory { prefix: format!("svpn-shared-{}", std::process::id()), workers: vec![Placement::Anywhere, Placement::Processor(0)] };
    let options = EalOptions { memory: Memory::Shared(shared.clone()), ..EalOptions::virtual_devices(0) };
    let eal = match Eal::init(&options) {
        Ok(eal) => eal,
        Err(missing @ (EalError::NoHugepages | EalError::NotMounted)) => {
            eprintln!("SKIPPED shared_memory_has_workers_that_the_eal_made: {missing}");
            return;
        }
        Err(other) => panic!("{other}"),
    };
    eal.offer_capture().unwrap();
    let on_first = Worker::spawn(eal, "first", Placement::Processor(0), |worker| (worker.lcore(), std::thread::current().id())).unwrap();
    let (end, wait) = std::sync::mpsc::channel::<()>();
    // A router holds handles, and several threads a router.
    shared_by_threads(&on_first);
    let anywhere = Worker::spawn(eal, "anywhere", Placement::Anywhere, move |worker| {
        let _ = wait.recv();
        worker.lcore()
    })
    .unwrap();
    assert!(!anywhere.is_finished());
    // There is one for each wish, and it comes back.
    let refused = Worker::spawn(eal, "more", Placement::Anywhere, |_| ());
    assert!(matches!(refused, Err(WorkerError::NoLcore { .. })));
    let (lcore, thread) = on_first.join().unwrap();
    let again = Worker::spawn(eal, "again", Placement::Processor(0), |_| std::thread::current().id()).unwrap();
    assert_eq!((lcore, again.join().unwrap()), (2, thread));
    let panicked = Worker::spawn(eal, "panics", Placement::Processor(0), |_| panic!("on purpose")).unwrap();
    assert!(panicked.join().is_err());
    drop(end);
    assert_eq!(anywhere.join().unwrap(), 1);
    eal.remove_shared_files(&shared);
    std::fs::remove_dir_all(eal.runtime_directory()).unwrap();
}
