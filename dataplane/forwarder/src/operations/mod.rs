//! What people see of a running router.
//!
//! - [`telemetry`]: commands of DPDK's telemetry socket, for `dpdk-telemetry.py`;
//! - [`metrics`]: the same and more for Prometheus, and [`http`], which serves it;
//! - `load`: what a worker counts of itself.
//!
//! Whoever asks reads memory that each worker writes for itself; no worker waits for it.
//!
//! `prometheus` writes the exposition format, `axum` (which `tonic` brings along) serves it.

pub mod http;
pub(crate) mod load;
pub mod metrics;
pub mod telemetry;
