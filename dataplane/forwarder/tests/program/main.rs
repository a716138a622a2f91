//! The program as it is run: command line, signals, a real interface, and somebody else's controller.
//!
//! Needs the right to make network namespaces, `ip` (iproute2), and `python3` with `venv`; the controller is fetched once and kept in the
//! target directory. What else a test needs it looks for, and says `SKIPPED` if it is not there: `dpdk-telemetry.py` and `dpdk-dumpcap`
//! (Debian: dpdk), `promtool` (prometheus), free hugepages, a NIC that the kernel drives.

mod capture;
mod client;
mod failover;
mod forwarder;
mod interface;
mod jumbo;
mod metrics;
mod mistakes;
mod shell;
mod start;
mod telemetry;
