//! Flags that all benchmarks share.

use std::time::Duration;

use crate::client::{Output, Target};

/// The server to measure and the connections to it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ConnectionArgs {
    #[command(flatten)]
    pub(super) target: Target,

    /// Connections that the calls are spread over, 1 to 64.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(super) connections: u64,

    /// Seconds of load before the measurement starts, 0 to 60.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=60))]
    warm_up: u64,
}

/// The flags of every benchmark that measures one thing.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CommonArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,

    /// Output format.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

impl ConnectionArgs {
    /// The time of load before the measurement.
    pub(super) fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }
}
