//! What every process that serves has in common: configuration, logs, ports, start, shutdown.
//!
//! In order: read the configuration, install logs and traces, bind the ports, then start the parts of the subcommand
//! (see [`crate::parts`]). Invalid settings are reported before anything is started. The gRPC server is started first:
//! while the parts wait for their servers, health reports the process as alive and not ready. Shutdown runs in
//! [`phases`].

mod banner;
mod context;
mod deferred;
mod flags;
mod open;
mod phases;
mod ports;
mod role;
mod run;
mod signals;

pub(crate) use context::{ProcessContext, Running};
pub(crate) use deferred::DeferredService;
pub(crate) use flags::{
    KafkaFlag, MemcachedFlag, PostgresFlag, ProcessFlags, ScyllaFlag, ServiceFlags, SettingsFlags, after_help,
};
pub(crate) use open::open_with_retries;
pub(crate) use role::Role;
pub(crate) use run::{EXIT_NOT_STARTED, configuration, run_tool};
