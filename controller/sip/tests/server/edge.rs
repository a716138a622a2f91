//! What strangers meet: TLS, IPv6, floods, connections that say nothing, and answers that are over with one datagram.

use std::net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Bench, backup, config, storage};
use std::io::{Read, Write};
use svpn_sip::config::{Carrier, Limits, ListenAddress, SipConfig, StartError, TlsFiles};
use svpn_sip::server::Server;
use tokio::sync::mpsc::unbounded_channel;

const LONG: Duration = Duration::from_secs(40);

/// A request that needs no credentials, over this transport from here.
fn options(transport: &str, here: SocketAddr) -> String {
    format!(
        "OPTIONS sip:provider.example SIP/2.0\r\nVia: SIP/2.0/{transport} {here};branch=z9hG4bK{0};rport\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>\r\nCall-ID: {0}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        here.port()
    )
}

/// A certificate authority's work, in a folder of the test's own.
pub(crate) struct Certificates(PathBuf);

impl Certificates {
    pub(crate) fn issue(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let certificates = Self(folder);
        certificates.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=authority",
        ]);
        for who in ["gateway", "agent"] {
            let (key, request, certificate) = (format!("{who}.key"), format!("{who}.csr"), format!("{who}.pem"));
            std::fs::write(certificates.path("extensions"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
            certificates.openssl(&[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                &key,
                "-out",
                &request,
                "-subj",
                &format!("/CN={who}"),
            ]);
            certificates.openssl(&[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-extfile",
                "extensions",
                "-out",
                &certificate,
                "-days",
                "2",
            ]);
        }
        certificates
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.0).output().expect("openssl is installed");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.path("gateway.pem"), key: self.path("gateway.key"), client_ca: None, server_ca: None }
    }

    /// What `openssl s_client` reads when it sends this; nothing if the handshake fails.
    fn ask(&self, server: SocketAddr, more: &[&str], message: &str) -> String {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-CAfile", "ca.pem", "-connect", &server.to_string()])
            .args(more)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let mut input = client.stdin.take().unwrap();
        // Who was refused may have closed already.
        let _ = input.write_all(message.as_bytes());
        let mut output = client.stdout.take().unwrap();
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&text).contains("\r\n\r\n") {
            match output.read(&mut chunk) {
                Ok(length) if length > 0 => text.extend_from_slice(&chunk[..length]),
                _ => break,
            }
        }
        let _ = client.kill();
        client.wait().unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_answered_and_a_client_s_certificate_is_asked_for_where_it_is_wanted() {
    let certificates = Certificates::issue("served");
    let here = "127.0.0.1:5099".parse().unwrap();
    for mutual in [None, Some(certificates.path("ca.pem"))] {
        let files = TlsFiles { client_ca: mutual.clone(), ..certificates.files() };
        let bench = Bench::configured(SipConfig { tls: Some(files), ..config(Carrier::Tls, LONG) }).await;
        let server = bench.address();
        let own = ["-cert", "agent.pem", "-key", "agent.key"];
        for (arguments, welcome) in [([].as_slice(), mutual.is_none()), (own.as_slice(), true)] {
            let answer = tokio::task::block_in_place(|| certificates.ask(server, arguments, &options("TLS", here)));
            assert_eq!(answer.starts_with("SIP/2.0 200 "), welcome, "{mutual:?} {arguments:?} {answer}");
        }
        let sips = options("TLS", here).replace("sip:provider.example SIP", "sips:provider.example SIP");
        let answer = tokio::task::block_in_place(|| certificates.ask(server, &own, &sips));
        assert!(answer.starts_with("SIP/2.0 416 ") && answer.contains("sips:"), "{answer}");
    }
}

#[tokio::test]
async fn tls_needs_files_that_can_be_used() {
    let certificates = Certificates::issue("wrong");
    let start = async |tls: Option<TlsFiles>| {
        let config = SipConfig { tls, ..config(Carrier::Tls, LONG) };
        let gateway = std::sync::Arc::new(crate::support::Gateway::default());
        Server::start(config, gateway, Vec::new(), unbounded_channel().1).await.err()
    };
    assert!(matches!(start(None).await, Some(StartError::NoCertificate(_))));
    let missing = TlsFiles { key: certificates.path("nothing.key"), ..certificates.files() };
    assert!(matches!(start(Some(missing)).await, Some(StartError::Tls { file, .. }) if file.ends_with("nothing.key")));
    let another = TlsFiles { key: certificates.path("agent.key"), ..certificates.files() };
    assert!(matches!(start(Some(another)).await, Some(StartError::Tls { .. })));
}

#[tokio::test]
async fn a_call_over_ipv6() {
    let listen = ListenAddress { carrier: Carrier::Udp, address: SocketAddr::from((Ipv6Addr::LOCALHOST, 0)) };
    let bench = Bench::configured(SipConfig { listen: vec![listen], ..config(Carrier::Udp, LONG) }).await;
    let (storage, backup) = (storage().at("::1".parse().unwrap(), 5070), backup().at("::1".parse().unwrap(), 5071));
    bench.register(storage).await;
    bench.register(backup).await;
    let answering = bench.sipp("answer", backup, &[]);
    let calling = bench.sipp("call", storage, &[]);
    tokio::join!(crate::support::finish("answer", answering), crate::support::finish("call", calling));
    assert_eq!(bench.gateway.settled().await.len(), 1);
}

#[tokio::test]
async fn an_answer_goes_where_the_request_came_from_over_ipv6() {
    let listen = ListenAddress { carrier: Carrier::Udp, address: SocketAddr::from((Ipv6Addr::LOCALHOST, 0)) };
    let bench = Bench::configured(SipConfig { listen: vec![listen], ..config(Carrier::Udp, LONG) }).await;
    let server = bench.address();
    let answer = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let here = socket.local_addr().unwrap();
        let elsewhere = options("UDP", "[2001:db8::9]:5060".parse().unwrap());
        (ask(&socket, server, elsewhere.as_bytes()), here)
    });
    let (answer, here) = answer.await.unwrap();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let via = format!("Via: SIP/2.0/UDP [2001:db8::9]:5060;branch=z9hG4bK5060;received=::1;rport={}", here.port());
    assert!(answer.contains(&via), "{answer}");
}

fn ask(socket: &UdpSocket, server: SocketAddr, message: &[u8]) -> String {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.send_to(message, server).unwrap();
    let mut answer = vec![0; 65_535];
    let length = socket.recv(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// A request of somebody who says to be `storage`, with nothing to show for it.
fn unsigned(method: &str, more: &str) -> String {
    format!(
        "{method} sip:backup@vpn-a.provider.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKu\r\nFrom: <sip:storage@vpn-a.provider.example>;tag=1\r\n\
         To: <sip:storage@vpn-a.provider.example>\r\nCall-ID: u\r\nCSeq: 1 {method}\r\nContact: <sip:s@127.0.0.1>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn who_may_be_somebody_else_gets_one_short_answer() {
    let bench = Bench::start(Carrier::Udp, LONG).await;
    let server = bench.address();
    let checked = tokio::task::spawn_blocking(move || {
        let forged = "Proxy-Authorization: Digest username=\"storage\", realm=\"vpn-a.provider.example\", nonce=\"0\", uri=\"x\", response=\"0\", \
                      qop=auth, nc=00000001, cnonce=\"c\"\r\n";
        for (method, more, status) in
            [("INVITE", "", "407"), ("INVITE", forged, "407"), ("REGISTER", "", "401"), ("INVITE", "Max-Forwards: 0\r\n", "483")]
        {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let message = unsigned(method, more);
            let answer = ask(&socket, server, message.as_bytes());
            assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
            assert!(answer.len() <= 3 * message.len() + 200, "{} bytes for {}", answer.len(), message.len());
            assert_eq!(answer.contains("stale=true"), more == forged, "{answer}");
            // A transaction would repeat the refusal of an INVITE after half a second.
            socket.set_read_timeout(Some(Duration::from_millis(1200))).unwrap();
            assert!(socket.recv(&mut [0; 4096]).is_err(), "{method} was answered twice");
        }
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn who_does_not_exist_is_asked_like_anybody() {
    let bench = Bench::start(Carrier::Udp, LONG).await;
    let server = bench.address();
    let answers = tokio::task::spawn_blocking(move || {
        ["storage", "nobody"].map(|name| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let answer = ask(&socket, server, unsigned("REGISTER", "").replace("storage", name).as_bytes());
            answer
                .lines()
                .filter(|line| !line.contains(name) && !line.starts_with("Via") && !line.contains("nonce"))
                .collect::<Vec<_>>()
                .join("\n")
        })
    });
    let [known, unknown] = answers.await.unwrap();
    assert_eq!(known, unknown);
}

#[tokio::test]
async fn a_flood_over_udp_is_dropped_and_leaves_others_alone() {
    let bench = Bench::limited(Limits { messages_per_source: 20, ..Limits::default() }, LONG).await;
    let server = bench.address();
    let counted = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = socket.local_addr().unwrap();
        for number in 0..1000 {
            let message = options("UDP", here).replace("Call-ID: ", &format!("Call-ID: {number}x"));
            socket.send_to(message.as_bytes(), server).unwrap();
        }
        let other = UdpSocket::bind("127.0.0.9:0").unwrap();
        // The flood may fill the socket's queue; then a neighbour has to ask again, like any SIP program.
        other.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let request = options("UDP", other.local_addr().unwrap());
        let mut answer = [0; 4096];
        let neighbour = (0..40).find_map(|_| {
            other.send_to(request.as_bytes(), server).unwrap();
            other.recv(&mut answer).ok()
        });
        let neighbour = String::from_utf8_lossy(&answer[..neighbour.unwrap_or(0)]).into_owned();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let answers = std::iter::from_fn(|| socket.recv(&mut [0; 4096]).ok()).count();
        (answers, neighbour)
    });
    let (answers, neighbour) = counted.await.unwrap();
    assert!(neighbour.starts_with("SIP/2.0 200 "), "{neighbour}");
    assert!((40..500).contains(&answers), "{answers} of 1000 were answered");
}

#[tokio::test]
async fn a_full_server_turns_new_requests_away() {
    let bench = Bench::limited(Limits { transactions: 0, ..Limits::default() }, LONG).await;
    let server = bench.address();
    let answers = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let new = ask(&socket, server, unsigned("INVITE", "").as_bytes());
        let within =
            unsigned("BYE", "").replace("To: <sip:storage@vpn-a.provider.example>", "To: <sip:storage@vpn-a.provider.example>;tag=9");
        (new, ask(&socket, server, within.as_bytes()))
    });
    let (new, within) = answers.await.unwrap();
    assert!(new.starts_with("SIP/2.0 503 ") && new.contains("Retry-After: "), "{new}");
    assert!(within.starts_with("SIP/2.0 481 "), "what may belong to a call is looked at: {within}");
}

#[tokio::test]
async fn over_tcp_what_is_malformed_is_answered_and_what_follows_is_read() {
    let bench = Bench::start(Carrier::Tcp, LONG).await;
    let server = bench.address();
    let read = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let here = stream.local_addr().unwrap();
        let sound = options("TCP", here);
        let malformed = sound.replace("OPTIONS sip", "OPTIONS  sip");
        stream.write_all(format!("\r\n\r\n{malformed}{sound}").as_bytes()).unwrap();
        // In two parts, and then one that nobody can tell the end of.
        stream.write_all(&sound.as_bytes()[..50]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(&sound.as_bytes()[50..]).unwrap();
        stream.write_all(sound.replace("Content-Length: 0", "Content-Length: -1").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let text = read.await.unwrap();
    assert!(text.starts_with("\r\nSIP/2.0 400 "), "{text}");
    let mut statuses: Vec<&str> =
        text.split("SIP/2.0 ").skip(1).filter_map(|rest| rest.get(..3)).filter(|word| word.parse::<u16>().is_ok()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["200", "200", "400", "400"], "{text}");
}
