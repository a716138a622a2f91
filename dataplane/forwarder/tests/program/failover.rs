//! A member whose port fails leaves its group without a controller, and comes back with the port.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::action_profile_group::member::WatchKind;
use p4runtime_proto::p4::v1::entity::Entity;
use p4runtime_proto::p4::v1::table_action::Type as ActionType;
use p4runtime_proto::p4::v1::update::Type;
use svpn_contract::action_profile::NEXTHOP_SELECTOR;
use svpn_contract::wire::{MacAddr, Mtu, NextHopId, PortId, VlanId, VrfId};
use svpn_contract::{
    AttachmentAction, AttachmentEntry, AttachmentKey, Choice, Entry, EntryKey, NexthopAction, NexthopEntry, NexthopKey, Prefix,
    RouteV4Action, RouteV4Entry, RouteV4Key, StationAction, StationEntry, StationKey,
};

use crate::client::Client;
use crate::forwarder::Forwarder;
use crate::interface::{ip, namespace_with};

/// Flows of a round.
const FLOWS: usize = 64;
/// Rounds that may pass until the router has noticed: far more than it needs, however busy the machine.
const ROUNDS: usize = 100;

/// Sends a round of flows into one interface, and counts what comes out of the others.
struct Traffic {
    child: Child,
    order: ChildStdin,
    counts: BufReader<ChildStdout>,
}

impl Traffic {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/flows.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args([&FLOWS.to_string(), "host1", "host2", "host3"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let order = child.stdin.take().expect("its input is piped");
        let counts = BufReader::new(child.stdout.take().expect("its output is piped"));
        Self { child, order, counts }
    }

    /// Flows that came out of each of the two interfaces.
    fn round(&mut self) -> [usize; 2] {
        writeln!(self.order, "round").expect("it reads its orders");
        let mut line = String::new();
        self.counts.read_line(&mut line).expect("it answers");
        let mut counts = line.split_whitespace().map(|count| count.parse().expect("a count"));
        [counts.next().expect("a first count"), counts.next().expect("a second count")]
    }

    /// Rounds until one is as expected; flows that were lost until then.
    fn until(&mut self, expected: impl Fn([usize; 2]) -> bool) -> usize {
        let mut lost = 0;
        for _ in 0..ROUNDS {
            let counts = self.round();
            if expected(counts) {
                return lost;
            }
            lost += FLOWS - counts.iter().sum::<usize>();
        }
        panic!("{ROUNDS} rounds were not enough; {lost} packets were lost");
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // It has ended, or it does not matter how it ends.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn port(number: u16) -> PortId {
    PortId::new(number).expect("a port has 9 bits")
}

fn vrf() -> VrfId {
    VrfId::new(1).expect("a VRF has 16 bits")
}

fn entries() -> [Entry; 3] {
    let untagged = VlanId::default();
    let attachment = AttachmentKey { port: port(1), vlan: untagged, inner_vlan: untagged };
    let dst = Prefix { value: [10, 2, 0, 0].into(), length: 16 };
    [
        AttachmentEntry { key: attachment, action: AttachmentAction::ToVrf { vrf: vrf() } }.into(),
        StationEntry { key: StationKey { port: port(1), dst_mac: MacAddr([2; 6]) }, action: StationAction::Accept }.into(),
        RouteV4Entry { key: RouteV4Key { vrf: vrf(), dst }, action: RouteV4Action::Local { nexthop: NextHopId::default() } }.into(),
    ]
}

/// A member that leaves by a port of the same number.
fn member(number: u16) -> Entity {
    let action = NexthopAction::Rewrite {
        port: port(number),
        src_mac: MacAddr([2; 6]),
        dst_mac: MacAddr([4; 6]),
        vlan: VlanId::default(),
        inner_vlan: VlanId::default(),
        mtu: Mtu::new(1500).expect("an MTU has 16 bits"),
    };
    let entry = Entry::from(NexthopEntry { key: NexthopKey { nexthop: NextHopId::default() }, action: Choice::only(action) });
    let action = match entry.encode().action.and_then(|action| action.r#type) {
        Some(ActionType::ActionProfileActionSet(mut set)) => set.action_profile_actions.remove(0).action,
        other => panic!("no action set: {other:?}"),
    };
    Entity::ActionProfileMember(proto::ActionProfileMember { action_profile_id: NEXTHOP_SELECTOR, member_id: number.into(), action })
}

fn group() -> Entity {
    let member = |number: u8| proto::action_profile_group::Member {
        member_id: number.into(),
        weight: 1,
        watch_kind: Some(WatchKind::WatchPort(vec![number])),
    };
    let members = vec![member(2), member(3)];
    Entity::ActionProfileGroup(proto::ActionProfileGroup { action_profile_id: NEXTHOP_SELECTOR, group_id: 1, members, max_size: 0 })
}

#[tokio::test]
async fn a_member_is_left_out_while_its_port_is_down() {
    namespace_with(&[("router1", "host1"), ("router2", "host2"), ("router3", "host3")]);
    let forwarder =
        Forwarder::start(&["1=net_af_packet1,iface=router1", "2=net_af_packet2,iface=router2", "3=net_af_packet3,iface=router3"]);
    let mut client = Client::primary(&forwarder).await;
    client.write(Type::Insert, vec![member(2), member(3)]).await;
    client.write(Type::Insert, vec![group()]).await;
    let key = EntryKey::from(NexthopKey { nexthop: NextHopId::default() });
    let action = Some(proto::TableAction { r#type: Some(ActionType::ActionProfileGroupId(1)) });
    let nexthop = Entity::TableEntry(proto::TableEntry { action, ..key.encode() });
    let entities = entries().iter().map(|entry| Entity::TableEntry(entry.encode())).chain([nexthop]).collect();
    client.write(Type::Insert, entities).await;
    // Nobody controls it from here on.
    drop(client);

    let mut traffic = Traffic::start();
    let both = |counts: [usize; 2]| counts[0] > 0 && counts[1] > 0 && counts[0] + counts[1] == FLOWS;
    traffic.until(both);
    for _ in 0..2 {
        ip("link set host3 down");
        let lost = traffic.until(|counts| counts == [FLOWS, 0]);
        eprintln!("{lost} packets were lost until the router had noticed that the link is down");
        ip("link set host3 up");
        let lost = traffic.until(both);
        eprintln!("{lost} packets were lost until it had noticed that the link is up again");
    }
}
