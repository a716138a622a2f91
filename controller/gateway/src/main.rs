//! `svpn-gateway`: assembly and the command line.
//!
//! `jemalloc` is the allocator: calls begin and end by the thousand in many threads, of whose processor time the system's took 18 %, and what a
//! burst of calls took is to go back to the system when they are over, which `mimalloc` does not do: with either, a gateway spends the same time on
//! a call, and for each of 2,000 sessions in service it has 18 KiB instead of 47.

#[cfg(feature = "failpoints")]
mod killing;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand};
use svpn_gateway::config::{self, Config, ConfigError};
use svpn_gateway::gateway::{Begun, Gateway, StartError as GatewayError};
use svpn_gateway::liveness::Liveness;
use svpn_gateway::records::{self, Listing};
use svpn_gateway::tables::{self, TablesError};
use svpn_sip::config::StartError;
use svpn_sip::server::Server;
use svpn_store::ReadError;
use svpn_switch::ElectionId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The S-VPN gateway: applications ask it by SIP for a guaranteed path between two sites, and it programs the provider's routers by
/// P4Runtime.
///
/// Logs go to standard error; the variable `RUST_LOG` chooses what, `svpn_gateway=debug` for example.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway; the same as no command.
    Run {
        /// The configuration file (TOML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration and say what is wrong with it; nothing is started.
    Check {
        /// The configuration file (TOML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print what the gateway keeps, also while it runs: an object of JSON a line.
    Records {
        /// The configuration file (TOML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Which records.
        #[arg(value_enum)]
        listing: Listing,
    },
    /// Print every table entry of the routers, an entry a line, sorted. Changes nothing, also while a gateway runs.
    Tables {
        /// The configuration file (TOML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Only this router.
        #[arg(long, value_name = "NAME")]
        router: Option<String>,
    },
}

/// Why the gateway ends with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Records(#[from] ReadError),
    #[error(transparent)]
    Start(#[from] GatewayError),
    #[error(transparent)]
    Sip(#[from] StartError),
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error("there is no router {0} in the configuration")]
    NoRouter(String),
    #[error("the system gives no threads or signals: {0}")]
    System(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(feature = "failpoints")]
    killing::arm();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rsipstack=warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let done = match (arguments.command, arguments.config) {
        (Some(Command::Run { config }), _) | (None, Some(config)) => run(&config),
        (Some(Command::Check { config }), _) => config::load(&config).map(drop).map_err(Failure::from),
        (Some(Command::Records { config, listing }), _) => print_records(&config, listing),
        (Some(Command::Tables { config, router }), _) => print_tables(&config, router.as_deref()),
        // The parser asks for one of them.
        (None, None) => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("svpn-gateway: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// A later gateway outbids an earlier one.
fn election() -> ElectionId {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    ElectionId::try_from(since.as_millis().max(1)).unwrap_or_else(|_| unreachable!("at least 1"))
}

fn print_tables(path: &Path, router: Option<&str>) -> Result<(), Failure> {
    let config = config::load(path)?;
    if let Some(name) = router
        && !config.routers.iter().any(|router| router.name == name)
    {
        return Err(Failure::NoRouter(name.to_owned()));
    }
    let wanted = config.routers.iter().filter(|each| router.is_none_or(|name| each.name == name));
    tokio::runtime::Runtime::new()?.block_on(async {
        for router in wanted {
            for line in tables::dump(router, election()).await? {
                println!("{line}");
            }
        }
        Ok(())
    })
}

fn print_records(path: &Path, listing: Listing) -> Result<(), Failure> {
    let config = config::load(path)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        for line in records::list(&config, listing).await? {
            println!("{line}");
        }
        Ok(())
    })
}

fn run(path: &Path) -> Result<(), Failure> {
    let config = config::load(path)?;
    tokio::runtime::Runtime::new()?.block_on(serve(path, config))
}

/// How long what is under way at the end is waited for; the next gateway goes on with the rest.
const FAREWELL: Duration = Duration::from_secs(5);

/// Reads the configuration again whenever somebody asks for it. One that is wrong changes nothing.
async fn follow(path: &Path, gateway: &Gateway, mut asked: Signal) {
    while asked.recv().await.is_some() {
        match config::load(path) {
            Ok(config) => {
                gateway.configure(&config);
                tracing::info!("the configuration is read again: links are as it says; what else it changes counts from the next start");
            }
            Err(error) => tracing::error!(%error, "the configuration is not taken: all stays as it was"),
        }
    }
}

async fn serve(path: &Path, config: Config) -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let hangup = signal(SignalKind::hangup())?;
    let (kept, journal, writer) = svpn_store::open(&config.records.database, &config.records.gateway).await?;
    let listen = config.sip.listen.clone();
    let begun = Gateway::start(&config, election(), kept, journal).await?;
    let Begun { gateway, resumed, hang_up, notices } = begun;
    let liveness = Liveness::new(&gateway, config.liveness);
    let keeping = [tokio::spawn(gateway.clone().keep_time()), tokio::spawn(liveness.watch(gateway.clone(), notices))];
    let server = Server::start(config.sip, Arc::new(gateway.clone()), resumed, hang_up).await?;
    for address in listen {
        tracing::info!(%address, "listening for SIP");
    }
    let ready = async {
        gateway.ready().await;
        tracing::info!("every router is ready");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = ready => {}
        () = follow(path, &gateway, hangup) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: sessions go on without the gateway");
    server.shutdown().await;
    for task in &keeping {
        task.abort();
    }
    if tokio::time::timeout(FAREWELL, gateway.settled()).await.is_err() {
        tracing::warn!("some sessions that are over are not settled yet: the next gateway settles them");
    }
    drop(gateway);
    let _not_in_time = tokio::time::timeout(FAREWELL, writer.close()).await;
    Ok(())
}
