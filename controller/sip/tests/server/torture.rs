//! The torture messages of RFC 4475 and RFC 5118, sent as they are to a running server over UDP, and what it answers. The verdicts are in
//! `tests/torture/verdicts.txt`.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Bench, config};
use svpn_sip::config::{Carrier, SipConfig};

/// One line of the verdicts.
struct Verdict {
    file: String,
    /// `None`: no answer.
    status: Option<u16>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture")
}

fn verdicts() -> Vec<Verdict> {
    let text = std::fs::read_to_string(folder().join("verdicts.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (file, kind, status) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let status: Option<u16> = status.parse().ok();
            let fits = match kind {
                "accept" => status.is_some_and(|status| ![400, 416, 501, 505].contains(&status)),
                "refuse" => status.is_some_and(|status| status >= 400),
                "drop" => status.is_none(),
                _ => false,
            };
            assert!(fits, "{line}");
            Verdict { file: file.to_owned(), status }
        })
        .collect()
}

#[test]
fn every_message_has_its_verdict() {
    let mut files = BTreeSet::new();
    for (set, count) in [("rfc4475", 49), ("rfc5118", 12)] {
        let found: Vec<_> = std::fs::read_dir(folder().join(set)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(found.len(), count, "{set}");
        files.extend(found.into_iter().map(|file| format!("{set}/{}", file.to_str().unwrap())));
    }
    assert_eq!(verdicts().into_iter().map(|verdict| verdict.file).collect::<BTreeSet<_>>(), files);
}

/// Sends the message, and after it an OPTIONS whose answer says that there is nothing more to wait for. The first final answer before that.
fn ask(server: SocketAddr, message: &[u8], number: usize) -> Option<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.send_to(message, server).unwrap();
    let mut answer = vec![0; 65_535];
    let mut answered = None;
    // Requests are served beside each other: what comes last may be answered first, but not twice.
    for attempt in 0..2 {
        let marker = format!("marker{number}-{attempt}");
        let options = format!(
            "OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{marker}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: {marker}\r\nCSeq: 1 OPTIONS\r\n\r\n"
        );
        std::thread::sleep(Duration::from_millis(30));
        socket.send_to(options.as_bytes(), server).unwrap();
        loop {
            let length = socket.recv(&mut answer).unwrap();
            let text = String::from_utf8_lossy(&answer[..length]).into_owned();
            if text.contains(&marker) {
                break;
            }
            if !text.starts_with("SIP/2.0 1") && !text.contains("marker") {
                answered.get_or_insert(text);
            }
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_messages_get_what_the_rfcs_prescribe() {
    let config = SipConfig { domain: "example.com".to_owned(), ..config(Carrier::Udp, Duration::from_secs(40)) };
    let bench = Bench::configured(config).await;
    let server = bench.address();
    let failures = tokio::task::spawn_blocking(move || {
        let mut failures = Vec::new();
        for (number, Verdict { file, status }) in verdicts().into_iter().enumerate() {
            let message = std::fs::read(folder().join(&file)).unwrap();
            let answer = ask(server, &message, number);
            let code = answer.as_ref().map(|answer| answer.split(' ').nth(1).unwrap().parse().unwrap());
            if code != status {
                failures.push(format!("{file}: expected {status:?}, got {answer:?}"));
            } else if let Some(answer) = answer {
                failures.extend(sound(&file, &message, &answer));
            }
        }
        failures
    });
    let failures = failures.await.unwrap();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(bench.gateway.records().is_empty(), "something was reserved for nobody");
}

/// An answer has the Call-ID and as many Vias as its request, and says why if it refuses.
fn sound(file: &str, message: &[u8], answer: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let of = |text: &str, name: &str| {
        text.lines().find_map(|line| {
            line.split_once(':').filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        })
    };
    let mut wrong = Vec::new();
    if let Some(call) = of(head, "Call-ID")
        && of(answer, "Call-ID") != Some(call)
    {
        wrong.push(format!("{file}: another Call-ID in {answer}"));
    }
    let vias = head
        .lines()
        .filter(|line| matches!(line.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase()).as_deref(), Some("via" | "v")))
        .count();
    let copied: usize = answer.lines().filter(|line| line.starts_with("Via:")).map(|line| line.matches("SIP").count()).sum();
    if copied < vias {
        wrong.push(format!("{file}: {copied} Vias of {vias} in {answer}"));
    }
    let code = answer.split(' ').nth(1).unwrap_or_default();
    if code >= "300" && of(answer, "Warning").is_none() {
        wrong.push(format!("{file}: no reason in {answer}"));
    }
    wrong
}
