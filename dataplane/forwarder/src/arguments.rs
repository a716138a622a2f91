//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use svpn_contract::wire::PortId;
use svpn_dpdk::{EalOptions, Memory, PciDevices, Placement, PoolConfig, PortSpec, SharedMemory};
use svpn_forwarder::{Distribution, Idle, PortSetup, RouterConfig, TableSizes};

/// A label switch router and provider edge: a DPDK pipeline that a controller programs by P4Runtime.
///
/// It forwards nothing until a controller has set the pipeline (its own P4Info) and written entries, and goes on forwarding while no
/// controller is connected.
#[derive(Debug, Parser)]
#[command(version, after_long_help = include_str!("help.txt"), max_term_width = 120)]
pub(crate) struct Arguments {
    /// The device id that controllers use for this router: a number from 1 up, as in --device-id 1.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) device_id: u64,

    /// Where to listen for P4Runtime: gRPC without encryption, so keep it on loopback or a management network. Port 0 is any
    /// free one; the log says which.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9559")]
    pub(crate) grpc: SocketAddr,

    /// A port: its number in the pipeline (1 to 511), and its DPDK device with the device's arguments, as in
    /// `--port 1=net_af_packet0,iface=eth1` or `--port 2=0000:3b:00.0`. Give it once for each port.
    #[arg(long = "port", value_name = "NUMBER=DEVICE[,KEY=VALUE]...", required = true, help_heading = "Ports")]
    ports: Vec<NumberedPort>,

    /// Bytes after the Ethernet header that a received frame may have, tags not counted: 68 to 9600, as in --mtu 9000. Without it each
    /// driver chooses, mostly 1500. The kernel's interfaces have an MTU of their own, to be set there; for frames above 2 KiB `af_packet`
    /// needs framesz= and blocksz= as well.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(68..=9600), help_heading = "Ports")]
    mtu: Option<u16>,

    /// Bytes of a frame that one packet buffer holds. Without it, all of the longest frame. Smaller ones save memory: larger frames then take several, on
    /// ports whose drivers can receive and send such.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(512..=65_000), help_heading = "Ports")]
    buffer: Option<u16>,

    /// How many threads forward packets: 1 to 255. A port with a queue for each (`af_packet`: `qpairs=`) costs least; the log says what
    /// each has.
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u8).range(1..), conflicts_with = "processors",
        help_heading = "Forwarding")]
    workers: u8,

    /// One forwarding thread on each of these processors, instead of --workers threads wherever the system puts them: numbers as in
    /// /proc/cpuinfo, --processors 2,3.
    #[arg(long, value_name = "PROCESSOR", value_delimiter = ',', help_heading = "Forwarding")]
    processors: Vec<usize>,

    /// Whether forwarding threads hand received packets to one another, by a hash of the inner addresses and ports.
    #[arg(long, value_enum, default_value_t = Distribute::Auto, help_heading = "Forwarding")]
    distribute: Distribute,

    /// What forwarding threads do while no packet comes.
    #[arg(long, value_enum, default_value_t = IdleMode::Backoff, help_heading = "Forwarding")]
    idle: IdleMode,

    /// How many entries a table takes, where the contract's size is not wanted, as in --size session=65536. Give it once for each table.
    #[arg(long = "size", value_name = "TABLE=ENTRIES", help_heading = "Forwarding")]
    sizes: Vec<TableSize>,

    /// Packet buffers, shared by all ports, as in --packets 65535; each takes --mtu bytes, at least 2 KiB. Without it, and where it is
    /// less, enough for every queue to be full.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(511..), help_heading = "Forwarding")]
    packets: Option<u32>,

    /// Seeds the choice among an action set's members, to repeat it: any number but 0. Without it every router chooses independently.
    #[arg(long, value_name = "NUMBER", help_heading = "Forwarding")]
    seed: Option<NonZeroU64>,

    /// Where to serve metrics for Prometheus, as in `--metrics 127.0.0.1:9560`: path /metrics of HTTP. Without it, nowhere.
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Watching")]
    pub(crate) metrics: Option<SocketAddr>,

    /// The name by which DPDK's tools find this process: dpdk-telemetry.py -f NAME. Letters, digits, - and _. Without it, svpn- and
    /// the device id, as in svpn-1.
    #[arg(long, value_name = "NAME", value_parser = file_prefix, help_heading = "Watching")]
    file_prefix: Option<String>,

    /// Let dpdk-dumpcap capture packets: dpdk-dumpcap --file-prefix=NAME -i DEVICE. Packet memory is then hugepages that other processes
    /// of this user can map, so a hugetlbfs must be mounted; until somebody captures, nothing is slower.
    #[arg(long, help_heading = "Watching")]
    capture: bool,

    /// What to log: a level (error, warn, info, debug, trace), or levels by part, as in
    /// `--log info,svpn_forwarder::p4runtime=debug,dpdk=warn`.
    /// What DPDK says is `dpdk`. No packet is ever logged.
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "info", help_heading = "Watching")]
    pub(crate) log: String,

    /// The form of the log: text for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, help_heading = "Watching")]
    pub(crate) log_format: LogFormat,

    /// Log into this file instead of standard error. SIGHUP reopens it, for logrotate.
    #[arg(long, value_name = "PATH", help_heading = "Watching")]
    pub(crate) log_file: Option<PathBuf>,

    /// Arguments for DPDK's EAL, in its own words; see below for those of use.
    #[arg(last = true, value_name = "EAL ARGUMENT")]
    eal: Vec<String>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// An object for machines.
    Json,
}

/// Reads a prefix, which becomes part of file names.
fn file_prefix(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if plain && (1..=32).contains(&text.len()) { Ok(text.to_owned()) } else { Err("expected 1 to 32 letters, digits, - and _".to_owned()) }
}

/// Why the EAL's arguments contradict ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NotForEal {
    /// Memory of one process cannot be shared.
    #[error("--capture needs memory that dpdk-dumpcap can map, which {0} is not; leave one of them out")]
    NotShared(String),
    /// There is an option for it.
    #[error("--file-prefix belongs before the --")]
    FilePrefix,
    /// The next word is missing.
    #[error("-m needs a number of MiB")]
    Mebibytes,
}

/// What a worker does while no packet comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IdleMode {
    /// Sleep, longer the longer nothing comes, up to a tenth of a millisecond.
    Backoff,
    /// Poll on: a whole processor for the least latency.
    Spin,
}

impl From<IdleMode> for Idle {
    fn from(mode: IdleMode) -> Self {
        match mode {
            IdleMode::Backoff => Self::Sleep { longest: Duration::from_micros(100) },
            IdleMode::Spin => Self::Spin,
        }
    }
}

/// Whether workers hand received packets to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Distribute {
    /// On ports with fewer receive queues than there are threads.
    Auto,
    /// On all ports, also where the device spreads packets but does not see through labels.
    Always,
    /// On no port: each receive queue's packets stay with its thread.
    Never,
}

impl From<Distribute> for Distribution {
    fn from(choice: Distribute) -> Self {
        match choice {
            Distribute::Auto => Self::WhereNeeded,
            Distribute::Always => Self::Always,
            Distribute::Never => Self::Never,
        }
    }
}

/// `1=net_af_packet0,iface=eth1`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NumberedPort {
    number: PortId,
    spec: PortSpec,
}

/// Why a text is no numbered port.
#[derive(Debug, thiserror::Error)]
enum NotAPort {
    #[error("expected NUMBER=DEVICE, as in 1=net_af_packet0,iface=eth1")]
    Form,
    #[error("{0:?} is no port number: 1 to 511")]
    Number(String),
    #[error(transparent)]
    Device(#[from] svpn_dpdk::PortSpecError),
}

impl FromStr for NumberedPort {
    type Err = NotAPort;

    fn from_str(text: &str) -> Result<Self, NotAPort> {
        let (number, device) = text.split_once('=').ok_or(NotAPort::Form)?;
        let parsed = number.parse().ok().filter(|number| *number != 0).and_then(|number| PortId::new(number).ok());
        let number = parsed.ok_or_else(|| NotAPort::Number(number.to_owned()))?;
        Ok(Self { number, spec: PortSpec::parse(device)? })
    }
}

/// `session=65536`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TableSize {
    table: String,
    entries: u32,
}

/// Why a text is no table size.
#[derive(Debug, thiserror::Error)]
enum NotASize {
    #[error("expected TABLE=ENTRIES, as in session=65536")]
    Form,
    #[error("{0:?} is no table with a size of its own: {1}")]
    Table(String, String),
    #[error("{0:?} is no number of entries above 0")]
    Entries(String),
}

impl FromStr for TableSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let (table, entries) = text.split_once('=').ok_or(NotASize::Form)?;
        if TableSizes::default().get_mut(table).is_none() {
            let known = svpn_contract::TABLES.iter().map(|table| table.name).filter(|name| TableSizes::default().get_mut(name).is_some());
            return Err(NotASize::Table(table.to_owned(), known.collect::<Vec<_>>().join(", ")));
        }
        let number = entries.parse().ok().filter(|entries| *entries > 0);
        Ok(Self { table: table.to_owned(), entries: number.ok_or_else(|| NotASize::Entries(entries.to_owned()))? })
    }
}

impl Arguments {
    /// Packet buffers that a queue of each direction can hold, with a burst on the way.
    const PER_QUEUE_PAIR: u32 = 2048 + 256;

    /// How DPDK is to start: what the arguments after `--` say, in the types of its wrapper.
    pub(crate) fn eal_options(&self) -> Result<EalOptions, NotForEal> {
        let (mut pci, mut arguments) = (PciDevices::WhenNamed, Vec::new());
        let (mut ordinary, mut mebibytes) = (false, None);
        let mut words = self.eal.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--no-huge" | "--in-memory" | "--no-shconf" | "--huge-unlink" if self.capture => {
                    return Err(NotForEal::NotShared(word.clone()));
                }
                "--no-huge" => ordinary = true,
                "--no-pci" => pci = PciDevices::Never,
                // In effect in any case.
                "--in-memory" | "--no-shconf" => {}
                other if other.starts_with("--file-prefix") => return Err(NotForEal::FilePrefix),
                "-m" => mebibytes = Some(words.next().ok_or(NotForEal::Mebibytes)?.clone()),
                other => match other.strip_prefix("-m").filter(|rest| rest.parse::<u32>().is_ok()) {
                    Some(rest) => mebibytes = Some(rest.to_owned()),
                    None => arguments.push(word.clone()),
                },
            }
        }
        let number = mebibytes.as_ref().map_or(Ok(256), |text| text.parse());
        let memory = match (ordinary, number) {
            _ if self.capture => Memory::Shared(SharedMemory { prefix: self.prefix(), workers: self.placements() }),
            (true, Ok(mebibytes)) => Memory::Ordinary { mebibytes },
            (true, Err(_)) => return Err(NotForEal::Mebibytes),
            (false, _) => Memory::Hugepages,
        };
        if let (false, Some(text)) = (ordinary, mebibytes) {
            // DPDK says what is wrong with it.
            arguments.extend(["-m".to_owned(), text]);
        }
        if !self.capture {
            arguments.extend(["--file-prefix".to_owned(), self.prefix()]);
        }
        Ok(EalOptions { memory, pci, arguments })
    }

    /// The name by which DPDK's tools find this process.
    pub(crate) fn prefix(&self) -> String {
        self.file_prefix.clone().unwrap_or_else(|| format!("svpn-{}", self.device_id))
    }

    /// Where the workers run.
    fn placements(&self) -> Vec<Placement> {
        if self.processors.is_empty() {
            vec![Placement::Anywhere; usize::from(self.workers)]
        } else {
            self.processors.iter().map(|processor| Placement::Processor(*processor)).collect()
        }
    }

    /// What the router is made of.
    pub(crate) fn router_config(&self) -> RouterConfig {
        let workers = self.placements();
        let mut sizes = TableSizes::default();
        for chosen in &self.sizes {
            if let Some(size) = sizes.get_mut(&chosen.table) {
                *size = chosen.entries;
            }
        }
        let default = PoolConfig::default();
        let pairs = u32::try_from(self.ports.len() * workers.len()).unwrap_or(u32::MAX);
        let enough = pairs.saturating_mul(Self::PER_QUEUE_PAIR).clamp(default.mbufs, 1 << 24).next_power_of_two() - 1;
        // A frame, its Ethernet header and two tags.
        let whole = self.mtu.map_or(default.frame_bytes, |mtu| default.frame_bytes.max(mtu + 22));
        let frame_bytes = self.buffer.unwrap_or(whole);
        RouterConfig {
            ports: self.ports.iter().map(|port| PortSetup { number: port.number, spec: port.spec.clone(), mtu: self.mtu }).collect(),
            workers,
            distribution: self.distribute.into(),
            sizes,
            idle: self.idle.into(),
            pool: PoolConfig { mbufs: self.packets.unwrap_or(enough), frame_bytes, ..default },
            seed: self.seed,
        }
    }

    /// The number of the first port.
    pub(crate) fn first_port(&self) -> PortId {
        self.ports.first().map_or(PortId::default(), |port| port.number)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("svpn-forwarder").chain(line.split_whitespace()))
    }

    fn refusal(line: &str) -> String {
        parse(line).expect_err("it is refused").to_string()
    }

    #[test]
    fn the_command_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_whole_line_is_understood() {
        let line = "--device-id 7 --grpc [::1]:5000 --port 1=net_null0 --port 511=3b:00.0,rx=1 --processors 2,3 --idle spin --size session=9 \
                    --mtu 9000 --seed 5 --distribute always -- --no-huge -m 300 --no-pci --in-memory --log-level 7";
        let arguments = parse(line).unwrap();
        let config = arguments.router_config();
        assert_eq!((arguments.device_id, arguments.grpc), (7, "[::1]:5000".parse().unwrap()));
        assert_eq!(
            config.ports.iter().map(|port| (port.number.get(), port.spec.name(), port.mtu)).collect::<Vec<_>>(),
            [(1, "net_null0", Some(9000)), (511, "0000:3b:00.0", Some(9000))]
        );
        assert_eq!(config.workers, [Placement::Processor(2), Placement::Processor(3)]);
        assert_eq!((config.idle, config.seed, config.distribution), (Idle::Spin, NonZeroU64::new(5), Distribution::Always));
        assert_eq!(config.sizes, TableSizes { session: 9, ..TableSizes::default() });
        assert_eq!((config.pool.mbufs, config.pool.frame_bytes), (16383, 9022));
        let eal = arguments.eal_options().unwrap();
        assert_eq!((eal.memory, eal.pci), (Memory::Ordinary { mebibytes: 300 }, PciDevices::Never));
        assert_eq!(eal.arguments, ["--log-level", "7", "--file-prefix", "svpn-7"]);
    }

    #[test]
    fn defaults_need_hugepages_and_leave_nics_alone() {
        let arguments = parse("--device-id 1 --port 1=net_null0 -- -m 100").unwrap();
        assert_eq!(arguments.grpc.port(), 9559);
        let eal = arguments.eal_options().unwrap();
        assert_eq!((eal.memory, eal.pci), (Memory::Hugepages, PciDevices::WhenNamed));
        assert_eq!(eal.arguments, ["-m", "100", "--file-prefix", "svpn-1"]);
        let config = arguments.router_config();
        assert_eq!((&config.workers[..], config.distribution), (&[Placement::Anywhere][..], Distribution::WhereNeeded));
        assert_eq!(config.idle, Idle::Sleep { longest: Duration::from_micros(100) });
        assert_eq!((config.sizes, config.pool), (TableSizes::default(), PoolConfig::default()));
        let chained = parse("--device-id 1 --port 1=net_null0 --mtu 9000 --buffer 2048").unwrap().router_config();
        assert_eq!((chained.pool.frame_bytes, chained.ports[0].mtu), (2048, Some(9000)));
        let attached = parse("--device-id 1 --port 1=net_null0 -- --no-huge -m77").unwrap().eal_options().unwrap();
        assert_eq!(attached.memory, Memory::Ordinary { mebibytes: 77 });
    }

    #[test]
    fn captured_memory_is_shared_and_has_the_workers() {
        let line = "--device-id 3 --port 1=net_null0 --capture --processors 4,5 --file-prefix pe-3 -- --no-pci -m 64";
        let eal = parse(line).unwrap().eal_options().unwrap();
        let workers = vec![Placement::Processor(4), Placement::Processor(5)];
        assert_eq!(eal.memory, Memory::Shared(SharedMemory { prefix: "pe-3".into(), workers }));
        assert_eq!(eal.arguments, ["-m", "64"]);
        let refused = |words: &str| parse(&format!("--device-id 3 --port 1=net_null0 {words}")).unwrap().eal_options();
        assert_eq!(refused("--capture -- --no-huge"), Err(NotForEal::NotShared("--no-huge".into())));
        assert_eq!(refused("-- --file-prefix=x"), Err(NotForEal::FilePrefix));
        assert_eq!(refused("-- --no-huge -m"), Err(NotForEal::Mebibytes));
        assert_eq!(refused("-- --no-huge -m x"), Err(NotForEal::Mebibytes));
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(refusal("--port 1=net_null0").contains("--device-id"));
        assert!(refusal("--device-id 0 --port 1=net_null0").contains("0 is not in 1.."));
        assert!(refusal("--device-id 1").contains("--port"));
        let port = |text| refusal(&format!("--device-id 1 --port {text}"));
        assert!(port("net_null0").contains("expected NUMBER=DEVICE"));
        assert!(port("0=net_null0").contains("\"0\" is no port number: 1 to 511"));
        assert!(port("512=net_null0").contains("is no port number"));
        assert!(port("1=eth0").contains("\"eth0\" is neither a virtual device (net_af_packet0) nor a PCI address"));
        let more = |text| refusal(&format!("--device-id 1 --port 1=net_null0 {text}"));
        assert!(more("--size marking=5").contains("attachment, station, arp_responder"));
        assert!(more("--size session=0").contains("no number of entries above 0"));
        assert!(more("--size session").contains("expected TABLE=ENTRIES"));
        assert!(more("--file-prefix a/b").contains("expected 1 to 32 letters"));
        assert!(more("--metrics 9560").contains("--metrics"));
        assert!(more("--workers 0").contains("0 is not in 1..=255"));
        assert!(more("--workers 2 --processors 1,2").contains("cannot be used with"));
    }
}
