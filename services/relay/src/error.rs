//! Why a relay stops.

use diptych_kernel::{Partition, Partitions, Position, ports::PortError};

/// Why a relay stops for good. Everything else is tried again.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log has an event that the write database does not have: the database went back in time, restored from a backup or failed over with
    /// loss. Publishing on would give out positions a second time.
    #[error(
        "the log's partition {partition} ends with the event at position {position}, which the write database does not have: \
         the database went back in time; restore it to a later state, or create the log and the views anew"
    )]
    DatabaseWentBack {
        /// The partition of the log.
        partition: Partition,
        /// The position of its last event.
        position: Position,
    },
    /// The write database and the log were created with different numbers of partitions.
    #[error("the write database has {} partitions and the log has {}", store.count(), log.count())]
    PartitionsDiffer {
        /// Those of the write database.
        store: Partitions,
        /// Those of the log.
        log: Partitions,
    },
    /// A store says that only a person can help.
    #[error(transparent)]
    Operator(PortError),
}
