//! A gateway's stand-in, and sipp.

mod applications;
pub(crate) mod web_client;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) use self::applications::{Application, address, backup, storage};
use svpn_sip::config::{Carrier, DigestAlgorithm, Limits, ListenAddress, PeerConfig, Peering, SessionTimer, SipConfig};
use svpn_sip::server::Server;
use svpn_sip::sessions::{HangUp, Kept, Resumed, Secret, Sessions};
use svpn_vpn::domain::Proposal;
use svpn_vpn::request::{
    Answer, ApplicationId, Bandwidth, BitRate, Cause, CeName, Class, Label, Mapping, Medium, Refusal, SessionNumber, SessionRequest, Terms,
    VpnName,
};
use tokio::process::{Child, Command};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What became of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) request: SessionRequest,
    pub(crate) answer: Option<Answer>,
    /// What the peer has mapped, where one end is another provider's.
    pub(crate) mapped: Vec<u32>,
    pub(crate) kept: Option<Kept>,
    /// What is proposed and not decided.
    pub(crate) proposed: Option<Proposal>,
    /// The changes confirmed.
    pub(crate) changes: Vec<Proposal>,
    pub(crate) withdrawn: usize,
    pub(crate) released: Vec<Cause>,
}

/// Grants every session up to 100 Mbit/s, and refuses to establish those of priority 13 and to change one to 66.6 Mbit/s.
#[derive(Default)]
pub(crate) struct Gateway {
    records: Mutex<BTreeMap<u32, Record>>,
    /// As they are kept.
    pub(crate) registrations: Mutex<HashMap<ApplicationId, Kept>>,
    /// Who was said to be where, in order.
    pub(crate) moved: Mutex<Vec<(String, String)>>,
    unlimited: AtomicBool,
}

impl Gateway {
    /// Grants everything from now on.
    pub(crate) fn unlimited(&self) {
        self.unlimited.store(true, Ordering::Relaxed);
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().values().cloned().collect()
    }

    /// Waits until nothing is reserved any more; how each session was released, in order.
    pub(crate) async fn settled(&self) -> Vec<Cause> {
        for _ in 0..500 {
            let records = self.records();
            if records.iter().all(|record| !record.released.is_empty()) {
                return records
                    .into_iter()
                    .map(|record| {
                        assert_eq!(record.released.len(), 1, "released more than once: {record:?}");
                        record.released[0]
                    })
                    .collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("a reservation was not released: {:?}", self.records());
    }

    /// Waits until a session is established.
    pub(crate) async fn established(&self) {
        self.until(|records| records.iter().any(|record| record.answer.is_some())).await;
    }

    /// Waits until a session is changed.
    pub(crate) async fn changed(&self) {
        self.until(|records| records.iter().any(|record| !record.changes.is_empty())).await;
    }

    /// Waits until a session is reserved.
    pub(crate) async fn reserved(&self) {
        self.until(|records| !records.is_empty()).await;
    }

    async fn until(&self, done: impl Fn(&[Record]) -> bool) {
        for _ in 0..500 {
            if done(&self.records()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not come: {:?}", self.records());
    }

    fn terms(session: u32, request: &SessionRequest) -> Terms {
        Terms {
            session: SessionNumber(session),
            class: request.class.unwrap_or(Class::new(5).unwrap()),
            policed: rate(&request.media),
            tunnels: vec![11, 12],
            labels: vec![1001, 1002],
            cost: Some("0.25 EUR/h".to_owned()),
            mapping: crosses(request).then(|| Mapping { nni: CeName(NNI.to_owned()), label: Label::new(1000 + session).unwrap() }),
        }
    }
}

/// The link to another provider.
pub(crate) const NNI: &str = "here-abroad";

fn crosses(request: &SessionRequest) -> bool {
    [&request.caller_ce, &request.callee_ce].into_iter().any(|ce| ce.0 == NNI)
}

fn full(asked: BitRate, fits: BitRate) -> Refusal {
    let full = (std::time::SystemTime::UNIX_EPOCH, None);
    Refusal::NoBandwidth { link: "pe1-p1".to_owned(), asked, fits, full, next_start: None }
}

fn rate(media: &[Medium]) -> BitRate {
    match media[0].bandwidth {
        Bandwidth::TransportIndependent { rate, .. } | Bandwidth::ApplicationSpecific { rate, .. } => rate,
    }
}

impl Sessions for Gateway {
    async fn find_application(&self, name: &str, vpn: Option<&VpnName>) -> Result<ApplicationId, Refusal> {
        [("storage", "vpn-a"), ("backup", "vpn-a"), ("archive", "vpn-a"), ("mail", "vpn-b")]
            .into_iter()
            .find(|(known, of)| *known == name && vpn.is_none_or(|vpn| vpn.0 == *of))
            .map(|(name, vpn)| ApplicationId { name: name.to_owned(), vpn: VpnName(vpn.to_owned()) })
            .ok_or_else(|| Refusal::NotFound(format!("application {name}")))
    }

    async fn secret(&self, application: &ApplicationId) -> Option<Secret> {
        Some(Secret(format!("{}-s3cret", application.name)))
    }

    async fn registrations(&self) -> Vec<(ApplicationId, Kept)> {
        self.registrations.lock().unwrap().clone().into_iter().collect()
    }

    async fn keep_registrations(&self, application: &ApplicationId, kept: Option<Kept>) -> Result<(), Refusal> {
        let mut registrations = self.registrations.lock().unwrap();
        match kept {
            Some(kept) => drop(registrations.insert(application.clone(), kept)),
            None => drop(registrations.remove(application)),
        }
        Ok(())
    }

    async fn admit_registration(&self, _: &ApplicationId, ce: &CeName) -> Result<(), Refusal> {
        match ce.0.as_str() {
            "a-east" | "a-west" => Ok(()),
            "b-east" => Err(Refusal::Forbidden("CE b-east is not in vpn-a".to_owned())),
            other => Err(Refusal::NotAcceptable(format!("there is no CE {other}"))),
        }
    }

    fn moved(&self, at: HashMap<ApplicationId, CeName>, _: Duration) {
        self.moved.lock().unwrap().extend(at.into_iter().map(|(application, ce)| (application.name, ce.0)));
    }

    async fn reserve(&self, request: SessionRequest) -> Result<Terms, Refusal> {
        let asked = rate(&request.media);
        if asked > CAPACITY && !self.unlimited.load(Ordering::Relaxed) {
            return Err(full(asked, CAPACITY));
        }
        let mut records = self.records.lock().unwrap();
        let session = u32::try_from(records.len()).unwrap() + 1;
        let terms = Self::terms(session, &request);
        records.insert(
            session,
            Record {
                request,
                answer: None,
                mapped: Vec::new(),
                kept: None,
                proposed: None,
                changes: Vec::new(),
                withdrawn: 0,
                released: Vec::new(),
            },
        );
        Ok(terms)
    }

    async fn map(&self, session: SessionNumber, label: Label) -> Result<(), Refusal> {
        let mut records = self.records.lock().unwrap();
        let record = records.get_mut(&session.0).expect("reserved before a label is mapped");
        assert_eq!(record.released, [], "mapped after release");
        record.mapped.push(label.get());
        Ok(())
    }

    async fn establish(&self, session: SessionNumber, answer: Answer, kept: Kept) -> Result<Terms, Refusal> {
        let mut records = self.records.lock().unwrap();
        let record = records.get_mut(&session.0).expect("reserved before it is established");
        assert_eq!(record.released, [], "established after release");
        assert_eq!(record.mapped.is_empty(), !crosses(&record.request), "established without the peer's label");
        if record.request.priority == Some(13) {
            return Err(Refusal::Unavailable("pe2 does not answer".to_owned()));
        }
        record.answer = Some(answer);
        record.kept = Some(kept);
        Ok(Self::terms(session.0, &record.request))
    }

    async fn propose(&self, session: SessionNumber, proposal: Proposal) -> Result<Terms, Refusal> {
        let mut records = self.records.lock().unwrap();
        let record = records.get_mut(&session.0).expect("reserved before it is changed");
        assert_eq!((&record.released, &record.proposed), (&Vec::new(), &None), "proposed out of turn");
        let asked = rate(&proposal.media);
        if asked > CAPACITY {
            return Err(full(asked, CAPACITY));
        }
        record.proposed = Some(proposal);
        Ok(Self::terms(session.0, &record.request))
    }

    async fn confirm(&self, session: SessionNumber, answer: Answer, kept: Kept) -> Result<Terms, Refusal> {
        let mut records = self.records.lock().unwrap();
        let record = records.get_mut(&session.0).expect("reserved before it is changed");
        assert_eq!(record.released, [], "confirmed after release");
        let proposal = record.proposed.clone().expect("proposed before it is confirmed");
        if rate(&proposal.media) == BitRate(66_600_000) {
            return Err(Refusal::Unavailable("pe2 does not answer".to_owned()));
        }
        record.proposed = None;
        record.answer = Some(answer);
        record.kept = Some(kept);
        record.request.media.clone_from(&proposal.media);
        record.changes.push(proposal);
        Ok(Self::terms(session.0, &record.request))
    }

    async fn withdraw(&self, session: SessionNumber) {
        let mut records = self.records.lock().unwrap();
        let record = records.get_mut(&session.0).expect("reserved before it is changed");
        assert!(record.proposed.take().is_some(), "proposed before it is withdrawn");
        record.withdrawn += 1;
    }

    async fn release(&self, session: SessionNumber, cause: Cause) {
        let mut records = self.records.lock().unwrap();
        records.get_mut(&session.0).expect("reserved before it is released").released.push(cause);
    }
}

/// What the stand-in has for one session.
const CAPACITY: BitRate = BitRate(100_000_000);

/// A server and its stand-in.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) gateway: Arc<Gateway>,
    hang_up: UnboundedSender<HangUp>,
    config: SipConfig,
    process: Process,
}

/// What the server's tasks run in, like a process of its own: with it everything of the server's ends, its sockets too.
struct Process(Option<Runtime>);

impl Drop for Process {
    fn drop(&mut self) {
        // A runtime may wait for its end only where waiting is allowed; here it is not.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What stands in a scenario between `@` and `@`.
pub(crate) type Blanks<'a> = &'a [(&'a str, &'a str)];

/// Where a scenario's blanks are not filled by its test.
const DEFAULTS: Blanks<'static> = &[
    ("CALLEE", "backup"),
    ("HOST", "vpn-a.provider.example"),
    ("RATE", "50000000"),
    ("PRIORITY", "1"),
    ("TIME", "0 0"),
    ("ADDRESS", "10.2.0.5"),
    ("EXTRA", "Supported: timer"),
    ("METHOD", "INVITE"),
    ("NEW", "80000000"),
    ("PAUSE", "100"),
    ("LINES", ""),
    ("LATER", ""),
    ("EARLY", ""),
    ("TOLD", "m=audio"),
    ("OFFERED", "m=audio"),
    ("Q", "1"),
    ("SESSION", "1"),
    ("LONG", "3000"),
    ("ANSWER", "Allow: INVITE, ACK, BYE, CANCEL"),
];

impl Bench {
    pub(crate) async fn start(carrier: Carrier, ring_timeout: Duration) -> Self {
        Self::serve(Arc::default(), config(carrier, ring_timeout), Vec::new()).await
    }

    /// Where sessions are refreshed within seconds.
    pub(crate) async fn start_hasty() -> Self {
        let session_timer = SessionTimer { interval: Duration::from_secs(4), minimum: Duration::from_secs(3) };
        Self::configured(SipConfig { session_timer, ..config(Carrier::Udp, Duration::from_secs(40)) }).await
    }

    /// A server over UDP that takes no more than this.
    pub(crate) async fn limited(limits: Limits, ring_timeout: Duration) -> Self {
        Self::configured(SipConfig { limits, ..config(Carrier::Udp, ring_timeout) }).await
    }

    /// A server of any configuration.
    pub(crate) async fn configured(config: SipConfig) -> Self {
        Self::serve(Arc::default(), config, Vec::new()).await
    }

    /// A provider of this domain, at an address of its own, that has another for its peer.
    pub(crate) async fn beside(domain: &str, own: SocketAddr, peer: (&str, SocketAddr), label_timeout: Duration) -> Self {
        let listen = |address| ListenAddress { carrier: Carrier::Udp, address };
        let peer = PeerConfig {
            domain: peer.0.to_owned(),
            address: listen(peer.1),
            from: Vec::new(),
            nnis: vec![CeName(NNI.to_owned())],
            vpns: vec![(VpnName("vpn-a".to_owned()), VpnName("vpn-a".to_owned()))],
        };
        let peering = Peering { peers: vec![peer], label_timeout };
        Self::configured(SipConfig {
            domain: domain.to_owned(),
            listen: vec![listen(own)],
            peering,
            ..config(Carrier::Udp, Duration::from_secs(40))
        })
        .await
    }

    async fn serve(gateway: Arc<Gateway>, config: SipConfig, resumed: Vec<Resumed>) -> Self {
        let kept = config.clone();
        let (hang_up, told) = unbounded_channel();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sessions = Arc::clone(&gateway);
        let server = runtime.spawn(async move { Server::start(config, sessions, resumed, told).await.unwrap() }).await.unwrap();
        Self { server, gateway, hang_up, config: kept, process: Process(Some(runtime)) }
    }

    /// Stops the server, and starts another at the same address, which goes on with its sessions.
    pub(crate) async fn restart(self) -> Self {
        let listen = self.server.addresses()[0];
        self.server.shutdown().await;
        drop(self.process);
        // The runtime ends behind our back; the address is free when it has.
        for _ in 0..500 {
            if std::net::UdpSocket::bind(listen.address).is_ok() && std::net::TcpListener::bind(listen.address).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let kept = self
            .gateway
            .records()
            .into_iter()
            .zip(1..)
            .filter_map(|(record, session)| Some(Resumed { terms: Gateway::terms(session, &record.request), kept: record.kept? }));
        let config = SipConfig { listen: vec![listen], ..self.config };
        Self::serve(Arc::clone(&self.gateway), config, kept.collect()).await
    }

    /// The gateway ends a session by itself.
    pub(crate) fn hang_up(&self, session: u32, cause: Cause) {
        self.hang_up.send(HangUp { session: SessionNumber(session), cause }).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0].address
    }

    /// sipp, playing `scenario` once as this application.
    pub(crate) fn sipp(&self, scenario: &str, application: Application, blanks: Blanks<'_>) -> Child {
        let mut command = Command::new("sipp");
        let secret = format!("{}-s3cret", application.name);
        command.arg("-sf").arg(written(scenario, application, blanks, self)).arg(self.address().to_string());
        command.args(["-m", "1", "-nostdin", "-timeout", "60s", "-timeout_error"]);
        command.args(["-i", &application.address.to_string(), "-p", &application.port.to_string()]);
        command.args(["-t", if self.config.listen[0].carrier == Carrier::Udp { "u1" } else { "t1" }]);
        command.args(["-au", application.name, "-ap", &secret]);
        command.args(["-key", "name", application.name, "-key", "ce", application.ce]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().expect("sipp is installed (Debian: sip-tester)")
    }

    /// The same, to its end, which must be a good one.
    pub(crate) async fn play(&self, scenario: &str, application: Application, blanks: Blanks<'_>) {
        finish(scenario, self.sipp(scenario, application, blanks)).await;
    }

    pub(crate) async fn register(&self, application: Application) {
        self.play("register", application, &[]).await;
    }

    /// A caller and a callee, both registered, each playing its scenario.
    pub(crate) async fn call(&self, caller: &str, callee: &str, blanks: Blanks<'_>) {
        let (storage, backup) = (storage(), backup());
        self.register(storage).await;
        self.register(backup).await;
        let answering = self.sipp(callee, backup, blanks);
        let calling = self.sipp(caller, storage, blanks);
        tokio::join!(finish(callee, answering), finish(caller, calling));
    }

    /// A registered caller that nobody answers.
    pub(crate) async fn call_alone(&self, caller: &str, blanks: Blanks<'_>) {
        let storage = storage();
        self.register(storage).await;
        self.play(caller, storage, blanks).await;
    }
}

/// A server of the domain provider.example at a port of the loopback address.
pub(crate) fn config(carrier: Carrier, ring_timeout: Duration) -> SipConfig {
    let listen = ListenAddress { carrier, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) };
    // SIPp reads the first challenge only, and knows MD5 only.
    let digest = vec![DigestAlgorithm::Md5, DigestAlgorithm::Sha256];
    SipConfig { ring_timeout, digest, ..SipConfig::new("provider.example", vec![listen]) }
}

/// The scenario with its parts put in and its blanks filled, in a file.
fn written(scenario: &str, application: Application, blanks: Blanks<'_>, bench: &Bench) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sipp");
    let read = |name: String| std::fs::read_to_string(folder.join(name)).unwrap();
    let mut text = read(format!("{scenario}.xml"));
    // A part may have parts.
    while text.contains("@include ") {
        let lines = text.lines().map(|line| match line.strip_prefix("@include ") {
            Some(part) => read(format!("{part}.part")),
            None => line.to_owned(),
        });
        text = lines.collect::<Vec<_>>().join("\n");
    }
    for (name, value) in blanks.iter().chain(DEFAULTS) {
        text = text.replace(&format!("@{name}@"), value);
    }
    // Beside another provider, who calls is told by its full address; and the gateway is not everybody's loopback address.
    text = text.replace("vpn-a.provider.example", &format!("vpn-a.{}", bench.config.domain));
    text = text.replace(r"127\.0\.0\.1", &bench.address().ip().to_string().replace('.', r"\."));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "{scenario}-{}-{}.xml",
        application.address.to_string().replace(':', "_"),
        application.port
    ));
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) async fn finish(scenario: &str, sipp: Child) {
    let Output { status, stdout, stderr } = sipp.wait_with_output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{scenario}: {status}\n{}\n{}", text(&stdout), text(&stderr));
}
