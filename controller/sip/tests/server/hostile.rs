//! Damaged messages of every kind, thrown at a running server.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::Bench;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use svpn_sip::config::Limits;

const METHODS: [&str; 10] = ["INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "UPDATE", "PRACK", "SUBSCRIBE", "REFER"];

/// A request in which every header field that the server reads has something to get wrong.
fn request(method: &str, number: usize, to_tag: &str) -> String {
    format!(
        "{method} sip:backup@vpn-a.provider.example;transport=udp SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{number};rport, SIP/2.0/TCP 10.1.0.1\r\n\
         Max-Forwards: 70\r\nFrom: \"S \\\" T\" <sip:storage@vpn-a.provider.example>;tag=f{number}\r\n\
         To: <sip:backup@vpn-a.provider.example>{to_tag}\r\nCall-ID: c{number}@10.1.0.5\r\nCSeq: 1 {method}\r\n\
         Contact: \"x\" <sip:storage@10.1.0.5:5060;lr>;svpn-ce=a-east;expires=60\r\nExpires: 60\r\n\
         Record-Route: <sip:10.1.0.1;lr>, <sip:10.1.0.2;lr>\r\nRoute: <sip:10.1.0.1;lr>\r\n\
         Authorization: Digest username=\"storage\", realm=\"vpn-a.provider.example\", nonce=\"n\", uri=\"sip:x\", response=\"r\", \
         algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\n\
         Require: \r\nContent-Type: application/sdp\r\nContent-Length: 76\r\n\r\n\
         v=0\r\no=- 1 1 IN IP4 10.1.0.5\r\ns=-\r\nc=IN IP4 10.1.0.5\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\n"
    )
}

/// What is done to a message: at a place, a byte is put in, overwritten or taken out, or the rest is cut off.
fn damage() -> impl Strategy<Value = Vec<(u8, prop::sample::Index, u8)>> {
    let byte = prop_oneof![prop::sample::select(b"\r\n\t \0:;<>\",=@%[]\xff\xc3".to_vec()), any::<u8>()];
    proptest::collection::vec((0u8..8, any::<prop::sample::Index>(), byte), 1..6)
}

fn apply(message: &mut Vec<u8>, damage: Vec<(u8, prop::sample::Index, u8)>) {
    for (kind, place, byte) in damage {
        if message.is_empty() {
            return;
        }
        let at = place.index(message.len());
        match kind {
            0..=2 => message[at] = byte,
            3..=4 => message.insert(at, byte),
            5..=6 => drop(message.remove(at)),
            _ => message.truncate(at),
        }
    }
}

/// Counts what panics in this process, whichever task or thread it is in.
fn count_panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |information| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        previous(information);
    }));
    &PANICS
}

fn throw(server: SocketAddr, messages: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut runner = TestRunner::deterministic();
    let strategy = (0..METHODS.len(), prop::bool::ANY, damage());
    for number in 0..messages {
        let (method, within, damage) = strategy.new_tree(&mut runner).unwrap().current();
        let to_tag = if within { ";tag=t" } else { "" };
        let mut message = request(METHODS[method], number, to_tag).into_bytes();
        apply(&mut message, damage);
        socket.send_to(&message, server).unwrap();
        if number % 100 == 0 {
            assert!(is_alive(server, number), "after {number} messages");
        }
    }
}

fn is_alive(server: SocketAddr, number: usize) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let here = socket.local_addr().unwrap();
    let request = format!(
        "OPTIONS sip:provider.example SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKalive{number}\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>\r\nCall-ID: alive{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), server).unwrap();
    let mut answer = [0; 2048];
    socket.recv(&mut answer).is_ok_and(|length| answer[..length].starts_with(b"SIP/2.0 200 "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_stops_the_server_or_makes_it_panic() {
    let panics = count_panics();
    // All that a flood may be, it may be here.
    let bench = Bench::limited(Limits { messages_per_source: u32::MAX, ..Limits::default() }, Duration::from_secs(30)).await;
    let server = bench.address();
    tokio::task::spawn_blocking(move || throw(server, 20_000)).await.unwrap();
    assert_eq!(panics.load(Ordering::Relaxed), 0);
    assert!(bench.gateway.records().is_empty(), "something was reserved for nobody");
}
