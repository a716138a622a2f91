//! The S-VPN gateway: SIP server, admission control, P4Runtime controller.
//!
//! Assembly only: what an INVITE asks for goes from `svpn-sip` to `svpn-vpn`, what that plans goes through `svpn-switch` to the
//! routers, and what was carried goes to `svpn-store`.
//!
//! `toml` reads the configuration: its errors know where in the file they are.

mod charges;
pub mod config;
mod gateway;
mod routers;
pub mod tables;

pub use charges::{ChargeWriter, ChargesGone};
pub use gateway::Gateway;
pub use routers::Routers;
