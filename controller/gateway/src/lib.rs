//! The S-VPN gateway: SIP server, admission control, P4Runtime controller.
//!
//! Assembly only: what an INVITE asks for goes from `svpn-sip` to `svpn-vpn`; what that decides goes through `svpn-store`, so that it
//! outlives this process, and then through `svpn-switch` to the routers; what was carried comes back the same way.
//!
//! `toml` reads the configuration: its errors know where in the file they are. `tokio-util` counts what is under way.

pub mod config;
pub mod gateway;
pub mod liveness;
mod neighbours;
pub mod records;
mod routers;
pub mod tables;
