//! What a projector knows of a partition that it owns.

use std::collections::{BTreeMap, VecDeque};

use diptych_kernel::{
    Partition, Position, StreamId, Timestamp, Version,
    domain::{Scope, ViewId},
    ports::{Offset, Parked, Progress},
};
use tokio::time::Instant;

use crate::remake::Remake;

/// How far something has got. Never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: Position,
    pub(crate) as_of: Timestamp,
    pub(crate) next_offset: Offset,
}

impl Mark {
    pub(crate) fn of(progress: &Progress) -> Self {
        Self { position: progress.position, as_of: progress.as_of, next_offset: progress.next_offset }
    }

    pub(crate) fn advance(&mut self, position: Position, as_of: Timestamp) {
        self.position = self.position.max(position);
        self.as_of = self.as_of.max(as_of);
    }

    pub(crate) fn catch_up_with(&mut self, other: Self) {
        self.advance(other.position, other.as_of);
        self.next_offset = self.next_offset.max(other.next_offset);
    }
}

/// Why a stream stands still in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParkedAt {
    /// The first event that is not in the rows.
    pub(crate) version: Version,
    pub(crate) reason: String,
}

/// How a view stands in a partition.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Goes with the partition: takes every event from the log.
    Live,
    /// Is being filled from the write side, from its own mark up to the partition's.
    Behind,
    /// Stands still because of a parked stream, until the next retry. Only a view over many streams does.
    Blocked,
    /// Is being folded anew from the first event on.
    Remaking(Remake),
}

/// A view in a partition.
#[derive(Debug)]
pub(crate) struct ViewState {
    pub(crate) id: ViewId,
    pub(crate) scope: Scope,
    pub(crate) mark: Mark,
    pub(crate) parked: BTreeMap<StreamId, ParkedAt>,
    pub(crate) standing: Standing,
}

impl ViewState {
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.standing, Standing::Live)
    }

    pub(crate) fn is_behind(&self) -> bool {
        matches!(self.standing, Standing::Behind)
    }

    /// Whether there is something to read for it from the write side.
    pub(crate) fn needs_catching_up(&self) -> bool {
        matches!(self.standing, Standing::Behind | Standing::Remaking(_))
    }

    /// Whether its rows are right up to its mark, with no stream left out.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_live() && self.parked.is_empty()
    }

    fn progress(&self) -> Progress {
        let parked = self.parked.iter().map(|(stream_id, at)| Parked {
            stream_id: stream_id.clone(),
            version: at.version,
            reason: at.reason.clone(),
        });
        let Mark { position, as_of, next_offset } = self.mark;
        Progress { position, as_of, next_offset, parked: parked.collect() }
    }
}

/// Where a partition's events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// From nowhere yet: the log is to be read from this offset.
    Starting(Offset),
    /// From the write side, as the log has left some out. Then the log is read from this offset.
    Recovering(Offset),
    /// From the log.
    Reading,
    /// From nowhere: too many streams are parked.
    Halted,
}

/// A partition that this member owns.
#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) partition: Partition,
    /// How far the partition has got as a whole: every event up to here is accounted for in every view that is live.
    pub(crate) live: Mark,
    /// In the order of the domain's views.
    pub(crate) views: Vec<ViewState>,
    pub(crate) phase: Phase,
    /// The offset of the next record to hear of, so that a missing one is seen.
    pub(crate) expected: Offset,
    /// The offset after the last record that was taken in: what is committed once it is stored.
    pub(crate) taken: Offset,
    /// The largest position that came from the log, or was found not to be had.
    pub(crate) heard_up_to: Position,
    /// When parked streams are tried again, if there are any.
    pub(crate) retry_at: Option<Instant>,
    /// Not before this moment: a round that brings up another one does not keep everything else from being done.
    pub(crate) retry_not_before: Instant,
    /// The streams that are still to be tried in this round.
    pub(crate) retry_streams: VecDeque<StreamId>,
    /// Whether a round of retries is going on.
    pub(crate) is_retrying: bool,
    /// Not before this moment is the write side asked again, after a failure.
    pub(crate) catch_up_at: Instant,
    /// Whether a stream was parked and progress does not say so yet.
    pub(crate) has_parked_anew: bool,
    /// When the oldest event that was read and is not in the views yet was recorded.
    pub(crate) oldest: Option<Timestamp>,
}

impl PartitionState {
    /// The time of the oldest thing that is not done: an event that was read and is not in the views, or, while nothing is read, whatever came after
    /// that up to which the partition is done.
    pub(crate) fn oldest_undone(&self) -> Option<Timestamp> {
        let stands_still = self.phase != Phase::Reading && self.live.as_of > Timestamp::default();
        self.oldest.or_else(|| stands_still.then_some(self.live.as_of))
    }

    pub(crate) fn has_parked(&self) -> bool {
        self.views.iter().any(|view| !view.parked.is_empty())
    }

    pub(crate) fn needs_catching_up(&self) -> bool {
        matches!(self.phase, Phase::Starting(_) | Phase::Recovering(_))
            || self.views.iter().any(ViewState::needs_catching_up)
    }

    pub(crate) fn retry_is_due(&self, now: Instant) -> bool {
        !self.is_retrying && self.retry_at.is_some_and(|at| at <= now)
    }

    /// When something is to be done at the latest.
    pub(crate) fn next_work(&self) -> Option<Instant> {
        let catch_up = self.needs_catching_up().then_some(self.catch_up_at);
        catch_up.into_iter().chain(self.retry_at).min()
    }

    /// Everything up to here is accounted for, in the partition and in all views that go with it.
    pub(crate) fn advance(&mut self, position: Position, as_of: Timestamp) {
        self.live.advance(position, as_of);
        for view in self.views.iter_mut().filter(|view| view.is_live()) {
            view.mark.advance(position, as_of);
        }
    }

    /// The record before this offset is taken in.
    pub(crate) fn take_offset(&mut self, next: Offset) {
        self.taken = next;
        self.live.next_offset = self.live.next_offset.max(next);
        for view in self.views.iter_mut().filter(|view| view.is_live()) {
            view.mark.next_offset = view.mark.next_offset.max(next);
        }
    }

    /// The progress of the partition as a whole, then that of each view.
    pub(crate) fn progress(&self) -> (Progress, impl Iterator<Item = Progress>) {
        let Mark { position, as_of, next_offset } = self.live;
        let own = Progress { position, as_of, next_offset, parked: Vec::new() };
        (own, self.views.iter().map(ViewState::progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(phase: Phase, as_of_micros: i64, oldest: Option<Timestamp>) -> PartitionState {
        let live = Mark { as_of: Timestamp::from_micros(as_of_micros), ..Mark::default() };
        PartitionState {
            partition: Partition::new(0),
            live,
            views: Vec::new(),
            phase,
            expected: Offset(0),
            taken: Offset(0),
            heard_up_to: Position::START,
            retry_at: None,
            retry_not_before: Instant::now(),
            retry_streams: VecDeque::new(),
            is_retrying: false,
            catch_up_at: Instant::now(),
            has_parked_anew: false,
            oldest,
        }
    }

    #[test]
    fn a_partition_that_stands_still_gets_older_though_nothing_is_read() {
        let at = Timestamp::from_micros;
        assert_eq!(partition(Phase::Reading, 7, None).oldest_undone(), None, "all that was read is done");
        assert_eq!(partition(Phase::Reading, 7, Some(at(9))).oldest_undone(), Some(at(9)));
        for phase in [Phase::Halted, Phase::Recovering(Offset(3)), Phase::Starting(Offset(3))] {
            assert_eq!(partition(phase, 7, None).oldest_undone(), Some(at(7)), "{phase:?}");
            assert_eq!(partition(phase, 0, None).oldest_undone(), None, "{phase:?}: nothing was ever done");
        }
    }
}
