//! Raw bindings to DPDK, and nothing else: safe types are in `svpn-dpdk`.
//!
//! `bindgen` generates them from the installed headers, because struct layouts and constants differ
//! between DPDK releases. `svpn_*` functions are C functions of this crate that give a callable name
//! to what DPDK has only as `static inline`; each has the contract of the `rte_*` function it names.
//! `cc` compiles them with the flags `pkg-config` reports for DPDK.
#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    clippy::pedantic,
    reason = "generated code keeps the names and the shape of the C headers"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
