//! From an HTTP request to the request message of a method.

use bytes::Bytes;
use diptych_proto::diptych::v1::ErrorReason as Reason;
use form_urlencoded::parse;
use prost::Message;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, map::Entry};

use super::{
    body::object,
    fields as request_fields,
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
        BodyFields::None => return Err(Rejection::body("this method takes no body; send query parameters")),
        BodyFields::All => object(body)?,
        BodyFields::One(name) => Map::from_iter([(name.clone(), Value::Object(object(body)?))]),
    };
    for (field, value) in path_fields {
        let name = field.name();
        if fields.contains_key(name) || fields.contains_key(field.json_name()) {
            let message = format!("{name} is in the path and in the body; leave it out of the body");
            return Err(Rejection::field(Reason::FieldDuplicated, name, message));
        }
        fields.insert(name.to_owned(), scalar(field, &value));
    }
    if matches!(route.body, BodyFields::All)
        && let Some((name, _)) = parse(query.as_bytes()).next()
    {
        let message = "this method takes no query parameters; send all fields in the body";
        return Err(Rejection::field(Reason::FieldUnknown, name, message));
    }
    for (name, value) in parse(query.as_bytes()) {
        set_parameter(&mut fields, &input, &name, &name, &value)?;
    }
    request_fields::decode(&input, &fields).map(|message| message.encode_to_vec())
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
    let Some(field) = request_fields::named(message, name) else {
        let text = format!("unknown query parameter {parameter}; {}", request_fields::suggestion(message, name));
        return Err(Rejection::field(Reason::FieldUnknown, parameter, text));
    };
    let entry = fields.entry(field.name());
    match (rest, field.kind()) {
        (Some(rest), Kind::Message(inner)) if !field.is_list() && !field.is_map() => {
            match entry.or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(fields) => set_parameter(fields, &inner, parameter, rest, value),
                _ => Err(Rejection::field(
                    Reason::FieldDuplicated,
                    parameter,
                    format!("query parameter {parameter} is sent in two forms"),
                )),
            }
        }
        (Some(_), _) => Err(Rejection::field(
            Reason::FieldUnknown,
            parameter,
            format!("unknown query parameter {parameter}: {name} has no fields"),
        )),
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
            Entry::Occupied(_) => {
                Err(Rejection::field(Reason::FieldDuplicated, parameter, format!("{parameter} is sent more than once")))
            }
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
