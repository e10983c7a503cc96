//! Names: of processes, topics, keyspaces; log filters, collectors, and where `dev` keeps its data.

use std::{fmt, path::PathBuf, str::FromStr};

use diptych_embedded::Storage;
use diptych_runtime::telemetry::{check_endpoint, check_filter};
use strsim::damerau_levenshtein;

use super::value::{PartValue, SettingValue};

/// A name of 1 to `BYTES_MAX` of A-Z, a-z, 0-9, '.', '_', '-'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name<const BYTES_MAX: usize>(String);

/// The name of a ScyllaDB keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyspace(String);

/// The name of a process, unique and the same after a restart. `None` ("auto") makes one of host name, role and port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InstanceName(pub(crate) Option<String>);

/// A log filter in the syntax of `RUST_LOG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

/// The URL of a trace collector; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtlpEndpoint(String);

/// Location of the data of `dev`: "memory", or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataLocation(pub(crate) Storage);

/// The levels of a log filter.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// The largest number of edits between a word and the level that was probably meant.
const LEVEL_EDITS_MAX: usize = 2;
/// The longest instance name, as it becomes part of names in other systems.
const INSTANCE_BYTES_MAX: usize = 100;
/// The longest name of a keyspace, as Cassandra and ScyllaDB have it.
const KEYSPACE_BYTES_MAX: usize = 48;

impl<const BYTES_MAX: usize> Name<BYTES_MAX> {
    /// A name that the program brings as a default.
    pub(crate) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Keyspace {
    /// The keyspace that the program brings as a default.
    pub(crate) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl LogFilter {
    /// The filter that the program brings as a default.
    pub(crate) fn known(filter: &str) -> Self {
        Self(filter.to_owned())
    }
}

impl<const BYTES_MAX: usize> SettingValue for Name<BYTES_MAX> {
    fn allowed() -> String {
        format!("1 to {BYTES_MAX} of A-Z, a-z, 0-9, '.', '_', '-'")
    }
}

impl SettingValue for Keyspace {
    fn allowed() -> String {
        format!("1 to {KEYSPACE_BYTES_MAX} of a-z, 0-9, '_', a letter first")
    }
}

impl SettingValue for InstanceName {
    fn allowed() -> String {
        format!("auto, or {}", Name::<INSTANCE_BYTES_MAX>::allowed())
    }
}

impl SettingValue for LogFilter {
    fn allowed() -> String {
        "level or target=level, several separated by commas".to_owned()
    }
}

impl SettingValue for OtlpEndpoint {
    fn allowed() -> String {
        "http://host:port, or empty".to_owned()
    }
}

impl SettingValue for DataLocation {
    fn allowed() -> String {
        "memory, or the path of a folder".to_owned()
    }
}

impl<const BYTES_MAX: usize> PartValue<String> for Name<BYTES_MAX> {
    fn from_part(value: String) -> Self {
        Self(value)
    }

    fn to_part(&self) -> String {
        self.0.clone()
    }
}

impl<const BYTES_MAX: usize> FromStr for Name<BYTES_MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(is_name_byte);
        if is_name { Ok(Self(text.to_owned())) } else { Err(format!("write {}", Self::allowed())) }
    }
}

impl FromStr for Keyspace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_keyspace_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_keyspace = text.len() <= KEYSPACE_BYTES_MAX
            && text.bytes().all(is_keyspace_byte)
            && text.starts_with(|first: char| first.is_ascii_lowercase());
        if is_keyspace { Ok(Self(text.to_owned())) } else { Err(format!("write {}", Self::allowed())) }
    }
}

impl FromStr for InstanceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(Name::<INSTANCE_BYTES_MAX>(name)) => Ok(Self(Some(name))),
            Err(_) => Err(format!("write {}", Self::allowed())),
        }
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check_filter(text).map_err(|error| error.to_string())?;
        text.split(',').try_for_each(|directive| check_bare_word(directive.trim()))?;
        Ok(Self(text.to_owned()))
    }
}

/// Refuses a directive that is probably a misspelt level: the syntax takes it as the name of a target, and then
/// everything else is not logged.
fn check_bare_word(directive: &str) -> Result<(), String> {
    let is_target = directive.starts_with("diptych") || directive.contains(['=', ':', '[']);
    let is_level = LEVELS.iter().any(|level| directive.eq_ignore_ascii_case(level));
    if directive.is_empty() || is_level || is_target || directive.parse::<u8>().is_ok() {
        return Ok(());
    }
    let edits = |level: &&str| damerau_levenshtein(&directive.to_lowercase(), level);
    let nearest = LEVELS.iter().copied().min_by_key(edits).filter(|level| edits(level) <= LEVEL_EDITS_MAX);
    Err(match nearest {
        Some(level) => format!("{directive:?} is not a level; did you mean {level}?"),
        None => format!(
            "{directive:?} is not a level; the levels are {}; for the lines of one target write {directive}=debug",
            LEVELS.join(", ")
        ),
    })
}

impl FromStr for OtlpEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || check_endpoint(text).is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err("write the URL of a collector for OTLP over gRPC without TLS, such as http://127.0.0.1:4317, or leave it \
             empty"
            .to_owned())
    }
}

impl FromStr for DataLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("write memory, or the path of a folder".to_owned()),
            "memory" => Ok(Self(Storage::Memory)),
            path => Ok(Self(Storage::Directory(PathBuf::from(path)))),
        }
    }
}

impl<const BYTES_MAX: usize> fmt::Display for Name<BYTES_MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("auto"))
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DataLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for (filter, text) in [
            ("debugg", "\"debugg\" is not a level; did you mean debug?"),
            ("info,dbug", "\"dbug\" is not a level; did you mean debug?"),
            ("everything", "the levels are off, error, warn, info, debug, trace"),
            ("rdkafka", "write rdkafka=debug"),
        ] {
            let error = filter.parse::<LogFilter>().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn levels_and_targets_are_accepted() {
        for filter in
            ["debug", "WARN", "off", "info,diptych_relay=debug", "diptych_relay", "info, tonic::transport", "x=1"]
        {
            assert_eq!(filter.parse::<LogFilter>().map(|filter| filter.to_string()), Ok(filter.to_owned()));
        }
    }
}
