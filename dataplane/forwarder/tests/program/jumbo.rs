//! Packets of 9,000 bytes through the program, in buffers that hold them and in chains of small ones.

use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::wire::{MacAddr, Mtu, NextHopId, PortId, VlanId, VrfId};
use svpn_contract::{
    AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, NexthopAction, NexthopEntry, NexthopKey, Prefix, RouteV4Action,
    RouteV4Entry, RouteV4Key, StationAction, StationEntry, StationKey,
};

use crate::client::Client;
use crate::forwarder::{Forwarder, prefix, program};
use crate::interface::{ip, listen, namespace_with, send};

/// Bytes of the packet, which is as long as the next hop takes.
const PACKET: u16 = 9000;
const ROUTER: [u8; 6] = [2; 6];
const NEIGHBOUR: [u8; 6] = [4; 6];

/// What comes in on port 1 for 10.2.0.0/16 leaves by port 2.
fn entries() -> [Entry; 4] {
    let (vrf, untagged, nexthop) = (VrfId::new(1).unwrap(), VlanId::default(), NextHopId::default());
    let [inside, outside] = [1, 2].map(|number| PortId::new(number).unwrap());
    let attachment = AttachmentKey { port: inside, vlan: untagged, inner_vlan: untagged };
    let dst = Prefix { value: [10, 2, 0, 0].into(), length: 16 };
    let rewrite = NexthopAction::Rewrite {
        port: outside,
        src_mac: MacAddr(ROUTER),
        dst_mac: MacAddr(NEIGHBOUR),
        vlan: untagged,
        inner_vlan: untagged,
        mtu: Mtu::new(PACKET).unwrap(),
    };
    [
        AttachmentEntry { key: attachment, action: AttachmentAction::ToVrf { vrf } }.into(),
        StationEntry { key: StationKey { port: inside, dst_mac: MacAddr(ROUTER) }, action: StationAction::Accept }.into(),
        RouteV4Entry { key: RouteV4Key { vrf, dst }, action: RouteV4Action::Local { nexthop } }.into(),
        NexthopEntry { key: NexthopKey { nexthop }, action: Choice::only(rewrite) }.into(),
    ]
}

/// The packet in a frame: with this TTL, every byte of the payload of another value than its neighbours.
fn frame(destination: [u8; 6], source: [u8; 6], ttl: u8) -> Vec<u8> {
    let [high, low] = PACKET.to_be_bytes();
    let mut header = [0x45, 0, high, low, 0, 1, 0, 0, ttl, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1];
    let sum: u32 = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = u16::try_from(!folded & 0xffff).unwrap();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    let payload = (0..u32::from(PACKET) - 20).map(|place| (place * 7 + (place >> 8)).to_be_bytes()[3]);
    [&destination[..], &source, &[8, 0], &header].concat().into_iter().chain(payload).collect()
}

/// One packet through a router with these ports.
async fn forward(ports: [&str; 2], options: &[&str]) {
    namespace_with(&[("router1", "host1"), ("router2", "host2")]);
    for interface in ["router1", "host1", "router2", "host2"] {
        ip(&format!("link set {interface} mtu 9100"));
    }
    let prefix = prefix();
    let mut command =
        program(&["--grpc", "127.0.0.1:0", "--file-prefix", &prefix, "--mtu", "9000", "--port", ports[0], "--port", ports[1]]);
    command.args(options).args(["--", "--no-huge", "-m", "128", "--no-pci"]);
    let forwarder = Forwarder::run(command, &prefix);
    let mut client = Client::primary(&forwarder).await;
    let entities = entries().iter().map(|entry| Entity::TableEntry(entry.encode())).collect();
    client.write(Type::Insert, entities).await;

    let mut listener = listen("host2", &frame(NEIGHBOUR, ROUTER, 63));
    send("host1", &frame(ROUTER, [6; 6], 64));
    let ended = tokio::task::spawn_blocking(move || listener.wait()).await.unwrap();
    assert!(ended.unwrap().success(), "the packet came out");
}

/// The kernel's rings have to have room for a frame and what the kernel puts before it, and a buffer for as much as a ring.
#[tokio::test]
async fn a_large_packet_in_one_buffer_over_packet_sockets() {
    let ports = [
        "1=net_af_packet1,iface=router1,framesz=9216,blocksz=12288,framecnt=256",
        "2=net_af_packet2,iface=router2,framesz=9216,blocksz=12288,framecnt=256",
    ];
    forward(ports, &["--buffer", "9216"]).await;
}

/// Five buffers hold it, from where it comes in to where it leaves.
#[tokio::test]
async fn a_large_packet_in_a_chain_of_buffers_over_pcap() {
    let ports = ["1=net_pcap1,rx_iface_in=router1,tx_iface=router1", "2=net_pcap2,rx_iface_in=router2,tx_iface=router2"];
    forward(ports, &["--buffer", "2048"]).await;
}
