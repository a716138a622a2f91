//! Descriptors as a flat list of facts, so that two sets of them can be compared by name.

use std::collections::BTreeMap;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
};

/// What is there by its full name, and all that the wire and generated code depend on about it.
pub(crate) type Facts = BTreeMap<String, String>;

/// All facts of the files in a set. Languages' options, comments and order are none.
pub(crate) fn facts(set: &FileDescriptorSet) -> Facts {
    let mut facts = Facts::new();
    for file in &set.file {
        of_file(file, &mut facts);
    }
    facts
}

/// One line for each fact that only one side has or that the two have differently.
pub(crate) fn differences(ours: &Facts, standard: &Facts) -> Vec<String> {
    let missing = standard.iter().filter(|(name, _)| !ours.contains_key(*name));
    let missing = missing.map(|(name, fact)| format!("{name}: we lack {fact}"));
    let others = ours.iter().filter_map(|(name, fact)| match standard.get(name) {
        None => Some(format!("{name}: the standard lacks {fact}")),
        Some(other) if other != fact => Some(format!("{name}: ours is {fact}, the standard's {other}")),
        Some(_) => None,
    });
    missing.chain(others).collect()
}

fn of_file(file: &FileDescriptorProto, facts: &mut Facts) {
    let package = file.package();
    facts.insert(format!("file {}", file.name()), format!("package {package}, syntax {}", file.syntax()));
    for message in &file.message_type {
        of_message(package, message, facts);
    }
    for enumeration in &file.enum_type {
        of_enumeration(package, enumeration, facts);
    }
    for service in &file.service {
        let path = format!("{package}.{}", service.name());
        facts.insert(format!("service {path}"), "a service".into());
        for method in &service.method {
            facts.insert(format!("method {path}.{}", method.name()), of_method(method));
        }
    }
}

fn of_message(scope: &str, message: &DescriptorProto, facts: &mut Facts) {
    let path = format!("{scope}.{}", message.name());
    let options = message.options.as_ref();
    let map_entry = options.is_some_and(prost_types::MessageOptions::map_entry);
    facts.insert(format!("message {path}"), format!("a message, map entry: {map_entry}, reserved: {:?}", message.reserved_range));
    for field in &message.field {
        facts.insert(format!("field {path}.{}", field.name()), of_field(message, field));
    }
    for nested in &message.nested_type {
        of_message(&path, nested, facts);
    }
    for enumeration in &message.enum_type {
        of_enumeration(&path, enumeration, facts);
    }
}

fn of_field(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let options = field.options.clone().unwrap_or_default();
    let oneof = field.oneof_index.and_then(|index| {
        let index = usize::try_from(index).ok()?;
        message.oneof_decl.get(index).map(prost_types::OneofDescriptorProto::name)
    });
    format!(
        "number {}, {:?} {:?} {}, oneof {oneof:?}, packed {:?}, deprecated {}, optional {}",
        field.number(),
        field.label(),
        field.r#type(),
        field.type_name(),
        options.packed,
        options.deprecated(),
        field.proto3_optional(),
    )
}

fn of_enumeration(scope: &str, enumeration: &EnumDescriptorProto, facts: &mut Facts) {
    let path = format!("{scope}.{}", enumeration.name());
    facts.insert(format!("enum {path}"), "an enum".into());
    for value in &enumeration.value {
        let fact = format!("number {}", value.number());
        facts.insert(format!("enum value {path}.{}", value.name()), fact);
    }
}

fn of_method(method: &MethodDescriptorProto) -> String {
    format!(
        "takes {} (stream: {}), answers {} (stream: {})",
        method.input_type(),
        method.client_streaming(),
        method.output_type(),
        method.server_streaming(),
    )
}
