//! Calls between sipp and sipp, by way of the server, on loopback.

use std::net::UdpSocket;
use std::time::Duration;

use crate::support::{Bench, Blanks, backup, finish, storage};
use svpn_sip::config::{Carrier, SipConfig, StartError};
use svpn_sip::server::Server;
use svpn_sip::sessions::Kept;
use svpn_vpn::request::{ApplicationId, Cause, CeName, MediaEnd, VpnName};
use tokio::sync::mpsc::unbounded_channel;

const LONG: Duration = Duration::from_secs(40);

pub(crate) async fn udp() -> Bench {
    Bench::start(Carrier::Udp, LONG).await
}

#[tokio::test]
async fn the_right_password_registers_and_the_wrong_one_does_not() {
    let bench = udp().await;
    bench.register(storage()).await;
    bench.play("wrong_password", storage(), &[]).await;
}

#[tokio::test]
async fn a_registration_must_name_a_ce_of_the_vpn() {
    let bench = udp().await;
    for (parameters, status, warning) in
        [("", "400", "svpn-ce"), (";svpn-ce=nowhere", "400", "nowhere"), (";svpn-ce=b-east", "403", "b-east")]
    {
        let blanks = [("PARAMETERS", parameters), ("STATUS", status), ("WARNING", warning)];
        bench.play("registration_refused", storage(), &blanks).await;
    }
}

async fn a_call_hung_up_by_the_caller(carrier: Carrier) {
    let bench = Bench::start(carrier, LONG).await;
    bench.call("call", "answer", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
    let record = bench.gateway.records().remove(0);
    assert_eq!(record.request.caller.to_string(), "storage@vpn-a");
    assert_eq!(record.request.caller_ce, CeName("a-east".to_owned()));
    assert_eq!(record.request.callee.to_string(), "backup@vpn-a");
    assert_eq!(record.request.callee_ce, CeName("a-west".to_owned()));
    let answer = record.answer.unwrap();
    assert_eq!(answer.media, [Some(MediaEnd { address: [10, 2, 0, 5].into(), port: 5000 })]);
}

#[tokio::test]
async fn a_call_hung_up_by_the_caller_over_udp() {
    a_call_hung_up_by_the_caller(Carrier::Udp).await;
}

#[tokio::test]
async fn a_call_hung_up_by_the_caller_over_tcp() {
    a_call_hung_up_by_the_caller(Carrier::Tcp).await;
}

#[tokio::test]
async fn a_call_hung_up_by_the_callee_over_udp() {
    let bench = udp().await;
    bench.call("call_hung_up", "answer_and_hang_up", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Callee]);
}

#[tokio::test]
async fn a_call_hung_up_by_the_callee_over_tcp() {
    let bench = Bench::start(Carrier::Tcp, LONG).await;
    bench.call("call_hung_up", "answer_and_hang_up", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Callee]);
}

#[tokio::test]
async fn the_vpn_may_be_left_out_of_the_callees_address() {
    let bench = udp().await;
    bench.call("call", "answer", &[("HOST", "provider.example")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_call_cancelled_while_it_rings() {
    let bench = udp().await;
    bench.call("cancel", "ring", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn an_answer_that_crosses_cancel_is_hung_up_on() {
    let bench = udp().await;
    bench.call("cancel", "answer_late", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_callee_that_declines() {
    let bench = udp().await;
    bench.call("refused", "decline", &[("STATUS", "603"), ("WARNING", "backup@vpn-a declined")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Declined]);
}

#[tokio::test]
async fn a_callee_that_does_not_answer_in_time() {
    let bench = Bench::start(Carrier::Udp, Duration::from_millis(300)).await;
    bench.call("refused", "ring", &[("STATUS", "408"), ("WARNING", "did not answer")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::NoAnswer]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_ends_both_legs() {
    let bench = udp().await;
    let blanks = [("ADDRESS", "0.0.0.0"), ("STATUS", "502"), ("WARNING", "0\\.0\\.0\\.0")];
    bench.call("refused", "answer", &blanks).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Refused]);
}

#[tokio::test]
async fn a_session_that_cannot_be_established_ends_both_legs() {
    let bench = udp().await;
    let blanks = [("PRIORITY", "13"), ("STATUS", "503"), ("WARNING", "pe2 does not answer")];
    bench.call("refused", "answer", &blanks).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Refused]);
}

#[tokio::test]
async fn no_bandwidth_is_580_with_the_figures() {
    let bench = udp().await;
    bench.register(backup()).await;
    let warning = "370 .*pe1-p1 .*100000000 .*200000000";
    bench.call_alone("refused", &[("RATE", "200000000"), ("STATUS", "580"), ("WARNING", warning)]).await;
    assert!(bench.gateway.records().is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_said() {
    let bench = udp().await;
    for (callee, host, status, warning) in [
        ("nobody", "vpn-a.provider.example", "404", "nobody"),
        ("backup", "vpn-x.provider.example", "404", "backup"),
        ("backup", "elsewhere.example", "404", "elsewhere.example"),
        ("mail", "vpn-b.provider.example", "403", "another VPN"),
        ("archive", "vpn-a.provider.example", "480", "archive@vpn-a is not registered"),
    ] {
        let blanks = [("CALLEE", callee), ("HOST", host), ("STATUS", status), ("WARNING", warning)];
        bench.call_alone("refused", &blanks).await;
    }
    bench.register(backup()).await;
    for (extra, time, status, warning) in [
        ("Require: 100rel, resource-priority", "0 0", "420", "resource-priority cannot"),
        ("Supported: timer", "9999999999 9999999998", "488", "stops before it starts"),
    ] {
        let blanks = [("EXTRA", extra), ("TIME", time), ("STATUS", status), ("WARNING", warning)];
        bench.call_alone("refused", &blanks).await;
    }
    bench.call_alone("offerless", &[("STATUS", "488"), ("WARNING", "no offer")]).await;
    assert!(bench.gateway.records().is_empty());
}

#[tokio::test]
async fn a_caller_must_be_registered() {
    let bench = udp().await;
    bench.register(backup()).await;
    let blanks = [("STATUS", "403"), ("WARNING", "storage@vpn-a is not registered")];
    bench.play("refused", storage(), &blanks).await;
    assert!(bench.gateway.records().is_empty());
}

#[tokio::test]
async fn a_repeated_invite_is_absorbed() {
    let bench = udp().await;
    bench.call("repeat", "answer", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_caller_that_never_acknowledges_loses_its_session() {
    let bench = udp().await;
    bench.call("silent", "answer", &[]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Signalling]);
}

#[tokio::test]
async fn a_start_in_the_future_is_asked_for() {
    let bench = udp().await;
    bench.call("call", "answer", &[("TIME", "9999999990 9999999999")]).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
    let window = bench.gateway.records()[0].request.window;
    assert_eq!(window.stop.unwrap().duration_since(window.start.unwrap()).unwrap(), Duration::from_secs(9));
}

/// A call of two registered applications until it is established, the caller first.
pub(crate) async fn established(bench: &Bench, calling: &str, answering: &str, blanks: Blanks<'_>) -> [tokio::process::Child; 2] {
    let (caller, callee) = (storage(), backup());
    bench.register(caller).await;
    bench.register(callee).await;
    let answering = bench.sipp(answering, callee, blanks);
    let calling = bench.sipp(calling, caller, blanks);
    bench.gateway.established().await;
    [calling, answering]
}

#[tokio::test]
async fn a_session_that_the_gateway_ends_is_hung_up_on_at_both_ends() {
    for cause in [Cause::WindowEnd, Cause::Network, Cause::Preempted] {
        let bench = udp().await;
        let [calling, answering] = established(&bench, "call_hung_up", "answer", &[]).await;
        bench.hang_up(1, cause);
        assert_eq!(bench.gateway.settled().await, [cause]);
        tokio::join!(finish("answer", answering), finish("call_hung_up", calling));
    }
}

#[tokio::test]
async fn a_session_goes_on_when_the_gateway_is_restarted() {
    let bench = udp().await;
    let [calling, answering] = established(&bench, "call_hung_up", "answer", &[]).await;
    // What it does not know it cannot say yet: the caller's ACK comes first.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let bench = bench.restart().await;
    assert_eq!(bench.gateway.records()[0].released, [], "nobody hung up");
    bench.hang_up(1, Cause::WindowEnd);
    assert_eq!(bench.gateway.settled().await, [Cause::WindowEnd]);
    tokio::join!(finish("answer", answering), finish("call_hung_up", calling));
}

#[tokio::test]
async fn who_registered_with_the_gateway_before_need_not_again() {
    let bench = udp().await;
    let (caller, callee) = (storage(), backup());
    bench.register(caller).await;
    bench.register(callee).await;
    assert_eq!(bench.gateway.registrations.lock().unwrap().len(), 2);
    // One that cannot be read is forgotten, and takes none of the others with it.
    let archive = ApplicationId { name: "archive".to_owned(), vpn: VpnName("vpn-a".to_owned()) };
    bench.gateway.registrations.lock().unwrap().insert(archive, Kept("?".to_owned()));
    let bench = bench.restart().await;
    assert_eq!(bench.gateway.registrations.lock().unwrap().len(), 2);
    let answering = bench.sipp("answer", callee, &[]);
    let calling = bench.sipp("call_hung_up", caller, &[]);
    bench.gateway.established().await;
    bench.hang_up(1, Cause::WindowEnd);
    assert_eq!(bench.gateway.settled().await, [Cause::WindowEnd]);
    tokio::join!(finish("answer", answering), finish("call_hung_up", calling));
}

#[tokio::test]
async fn a_call_of_the_gateway_before_is_hung_up_by_its_caller() {
    let bench = udp().await;
    let [calling, answering] = established(&bench, "call_long", "answer", &[]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let bench = bench.restart().await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
    tokio::join!(finish("answer", answering), finish("call_long", calling));
}

#[tokio::test]
async fn a_gateway_that_stops_rejects_what_is_being_set_up() {
    let bench = udp().await;
    let (caller, callee) = (storage(), backup());
    bench.register(caller).await;
    bench.register(callee).await;
    let ringing = bench.sipp("ring", callee, &[]);
    let calling = bench.sipp("refused", caller, &[("STATUS", "503"), ("WARNING", "the gateway is stopping")]);
    bench.gateway.reserved().await;
    bench.server.shutdown().await;
    assert_eq!(bench.gateway.settled().await, [Cause::Shutdown]);
    finish("refused", calling).await;
    drop(ringing);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    for carrier in [Carrier::Udp, Carrier::Tcp] {
        let bench = Bench::start(carrier, LONG).await;
        let taken = bench.server.addresses()[0];
        let config = SipConfig::new("provider.example", vec![taken]);
        match Server::start(config, bench.gateway.clone(), Vec::new(), unbounded_channel().1).await {
            Err(StartError::Bind { address, .. }) => assert_eq!(address, taken),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{taken} was bound twice"),
        }
    }
}

#[tokio::test]
async fn what_is_no_request_of_ours_gets_its_status() {
    let bench = udp().await;
    let server = bench.address();
    let asked = tokio::task::spawn_blocking(move || {
        [
            ("OPTIONS", "CSeq: 1 OPTIONS", "200"),
            ("MESSAGE", "CSeq: 1 MESSAGE", "405"),
            ("FOO", "CSeq: 1 FOO", "501"),
            ("OPTIONS", "CSeq: 1 INVITE", "400"),
            ("OPTIONS", "CSeq: 1 OPTIONS\r\nContent-Length: 99", "400"),
            ("BYE", "CSeq: 1 BYE", "481"),
        ]
        .map(|(method, lines, status)| (ask(server, method, lines), status.to_owned()))
    });
    for (answer, status) in asked.await.unwrap() {
        assert_eq!(answer.split(' ').nth(1), Some(status.as_str()), "{answer}");
        assert!(status == "200" || answer.contains("Warning: "), "{answer}");
    }
}

fn ask(server: std::net::SocketAddr, method: &str, lines: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let here = socket.local_addr().unwrap();
    let request = format!(
        "{method} sip:storage@provider.example SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{}\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>\r\nCall-ID: {}\r\n{lines}\r\n\r\n",
        here.port(),
        here.port()
    );
    socket.send_to(request.as_bytes(), server).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
