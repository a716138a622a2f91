//! What to measure.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};

use super::workload::Kind;
use crate::pipeline::Count;

/// The forwarder's P4Runtime service: entries per second over gRPC, from one client, in batches; and what updates cost the packets.
///
/// The service, its tables and the client are in this process, with a TCP connection on loopback between them; the client's messages are ready
/// before the clock starts, and everything from there to the tables is counted: protobuf on both sides, HTTP/2, the kernel, the tables.
///
/// flows, sessions, labels, routes: --entries are inserted, modified and deleted. vpns: what --vpns customers of a provider edge need is
/// inserted: an attachment circuit each, with station, ARP responder, next hop, VPN label, a local route and 16 remote ones. read: all of
/// --entries flows are read at once, while single entries are written. loss: entries are inserted, modified and deleted around a session whose
/// packets a worker forwards all the time; every packet is counted.
#[allow(clippy::doc_markdown, reason = "the text of --help, where backticks are only noise")]
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = What::ALL)]
    pub what: Vec<What>,
    /// Entries of a kind.
    #[arg(long, default_value = "400k")]
    pub entries: Count,
    /// VPNs.
    #[arg(long, default_value = "800")]
    pub vpns: Count,
    /// Updates in one request.
    #[arg(long, default_value = "1000")]
    pub batch: NonZeroUsize,
    /// Requests that may be on their way at a time.
    #[arg(long, default_value = "4")]
    pub in_flight: NonZeroUsize,
    /// Turns of each measurement; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Print one JSON object per figure.
    #[arg(long)]
    pub json: bool,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Flows.
    Flows,
    /// Sessions, with their meters.
    Sessions,
    /// Labels.
    Labels,
    /// IPv4 routes.
    Routes,
    /// All that some customers need.
    Vpns,
    /// A read of everything.
    Read,
    /// Packets lost by updates.
    Loss,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Flows, Self::Sessions, Self::Labels, Self::Routes, Self::Vpns, Self::Read, Self::Loss];

    /// The kind of entries whose writing it measures.
    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            Self::Flows => Some(Kind::Flows),
            Self::Sessions => Some(Kind::Sessions),
            Self::Labels => Some(Kind::Labels),
            Self::Routes => Some(Kind::Routes),
            Self::Vpns | Self::Read | Self::Loss => None,
        }
    }
}
