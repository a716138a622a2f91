//! SIP over WebSocket (RFC 7118): clients that nobody can connect to.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::edge::Certificates;
use crate::support::web_client::{WebClient, connect_from, header, upgrade};
use crate::support::{Bench, address, backup, config, finish, storage};
use futures_util::SinkExt;
use svpn_sip::config::{Carrier, Limits, ListenAddress, SipConfig, TlsFiles};
use svpn_vpn::request::Cause;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

const LONG: Duration = Duration::from_secs(40);
const STORAGE: [&str; 2] = ["storage", "a-east"];
const BACKUP: [&str; 2] = ["backup", "a-west"];
const ARCHIVE: [&str; 2] = ["archive", "a-west"];

/// A request that needs no credentials.
const OPTIONS: &str = "OPTIONS sip:provider.example SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bKo\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: o\r\n\
                       CSeq: 1 OPTIONS\r\n\r\n";

/// A server over UDP and WebSocket, and where the latter is.
async fn bench() -> (Bench, SocketAddr) {
    limited(Limits::default()).await
}

async fn limited(limits: Limits) -> (Bench, SocketAddr) {
    let listen = [Carrier::Udp, Carrier::Ws].map(|carrier| ListenAddress { carrier, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) });
    let bench = Bench::configured(SipConfig { listen: listen.to_vec(), limits, ..config(Carrier::Udp, LONG) }).await;
    let server = bench.server.addresses()[1].address;
    (bench, server)
}

#[tokio::test]
async fn a_web_socket_calls_a_callee_over_udp_and_hangs_up() {
    let (bench, server) = bench().await;
    let backup = backup();
    bench.register(backup).await;
    let mut storage = WebClient::registered(server, STORAGE, "df7jal23ls0d.invalid").await;
    let answering = bench.sipp("answer", backup, &[]);
    let call = storage.call("backup").await;
    assert!(call.target.ends_with(&format!("@{server};transport=ws")), "{}", call.target);
    storage.bye(&call).await;
    finish("answer", answering).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn a_web_socket_calls_a_callee_over_udp_that_hangs_up() {
    let (bench, server) = bench().await;
    let backup = backup();
    bench.register(backup).await;
    let mut storage = WebClient::registered(server, STORAGE, "df7jal23ls0d.invalid").await;
    let answering = bench.sipp("answer_and_hang_up", backup, &[]);
    storage.call("backup").await;
    storage.hung_up_on().await;
    finish("answer_and_hang_up", answering).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Callee]);
}

#[tokio::test]
async fn a_web_socket_is_called_over_udp_and_either_hangs_up() {
    for (scenario, cause) in [("call", Cause::Caller), ("call_hung_up", Cause::Callee)] {
        let (bench, server) = bench().await;
        let storage = storage();
        bench.register(storage).await;
        let mut backup = WebClient::registered(server, BACKUP, "df7jal23ls0d.invalid").await;
        let calling = bench.sipp(scenario, storage, &[]);
        let call = backup.answer().await;
        match cause {
            Cause::Caller => backup.hung_up_on().await,
            _ => backup.bye(&call).await,
        }
        finish(scenario, calling).await;
        assert_eq!(bench.gateway.settled().await, [cause]);
    }
}

#[tokio::test]
async fn who_registers_the_contact_of_another_gets_none_of_its_calls() {
    let (bench, server) = bench().await;
    let mut storage = WebClient::registered(server, STORAGE, "caller.invalid").await;
    let mut backup = WebClient::registered(server, BACKUP, "same.invalid").await;
    let mut archive = WebClient::registered(server, ARCHIVE, "same.invalid").await;
    for (name, callee) in [("backup", &mut backup), ("archive", &mut archive)] {
        let (call, _) = tokio::join!(storage.call(name), callee.answer());
        let ((), ()) = tokio::join!(storage.bye(&call), callee.hung_up_on());
    }
    assert_eq!(bench.gateway.settled().await, [Cause::Caller, Cause::Caller]);
}

#[tokio::test]
async fn who_is_connected_no_more_is_480_until_it_registers_again() {
    let (bench, server) = bench().await;
    let mut storage = WebClient::registered(server, STORAGE, "caller.invalid").await;
    let mut backup = WebClient::registered(server, BACKUP, "callee.invalid").await;
    backup.socket.close(None).await.unwrap();
    // It is closed here when the gateway has closed it too.
    while backup.hear().await.is_some() {}
    let answer = storage.invite("backup").await;
    assert!(answer.starts_with("SIP/2.0 480 ") && answer.contains("could not be reached"), "{answer}");
    let mut connected = WebClient::connect(server, BACKUP, "callee.invalid").await;
    let answer = storage.invite("backup").await;
    assert!(answer.starts_with("SIP/2.0 480 "), "who has connected has not registered: {answer}");
    connected.register().await;
    let (call, _) = tokio::join!(storage.call("backup"), connected.answer());
    let ((), ()) = tokio::join!(storage.bye(&call), connected.hung_up_on());
    assert_eq!(bench.gateway.settled().await, [Cause::Signalling, Cause::Signalling, Cause::Caller]);
}

#[tokio::test]
async fn a_call_outlives_its_connection_and_is_hung_up_by_the_next() {
    let (bench, server) = bench().await;
    let mut storage = WebClient::registered(server, STORAGE, "caller.invalid").await;
    let mut backup = WebClient::registered(server, BACKUP, "callee.invalid").await;
    let (first, _) = tokio::join!(storage.call("backup"), backup.answer());
    drop(backup);
    storage.bye(&first).await;
    assert_eq!(bench.gateway.settled().await, [Cause::Caller], "who is gone is not waited for");
    let mut backup = WebClient::registered(server, BACKUP, "callee.invalid").await;
    let (_, second) = tokio::join!(storage.call("backup"), backup.answer());
    drop(storage);
    let mut storage = WebClient::registered(server, STORAGE, "caller.invalid").await;
    let ((), ()) = tokio::join!(backup.bye(&second), storage.hung_up_on());
    assert_eq!(bench.gateway.settled().await, [Cause::Caller, Cause::Callee]);
}

#[tokio::test]
async fn a_call_goes_on_when_the_gateway_is_restarted_and_both_have_connected_again() {
    let listen = ListenAddress { carrier: Carrier::Ws, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) };
    let bench = Bench::configured(SipConfig { listen: vec![listen], ..config(Carrier::Ws, LONG) }).await;
    let server = bench.address();
    let mut storage = WebClient::registered(server, STORAGE, "caller.invalid").await;
    let mut backup = WebClient::registered(server, BACKUP, "callee.invalid").await;
    let (call, _) = tokio::join!(storage.call("backup"), backup.answer());
    bench.gateway.established().await;
    let bench = bench.restart().await;
    let server = bench.address();
    let mut storage = WebClient::registered(server, STORAGE, "caller.invalid").await;
    let mut backup = WebClient::registered(server, BACKUP, "callee.invalid").await;
    let ((), ()) = tokio::join!(storage.bye(&call), backup.hung_up_on());
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}

#[tokio::test]
async fn without_the_subprotocol_there_is_no_web_socket() {
    let (_bench, server) = bench().await;
    for subprotocols in [None, Some("chat, sips")] {
        let stream = TcpStream::connect(server).await.unwrap();
        let Err(Error::Http(response)) = upgrade(stream, subprotocols).await else { panic!("{subprotocols:?} was accepted") };
        assert_eq!(response.status(), 400);
        let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
        assert!(response.headers().contains_key("Sec-WebSocket-Protocol") && body.is_empty() || body.contains("offer sip"), "{body}");
    }
    for (request, status) in [("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "426"), (OPTIONS, "400")] {
        let mut stream = TcpStream::connect(server).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
    assert!(upgrade(TcpStream::connect(server).await.unwrap(), Some("chat, sip")).await.is_ok());
}

#[tokio::test]
async fn messages_come_in_fragments_or_binary_and_what_is_malformed_is_answered() {
    let (_bench, server) = bench().await;
    let mut client = WebClient::connect(server, STORAGE, "x.invalid").await;
    let (head, tail) = OPTIONS.split_at(40);
    let fragment = |text: &str, opcode, last| Message::Frame(Frame::message(text.to_owned(), OpCode::Data(opcode), last));
    client.socket.send(fragment(head, Data::Text, false)).await.unwrap();
    client.socket.send(Message::Ping("p".into())).await.unwrap();
    client.socket.send(fragment(tail, Data::Continue, true)).await.unwrap();
    let answer = client.receive().await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let via = header(&answer, "Via");
    assert!(via.starts_with("SIP/2.0/WS x.invalid;branch=z9hG4bKo;received=127."), "it is answered where it came from: {via}");
    client.send("garbage").await;
    client.send(&OPTIONS.replace("OPTIONS sip", "OPTIONS  sip")).await;
    assert!(client.receive().await.starts_with("SIP/2.0 400 "));
    client.send(&OPTIONS.replace("\r\n\r\n", "\r\nContent-Length: 7\r\n\r\n")).await;
    assert!(client.receive().await.starts_with("SIP/2.0 400 "));
    client.send("\r\n\r\n").await;
    assert_eq!(client.receive().await, "\r\n");
    let another = OPTIONS.replace("z9hG4bKo", "z9hG4bKp").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n");
    client.socket.send(Message::binary(another.into_bytes())).await.unwrap();
    assert!(client.receive().await.starts_with("SIP/2.0 200 "));
    client.send(&"x".repeat(100_000)).await;
    let Some(Message::Close(Some(told))) = client.hear().await else { panic!("it is not closed") };
    assert_eq!(told.code, CloseCode::Size);
}

#[tokio::test]
async fn a_flood_is_read_slowly_and_lost_nowhere() {
    let (_bench, server) = limited(Limits { messages_per_source: 20, ..Limits::default() }).await;
    let mut flood = WebClient::connect(server, STORAGE, "x.invalid").await;
    for number in 0..60 {
        flood.send(&OPTIONS.replace("z9hG4bKo", &format!("z9hG4bKo{number}"))).await;
    }
    let mut neighbour = WebClient::connect(server, BACKUP, "y.invalid").await;
    neighbour.send(OPTIONS).await;
    assert!(neighbour.receive().await.starts_with("SIP/2.0 200 "));
    for _ in 0..60 {
        assert!(flood.receive().await.starts_with("SIP/2.0 200 "));
    }
}

/// Opens connections, reads of the last, and says how that went: `0` something came, `1` it was closed, more: nothing came.
const CONNECTIONS: &str =
    r#"exec 2>/dev/null; for _ in $(seq "$3"); do exec {last}<>"/dev/tcp/$1/$2"; done; read -r -t 2 -n 1 -u "$last"; echo $?; read -r _"#;

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let (_bench, server) = bench().await;
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    for (connections, refused) in [("512", false), ("520", true)] {
        // A process of its own has file descriptors of its own.
        let mut bash = Command::new("bash");
        bash.args(["-c", CONNECTIONS, "bash", &ip, &port, connections]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut bash = bash.spawn().expect("bash is installed");
        let said = BufReader::new(bash.stdout.take().unwrap()).lines().next_line().await.unwrap();
        assert_eq!(said.as_deref() == Some("1"), refused, "{connections}: {said:?}");
        assert!(upgrade(connect_from(address(), server).await, Some("sip")).await.is_ok(), "another address has its own");
        bash.kill().await.unwrap();
    }
}

#[tokio::test]
async fn half_a_handshake_and_half_a_message_are_not_waited_for() {
    let (_bench, server) = bench().await;
    let mut handshake = TcpStream::connect(server).await.unwrap();
    handshake.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut message = WebClient::connect(server, STORAGE, "x.invalid").await;
    message.send(OPTIONS).await;
    message.receive().await;
    message.socket.get_mut().write_all(&[0x81, 0xff]).await.unwrap();
    let mut rest = Vec::new();
    let (read, heard) = tokio::join!(handshake.read_to_end(&mut rest), message.hear());
    assert!(read.is_ok() && rest.is_empty(), "{rest:?}");
    assert!(matches!(heard, Some(Message::Close(_))), "{heard:?}");
}

/// How a client connects over TLS, with a certificate or without.
fn connector(certificates: &Certificates, own: bool) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.path("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = if own {
        let certificate = CertificateDer::from_pem_file(certificates.path("agent.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(certificates.path("agent.key")).unwrap();
        builder.with_client_auth_cert(vec![certificate], key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn over_tls_a_client_shows_its_certificate_and_calls_and_is_called() {
    let certificates = Certificates::issue("web");
    let files = TlsFiles { client_ca: Some(certificates.path("ca.pem")), ..certificates.files() };
    let bench = Bench::configured(SipConfig { tls: Some(files), ..config(Carrier::Wss, LONG) }).await;
    let server = bench.address();
    let connect = async |own| {
        let name = ServerName::IpAddress(server.ip().into());
        let stream = connector(&certificates, own).connect(name, connect_from(address(), server).await).await.map_err(Error::Io)?;
        upgrade(stream, Some("sip")).await
    };
    assert!(connect(false).await.is_err(), "without a certificate nobody gets in");
    let mut storage = WebClient::over(connect(true).await.unwrap(), STORAGE, "caller.invalid", "WSS");
    let mut backup = WebClient::over(connect(true).await.unwrap(), BACKUP, "callee.invalid", "WSS");
    storage.register().await;
    backup.register().await;
    let (call, _) = tokio::join!(storage.call("backup"), backup.answer());
    assert!(call.target.ends_with(&format!("@{server};transport=ws")), "{}", call.target);
    let ((), ()) = tokio::join!(storage.bye(&call), backup.hung_up_on());
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
}
