//! The P4Runtime service over gRPC on loopback, in front of real tables without ports.

mod arbitration;
mod packets;
mod pipeline;
mod reads;
mod support;
mod writes;
