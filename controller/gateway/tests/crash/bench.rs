//! A gateway as a process of its own, its routers, and two applications.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use svpn_gateway::config::{self, Config};
use svpn_store::{ChargeRecord, Kept};
use svpn_vpn::durable::{Fact, SessionRecord};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::agent::{Agent, CALLEE_PORTS, CALLER, Hearing};
use crate::provider::{Arrival, Provider, ROUTERS};
use crate::{frames, life, until};

/// The seconds between the beginnings of NTP's time and Unix's.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// How a gateway is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    /// It is killed when this point is passed for that time.
    pub(crate) kill: Option<(usize, String)>,
    /// Points count from the beginning, and not from [`Bench::arm`] on.
    pub(crate) armed: bool,
}

/// The process.
pub(crate) struct Gateway {
    child: Child,
    log: Log,
}

/// What a gateway says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

/// Everything around one gateway.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) provider: Provider,
    pub(crate) caller: Arc<Agent>,
    pub(crate) callee: Arc<Agent>,
    _hearing: [Hearing; 2],
    /// Packets that were carried by their first router, which counts them, by the media port of the caller: from it, and to it.
    carried: Mutex<BTreeMap<u16, (u64, u64)>>,
    /// The calls whose caller is at a-south.
    south: Mutex<BTreeSet<u16>>,
    /// By how many seconds the gateway's clock differs from ours; the clock can be set only where this is used from the beginning.
    offset: AtomicI64,
    clock: Clock,
    points: String,
}

/// Whether the gateway's clock can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// It is the system's.
    System,
    /// It is `faketime`'s.
    Settable,
}

impl Bench {
    pub(crate) async fn new(clock: Clock) -> Self {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let number = (std::process::id() % 4096 * 1024 + CASES.fetch_add(1, Ordering::Relaxed) % 1024) * 4;
        let [_, high, middle, low] = number.to_be_bytes();
        let address = |last: u8| Ipv4Addr::new(127, high, middle, low + last);
        let gateway = (address(1), 5070).into();
        let provider = Provider::new();
        let folder = TempDir::new().unwrap();
        let (caller, first) = Agent::new(CALLER, life::EAST, address(2), gateway).await;
        let (callee, second) = Agent::new("backup", ("a-west", "10.2.0.5"), address(3), gateway).await;
        let mut text = include_str!("gateway.toml").replace("@SIP@", &gateway.to_string());
        for (router, name) in ROUTERS.iter().enumerate() {
            text = text.replace(&format!("@{name}@"), &provider.address(router).to_string());
        }
        text = text.replace("@MOVE@", "600");
        fs::create_dir(folder.path().join("records")).unwrap();
        text = text.replace("@RECORDS@", &folder.path().join("records/svpn.db").display().to_string());
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        fs::write(folder.path().join("clock"), "+0").unwrap();
        Self {
            folder,
            provider,
            caller,
            callee,
            _hearing: [first, second],
            carried: Mutex::default(),
            south: Mutex::default(),
            offset: AtomicI64::new(0),
            clock,
            points: crate::points().join("|"),
        }
    }

    /// Who has moved is waited for so many seconds.
    pub(crate) fn set_move_timeout(&self, seconds: u64) {
        let text = fs::read_to_string(self.path("gateway.toml")).unwrap();
        fs::write(self.path("gateway.toml"), text.replace("move_timeout = 600", &format!("move_timeout = {seconds}"))).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        config::load(&self.path("gateway.toml")).unwrap()
    }

    /// Changes the configuration's file.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("gateway.toml")).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in the file");
        fs::write(self.path("gateway.toml"), text.replacen(from, to, 1)).unwrap();
    }

    /// Starts the gateway, without waiting for anything.
    pub(crate) fn launch(&self, start: &Start) -> Gateway {
        let mut command = Command::new(env!("CARGO_BIN_EXE_svpn-gateway"));
        command.args(["run", "--config"]).arg(self.path("gateway.toml"));
        command.env("SVPN_FAILPOINTS", &self.points).env("SVPN_PASSED", self.path("passed"));
        if !start.armed {
            command.env("SVPN_ARMED", self.path("armed"));
        }
        if let Some((number, point)) = &start.kill {
            command.env("SVPN_KILL", format!("{number}@{point}"));
        }
        if self.clock == Clock::Settable {
            command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", self.path("clock"));
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let log = Log::default();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.0.lock().unwrap().push(line);
            }
        });
        Gateway { child, log }
    }

    /// Starts the gateway, and waits until its routers are ready; if it dies first, it is returned dead.
    pub(crate) async fn start(&self, start: &Start) -> Gateway {
        let mut gateway = self.launch(start);
        gateway.says_or_dies("every router is ready").await;
        gateway
    }

    /// From now on points count.
    pub(crate) fn arm(&self) {
        fs::write(self.path("armed"), "").unwrap();
    }

    /// The points that were passed, in order.
    pub(crate) fn passed(&self) -> Vec<String> {
        fs::read_to_string(self.path("passed")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// What was passed so far does not count.
    pub(crate) fn forget_passed(&self) {
        fs::remove_file(self.path("passed")).unwrap();
    }

    /// The gateway's clock is set.
    pub(crate) fn set_clock(&self, seconds: i64) {
        assert_eq!(self.clock, Clock::Settable);
        self.offset.store(seconds, Ordering::Relaxed);
        // Whoever reads it reads the old one or the new one.
        fs::write(self.path("clock.new"), format!("{seconds:+}")).unwrap();
        fs::rename(self.path("clock.new"), self.path("clock")).unwrap();
    }

    /// By how many seconds the gateway's clock was set.
    pub(crate) fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// The time by the gateway's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let offset = self.offset();
        let seconds = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { SystemTime::now() - seconds } else { SystemTime::now() + seconds }
    }

    /// So many seconds from now by the gateway's clock, as `t=` has it.
    pub(crate) fn ntp(&self, seconds: u64) -> u64 {
        self.now().duration_since(UNIX_EPOCH).unwrap().as_secs() + NTP_TO_UNIX + seconds
    }

    fn database(&self) -> String {
        format!("sqlite:{}", self.path("records/svpn.db").display())
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.path("records")
    }

    /// What the journal holds.
    pub(crate) async fn look(&self) -> Kept {
        svpn_store::look(&self.database(), "gateway").await.unwrap()
    }

    /// The sessions in the journal.
    pub(crate) async fn sessions(&self) -> Vec<SessionRecord> {
        let facts = self.look().await.facts;
        let mut sessions: Vec<_> =
            facts.into_iter().filter_map(|fact| if let Fact::Session(record) = fact { Some(*record) } else { None }).collect();
        sessions.sort_by_key(|record| record.number.0);
        sessions
    }

    pub(crate) async fn charges(&self) -> Vec<ChargeRecord> {
        svpn_store::charges(&self.database(), "gateway").await.unwrap()
    }

    fn is_south(&self, port: u16) -> bool {
        self.south.lock().unwrap().contains(&port)
    }

    /// The router at which packets from the caller of a call come in.
    pub(crate) fn begins(&self, port: u16) -> &'static str {
        if self.is_south(port) { "p2" } else { "pe1" }
    }

    /// The caller of a call is where the journal says.
    pub(crate) fn follow(&self, record: &SessionRecord) {
        let port = record.request.media[0].caller.port;
        let mut south = self.south.lock().unwrap();
        if record.request.caller_ce.0 == "a-south" {
            south.insert(port)
        } else {
            south.remove(&port)
        };
    }

    /// A packet of a call from the caller, or to it, and what became of it. What its first router takes is counted.
    pub(crate) fn send(&self, port: u16, from_caller: bool) -> Arrival {
        let (host, at, circuit) = if self.is_south(port) { (life::SOUTH.1, 2, frames::SOUTH) } else { (life::EAST.1, 0, frames::EAST) };
        let (here, yonder) = ((host, port), (self.callee.host(), port + CALLEE_PORTS));
        let (router, frame) =
            if from_caller { (at, frames::udp(circuit, here, yonder)) } else { (3, frames::udp(frames::WEST, yonder, here)) };
        let arrival = self.provider.send(router, &frame);
        if let Arrival::At { router: arrived, .. } = &arrival {
            assert_eq!(*arrived, if from_caller { "pe2" } else { ROUTERS[at] }, "a packet arrives at the wrong end");
        }
        let ingress = ROUTERS[router];
        if !matches!(arrival, Arrival::Dropped { router, .. } if router == ingress) {
            let mut carried = self.carried.lock().unwrap();
            let count = carried.entry(port).or_default();
            if from_caller { count.0 += 1 } else { count.1 += 1 }
        }
        arrival
    }

    /// So many packets each way, all of which must arrive; over which routers the caller's went.
    pub(crate) fn exchange(&self, port: u16, packets: [u64; 2]) -> Vec<&'static str> {
        let mut way = Vec::new();
        for (count, from_caller) in packets.into_iter().zip([true, false]) {
            for _ in 0..count {
                match self.send(port, from_caller) {
                    Arrival::At { over, .. } if from_caller => way = over,
                    Arrival::At { .. } => {}
                    lost => panic!("call {port} does not forward: {lost:?}"),
                }
            }
        }
        way
    }

    /// What of a call was carried so far.
    pub(crate) fn carried(&self, port: u16) -> (u64, u64) {
        self.carried.lock().unwrap().get(&port).copied().unwrap_or_default()
    }
}

impl Log {
    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// How often it said something with these words.
    pub(crate) fn said(&self, words: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }

    /// Waits until it says something.
    pub(crate) async fn says(&self, words: &str) {
        self.says_times(words, 1).await;
    }

    /// Waits until it has said something so often.
    pub(crate) async fn says_times(&self, words: &str, times: usize) {
        until(&format!("the gateway says {words:?} {times} times"), || {
            if self.said(words) >= times { Ok(()) } else { Err(self.lines().join("\n")) }
        })
        .await;
    }
}

impl Gateway {
    /// What it says.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    async fn says_or_dies(&mut self, words: &str) {
        let log = self.log.clone();
        until(&format!("the gateway says {words:?}"), || {
            if log.said(words) > 0 || self.is_dead() { Ok(()) } else { Err(log.lines().join("\n")) }
        })
        .await;
    }

    pub(crate) fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it is dead; whether it ended as a success.
    pub(crate) async fn ends(&mut self) -> bool {
        self.child.wait().await.unwrap().success()
    }

    pub(crate) async fn kill(&mut self) {
        // It may be dead already.
        let _dead = self.child.kill().await;
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> bool {
        self.signal("-TERM").await;
        self.ends().await
    }

    /// Asks it to read its configuration again.
    pub(crate) async fn reload(&self) {
        self.signal("-HUP").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }
}

/// Debian's library that tells programs another time.
fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|path| Path::exists(path)).expect("faketime is installed (Debian: faketime)")
}
