//! Holds our `.proto` files against the standard's, as its Python package carries them.
//!
//! Needs `python3` with `venv`; the package is fetched once and kept in the target directory.

mod schema;

use std::fs;
use std::path::Path;
use std::process::Command;

use p4runtime_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use schema::{differences, facts};

const FILES: [&str; 5] =
    ["google/rpc/status.proto", "p4/config/v1/p4info.proto", "p4/config/v1/p4types.proto", "p4/v1/p4data.proto", "p4/v1/p4runtime.proto"];

fn ours() -> FileDescriptorSet {
    let mut set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("our descriptors decode");
    set.file.retain(|file| FILES.contains(&file.name()));
    set
}

fn standard() -> FileDescriptorSet {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("p4runtime-standard");
    let output = directory.join("standard.binpb");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standard_descriptors.py");
    let status = Command::new("python3").arg(script).arg(&directory).arg(&output).status().expect("python3 runs");
    assert!(status.success(), "the standard's package was not read: {status}");
    let bytes = fs::read(output).expect("the script wrote the descriptors");
    FileDescriptorSet::decode(&*bytes).expect("the standard's descriptors decode")
}

#[test]
fn says_on_the_wire_what_the_standard_says() {
    let (ours, standard) = (facts(&ours()), facts(&standard()));
    assert!(standard.len() > 400, "only {} facts: the standard was not read whole", standard.len());
    let differences = differences(&ours, &standard);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Every kind of slip that the comparison is there for is seen, and seen as one difference.
#[test]
fn comparison_sees_each_kind_of_slip() {
    type Slip = fn(&mut FileDescriptorSet);
    let slips: [(&str, Slip); 13] = [
        ("package", |set| runtime(set).package = Some("p4.v2".into())),
        ("number", |set| {
            message(set, "TableEntry").field[1].number = Some(99);
        }),
        ("name", |set| {
            message(set, "TableEntry").field[1].name = Some("matches".into());
        }),
        ("label", |set| {
            message(set, "TableEntry").field[1].set_label(Label::Optional);
        }),
        ("type", |set| {
            message(set, "MeterConfig").field[0].set_type(Type::Uint64);
        }),
        ("message", |set| {
            message(set, "DirectCounterEntry").field[1].type_name = Some(".p4.v1.Index".into());
        }),
        ("oneof", |set| {
            message(set, "Entity").field[0].oneof_index = None;
        }),
        ("missing", |set| {
            drop(message(set, "TableEntry").field.remove(2));
        }),
        ("nested", |set| {
            message(set, "FieldMatch").nested_type.clear();
        }),
        ("enum value", |set| {
            message(set, "Update").enum_type[0].value[2].number = Some(7);
        }),
        ("top enum", |set| runtime(set).enum_type.clear()),
        ("streaming", |set| {
            runtime(set).service[0].method[1].server_streaming = None;
        }),
        ("service", |set| runtime(set).service.clear()),
    ];
    let right = facts(&ours());
    assert!(differences(&right, &right).is_empty());
    for (what, slip) in slips {
        let mut wrong = ours();
        slip(&mut wrong);
        let wrong = facts(&wrong);
        assert!(!differences(&wrong, &right).is_empty(), "{what}: not seen");
        assert_eq!(differences(&wrong, &right).len(), differences(&right, &wrong).len(), "{what}: seen from one side only");
    }
}

/// `p4/v1/p4runtime.proto`.
fn runtime(set: &mut FileDescriptorSet) -> &mut FileDescriptorProto {
    set.file.iter_mut().find(|file| file.name() == FILES[4]).expect("the set has every file")
}

fn message<'set>(set: &'set mut FileDescriptorSet, name: &str) -> &'set mut DescriptorProto {
    runtime(set).message_type.iter_mut().find(|message| message.name() == name).unwrap_or_else(|| panic!("no message {name}"))
}
