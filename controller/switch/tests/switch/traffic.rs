//! Counters, packets and notices.

use std::num::NonZeroUsize;

use p4runtime_proto::p4::v1 as proto;
use p4runtime_proto::p4::v1::stream_message_response::Update as Answer;
use svpn_contract::packet::{PacketIn, PacketOut};
use svpn_contract::wire::{PortId, VrfId};
use svpn_contract::{Reason, Update};
use svpn_switch::{Count, Event, PacketOutError, SessionCounters, State, Switch};
use tonic::Code;

use crate::entries::{flow, network, session, session_id, set_up};
use crate::router::{Missing, Router, Trouble};
use crate::{reaches, ready, settings, soon, until};

fn data(packets: i64, bytes: i64) -> proto::CounterData {
    proto::CounterData { packet_count: packets, byte_count: bytes }
}

fn punted(frame: &[u8]) -> PacketIn {
    let (ingress_port, vrf) = (PortId::new(5).unwrap(), VrfId::new(300).unwrap());
    PacketIn { ingress_port, reason: Reason::TtlExpired, vrf, frame: frame.to_vec() }
}

#[tokio::test]
async fn sessions_tell_what_they_carried() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    for id in [1, 2] {
        switch.write(&set_up(id)).await.expect("set up");
    }
    {
        let mut device = router.device();
        device.session_counters = [(1, data(10, 1500)), (2, data(7, 700))].into();
        device.session_discards = [(1, data(3, 300))].into();
    }
    for missing in [Missing::LeftOut, Missing::Detailed, Missing::Fatal] {
        router.device().missing = missing;
        let counters = switch.session_counters(&[1, 3, 2].map(session_id)).await.expect("read");
        assert_eq!(counters.len(), 2, "session 3 is not there");
        let first = counters[&session_id(1)];
        assert_eq!(first.offered, Count { packets: 10, bytes: 1500 });
        assert_eq!(first.discarded, Count { packets: 3, bytes: 300 });
        assert_eq!(first.carried(), Count { packets: 7, bytes: 1200 });
        let second = SessionCounters { offered: Count { packets: 7, bytes: 700 }, discarded: Count::default() };
        assert_eq!(counters[&session_id(2)], second);
    }
}

/// What takes a session down.
fn take_down(id: u32) -> [Update; 2] {
    [Update::Delete(flow(id).key()), Update::Delete(session(id, 1_000_000).key())]
}

/// The cells of sessions, in order.
fn discards<const N: usize>(router: &Router, sessions: [u32; N]) -> [i64; N] {
    let device = router.device();
    sessions.map(|session| device.session_discards.get(&session).map_or(0, |cell| cell.packet_count))
}

#[tokio::test]
async fn next_session_of_a_number_begins_with_no_discards() {
    let mut router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    for id in 1..=5 {
        switch.write(&set_up(id)).await.expect("set up");
    }
    router.device().session_discards = (1..=5).map(|id| (id, data(3, 300))).collect();
    switch.write(&take_down(1)).await.expect("taken down");
    switch.apply(&take_down(2)).await.expect("taken down");
    // A refused write is undone, and what it inserted goes again.
    router.trouble(Trouble::Refuse(vec![(0, Code::ResourceExhausted)]));
    router.device().session_discards.insert(6, data(1, 100));
    switch.write(&[Update::Insert(flow(6)), Update::Insert(session(6, 5))]).await.expect_err("refused");
    assert_eq!(discards(&router, [1, 2, 3, 4, 5, 6]), [0, 0, 3, 3, 3, 0]);
    // So does what nobody wants any more when the router is reachable again.
    router.cut();
    reaches(&switch, State::Disconnected).await;
    switch.apply(&take_down(3)).await.expect_err("it is away");
    router.restore().await;
    until(|| discards(&router, [3]) == [0]).await;
    soon(switch.ready()).await;
    assert_eq!(discards(&router, [4, 5]), [3, 3], "those that are there count on");
    switch.write(&[Update::Modify(session(4, 5))]).await.expect("changed");
    assert_eq!(discards(&router, [4]), [3]);
}

#[tokio::test]
async fn router_that_cannot_clear_a_counter_takes_the_session_down_all_the_same() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network()).await;
    switch.write(&set_up(1)).await.expect("set up");
    router.trouble(Trouble::Refuse(vec![(2, Code::Unimplemented)]));
    switch.write(&take_down(1)).await.expect("taken down");
    assert!(router.has_just(&network()));
}

#[tokio::test]
async fn packets_go_both_ways() {
    let router = Router::new();
    let (switch, mut events) = ready(&router, network()).await;
    router.device().arbitration.tell(&Answer::Packet(punted(b"from below").encode()));
    assert_eq!(soon(events.recv()).await, Some(Event::Packet(punted(b"from below"))));

    let packet = PacketOut { egress_port: PortId::new(300).unwrap(), frame: b"from above".to_vec() };
    switch.packet_out(packet.clone()).expect("it is primary");
    until(|| !router.device().packets_out.is_empty()).await;
    let sent = router.device().packets_out.remove(0);
    assert_eq!(PacketOut::decode(sent).expect("of the contract"), packet);
}

#[tokio::test]
async fn idle_entries_are_told() {
    let router = Router::new();
    let (_switch, mut events) = ready(&router, network()).await;
    let notice = proto::IdleTimeoutNotification { table_entry: vec![flow(1).key().encode()], timestamp: 1 };
    router.device().arbitration.tell(&Answer::IdleTimeoutNotification(notice));
    assert_eq!(soon(events.recv()).await, Some(Event::Idle(vec![flow(1).key()])));
}

#[tokio::test]
async fn what_cannot_be_read_does_not_end_the_stream() {
    let router = Router::new();
    let (switch, mut events) = ready(&router, network()).await;
    {
        let device = router.device();
        device.arbitration.tell(&Answer::Packet(proto::PacketIn { payload: b"no metadata".to_vec(), metadata: Vec::new() }));
        device.arbitration.tell(&Answer::Error(proto::StreamError { canonical_code: 3, ..Default::default() }));
        device.arbitration.tell(&Answer::Packet(punted(b"next").encode()));
    }
    assert_eq!(soon(events.recv()).await, Some(Event::Packet(punted(b"next"))));
    assert_eq!(switch.state(), State::Ready);
}

/// A gateway that does not take its packets still hears who is primary, and takes the first of them later.
#[tokio::test]
async fn packets_that_nobody_takes_are_shed() {
    let router = Router::new();
    let mut settings = settings(&router, 1);
    settings.events = NonZeroUsize::new(4).unwrap();
    let (switch, mut events) = Switch::start(settings, network());
    soon(switch.ready()).await;
    for number in 0..100 {
        router.device().arbitration.tell(&Answer::Packet(punted(&[number]).encode()));
    }
    let (rival, _events) = Switch::start(crate::settings(&router, 2), network());
    reaches(&switch, State::Backup { primary: Some(crate::settings(&router, 2).election) }).await;
    drop((switch, rival));
    let mut taken = Vec::new();
    while let Some(event) = soon(events.recv()).await {
        taken.push(event);
    }
    assert_eq!(taken, [0, 1, 2, 3].map(|number| Event::Packet(punted(&[number]))));
}

#[tokio::test]
async fn only_the_primary_sends_packets() {
    let router = Router::new();
    let (_primary, _events) = Switch::start(settings(&router, 2), network());
    let (backup, _events) = Switch::start(settings(&router, 1), network());
    let state = State::Backup { primary: Some(settings(&router, 2).election) };
    reaches(&backup, state).await;
    let packet = PacketOut { egress_port: PortId::new(1).unwrap(), frame: Vec::new() };
    assert_eq!(backup.packet_out(packet), Err(PacketOutError::NotPrimary(state)));
}

#[tokio::test]
async fn counters_are_read_in_parts() {
    let router = Router::new();
    let (switch, _events) = ready(&router, network().into_iter().chain((0..1500).map(|id| session(id, 1))).collect()).await;
    let sessions: Vec<_> = (0..1500).map(session_id).collect();
    assert_eq!(switch.session_counters(&sessions).await.expect("read").len(), 1500);
}
