//! A router's program, running.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitStatus;

use svpn_contract::Update;
use svpn_contract::wire::PortId;
use tonic::Code;

use crate::cables::{CableError, Cables, device};
use crate::controller::{Controller, ControllerError, DEVICE};
use crate::namespace::{Namespace, NamespaceError};
use crate::process::{Process, ProcessError, on_path};

/// The CPU port of `p4/v1model.p4`.
const BMV2_CPU_PORT: u16 = 510;
const BMV2: &str = "simple_switch_grpc";
/// What p4c made of the contract for BMv2.
const BMV2_CONFIG: &[u8] = include_bytes!("../../compiled/bmv2.json");
/// Where an engine listens for P4Runtime: its namespace has this address for itself.
const P4RUNTIME: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9559);

/// A router's program with a cable in every port and a controller.
pub struct Engine {
    /// Its ports.
    pub cables: Cables,
    /// Its controller.
    pub controller: Controller,
    process: Process,
}

/// Why an engine does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// There are no cables.
    #[error(transparent)]
    Cables(#[from] CableError),
    /// Its program does not run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It does not speak P4Runtime.
    #[error("{source}; the program said: {said}")]
    Controller {
        /// What went wrong.
        source: ControllerError,
        /// The end of what the program said.
        said: String,
    },
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Engine {
    /// Whether BMv2 is installed.
    pub fn has_bmv2() -> bool {
        on_path(BMV2)
    }

    /// Starts BMv2's `simple_switch_grpc` with the contract's pipeline in a namespace that the calling thread enters.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn bmv2(ports: &[PortId]) -> Result<Self, StartError> {
        let namespace = Namespace::enter()?;
        let cables = Cables::open(&namespace, ports)?;
        let mut arguments = vec!["--device-id".to_owned(), DEVICE.to_string(), "--no-p4".to_owned()];
        // Without an address of its own BMv2 makes a socket in /tmp, named after the device.
        arguments.extend(["--notifications-addr".to_owned(), "tcp://127.0.0.1:9560".to_owned()]);
        for port in ports {
            arguments.extend(["-i".to_owned(), format!("{port}@{}", device(*port))]);
        }
        arguments.extend(["--", "--cpu-port", &BMV2_CPU_PORT.to_string(), "--grpc-server-addr", &P4RUNTIME.to_string()].map(str::to_owned));
        Self::start(cables, BMV2, &arguments, BMV2_CONFIG)
    }

    fn start(cables: Cables, program: &str, arguments: &[String], config: &'static [u8]) -> Result<Self, StartError> {
        let mut process = Process::start(program, arguments)?;
        let controller = Controller::connect(P4RUNTIME).and_then(|mut controller| {
            controller.set_pipeline(config)?;
            Ok(controller)
        });
        match controller {
            Ok(controller) => Ok(Self { cables, controller, process }),
            Err(source) => Err(StartError::Controller { source, said: process.said() }),
        }
    }

    /// Deletes all entries. Indexed counters keep what they have.
    ///
    /// A pipeline is not put into service a second time for that: BMv2 keeps the memory of the one before, and dies in the end.
    ///
    /// # Errors
    /// [`ControllerError`].
    pub fn clear(&mut self) -> Result<(), ControllerError> {
        let deletions: Vec<Update> = self.controller.keys()?.into_iter().map(Update::Delete).collect();
        let codes = self.controller.write(&deletions)?;
        if codes.iter().all(|code| *code == Code::Ok) { Ok(()) } else { Err(ControllerError::Unexpected("an entry cannot be deleted")) }
    }

    /// How its program ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// The end of what the program said.
    pub fn said(&mut self) -> String {
        self.process.said()
    }
}
