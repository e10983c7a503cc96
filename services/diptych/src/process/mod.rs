//! Startup and shutdown of a serving process: configuration, logs, ports, gRPC server, health.
//!
//! In order: read the configuration, install logs and traces, bind the ports, then start the parts of the subcommand
//! (see [`crate::parts`]). Invalid settings are reported before anything is started. The gRPC server is started first:
//! while the parts wait for their servers, health reports the process as alive and not ready. Shutdown runs in
//! [`phases`].

mod banner;
mod context;
mod deferred;
mod flags;
#[cfg(feature = "servers")]
mod open;
mod phases;
mod ports;
mod role;
mod run;
#[cfg(feature = "servers")]
mod server_flags;
mod signals;

pub(crate) use context::{ProcessContext, Running};
pub(crate) use deferred::DeferredService;
pub(crate) use flags::{ProcessFlags, after_help};
#[cfg(feature = "servers")]
pub(crate) use flags::{ServiceFlags, SettingsFlags};
#[cfg(feature = "servers")]
pub(crate) use open::open_with_retries;
pub(crate) use role::Role;
#[cfg(feature = "servers")]
pub(crate) use run::configuration;
pub(crate) use run::{EXIT_NOT_STARTED, run_tool};
#[cfg(feature = "servers")]
pub(crate) use server_flags::{KafkaFlag, MemcachedFlag, PostgresFlag, ScyllaFlag};
pub(crate) use signals::Signals;
