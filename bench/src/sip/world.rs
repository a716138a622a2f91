//! What is measured: a gateway and its routers, each a process of its own, as a user starts them; or the SIP server alone.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};

use super::write::{Application, EAST, HOST, PASSWORD, VPN, WEST};
use super::{Arguments, SipError};

/// How long a program may take until it is ready: routers map their memory first.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often its log is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long the last sessions may take to be settled.
const SETTLING: Duration = Duration::from_mins(2);

/// A program under measurement; it ends with this.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

/// Everything that was started for a measurement, in a folder of its own.
#[derive(Debug)]
pub(super) struct World {
    folder: PathBuf,
    config: PathBuf,
    /// The gateway's program, where it is not the SIP server alone.
    program: Option<PathBuf>,
    /// What is measured.
    pub(super) gateway: Process,
    _routers: Vec<Process>,
    /// Where it listens for SIP.
    pub(super) address: SocketAddr,
}

impl Process {
    fn start(name: &'static str, command: &mut Command, folder: &Path) -> Result<Self, SipError> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let child = started.map_err(|source| SipError::Program { program, source })?;
        Ok(Self { child, name, log })
    }

    /// Waits until it has logged something; the line is returned.
    fn until(&mut self, said: &str) -> Result<String, SipError> {
        let since = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log)?;
            if let Some(line) = log.lines().find(|line| line.contains(said)) {
                return Ok(line.to_owned());
            }
            if self.child.try_wait()?.is_some() || since.elapsed() > PATIENCE {
                let end: Vec<&str> = log.lines().rev().take(5).collect();
                return Err(SipError::NotReady { name: self.name, log: end.into_iter().rev().collect::<Vec<_>>().join("\n") });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn of_system(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))
    }

    /// Processor time it has used, in user and kernel mode.
    pub(super) fn processor_time(&self) -> Result<Duration, SipError> {
        let stat = self.of_system("stat")?;
        // The name, in brackets, may contain anything; fields 14 and 15 count from before it (proc(5)).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u32 = fields.get(11..13).unwrap_or_default().iter().filter_map(|field| field.parse::<u32>().ok()).sum();
        let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        #[allow(clippy::cast_precision_loss, reason = "a hundred")]
        Ok(Duration::from_secs_f64(f64::from(ticks) / a_second as f64))
    }

    /// Bytes of memory it has in use: its resident set.
    pub(super) fn memory(&self) -> Result<u64, SipError> {
        let status = self.of_system("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        Ok(kibibytes * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or it does not matter how it ends.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl World {
    /// Starts what is to be measured, and waits until it serves.
    pub(super) fn start(arguments: &Arguments) -> Result<Self, SipError> {
        let folder = arguments.state.join(format!("svpn-bench-sip-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let config = folder.join("gateway.toml");
        let address = free_address()?;
        let listen = format!("udp:{address}");
        let here = std::env::current_exe()?;
        if arguments.signalling_only {
            let mut command = Command::new(&here);
            let mut gateway = Process::start("sip-server", command.args(["sip-server", "--listen", &listen]), &folder)?;
            gateway.until("listening")?;
            return Ok(Self { folder, config, program: None, gateway, _routers: Vec::new(), address });
        }
        let beside = |name: &str| here.parent().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let forwarder = arguments.forwarder.clone().unwrap_or_else(|| beside("svpn-forwarder"));
        let program = arguments.gateway.clone().unwrap_or_else(|| beside("svpn-gateway"));
        let mut routers = Vec::new();
        let mut ports = Vec::new();
        for (name, number) in [("pe1", 1), ("pe2", 2)] {
            let mut router = Process::start(name, &mut router(&forwarder, number), &folder)?;
            ports.push(address_in(&router.until("serving P4Runtime")?));
            routers.push(router);
        }
        let database = folder.join("svpn.db");
        fs::write(&config, configuration(&listen, &database, [&ports[0], &ports[1]], arguments.applications.0))?;
        let mut command = Command::new(&program);
        let mut gateway = Process::start("gateway", command.arg("--config").arg(&config), &folder)?;
        gateway.until("every router is ready")?;
        Ok(Self { folder, config, program: Some(program), gateway, _routers: routers, address })
    }

    fn ask(&self, command: &str, more: &[&str]) -> Result<Vec<String>, SipError> {
        let Some(program) = &self.program else { return Ok(Vec::new()) };
        let output = Command::new(program).arg(command).arg("--config").arg(&self.config).args(more).env("RUST_LOG", "off").output()?;
        if !output.status.success() {
            return Err(SipError::Asked(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// Every entry of the routers, read from them by P4Runtime.
    pub(super) fn tables(&self) -> Result<Vec<String>, SipError> {
        self.ask("tables", &[])
    }

    /// Records of a kind, read from the database.
    pub(super) fn records(&self, listing: &str) -> Result<Vec<String>, SipError> {
        self.ask("records", &[listing])
    }

    /// Waits until every session that is over is settled: no session is kept any more.
    pub(super) async fn settled(&self) -> Result<(), SipError> {
        let since = Instant::now();
        loop {
            let left = self.records("sessions")?.len();
            if left == 0 {
                return Ok(());
            }
            if since.elapsed() > SETTLING {
                return Err(SipError::Unsettled(left));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What is left of it is in nobody's way.
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn free_address() -> io::Result<SocketAddr> {
    UdpSocket::bind(("127.0.0.1", 0))?.local_addr()
}

fn router(program: &Path, number: u32) -> Command {
    let mut command = Command::new(program);
    let (id, prefix) = (number.to_string(), format!("svpn-bench-sip-{}-{number}", std::process::id()));
    command.args(["--device-id", &id, "--grpc", "127.0.0.1:0", "--file-prefix", &prefix, "--packets", "4095"]);
    // Nothing arrives at these ports.
    command.args(["--port", "1=net_null1,no-rx=1", "--port", "2=net_null2,no-rx=1", "--", "--no-huge", "-m", "64", "--no-pci"]);
    command.env("RUST_LOG", "info");
    command
}

/// The address in a line of a log.
fn address_in(line: &str) -> String {
    line.split_once("address=").and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or_default().to_owned()
}

/// One VPN with two sites, at two PEs that are joined by one link.
fn configuration(listen: &str, database: &Path, routers: [&str; 2], applications: u32) -> String {
    let [pe1, pe2] = routers;
    let database = database.display();
    let domain = HOST.strip_prefix("load.").unwrap_or(HOST);
    // Probes do not arrive at such ports; and all applications have one address.
    let mut text = format!(
        r#"[provider]
domain = "{domain}"
[sip]
listen = ["{listen}"]
messages_per_second = 4000000000
[records]
database = "sqlite:{database}"
[liveness]
probes = false
[[router]]
name = "pe1"
p4runtime = "http://{pe1}"
device_id = 1
[[router]]
name = "pe2"
p4runtime = "http://{pe2}"
device_id = 2
[[link]]
capacity = "400 Gbit/s"
a = {{ router = "pe1", port = 2, mac = "02:00:00:00:01:02" }}
b = {{ router = "pe2", port = 2, mac = "02:00:00:00:02:02" }}
[[vpn]]
name = "{VPN}"
vrf = 10
[[attachment]]
ce = "{EAST}"
vpn = "{VPN}"
router = "pe1"
port = 1
mac = "02:00:00:00:01:01"
address = "10.1.0.1"
ce_mac = "02:0a:00:00:01:01"
prefixes = ["10.1.0.0/16"]
[[attachment]]
ce = "{WEST}"
vpn = "{VPN}"
router = "pe2"
port = 1
mac = "02:00:00:00:02:01"
address = "10.2.0.1"
ce_mac = "02:0a:00:00:02:01"
prefixes = ["10.2.0.0/16"]
[[price]]
name = "standard"
currency = "EUR"
set_up = "0.50"
megabit_hour = "0.012"
gigabyte = "0.02"
[[contract]]
name = "load"
vpns = ["{VPN}"]
classes = [0]
default_class = 0
max_rate = "1 Tbit/s"
max_sessions = 4000000000
price = "standard"
"#
    );
    for number in 0..applications {
        for application in [Application::Caller(number), Application::Callee(number)] {
            // Writing to a String cannot fail.
            let _ =
                write!(text, "[[application]]\nname = \"{application}\"\nvpn = \"{VPN}\"\ncontract = \"load\"\nsecret = \"{PASSWORD}\"\n");
        }
    }
    text
}
