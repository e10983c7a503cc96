//! Why a projector stops.

use diptych_kernel::{Partitions, ports::PortError};

/// Why a projector stops for good. Everything else is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
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

/// Why work is broken off. What was not acknowledged is done again by whoever owns the partition next.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is time to.
    Shutdown,
    /// It cannot go on.
    Failed(ProjectorError),
}
