//! The flags of a process that uses all servers.

use crate::{
    config::Flag,
    process::{KafkaFlag, MemcachedFlag, PostgresFlag, ScyllaFlag},
};

/// A flag for each server.
#[derive(Debug, clap::Args)]
pub(super) struct AllServerFlags {
    #[command(flatten)]
    postgres: PostgresFlag,

    #[command(flatten)]
    kafka: KafkaFlag,

    #[command(flatten)]
    scylla: ScyllaFlag,

    #[command(flatten)]
    memcached: MemcachedFlag,
}

impl AllServerFlags {
    /// The settings of the flags that were used.
    pub(super) fn settings(self) -> [Option<Flag>; 4] {
        [self.postgres.setting(), self.kafka.setting(), self.scylla.setting(), self.memcached.setting()]
    }
}
