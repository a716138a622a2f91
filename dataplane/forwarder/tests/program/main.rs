//! The program as it is run: command line, signals, a real interface, and somebody else's controller.
//!
//! Needs the right to make network namespaces, `ip` (iproute2), and `python3` with `venv`; the controller is fetched once and kept in the
//! target directory.

mod client;
mod failover;
mod forwarder;
mod interface;
mod shell;
mod start;
