//! Errors of a projector.

use diptych_kernel::{Partitions, ports::PortError};

/// An error that stops the projector. All other failures are retried.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The write database and the log were created with different numbers of partitions.
    #[error(
        "the write database has {} partitions, but the log has {}: recreate one of them with the count of the other",
        store.count(),
        log.count()
    )]
    PartitionsDiffer {
        /// The partitions of the write database.
        store: Partitions,
        /// The partitions of the log.
        log: Partitions,
    },
    /// A store has reported a failure that only an operator can fix.
    #[error(transparent)]
    Operator(PortError),
}

/// The reason for interrupting work. Work that was not acknowledged is repeated by the next owner of the partition.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Shutdown has begun.
    Shutdown,
    /// The projector cannot continue.
    Failed(ProjectorError),
}
