//! Comparison of stored events and snapshots with their checksums.

use std::{fmt, future::Future};

use super::PortResult;
use crate::vocabulary::{Position, StreamId, Version};

/// Stored event or snapshot that differs from its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// An event.
    Event {
        /// The event's position.
        position: Position,
        /// The event's stream.
        stream_id: StreamId,
        /// The event's version in its stream.
        version: Version,
    },
    /// The snapshot of a stream. It is not loaded: the state is made of the events.
    Snapshot {
        /// The stream.
        stream_id: StreamId,
        /// The version of the snapshot.
        version: Version,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { position, stream_id, version } => {
                write!(f, "event {version} of stream {stream_id}, at position {position}, differs from its checksum")
            }
            Self::Snapshot { stream_id, version } => {
                write!(f, "the snapshot of stream {stream_id}, at version {version}, differs from its checksum")
            }
        }
    }
}

/// Result of comparing one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumPage<C> {
    /// Number of events or snapshots that have a checksum.
    pub compared: u64,
    /// Those that differ.
    pub damaged: Vec<Damage>,
    /// Where the next page begins, exclusive; `None` after the last one.
    pub next: Option<C>,
}

impl<C> ChecksumPage<C> {
    /// Makes a page of `read` entries, each with its cursor, and with its damage: `None` without a checksum,
    /// `Some(None)` if it is intact. `limit` is the number that the read asked for.
    #[must_use]
    pub fn new(read: Vec<(C, Option<Option<Damage>>)>, limit: usize) -> Self {
        let mut page = Self { compared: 0, damaged: Vec::new(), next: None };
        let is_full = read.len() >= limit;
        for (cursor, damage) in read {
            page.compared += u64::from(damage.is_some());
            page.damaged.extend(damage.flatten());
            page.next = is_full.then_some(cursor);
        }
        page
    }
}

/// Write database that stores a checksum with each event and snapshot. Those from before it did have none.
pub trait StoredChecksums: Send + Sync + 'static {
    /// Compares up to `limit` events after a position.
    fn compare_events(
        &self,
        after_exclusive: Position,
        limit: usize,
    ) -> impl Future<Output = PortResult<ChecksumPage<Position>>> + Send;

    /// Compares up to `limit` snapshots, in the order of their streams, after a stream; from the first one with `None`.
    fn compare_snapshots(
        &self,
        after_exclusive: Option<&StreamId>,
        limit: usize,
    ) -> impl Future<Output = PortResult<ChecksumPage<StreamId>>> + Send;
}
