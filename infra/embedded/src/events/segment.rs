//! Segment of the in-memory index.

use std::collections::HashMap;

use diptych_kernel::{Partition, Position, RequestId, StreamId, Version};

/// Version and position of an event in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EventRef {
    pub(super) version: Version,
    pub(super) position: Position,
}

/// Index of consecutive events by stream, request and partition.
#[derive(Default)]
pub(super) struct IndexSegment {
    pub(super) streams: HashMap<StreamId, Vec<EventRef>>,
    /// The position of each request's first event.
    pub(super) requests: HashMap<RequestId, Position>,
    pub(super) partitions: Vec<(Partition, Position)>,
}
