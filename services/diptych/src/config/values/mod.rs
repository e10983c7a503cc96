//! Types of setting values: counts, sizes, durations, addresses, names, secrets.
//!
//! Each type checks its own range or form, and its error says what to write instead.

#![cfg_attr(
    not(feature = "servers"),
    allow(dead_code, unused_imports, reason = "the types of the settings of servers are not used without servers")
)]

mod addresses;
mod names;
mod numbers;
mod secrets;
mod serde_forms;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use addresses::{ListenAddress, ServerList};
pub(crate) use names::{DataLocation, InstanceName, Keyspace, LogFilter, Name, OtlpEndpoint};
pub(crate) use numbers::{ByteSize, Count, Ratio, Switch, TimeSpan, duration_flag};
pub(super) use secrets::redacted;
pub(crate) use secrets::{ClientProperties, PostgresUrl, Secret};
pub(super) use value::{PartValue, SettingValue, choices};
