//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use svpn_contract::wire::PortId;
use svpn_dpdk::{EalOptions, Memory, PciDevices, Placement, PoolConfig, PortSpec};
use svpn_forwarder::{Idle, PortSetup, RouterConfig, TableSizes};

/// A label switch router and provider edge: a DPDK pipeline that a controller programs by P4Runtime.
///
/// It forwards nothing until a controller has set the pipeline (its own P4Info) and written entries, and goes on forwarding while no
/// controller is connected. Logs go to standard error; the variable `RUST_LOG` chooses what, `svpn_forwarder=debug` for example.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The device id that controllers use for this router; not 0.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) device_id: u64,

    /// Where to listen for P4Runtime (gRPC without encryption: keep it on loopback or a management network).
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9559")]
    pub(crate) grpc: SocketAddr,

    /// A port: its number in the pipeline, and its DPDK device with the device's arguments. Give it once for each port.
    #[arg(long = "port", value_name = "NUMBER=DEVICE[,KEY=VALUE]...", required = true)]
    ports: Vec<NumberedPort>,

    /// Bytes after the Ethernet header that a received frame may have, tags not counted. Without it each driver chooses, mostly 1500.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(68..=9600))]
    mtu: Option<u16>,

    /// How many threads forward packets. Every port needs as many transmit queues (`af_packet`: `qpairs=`).
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u8).range(1..), conflicts_with = "processors")]
    workers: u8,

    /// One forwarding thread on each of these processors, instead of --workers threads wherever the system puts them.
    #[arg(long, value_name = "PROCESSOR", value_delimiter = ',')]
    processors: Vec<usize>,

    /// What forwarding threads do while no packet comes.
    #[arg(long, value_enum, default_value_t = IdleMode::Backoff)]
    idle: IdleMode,

    /// How many entries a table takes, where the contract's size is not wanted: session=65536. Give it once for each table.
    #[arg(long = "size", value_name = "TABLE=ENTRIES")]
    sizes: Vec<TableSize>,

    /// Packet buffers, shared by all ports. Without it, enough for every queue to be full.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(511..))]
    packets: Option<u32>,

    /// Seeds the choice among an action set's members, to repeat it. Without it every router chooses independently.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<NonZeroU64>,

    /// Arguments for DPDK's EAL, in its own words. `--in-memory` is always in effect.
    #[arg(last = true, value_name = "EAL ARGUMENT")]
    eal: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  Two interfaces, no hugepages, no NIC taken from the kernel:
    svpn-forwarder --device-id 1 --port 1=net_af_packet0,iface=eth1 --port 2=net_af_packet1,iface=eth2 -- --no-huge -m 256 --no-pci

  Two NICs bound to vfio-pci and two processors that do nothing else (reserve hugepages first: sysctl vm.nr_hugepages=1024):
    svpn-forwarder --device-id 1 --port 1=0000:3b:00.0 --port 2=0000:3b:00.1 --processors 2,3 --idle spin

SIGTERM and SIGINT stop it in order.";

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

/// The tables whose size can be chosen.
fn sized<'a>(sizes: &'a mut TableSizes, table: &str) -> Option<&'a mut u32> {
    Some(match table {
        "attachment" => &mut sizes.attachment,
        "station" => &mut sizes.station,
        "arp_responder" => &mut sizes.arp_responder,
        "flow_v4" => &mut sizes.flow_v4,
        "flow_acl_v4" => &mut sizes.flow_acl_v4,
        "session" => &mut sizes.session,
        "route_v4" => &mut sizes.route_v4,
        "flow_v6" => &mut sizes.flow_v6,
        "flow_acl_v6" => &mut sizes.flow_acl_v6,
        "route_v6" => &mut sizes.route_v6,
        "tunnel" => &mut sizes.tunnel,
        "ilm" => &mut sizes.ilm,
        "nexthop" => &mut sizes.nexthop,
        _ => return None,
    })
}

impl FromStr for TableSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let (table, entries) = text.split_once('=').ok_or(NotASize::Form)?;
        if sized(&mut TableSizes::default(), table).is_none() {
            let known =
                svpn_contract::TABLES.iter().map(|table| table.name).filter(|name| sized(&mut TableSizes::default(), name).is_some());
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
    pub(crate) fn eal_options(&self) -> EalOptions {
        let mut options = EalOptions { memory: Memory::Hugepages, pci: PciDevices::WhenNamed, arguments: Vec::new() };
        let mut mebibytes = None;
        let mut words = self.eal.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--no-huge" => options.memory = Memory::Ordinary { mebibytes: 256 },
                "--no-pci" => options.pci = PciDevices::Never,
                // In effect in any case.
                "--in-memory" | "--no-shconf" => {}
                "-m" => mebibytes = words.next().cloned(),
                other => match other.strip_prefix("-m").filter(|rest| rest.parse::<u32>().is_ok()) {
                    Some(rest) => mebibytes = Some(rest.to_owned()),
                    None => options.arguments.push(word.clone()),
                },
            }
        }
        if let Some(text) = mebibytes {
            match (&mut options.memory, text.parse()) {
                (Memory::Ordinary { mebibytes }, Ok(number)) => *mebibytes = number,
                // DPDK says what is wrong with it.
                _ => options.arguments.extend(["-m".to_owned(), text]),
            }
        }
        options
    }

    /// What the router is made of.
    pub(crate) fn router_config(&self) -> RouterConfig {
        let workers = if self.processors.is_empty() {
            vec![Placement::Anywhere; usize::from(self.workers)]
        } else {
            self.processors.iter().map(|processor| Placement::Processor(*processor)).collect()
        };
        let mut sizes = TableSizes::default();
        for chosen in &self.sizes {
            if let Some(size) = sized(&mut sizes, &chosen.table) {
                *size = chosen.entries;
            }
        }
        let default = PoolConfig::default();
        let pairs = u32::try_from(self.ports.len() * workers.len()).unwrap_or(u32::MAX);
        let enough = pairs.saturating_mul(Self::PER_QUEUE_PAIR).clamp(default.mbufs, 1 << 24).next_power_of_two() - 1;
        // A frame, its Ethernet header and two tags.
        let frame_bytes = self.mtu.map_or(default.frame_bytes, |mtu| default.frame_bytes.max(mtu + 22));
        RouterConfig {
            ports: self.ports.iter().map(|port| PortSetup { number: port.number, spec: port.spec.clone(), mtu: self.mtu }).collect(),
            workers,
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
                    --mtu 9000 --seed 5 -- --no-huge -m 300 --no-pci --in-memory --log-level 7";
        let arguments = parse(line).unwrap();
        let config = arguments.router_config();
        assert_eq!((arguments.device_id, arguments.grpc), (7, "[::1]:5000".parse().unwrap()));
        assert_eq!(
            config.ports.iter().map(|port| (port.number.get(), port.spec.name(), port.mtu)).collect::<Vec<_>>(),
            [(1, "net_null0", Some(9000)), (511, "0000:3b:00.0", Some(9000))]
        );
        assert_eq!(config.workers, [Placement::Processor(2), Placement::Processor(3)]);
        assert_eq!((config.idle, config.seed), (Idle::Spin, NonZeroU64::new(5)));
        assert_eq!(config.sizes, TableSizes { session: 9, ..TableSizes::default() });
        assert_eq!((config.pool.mbufs, config.pool.frame_bytes), (16383, 9022));
        let eal = arguments.eal_options();
        assert_eq!((eal.memory, eal.pci), (Memory::Ordinary { mebibytes: 300 }, PciDevices::Never));
        assert_eq!(eal.arguments, ["--log-level", "7"]);
    }

    #[test]
    fn defaults_need_hugepages_and_leave_nics_alone() {
        let arguments = parse("--device-id 1 --port 1=net_null0 -- -m 100").unwrap();
        assert_eq!(arguments.grpc.port(), 9559);
        let eal = arguments.eal_options();
        assert_eq!((eal.memory, eal.pci), (Memory::Hugepages, PciDevices::WhenNamed));
        assert_eq!(eal.arguments, ["-m", "100"]);
        let config = arguments.router_config();
        assert_eq!(config.workers, [Placement::Anywhere]);
        assert_eq!(config.idle, Idle::Sleep { longest: Duration::from_micros(100) });
        assert_eq!((config.sizes, config.pool), (TableSizes::default(), PoolConfig::default()));
        let attached = parse("--device-id 1 --port 1=net_null0 -- --no-huge -m77").unwrap().eal_options();
        assert_eq!(attached.memory, Memory::Ordinary { mebibytes: 77 });
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
        assert!(more("--workers 0").contains("0 is not in 1..=255"));
        assert!(more("--workers 2 --processors 1,2").contains("cannot be used with"));
    }
}
