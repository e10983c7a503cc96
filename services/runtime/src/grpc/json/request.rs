//! From an HTTP request to the request message of a method.

use bytes::Bytes;
use form_urlencoded::parse;
use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, map::Entry};

use super::{
    rejection::Rejection,
    routes::{BodyFields, PathFields, Route},
};

/// Builds the request message from path, query parameters and body, and encodes it.
pub(super) fn message(
    route: &Route,
    path_fields: PathFields<'_>,
    query: &str,
    body: &Bytes,
) -> Result<Vec<u8>, Rejection> {
    let input = route.method.input();
    let mut fields = match &route.body {
        BodyFields::None if body.iter().all(u8::is_ascii_whitespace) => Map::new(),
        BodyFields::None => return Err(Rejection::invalid("this method takes no body; send query parameters")),
        BodyFields::All => object(body)?,
        BodyFields::One(name) => Map::from_iter([(name.clone(), Value::Object(object(body)?))]),
    };
    for (field, value) in path_fields {
        let name = field.name();
        if fields.contains_key(name) || fields.contains_key(field.json_name()) {
            return Err(Rejection::invalid(format!("{name} is in the path and in the body; leave it out of the body")));
        }
        fields.insert(name.to_owned(), scalar(field, &value));
    }
    if matches!(route.body, BodyFields::All) && !query.is_empty() {
        return Err(Rejection::invalid("this method takes no query parameters; send all fields in the body"));
    }
    for (name, value) in parse(query.as_bytes()) {
        set_parameter(&mut fields, &input, &name, &name, &value)?;
    }
    decode(&input, &fields)
        .map(|message| message.encode_to_vec())
        .map_err(|error| Rejection::invalid(which_field(&input, &fields, &error)))
}

fn decode(input: &MessageDescriptor, fields: &Map<String, Value>) -> Result<DynamicMessage, serde_json::Error> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(input.clone(), fields, &options)
}

/// The decoder does not name the field of a value that does not fit, so the fields are tried one at a time.
fn which_field(input: &MessageDescriptor, fields: &Map<String, Value>, whole: &serde_json::Error) -> String {
    let mut each = fields.iter().map(|(name, value)| (name, Map::from_iter([(name.clone(), value.clone())])));
    let failed = each.find_map(|(name, field)| decode(input, &field).err().map(|error| format!("{name}: {error}")));
    failed.unwrap_or_else(|| whole.to_string())
}

fn object(body: &Bytes) -> Result<Map<String, Value>, Rejection> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Rejection::invalid("the body must be a JSON object")),
        Err(error) => Err(Rejection::invalid(format!("the body is not valid JSON: {error}"))),
    }
}

/// Sets the field that a parameter such as `page_size` or `consistency.at_least_as_fresh.value` names. A parameter that
/// is sent several times fills a repeated field.
fn set_parameter(
    fields: &mut Map<String, Value>,
    message: &MessageDescriptor,
    parameter: &str,
    path: &str,
    value: &str,
) -> Result<(), Rejection> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name));
    let Some(field) = field else {
        let known: Vec<_> = message.fields().map(|field| field.name().to_owned()).collect();
        return Err(Rejection::invalid(format!(
            "unknown query parameter {parameter}; {} has {}",
            message.name(),
            known.join(", ")
        )));
    };
    let entry = fields.entry(field.name());
    match (rest, field.kind()) {
        (Some(rest), Kind::Message(inner)) if !field.is_list() && !field.is_map() => {
            match entry.or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(fields) => set_parameter(fields, &inner, parameter, rest, value),
                _ => Err(Rejection::invalid(format!("query parameter {parameter} is sent in two forms"))),
            }
        }
        (Some(_), _) => Err(Rejection::invalid(format!("unknown query parameter {parameter}: {name} has no fields"))),
        (None, _) if field.is_list() => {
            if let Value::Array(values) = entry.or_insert_with(|| Value::Array(Vec::new())) {
                values.push(scalar(&field, value));
            }
            Ok(())
        }
        (None, _) => match entry {
            Entry::Vacant(entry) => {
                entry.insert(scalar(&field, value));
                Ok(())
            }
            Entry::Occupied(_) => Err(Rejection::invalid(format!("{parameter} is sent more than once"))),
        },
    }
}

/// The JSON value of a parameter. Numbers may be text in the JSON mapping, booleans and the numbers of enum values may
/// not.
fn scalar(field: &FieldDescriptor, text: &str) -> Value {
    match field.kind() {
        Kind::Bool => text.parse().map_or_else(|_| text.into(), Value::Bool),
        Kind::Enum(_) => text.parse::<i32>().map_or_else(|_| text.into(), Value::from),
        _ => text.into(),
    }
}
