//! `svpn-forwarder`: the command line, and starting and stopping in order.
//!
//! `clap` reads the command line, `tracing-subscriber` writes the log.

mod arguments;
mod failure;
mod logging;
mod signals;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use svpn_dpdk::{Eal, Link, Memory, dpdk_version};
use svpn_forwarder::operations::{http, telemetry};
use svpn_forwarder::{Router, StartError, p4runtime};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use arguments::Arguments;
use failure::Failure;
use logging::LogFile;
use signals::Signals;

/// How long calls in flight may take when the router stops.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = match logging::start(&arguments) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let in_file = log.is_some();
    match run(&arguments, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            if in_file {
                eprintln!("error: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, log: Option<LogFile>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("svpn-p4runtime")
        .enable_all()
        .build()
        .map_err(Failure::System)?;
    let signals = runtime.block_on(async { Signals::start(log) }).map_err(Failure::System)?;
    // First what is quick to fail.
    let grpc = listen(&runtime, arguments.grpc, "P4Runtime", "--grpc")?;
    let metrics = arguments.metrics.map(|address| listen(&runtime, address, "metrics", "--metrics")).transpose()?;
    let options = arguments.eal_options()?;
    let eal = Eal::init(&options).map_err(|source| Failure::Eal { source })?;
    if !eal.has_hugepages() {
        tracing::warn!("no hugepages: fine to try things out, slow under load");
    }
    if let Memory::Shared(shared) = &options.memory {
        eal.offer_capture()?;
        tracing::info!(prefix = shared.prefix, "dpdk-dumpcap can capture packets");
    }
    let router = Router::start(&arguments.router_config(), eal).map_err(|source| Failure::Start { source });
    let ended = router.and_then(|router| attend(&runtime, arguments, eal, Arc::new(router), grpc, metrics, &signals));
    if let Memory::Shared(shared) = &options.memory {
        eal.remove_shared_files(shared);
    }
    // Calls that hold on end with the process.
    runtime.shutdown_background();
    ended
}

fn listen(runtime: &Runtime, address: SocketAddr, purpose: &'static str, option: &'static str) -> Result<TcpListener, Failure> {
    runtime.block_on(TcpListener::bind(address)).map_err(|source| Failure::Listen { purpose, option, address, source })
}

/// Serves until a signal comes, and then stops the router: workers, the controller's last frames, ports.
fn attend(
    runtime: &Runtime,
    arguments: &Arguments,
    eal: Eal,
    router: Arc<Router>,
    grpc: TcpListener,
    metrics: Option<TcpListener>,
    signals: &Signals,
) -> Result<(), Failure> {
    let first = arguments.first_port();
    for port in router.port_stats().map_err(|source| Failure::Start { source: StartError::Port { port: first, source } })? {
        tracing::info!(port = port.number.get(), device = port.device, link = link(port.link), "a port is running");
    }
    match telemetry::answer(eal, &router) {
        Ok(()) => tracing::info!(prefix = arguments.prefix(), directory = %eal.runtime_directory().display(), "dpdk-telemetry.py can ask"),
        Err(error) => tracing::warn!(%error, "dpdk-telemetry.py cannot ask"),
    }
    signals.watch(&router);
    let served = runtime.block_on(serve(arguments.device_id, &router, grpc, metrics, signals));
    if let Some(router) = last(router) {
        router.stop()?;
    }
    tracing::info!("stopped");
    served
}

async fn serve(
    device: u64,
    router: &Arc<Router>,
    grpc: TcpListener,
    metrics: Option<TcpListener>,
    signals: &Signals,
) -> Result<(), Failure> {
    // Taken once, here.
    let punts = router.take_punts().unwrap_or_else(|| tokio::sync::mpsc::channel(1).1);
    if let Some(listener) = metrics {
        let address = listener.local_addr().map_err(Failure::System)?;
        tracing::info!(%address, "serving metrics");
        let (router, stop) = (Arc::downgrade(router), signals.stop());
        tokio::spawn(async move {
            if let Err(error) = http::serve(router, listener, stop).await {
                tracing::error!(%error, "metrics are served no more");
            }
        });
    }
    let address = grpc.local_addr().map_err(Failure::System)?;
    tracing::info!(device, version = env!("CARGO_PKG_VERSION"), dpdk = dpdk_version(), %address, "serving P4Runtime");
    Ok(p4runtime::serve(device, Arc::clone(router), punts, grpc, signals.stop()).await?)
}

/// The router, when calls that were cut short no longer hold it; `None` if one does for too long: its threads end with the process.
fn last(mut router: Arc<Router>) -> Option<Router> {
    let since = Instant::now();
    loop {
        router = match Arc::try_unwrap(router) {
            Ok(router) => return Some(router),
            Err(_) if since.elapsed() > PATIENCE => return None,
            Err(held) => held,
        };
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A link in words.
fn link(link: Link) -> String {
    match link {
        Link::Down => "down".to_owned(),
        Link::Up { megabits_per_second: u32::MAX } => "up".to_owned(),
        Link::Up { megabits_per_second } => format!("up, {megabits_per_second} Mbit/s"),
    }
}
