//! DPDK as it is: its environment, virtual devices, packets and queues.

mod chains;
mod eal;
mod operations;
mod packets;
mod ports;
mod rings;
mod support;
mod threads;
