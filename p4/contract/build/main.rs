//! Turns the committed P4Info into Rust: `tables.rs` (typed keys, actions, entries, ids), `arbitrary.rs` (random ones) and `p4info.bin`
//! (the message as the controller sends it).

mod arbitrary;
mod display;
mod generate;
mod schema;

use std::path::Path;
use std::{env, fs};

use p4runtime_proto::p4::config::v1::P4Info;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};

fn main() {
    let source = Path::new("../compiled/p4info.txtpb");
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed=build");

    let text = fs::read_to_string(source).expect("p4/compiled/p4info.txtpb is readable");
    let pool = DescriptorPool::decode(p4runtime_proto::FILE_DESCRIPTOR_SET).expect("our own descriptors decode");
    let descriptor = pool.get_message_by_name("p4.config.v1.P4Info").expect("P4Info is described");
    let info: P4Info = DynamicMessage::parse_text_format(descriptor, &text)
        .expect("p4info.txtpb is a P4Info in text format")
        .transcode_to()
        .expect("a P4Info is a P4Info");

    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    fs::write(out.join("p4info.bin"), info.encode_to_vec()).expect("OUT_DIR is writable");
    let schema = schema::Schema::read(&info).unwrap_or_else(|problem| panic!("p4info.txtpb: {problem}"));
    for (name, code) in [("tables.rs", generate::schema(&schema)), ("arbitrary.rs", arbitrary::arbitraries(&schema.tables))] {
        let code = syn::parse2(code).expect("the generated code parses");
        fs::write(out.join(name), prettyplease::unparse(&code)).expect("OUT_DIR is writable");
    }
}
