//! Reading and writing of setting values in files and environment variables.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    addresses::{ListenAddress, ServerList},
    names::{DataLocation, InstanceName, Keyspace, LogFilter, Name, OtlpEndpoint},
    numbers::{ByteSize, Count, Ratio, Switch, TimeSpan},
    secrets::{ClientProperties, PostgresUrl, Secret},
};

/// Reads any scalar as the text that it was written as: environment variables have no types, so `5` and `"5"` are
/// equal.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Text)?.parse().map_err(de::Error::custom)
}

struct Text;

impl<'de> de::Visitor<'de> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }
}

/// A list in a file or, with commas, in an environment variable.
struct Texts;

impl<'de> de::Visitor<'de> for Texts {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<String, A::Error> {
        let mut texts: Vec<String> = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(texts.join(","))
    }
}

/// Reads values from any scalar.
macro_rules! read_from_scalar {
    ($([$($generics:tt)*] $Value:ty),+ $(,)?) => {$(
        impl<'de, $($generics)*> Deserialize<'de> for $Value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer)
            }
        }
    )+};
}

/// Reads values from any scalar, and writes them as they are displayed: a secret is never serialized, neither in
/// defaults, which have none, nor in dumps.
macro_rules! read_and_write_as_text {
    ($([$($generics:tt)*] $Value:ty),+ $(,)?) => {$(
        read_from_scalar!([$($generics)*] $Value);

        impl<$($generics)*> Serialize for $Value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

read_and_write_as_text!(
    [const MIN: u64, const MAX: u64] ByteSize<MIN, MAX>,
    [const MIN: u64, const MAX: u64] TimeSpan<MIN, MAX>,
    [const BYTES_MAX: usize] Name<BYTES_MAX>,
    [] ListenAddress,
    [] DataLocation,
    [] InstanceName,
    [] Keyspace,
    [] LogFilter,
    [] OtlpEndpoint,
    [] PostgresUrl,
    [] Secret,
    [] ClientProperties,
);

read_from_scalar!([const MIN: u64, const MAX: u64] Count<MIN, MAX>, [] Ratio, [] Switch);

impl<'de> Deserialize<'de> for ServerList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Texts)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for ServerList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Count<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl Serialize for Switch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.0)
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.f64())
    }
}
