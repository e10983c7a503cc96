//! State of a view in a partition.

use std::collections::BTreeMap;

use diptych_kernel::{
    StreamId, Version,
    domain::{Scope, ViewId},
    ports::{Parked, Progress},
};

use super::mark::ProgressMark;
use crate::rebuilt_rows::RebuiltRows;

/// The reason why a stream is parked in a view, and the first event concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParkedAt {
    /// The first event that is not in the rows.
    pub(crate) version: Version,
    pub(crate) reason: String,
}

/// Status of a view in a partition: the source of its events.
#[derive(Debug)]
pub(crate) enum ViewStatus {
    /// The log, together with the partition.
    Live,
    /// The write database, from the view's own mark up to the partition's.
    CatchingUp,
    /// None until the next retry, because a stream is parked. Only views over many streams become blocked.
    Blocked,
    /// The write database, from the first event on, to fold all rows again.
    Rebuilding(RebuiltRows),
}

/// A view in a partition.
#[derive(Debug)]
pub(crate) struct ViewState {
    pub(crate) id: ViewId,
    pub(crate) scope: Scope,
    pub(crate) mark: ProgressMark,
    pub(crate) parked: BTreeMap<StreamId, ParkedAt>,
    pub(crate) status: ViewStatus,
}

impl ViewState {
    /// Restores the state of a view from its stored progress, in a partition with this mark.
    pub(crate) fn restore(id: ViewId, scope: Scope, progress: Progress, partition_mark: ProgressMark) -> Self {
        let mark = ProgressMark::of(&progress);
        let status = if scope == Scope::Partition && !progress.parked.is_empty() {
            ViewStatus::Blocked
        } else if mark.position < partition_mark.position {
            ViewStatus::CatchingUp
        } else {
            ViewStatus::Live
        };
        let parked =
            progress.parked.into_iter().map(|at| (at.stream_id, ParkedAt { version: at.version, reason: at.reason }));
        Self { id, scope, mark, parked: parked.collect(), status }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.status, ViewStatus::Live)
    }

    pub(crate) fn is_catching_up(&self) -> bool {
        matches!(self.status, ViewStatus::CatchingUp)
    }

    pub(crate) fn is_blocked(&self) -> bool {
        matches!(self.status, ViewStatus::Blocked)
    }

    pub(crate) fn is_rebuilding(&self) -> bool {
        matches!(self.status, ViewStatus::Rebuilding(_))
    }

    /// Whether events have to be read for it from the write database.
    pub(crate) fn needs_catching_up(&self) -> bool {
        self.is_catching_up() || self.is_rebuilding()
    }

    /// Whether its rows are complete up to its mark, without a parked stream.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_live() && self.parked.is_empty()
    }

    /// Joins the partition at its mark.
    pub(crate) fn become_live(&mut self, partition_mark: ProgressMark) {
        self.mark.advance_to(partition_mark);
        self.status = ViewStatus::Live;
    }

    /// Unblocks it, to be filled from its own mark on.
    pub(crate) fn become_catching_up(&mut self) {
        self.parked.clear();
        self.status = ViewStatus::CatchingUp;
    }

    /// Unblocks it, to be rebuilt from the first event on.
    pub(crate) fn become_rebuilding(&mut self) {
        self.status = ViewStatus::Rebuilding(RebuiltRows::default());
    }

    /// Blocks it and returns the rows rebuilt so far, if it was being rebuilt.
    pub(crate) fn take_rebuilt_rows(&mut self) -> Option<RebuiltRows> {
        match std::mem::replace(&mut self.status, ViewStatus::Blocked) {
            ViewStatus::Rebuilding(rows) => Some(rows),
            other => {
                self.status = other;
                None
            }
        }
    }

    /// Parks a stream. A view over many streams is blocked altogether.
    pub(super) fn park(&mut self, stream_id: StreamId, at: ParkedAt) {
        self.parked.insert(stream_id, at);
        if self.scope == Scope::Partition {
            self.status = ViewStatus::Blocked;
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let parked = self.parked.iter().map(|(stream_id, at)| Parked {
            stream_id: stream_id.clone(),
            version: at.version,
            reason: at.reason.clone(),
        });
        let ProgressMark { position, as_of, next_offset } = self.mark;
        Progress { position, as_of, next_offset, parked: parked.collect() }
    }
}
