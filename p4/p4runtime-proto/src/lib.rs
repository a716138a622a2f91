//! The P4Runtime service and messages: server and client.
//!
//! The `.proto` files in this crate are written for it and say the same on the wire as
//! [P4Runtime](https://p4.org/specifications/) 1.6: `tests/standard.rs` holds them against the
//! descriptors that the standard's own Python package carries. Modules follow the packages, so
//! `p4.v1.TableEntry` is [`p4::v1::TableEntry`].
//!
//! `protox` compiles the files, so that no `protoc` need be installed; `tonic` and `prost` are what
//! Rust speaks gRPC and protobuf with.

/// Package `google`.
pub mod google {
    /// Package `google.rpc`: the status that details a failed call.
    #[allow(missing_docs, clippy::all, clippy::pedantic)]
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}

/// Package `p4`.
pub mod p4 {
    /// Package `p4.config`.
    pub mod config {
        /// Package `p4.config.v1`: P4Info, the controller's view of a program.
        #[allow(missing_docs, clippy::all, clippy::pedantic)]
        pub mod v1 {
            tonic::include_proto!("p4.config.v1");
        }
    }

    /// Package `p4.v1`: the service, its messages, its client and its server.
    #[allow(missing_docs, clippy::all, clippy::pedantic)]
    pub mod v1 {
        tonic::include_proto!("p4.v1");
    }
}

/// All files of this crate and those they import, as an encoded `google.protobuf.FileDescriptorSet`;
/// for reflection, and for decoding messages whose type is known only when running.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/p4runtime.binpb"));
