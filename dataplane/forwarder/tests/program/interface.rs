//! Frames over a real interface, in a network namespace of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use p4runtime_proto::p4::v1::stream_message_request::Update as Request;
use p4runtime_proto::p4::v1::stream_message_response::Update as Response;
use svpn_contract::Reason;
use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::{PortId, VrfId};

use crate::client::Client;
use crate::forwarder::Forwarder;

pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}: {status}");
}

/// A namespace with loopback and pairs of interfaces, the first of each for the router. Only this thread is in it, and what it starts.
pub(crate) fn namespace_with(pairs: &[(&str, &str)]) {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test may make network namespaces");
    ip("link set lo up");
    for (router, host) in pairs {
        ip(&format!("link add {router} type veth peer name {host}"));
        // Nothing of the kernel's own is to be counted.
        ip(&format!("link set {router} addrgenmode none"));
        ip(&format!("link set {host} addrgenmode none"));
        ip(&format!("link set {router} up"));
        ip(&format!("link set {host} up"));
    }
}

/// A namespace with loopback and a pair of interfaces: `router0` and `host0`.
pub(crate) fn namespace() {
    namespace_with(&[("router0", "host0")]);
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/frames.py")
}

/// Waits on an interface for a frame; it listens when this returns.
pub(crate) fn listen(interface: &str, frame: &[u8]) -> Child {
    let mut child = Command::new("python3")
        .arg(script())
        .args(["await", interface])
        .arg(hex(frame))
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut ready = [0];
    std::io::Read::read_exact(child.stdout.as_mut().expect("its output is piped"), &mut ready).expect("it says that it listens");
    child
}

pub(crate) fn send(interface: &str, frame: &[u8]) {
    let status = Command::new("python3").arg(script()).args(["send", interface]).arg(hex(frame)).status().expect("python3 runs");
    assert!(status.success());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test]
async fn packet_out_leaves_by_the_port_and_a_punt_comes_in() {
    namespace();
    let forwarder = Forwarder::start(&["3=net_af_packet0,iface=router0"]);
    let mut client = Client::connect(&forwarder).await;

    let port = PortId::new(3).unwrap();
    let out = PacketOut {
        egress_port: port,
        frame: [&[0xff; 6], &[2; 6], &[0x12, 0x34][..], b"from the controller, to whom it may concern"].concat(),
    };
    let mut listener = listen("host0", &out.frame);
    client.say(Request::Packet(out.encode())).await;
    // This thread has to go on sending meanwhile.
    let ended = tokio::task::spawn_blocking(move || listener.wait()).await.unwrap();
    assert!(ended.unwrap().success(), "the frame came out");

    // LLDP is punted whatever is programmed; the kernel's own noise is not.
    let lldp = [&[0x01, 0x80, 0xc2, 0, 0, 0x0e][..], &[6; 6], &[0x88, 0xcc], &[0x5a; 46]].concat();
    send("host0", &lldp);
    let Ok(Response::Packet(packet)) = client.answer().await else { panic!("no packet") };
    let expected = PacketIn { ingress_port: port, reason: Reason::Lldp, vrf: VrfId::default(), frame: lldp };
    assert_eq!(PacketIn::decode(packet), Ok(expected));

    // It stops in order although a controller is connected, and tells it.
    let (code, said) = forwarder.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(client.answer().await.unwrap_err().code(), tonic::Code::Unavailable);
}
