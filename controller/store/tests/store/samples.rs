//! Things to keep.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use svpn_store::{Change, ChargeRecord, CountersRead, Timestamp, Traffic};
use svpn_vpn::durable::{Counted, EndRecord, Fact, LeftRecord, LinkRecord, SessionRecord};
use svpn_vpn::request::{
    Answer, ApplicationId, Bandwidth, BitRate, Cause, CeName, Direction, Match, MediaEnd, Medium, SessionNumber, SessionRequest, Transport,
    TunnelType, VpnName, Window,
};
use svpn_vpn::session::State;

pub(crate) fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second)
}

fn application(name: &str) -> ApplicationId {
    ApplicationId { name: name.into(), vpn: VpnName("vpn-a".into()) }
}

fn request() -> SessionRequest {
    let caller = MediaEnd { address: "10.1.0.10".parse().unwrap(), port: 5000 };
    let bandwidth = Bandwidth::TransportIndependent { rate: BitRate(50_000_000), packets_per_second: Some(5000) };
    SessionRequest {
        caller: application("storage"),
        caller_ce: CeName("a-east".into()),
        callee: application("backup"),
        callee_ce: CeName("a-west".into()),
        media: vec![Medium { transport: Transport::Udp, caller, direction: Direction::Both, bandwidth }],
        class: Some(svpn_vpn::request::Class::new(5).unwrap()),
        priority: None,
        matching: Match::Hosts,
        tunnel: TunnelType::Mpls,
        window: Window { start: None, stop: Some(at(3600)) },
    }
}

/// A session; the number is in it.
pub(crate) fn session(number: u32, state: State) -> Fact {
    let callee = MediaEnd { address: "10.2.0.10".parse().unwrap(), port: 6000 };
    Fact::Session(Box::new(SessionRecord {
        number: SessionNumber(number),
        state,
        request: request(),
        answer: Some(Answer { media: vec![Some(callee)] }),
        contract: "gold".into(),
        class: 5,
        priority: 3,
        start: at(0),
        stop: Some(at(3600)),
        ways: [None, None],
        change: None,
        requested: at(0),
        established: Some(at(2)),
        ended: (state == State::Releasing).then_some(EndRecord { at: at(9), cause: Cause::Caller }),
        periods: Vec::new(),
        border: None,
        left: vec![LeftRecord { way: 0, ce: CeName("a-south".into()), tunnel: 7, label: 17 }],
        counted: [
            Counted { offered_packets: 9, offered_bytes: 900, discarded_packets: 1, discarded_bytes: 100, incomplete: false },
            Counted::UNTOLD,
        ],
    }))
}

pub(crate) fn link(name: &str, failed: bool) -> Fact {
    Fact::Link(LinkRecord { link: name.into(), failed, drained: false, capacity: Some(BitRate(u64::MAX)) })
}

pub(crate) fn dialogs(session: u32, body: &str) -> Change {
    Change::Dialogs { session: SessionNumber(session), body: body.into() }
}

pub(crate) fn charge(session: u32, requested: u64, bytes: u64) -> ChargeRecord {
    ChargeRecord {
        session,
        contract: "gold".into(),
        vpn: "vpn-a".into(),
        caller: "storage@vpn-a".into(),
        caller_ce: "a-east".into(),
        callee: "backup@vpn-a".into(),
        callee_ce: "a-west".into(),
        class: 5,
        start: Timestamp::new(at(requested)),
        established: Some(Timestamp::new(at(requested + 1))),
        end: Timestamp::new(at(requested + 10)),
        cause: "caller".into(),
        from_caller: Some(Traffic::none("pe1".into(), 8000).counted((10, bytes), (1, 100))),
        from_callee: None,
        counters: CountersRead::Final,
        bill: None,
    }
}
