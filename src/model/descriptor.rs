//! `descriptor = "press.pb", message = "plant.Press"`: a message of a compiled descriptor set, as
//! `protoc --include_imports --descriptor_set_out=press.pb press.proto` writes it beside the model.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::PathStep;
use crate::source::{Diagnostic, Diagnostics, Table, did_you_mean};

/// Finds the message that `table` names.
pub(super) fn read(diags: &mut Diagnostics, table: &Table<'_>) -> Option<MessageDescriptor> {
    let (file, name) = (table.need_text(diags, "descriptor"), table.need_text(diags, "message"));
    let (file, name) = (file?, name?);
    let Some(bytes) = diags.attachment(&file.place, &file.value) else {
        let finding = Diagnostic::error("M017", format!("there is no descriptor set '{}'", file.value));
        let hint = "make one with protoc --include_imports --descriptor_set_out, and put it beside the model";
        diags.push(finding.at(file.place, "a file with the ending .pb, beside the model").hint(hint));
        return None;
    };
    let pool = match DescriptorPool::decode(&*bytes) {
        Ok(pool) => pool,
        Err(error) => {
            let finding = Diagnostic::error("M017", format!("'{}' is not a descriptor set", file.value));
            let hint = "compile it with --include_imports: everything it imports must be in it";
            diags.push(finding.at(file.place, error.to_string()).hint(hint));
            return None;
        }
    };
    let found = pool.get_message_by_name(&name.value);
    if found.is_none() {
        let known: Vec<String> = pool.all_messages().map(|m| m.full_name().to_owned()).collect();
        let near = did_you_mean(&name.value, known.iter().map(String::as_str));
        let near = near.map(|near| format!("did you mean `{near}`?"));
        let finding = Diagnostic::error("M017", format!("there is no message '{}' in '{}'", name.value, file.value));
        diags.push(finding.at(name.place, "write it with its package").maybe_hint(near));
    }
    found
}

/// Why no value can ever stand at `path` of such a message: the step that fails, and the name that was likely meant.
pub(super) fn misfit(message: &MessageDescriptor, path: &[PathStep]) -> Option<(String, Option<String>)> {
    let mut at = Some(message.clone());
    let mut listed: Option<FieldDescriptor> = None;
    for step in path {
        match step {
            PathStep::Key(key) => {
                // The keys of a map are data.
                if listed.as_ref().is_some_and(FieldDescriptor::is_map) {
                    let value = listed.take().and_then(|field| field.kind().as_message().cloned());
                    at = value.and_then(|entry| message_of(&entry.map_entry_value_field()));
                    continue;
                }
                let Some(message) = at.take() else { return Some((format!("nothing is below, no '{key}'"), None)) };
                let Some(field) = message.get_field_by_name(key) else {
                    let known: Vec<String> = message.fields().map(|f| f.name().to_owned()).collect();
                    let near = did_you_mean(key, known.iter().map(String::as_str)).map(str::to_owned);
                    return Some((format!("message '{}' has no field '{key}'", message.full_name()), near));
                };
                at = if field.is_list() || field.is_map() { None } else { message_of(&field) };
                listed = Some(field);
            }
            PathStep::Index(i) => match listed.take() {
                Some(field) if field.is_list() => at = message_of(&field),
                _ => return Some((format!("[{i}] of something that is not repeated"), None)),
            },
        }
    }
    None
}

fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) => Some(message),
        _ => None,
    }
}
