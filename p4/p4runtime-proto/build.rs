//! Compiles the `.proto` files to Rust and to a `FileDescriptorSet`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

const ROOT: &str = "proto";
const FILES: [&str; 5] =
    ["google/rpc/status.proto", "p4/config/v1/p4types.proto", "p4/config/v1/p4info.proto", "p4/v1/p4data.proto", "p4/v1/p4runtime.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let descriptors = protox::compile(FILES, [ROOT])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("p4runtime.binpb"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().build_client(true).build_server(true).compile_fds(descriptors)?;
    Ok(())
}
