//! Errors that stop a relay.

use diptych_kernel::{Partition, Partitions, Position, ports::PortError};

/// Error that stops a relay permanently. All other errors are retried.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log has an event that the write database does not have: the database was restored from a backup or failed
    /// over with data loss. Publishing on would assign positions a second time.
    #[error(
        "the last event of the log's partition {partition}, at position {position}, is missing in the write database: \
         the database lost committed data; restore it to a later state, or recreate the log and the views"
    )]
    DatabaseWentBack {
        /// The partition of the log.
        partition: Partition,
        /// The position of its last event.
        position: Position,
    },
    /// The write database and the log were created with different numbers of partitions.
    #[error(
        "the write database has {} partitions and the log has {}; recreate one of them with the other's number",
        store.count(),
        log.count()
    )]
    PartitionsDiffer {
        /// The partitions of the write database.
        store: Partitions,
        /// The partitions of the log.
        log: Partitions,
    },
    /// A store reported an error that only an operator can resolve.
    #[error(transparent)]
    Operator(PortError),
}
