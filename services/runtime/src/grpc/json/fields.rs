//! Checks of the fields of a JSON request that the decoder lacks or words for programmers only.

use std::collections::BTreeMap;

use diptych_proto::diptych::v1::ErrorReason as Reason;
use prost_reflect::{DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::rejection::Rejection;

/// The longest value that a message repeats, in characters.
const VALUE_CHARS_MAX: usize = 60;

/// Decodes the message.
///
/// # Errors
/// Names the field that is unknown, given in two spellings, or has a wrong value.
pub(super) fn decode(input: &MessageDescriptor, fields: &Map<String, Value>) -> Result<DynamicMessage, Rejection> {
    check_names(input, fields, "")?;
    try_decode(input, fields).map_err(|error| {
        wrong_value(input, fields, "").unwrap_or_else(|| Rejection::body(format!("the request is invalid: {error}")))
    })
}

/// The field with this name, in snake_case or camelCase.
pub(super) fn named(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name))
}

/// The nearest field, else all fields of the message, for the message about an unknown one.
pub(super) fn suggestion(message: &MessageDescriptor, name: &str) -> String {
    let known: Vec<_> = message.fields().map(|field| field.name().to_owned()).collect();
    let edits =
        |known: &String| strsim::damerau_levenshtein(&name.to_lowercase().replace('_', ""), &known.replace('_', ""));
    match known.iter().min_by_key(|known| edits(known)) {
        Some(nearest) if edits(nearest) <= (name.len() / 4).max(2) => format!("did you mean {nearest}?"),
        _ => format!("{} has {}", message.name(), known.join(", ")),
    }
}

fn try_decode(input: &MessageDescriptor, fields: &Map<String, Value>) -> Result<DynamicMessage, serde_json::Error> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(input.clone(), fields, &options)
}

/// Refuses unknown names, and fields that are given in both spellings, at every depth.
fn check_names(message: &MessageDescriptor, fields: &Map<String, Value>, prefix: &str) -> Result<(), Rejection> {
    let mut names = BTreeMap::new();
    for (name, value) in fields {
        let path = format!("{prefix}{name}");
        let Some(field) = named(message, name) else {
            let text = format!("unknown field {path}; {}", suggestion(message, name));
            return Err(Rejection::field(Reason::FieldUnknown, path, text));
        };
        if let Some(other) = names.insert(field.number(), name) {
            let path = format!("{prefix}{}", field.name());
            let text = format!("{path} is given twice, as {other} and as {name}; send it once");
            return Err(Rejection::field(Reason::FieldDuplicated, path, text));
        }
        let Some(inner) = nested(&field) else { continue };
        for (path, inner_fields) in objects(value, &path) {
            check_names(&inner, inner_fields, &format!("{path}."))?;
        }
    }
    Ok(())
}

/// The type of a field with fields of its own in JSON.
fn nested(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        // The well-known types have forms of their own, such as a text for a time.
        Kind::Message(inner) if !field.is_map() && !inner.full_name().starts_with("google.protobuf.") => Some(inner),
        _ => None,
    }
}

/// The objects of a value with their paths: itself, or the elements of an array.
fn objects<'v>(value: &'v Value, path: &str) -> Vec<(String, &'v Map<String, Value>)> {
    match value {
        Value::Object(fields) => vec![(path.to_owned(), fields)],
        Value::Array(values) => {
            let elements = values.iter().enumerate();
            elements.filter_map(|(at, value)| Some((format!("{path}[{at}]"), value.as_object()?))).collect()
        }
        _ => Vec::new(),
    }
}

/// The rejection of the first value that does not fit its field. The decoder does not name the field, so the fields
/// are tried one at a time.
fn wrong_value(message: &MessageDescriptor, fields: &Map<String, Value>, prefix: &str) -> Option<Rejection> {
    let fails =
        |name: &str, value: &Value| try_decode(message, &Map::from_iter([(name.to_owned(), value.clone())])).is_err();
    let (name, value) = fields.iter().find(|(name, value)| fails(name, value))?;
    let field = named(message, name)?;
    let path = format!("{prefix}{name}");
    if let Some(inner) = nested(&field) {
        let mut objects = objects(value, &path).into_iter();
        let found = objects.find_map(|(path, fields)| wrong_value(&inner, fields, &format!("{path}.")));
        if found.is_some() {
            return found;
        }
    }
    let (path, value, expected) = match value {
        Value::Array(values) if field.is_list() => {
            let at = values.iter().position(|value| fails(name, &Value::Array(vec![value.clone()])))?;
            (format!("{path}[{at}]"), values.get(at)?, expected(&field.kind()))
        }
        _ if field.is_list() => (path, value, "an array".to_owned()),
        _ => (path, value, expected(&field.kind())),
    };
    let text = format!("{path}: {} is not {expected}", shortened(value));
    Some(Rejection::field(Reason::FieldMalformed, path, text))
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "an integer (int32)".to_owned(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "an integer (int64)".to_owned(),
        Kind::Uint32 | Kind::Fixed32 => "a non-negative integer (uint32)".to_owned(),
        Kind::Uint64 | Kind::Fixed64 => "a non-negative integer (uint64)".to_owned(),
        Kind::Float | Kind::Double => "a number".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::String => "a string".to_owned(),
        Kind::Bytes => "bytes in base64".to_owned(),
        Kind::Enum(list) => {
            let names: Vec<_> = list.values().map(|value| value.name().to_owned()).collect();
            format!("a {}: {}", list.name(), names.join(", "))
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
            "a time such as 2026-01-31T12:00:00Z".to_owned()
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Duration" => {
            "a duration in seconds such as 5s or 0.5s".to_owned()
        }
        Kind::Message(message) => format!("an object ({})", message.name()),
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
