//! Two providers' servers between sipp and sipp, and a server beside a peer whose every message is written by hand.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::support::{Bench, Blanks, NNI, address, backup, finish, storage};
use svpn_vpn::request::Cause;

const LONG: Duration = Duration::from_secs(30);
const HERE: &str = "provider.example";
const ABROAD: &str = "abroad.example";
/// What a caller here dials.
const DIALLED: (&str, &str) = ("HOST", "vpn-a.abroad.example");

fn place() -> SocketAddr {
    (address(), 5060).into()
}

/// Two providers, with the caller registered at one and the callee at the other.
async fn providers() -> [Bench; 2] {
    let [here, abroad] = [place(), place()];
    [Bench::beside(HERE, here, (ABROAD, abroad), LONG).await, Bench::beside(ABROAD, abroad, (HERE, here), LONG).await]
}

async fn call([here, abroad]: &[Bench; 2], caller: &str, callee: &str, blanks: Blanks<'_>) {
    let (storage, backup) = (storage(), backup());
    here.register(storage).await;
    abroad.register(backup).await;
    let answering = abroad.sipp(callee, backup, blanks);
    let blanks: Vec<_> = blanks.iter().copied().chain([DIALLED]).collect();
    let calling = here.sipp(caller, storage, &blanks);
    tokio::join!(finish(callee, answering), finish(caller, calling));
}

async fn released(providers: &[Bench; 2]) -> [Vec<Cause>; 2] {
    [providers[0].gateway.settled().await, providers[1].gateway.settled().await]
}

#[tokio::test]
async fn a_call_crosses_two_providers() {
    let providers = providers().await;
    call(&providers, "call", "answer", &[]).await;
    assert_eq!(released(&providers).await, [[Cause::Caller], [Cause::Caller]]);
    let [here, abroad] = [0, 1].map(|side: usize| providers[side].gateway.records().remove(0));
    let ends = |request: &svpn_vpn::request::SessionRequest| {
        [&request.caller.to_string(), &request.caller_ce.0, &request.callee.to_string(), &request.callee_ce.0].map(String::clone)
    };
    assert_eq!(ends(&here.request), ["storage@vpn-a", "a-east", "backup@vpn-a", NNI]);
    assert_eq!(ends(&abroad.request), ["storage@vpn-a", NNI, "backup@vpn-a", "a-west"]);
    assert_eq!((here.mapped, abroad.mapped), (vec![1001], vec![1001]), "each has the other's label");
    assert_eq!(here.answer, abroad.answer, "the media are the ends' own");
}

#[tokio::test]
async fn either_end_hangs_up_for_both_providers() {
    let providers = providers().await;
    call(&providers, "call_hung_up", "answer_and_hang_up", &[]).await;
    assert_eq!(released(&providers).await, [[Cause::Callee], [Cause::Callee]]);
}

#[tokio::test]
async fn a_call_to_another_provider_is_cancelled_and_declined() {
    let providers = providers().await;
    call(&providers, "cancel", "ring", &[]).await;
    assert_eq!(released(&providers).await, [[Cause::Caller], [Cause::Caller]]);
    let providers = self::providers().await;
    call(&providers, "refused", "decline", &[("STATUS", "603"), ("WARNING", "abroad.example: backup@vpn-a declined")]).await;
    assert_eq!(released(&providers).await, [[Cause::Declined], [Cause::Declined]]);
}

#[tokio::test]
async fn a_session_changes_at_both_providers() {
    let providers = providers().await;
    call(&providers, "change", "agree", &[]).await;
    for provider in &providers {
        let record = provider.gateway.records().remove(0);
        assert_eq!((record.changes.len(), record.released.len()), (1, 1), "{record:?}");
    }
}

#[tokio::test]
async fn what_the_other_provider_says_of_its_network_is_passed_on() {
    let [here, abroad] = providers().await;
    let storage = storage();
    here.register(storage).await;
    let blanks = [DIALLED, ("STATUS", "480"), ("WARNING", "abroad.example: backup@vpn-a is not registered")];
    here.play("refused", storage, &blanks).await;
    let full = "370 .*abroad.example: no bandwidth: link pe1-p1 .*100000000";
    abroad.register(backup()).await;
    here.gateway.unlimited();
    here.play("refused", storage, &[DIALLED, ("RATE", "200000000"), ("STATUS", "580"), ("WARNING", full)]).await;
    here.play("refused", storage, &[("HOST", "vpn-x.abroad.example"), ("STATUS", "404"), ("WARNING", "vpn-x")]).await;
    assert_eq!(here.gateway.settled().await, [Cause::Declined, Cause::Declined]);
    assert!(abroad.gateway.records().is_empty());
}

/// A peer whose messages are written by hand.
struct Peer {
    socket: UdpSocket,
    bench: Bench,
}

impl Peer {
    async fn new(label_timeout: Duration) -> Self {
        let [own, peer] = [place(), place()];
        let socket = UdpSocket::bind(peer).unwrap();
        let bench = Bench::beside(HERE, own, (ABROAD, peer), label_timeout).await;
        Self { socket, bench }
    }

    fn send(&self, method: &str, uri: &str, number: u32, body: (&str, &str)) {
        let local = self.socket.local_addr().unwrap();
        let user = if method == "MESSAGE" { "" } else { "storage@vpn-a." };
        let message = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{method}{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}abroad.example>;tag=f{number}\r\nTo: <{uri}>\r\nCall-ID: {method}{number}@x\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:storage@{local}>\r\nSession-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000\r\n\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n{}",
            body.0,
            body.1.len(),
            body.1
        );
        self.socket.send_to(message.as_bytes(), self.bench.address()).unwrap();
    }

    fn invite(&self) {
        let offer = "v=0\r\no=alice 1 1 IN IP4 10.1.0.5\r\ns=-\r\nc=IN IP4 10.1.0.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nb=TIAS:64000\r\n";
        self.send("INVITE", &format!("sip:backup@vpn-a.provider.example;svpn-nni={NNI}"), 1, ("application/sdp", offer));
    }

    fn map(&self, number: u32, label: u32) {
        let body = format!("{{\"nni\":\"{NNI}\",\"label\":{label}}}");
        self.send("MESSAGE", "sip:provider.example", number, ("application/svpn-label-mapping+json", &body));
    }

    /// Answers the gateway's mapping.
    fn take(&self, message: &str) {
        let header = |name: &str| message.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let lines = ["Via", "From", "To", "Call-ID", "CSeq"].map(header).join("\r\n");
        let answer = format!("SIP/2.0 200 OK\r\n{lines};tag=t\r\nContent-Length: 0\r\n\r\n").replace("MESSAGE;tag=t", "MESSAGE");
        self.socket.send_to(answer.as_bytes(), self.bench.address()).unwrap();
    }

    /// The next message that begins so; others are passed over.
    async fn hear(&self, beginning: &str) -> String {
        hear(&self.socket, beginning).await
    }
}

async fn hear(socket: &UdpSocket, beginning: &str) -> String {
    let (socket, beginning) = (socket.try_clone().unwrap(), beginning.to_owned());
    tokio::task::spawn_blocking(move || {
        socket.set_read_timeout(Some(LONG)).unwrap();
        let mut buffer = [0; 8192];
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{beginning}: {error}"));
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.starts_with(&beginning) {
                return message;
            }
        }
    })
    .await
    .unwrap()
}

fn is_quiet(socket: &UdpSocket) -> bool {
    socket.set_nonblocking(true).unwrap();
    let quiet = socket.recv(&mut [0; 8192]).is_err();
    socket.set_nonblocking(false).unwrap();
    quiet
}

#[tokio::test]
async fn the_callee_rings_when_both_invite_and_label_have_come_in_either_order() {
    for invite_first in [true, false] {
        let peer = Peer::new(LONG).await;
        let backup = backup();
        peer.bench.register(backup).await;
        let callee = UdpSocket::bind((backup.address, 5060)).unwrap();
        if !invite_first {
            peer.map(1, 777);
            peer.hear("SIP/2.0 200").await;
            assert!(peer.bench.gateway.records().is_empty() && is_quiet(&callee), "a label alone reserves nothing and rings nobody");
        }
        peer.invite();
        let mapping = peer.hear("MESSAGE").await;
        assert!(mapping.contains(&format!("{{\"nni\":\"{NNI}\",\"label\":1001}}")), "{mapping}");
        peer.take(&mapping);
        if invite_first {
            peer.bench.gateway.reserved().await;
            assert!(is_quiet(&callee), "an INVITE alone rings nobody");
        }
        // Again, or for the first time, and again.
        for number in 2..4 {
            peer.map(number, 777);
            peer.hear("SIP/2.0 200").await;
        }
        let invite = hear(&callee, "INVITE").await;
        assert!(invite.contains("From: <sip:storage@vpn-a.abroad.example>;tag="), "{invite}");
        // Nothing but the media says where the caller or its gateway is.
        let theirs = peer.socket.local_addr().unwrap().ip().to_string();
        assert!(!invite.contains(&theirs) && !invite.contains("INVITE1@x") && !invite.contains("o=alice"), "{invite}");
        assert_eq!(peer.bench.gateway.records()[0].mapped, [777]);
        peer.send("BYE", "sip:provider.example", 9, ("text/plain", ""));
    }
}

#[tokio::test]
async fn without_the_peers_label_nobody_rings_and_nothing_stays_reserved() {
    let peer = Peer::new(Duration::from_millis(700)).await;
    let backup = backup();
    peer.bench.register(backup).await;
    let callee = UdpSocket::bind((backup.address, 5060)).unwrap();
    peer.invite();
    let mapping = peer.hear("MESSAGE").await;
    peer.take(&mapping);
    let refusal = peer.hear("SIP/2.0 503").await;
    assert!(refusal.contains("has mapped no label to the session in time"), "{refusal}");
    assert_eq!(peer.bench.gateway.settled().await, [Cause::Signalling]);
    assert!(is_quiet(&callee));
    assert!(peer.bench.gateway.records()[0].mapped.is_empty());
}

#[tokio::test]
async fn the_caller_hears_nothing_of_a_callee_whose_gateway_maps_no_label() {
    let peer = Peer::new(Duration::from_millis(1500)).await;
    let storage = storage();
    peer.bench.register(storage).await;
    let blanks = [DIALLED, ("STATUS", "504"), ("WARNING", "abroad.example has mapped no label")];
    let caller = peer.bench.sipp("unheard", storage, &blanks);
    let invite = peer.hear("INVITE").await;
    assert!(invite.starts_with(&format!("INVITE sip:backup@vpn-a.abroad.example;svpn-nni={NNI} ")), "{invite}");
    let ringing = |status: &str| {
        let header = |name: &str| invite.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let [via, from, to, call, cseq] = ["Via", "From", "To", "Call-ID", "CSeq"].map(header);
        let local = peer.socket.local_addr().unwrap();
        format!(
            "SIP/2.0 {status}\r\n{via}\r\n{from}\r\n{to};tag=t\r\n{call}\r\n{cseq}\r\nContact: <sip:x@{local}>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    peer.socket.send_to(ringing("180 Ringing").as_bytes(), peer.bench.address()).unwrap();
    let mapping = peer.hear("MESSAGE").await;
    peer.take(&mapping);
    peer.hear("CANCEL").await;
    peer.socket.send_to(ringing("487 Request Terminated").as_bytes(), peer.bench.address()).unwrap();
    finish("unheard", caller).await;
    assert_eq!(peer.bench.gateway.settled().await, [Cause::Signalling]);
}

#[tokio::test]
async fn whoever_is_no_peer_maps_nothing() {
    let peer = Peer::new(LONG).await;
    let stranger = Peer { socket: UdpSocket::bind(place()).unwrap(), bench: peer.bench };
    stranger.map(1, 777);
    stranger.hear("SIP/2.0 403").await;
    stranger.invite();
    stranger.hear("SIP/2.0 403").await;
    let peer = Peer::new(LONG).await;
    for (number, label) in [(1, 15), (2, 1 << 20)] {
        peer.map(number, label);
        peer.hear("SIP/2.0 400").await;
    }
    peer.map(3, 16);
    peer.hear("SIP/2.0 200").await;
    peer.map(4, 17);
    let refusal = peer.hear("SIP/2.0 488").await;
    assert!(refusal.contains("another label"), "{refusal}");
    assert!(stranger.bench.gateway.records().is_empty());
}
