//! `svpn-forwarder`: the command line, and starting and stopping in order.
//!
//! `clap` reads the command line, `tracing-subscriber` writes the log.

mod arguments;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use svpn_dpdk::{Eal, EalError};
use svpn_forwarder::p4runtime;
use svpn_forwarder::{Router, StartError, StopError};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use arguments::Arguments;

/// How long calls in flight may take when the router stops.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the forwarder ends with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot listen for P4Runtime on {address}: {source}{}", listen_hint(source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error("DPDK does not start: {source}{}", eal_hint(source))]
    Eal { source: EalError },
    #[error("the router does not start: {0}")]
    Start(#[from] StartError),
    #[error("the P4Runtime service failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    #[error("the router did not stop as it should: {0}")]
    Stop(#[from] StopError),
    #[error("the system gives no threads or signals: {0}")]
    System(#[source] io::Error),
}

fn listen_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program listens there: choose another --grpc",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        _ => "",
    }
}

fn eal_hint(error: &EalError) -> &'static str {
    match error {
        EalError::NoHugepages => "; to try without: svpn-forwarder ... -- --no-huge -m 256 --no-pci",
        EalError::Permission { .. } => "; run as root, or without hugepages and NICs: -- --no-huge -m 256 --no-pci",
        _ => "",
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("svpn-p4runtime")
        .enable_all()
        .build()
        .map_err(Failure::System)?;
    // First what is quick to fail.
    let address = arguments.grpc;
    let listener = runtime.block_on(TcpListener::bind(address)).map_err(|source| Failure::Listen { address, source })?;
    let eal = Eal::init(&arguments.eal_options()).map_err(|source| Failure::Eal { source })?;
    if !eal.has_hugepages() {
        tracing::warn!("no hugepages: fine to try things out, slow under load");
    }
    let router = Arc::new(Router::start(&arguments.router_config(), eal)?);
    for port in router.port_stats().map_err(|source| StartError::Port { port: arguments.first_port(), source })? {
        tracing::info!(port = port.number.get(), device = port.device, link = ?port.link, "a port is running");
    }
    let served = serve(&runtime, arguments.device_id, &router, listener);
    runtime.shutdown_timeout(PATIENCE);
    // Calls that were cut short may hold it a moment longer; the process's end stops its threads then.
    if let Some(router) = Arc::into_inner(router) {
        router.stop()?;
    }
    tracing::info!("stopped");
    served
}

/// Serves until a signal comes.
fn serve(runtime: &Runtime, device: u64, router: &Arc<Router>, listener: TcpListener) -> Result<(), Failure> {
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::System)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::System)?;
        let stop = async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "stopping");
        };
        // Taken once, here.
        let punts = router.take_punts().unwrap_or_else(|| tokio::sync::mpsc::channel(1).1);
        let address = listener.local_addr().map_err(Failure::System)?;
        tracing::info!(device, %address, "serving P4Runtime");
        p4runtime::serve(device, Arc::clone(router), punts, listener, stop).await?;
        Ok(())
    })
}
