//! The body of an HTTP request as a JSON object.

use std::fmt;

use diptych_proto::diptych::v1::ErrorReason as Reason;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::rejection::Rejection;

/// Reads a body; an empty one is an object without fields. A name that an object has twice is refused: a sender that
/// writes two amounts must not find out later which of them was taken.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Rejection> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Json { duplicate: Some(path), .. }) => {
            let message = format!("{path} is given twice; send it once");
            Err(Rejection::field(Reason::FieldDuplicated, path, message))
        }
        Ok(Json { value: Value::Object(fields), .. }) => Ok(fields),
        Ok(_) => Err(Rejection::body("the body must be a JSON object")),
        Err(error) => Err(Rejection::body(format!("the body is not valid JSON: {error}"))),
    }
}

/// A value, and the path of the first name in it that an object has twice.
struct Json {
    value: Value,
    duplicate: Option<String>,
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self { value, duplicate: None }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Value::Null.into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Value::from(value).into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Value::from(value).into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Value::from(value).into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Value::from(value).into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Value::from(value).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let (mut values, mut duplicate) = (Vec::new(), None);
        while let Some(element) = elements.next_element::<Json>()? {
            duplicate = duplicate.or_else(|| Some(joined(&format!("[{}]", values.len()), &element.duplicate?)));
            values.push(element.value);
        }
        Ok(Json { value: Value::Array(values), duplicate })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let (mut fields, mut duplicate) = (Map::new(), None);
        while let Some((name, entry)) = entries.next_entry::<String, Json>()? {
            duplicate = duplicate.or_else(|| Some(joined(&name, &entry.duplicate?)));
            if fields.insert(name.clone(), entry.value).is_some() {
                duplicate.get_or_insert(name);
            }
        }
        Ok(Json { value: Value::Object(fields), duplicate })
    }
}

/// The path of a name or an element inside a field.
fn joined(field: &str, inner: &str) -> String {
    let separator = if inner.starts_with('[') { "" } else { "." };
    format!("{field}{separator}{inner}")
}
