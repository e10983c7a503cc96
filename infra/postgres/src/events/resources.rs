//! Pools and state that the clones of an event store share.

use std::time::Duration;

use diptych_kernel::{Partitions, vocabulary::Installation};
use parking_lot::Mutex;

use super::{durability::DurabilityTracker, horizon::HorizonMonitor, retention::RetentionClock};
use crate::{
    driver::{KnownHistory, Pool},
    notifications::AppendNotifications,
};

pub(super) struct StoreResources {
    pub(super) partitions: Partitions,
    pub(super) installation: Installation,
    /// The newest event that is known to be committed. New connections are compared with it.
    pub(super) history: KnownHistory,
    pub(super) request_partition_interval: Duration,
    pub(super) event_segment_bytes: usize,
    pub(super) writers: Pool,
    pub(super) readers: Pool,
    /// A connection for the locks of a turn: not one of the writers, which are needed to append within it.
    pub(super) turns: Pool,
    pub(super) notifications: AppendNotifications,
    pub(super) durability: DurabilityTracker,
    pub(super) horizon: HorizonMonitor,
    pub(super) retention: RetentionClock,
    /// Number of forgotten requests that no call has returned yet.
    pub(super) unreported_forgotten: Mutex<usize>,
}
