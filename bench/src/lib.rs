//! How fast svpn is, beside its peers in the same run.
//!
//! A figure of a machine that is shared, or throttled, or new next year, says little; a ratio of two programs that ran turn by turn on the
//! same core says much. So everything here is measured together with a peer, several times in turn, and medians are printed.
//!
//! - [`pipeline`]: the forwarder's fast path, beside `dpdk-testpmd`;
//! - [`latency`]: how long a packet is under way through a worker;
//! - [`memory`]: bytes of its tables for each entry;
//! - [`updates`]: how many updates a second they take while packets are forwarded;
//! - [`p4runtime`]: its service, over a socket, and what updates cost the packets; and how long a router that comes back empty takes to be
//!   whole again;
//! - [`admission`]: how long the gateway takes to choose a path and to reserve it;
//! - [`sip`]: set-ups and tear-downs a second through a gateway and its routers, and whether anything is left of them.
//!
//! `hdrhistogram` counts latencies; `md-5` signs for digest authentication; `clap` reads the command line; `rand` chooses keys; `nix` reads the processor time of a thread, which is what rates are counted in, and widens sockets' queues;
//! `serde` and `serde_json` write what other programs read; `tonic`, `tokio` and `tokio-stream` speak gRPC.

pub mod admission;
pub mod large;
pub mod latency;
pub mod memory;
pub mod p4runtime;
pub mod pipeline;
pub mod sip;
pub mod updates;
