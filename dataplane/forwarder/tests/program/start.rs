//! Starting, stopping, and help.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::forwarder::{Forwarder, command, prefix, runtime_directory};

#[test]
fn signals_stop_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let forwarder = Forwarder::start(&["1=net_ring0", "2=net_ring1"]);
        let (code, said) = forwarder.end(signal);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.trim_end().ends_with("stopped"), "{said}");
    }
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let forwarder = Forwarder::start(&["1=net_ring0"]);
    // Somebody who connects and says nothing is waited for when it stops in order.
    let silent = TcpStream::connect(&forwarder.address).unwrap();
    // Both signals are there before it runs again.
    forwarder.signal(&["-STOP", "-TERM", "-INT", "-CONT"]);
    let (code, said) = forwarder.ended();
    drop(silent);
    assert!(matches!(code, Some(130 | 143)), "{code:?} {said}");
    assert!(said.contains("stopping at once"), "{said}");
}

#[test]
fn a_hang_up_tells_of_the_ports_and_stops_nothing() {
    let mut forwarder = Forwarder::start(&["1=net_ring0", "5=net_null0"]);
    forwarder.signal(&["-HUP"]);
    forwarder.await_line("SIGHUP");
    assert!(forwarder.await_line("a port port=1").contains("net_ring0"));
    assert!(forwarder.await_line("a port port=5").contains("link=\"up"));
    let (code, said) = forwarder.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
}

/// Waits until a file holds a text.
fn await_text(file: &Path, text: &str) -> String {
    // A minute is an end to a test that fails, not an expectation.
    for _ in 0..6000 {
        let content = fs::read_to_string(file).unwrap_or_default();
        if content.contains(text) {
            return content;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{} never said {text:?}: {:?}", file.display(), fs::read_to_string(file));
}

fn directory() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(prefix());
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn a_hang_up_opens_the_log_file_anew() {
    let (directory, prefix) = (directory(), prefix());
    let (log, old) = (directory.join("log"), directory.join("log.1"));
    let arguments = ["--grpc", "127.0.0.1:0", "--file-prefix", &prefix, "--port", "1=net_ring0", "--log-file", log.to_str().unwrap()];
    let mut child = command(&arguments).spawn().unwrap();
    await_text(&log, "serving P4Runtime");
    fs::rename(&log, &old).unwrap();
    let kill = |signal: &str| assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    kill("-HUP");
    let said = await_text(&log, "a port");
    assert!(said.contains("the log file is opened anew") && !said.contains("serving P4Runtime"), "{said}");
    kill("-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    await_text(&log, "stopped");
    assert!(!fs::read_to_string(&old).unwrap().contains("SIGHUP"));
    fs::remove_dir_all(&directory).unwrap();
    drop(fs::remove_dir_all(runtime_directory(&prefix)));
}

#[test]
fn logs_can_be_objects() {
    let (directory, prefix) = (directory(), prefix());
    let file = directory.join("log");
    let arguments = [
        "--grpc",
        "127.0.0.1:0",
        "--file-prefix",
        &prefix,
        "--port",
        "3=net_ring0",
        "--log-file",
        file.to_str().unwrap(),
        "--log-format",
        "json",
    ];
    let mut child = command(&arguments).spawn().unwrap();
    await_text(&file, "serving P4Runtime");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let script = "import json, sys\nlines = [json.loads(line) for line in open(sys.argv[1])]\n\
                  [port] = [line for line in lines if line['message'] == 'a port is running']\n\
                  assert port['port'] == 3 and port['device'] == 'net_ring0' and port['level'] == 'INFO', port\n\
                  assert any(line['target'] == 'dpdk' for line in lines), lines\n";
    let judged = Command::new("python3").args(["-c", script]).arg(&file).output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    fs::remove_dir_all(&directory).unwrap();
    drop(fs::remove_dir_all(runtime_directory(&prefix)));
}

#[test]
fn help_names_every_option_and_kind_of_device() {
    let output = command(&["--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    let options = [
        "--device-id",
        "--grpc",
        "--port",
        "--mtu",
        "--workers",
        "--processors",
        "--idle",
        "--size",
        "--packets",
        "--seed",
        "--metrics",
        "--file-prefix",
        "--capture",
        "--log",
        "--log-format",
        "--log-file",
        "Examples:",
    ];
    let rest = ["net_af_packet0", "0000:3b:00.0", "net_af_xdp0", "net_memif0", "net_null0", "--no-huge", "SIGHUP", "Exit codes"];
    for word in options.iter().chain(&rest) {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
}
