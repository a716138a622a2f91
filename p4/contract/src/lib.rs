//! The pipeline contract, for programs on either side of P4Runtime.
//!
//! The schema is written once, in `p4/tables/`; p4c turns it into `p4/compiled/p4info.txtpb`, and this crate's build script turns
//! that into Rust: a key struct, an action enum and an entry struct for every table, and the numbers of everything else. A controller
//! builds an [`Entry`] and encodes it; a router decodes one and gets either typed values that fit their widths or a [`DecodeError`]
//! that names the table, the field and the reason.
//!
//! - [`wire`]: one type for every quantity on the wire
//! - [`Entry`], [`EntryKey`], [`Update`]: what a controller writes and reads
//! - [`packet`]: packet-in and packet-out
//! - [`oracle`]: what the pipeline does with a frame, executable
//! - `generators` (feature of that name): random values, entries and frames for property tests
//!
//! `prost-reflect` reads the text format at build time (prost itself has no text format), `quote` and `prettyplease` write the code;
//! `proptest` makes the random values.

mod codec;
mod display;
mod error;
#[cfg(feature = "generators")]
pub mod generators;
pub mod oracle;
pub mod packet;
mod tables;
mod update;
mod value;
pub mod wire;

pub use error::{DecodeError, ValueError};
pub use tables::*;
pub use update::{DecodeUpdateError, Update};
pub use value::Value;

use p4runtime_proto::p4::config::v1::P4Info;
use prost::Message;

/// The P4Info of the contract in protobuf's binary format, as `SetForwardingPipelineConfig` carries it.
pub const P4INFO_BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/p4info.bin"));

/// The P4Info of the contract.
///
/// # Panics
/// Never: the build script has decoded the same bytes.
pub fn p4info() -> P4Info {
    P4Info::decode(P4INFO_BYTES).expect("the build script encoded it")
}
