//! The P4Runtime service over gRPC on loopback, in front of real tables without ports.

mod arbitration;
mod idle;
mod packets;
mod pipeline;
mod profiles;
mod reads;
mod support;
mod writes;
