//! Errors that stop a relay.

use diptych_kernel::{EventIdentity, Partition, Partitions, ports::PortError};

/// Error that stops a relay permanently. All other errors are retried.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log has an event that the write database does not have: the database was restored from a backup or failed
    /// over with data loss. Publishing on would assign positions a second time.
    #[error(
        "the write database went back: the log's partition {partition} ends with the event of request {} at position {}, \
         which the database lacks. It was restored from a backup, or a standby without the newest commits took over. \
         Commands are refused until an operator acts: bring back a database that has the event; or stop all processes, \
         run `diptych rebase` to go on without what is lost, and start them again",
        event.request_id,
        event.position
    )]
    DatabaseWentBack {
        /// The partition of the log.
        partition: Partition,
        /// Its last event.
        event: EventIdentity,
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
