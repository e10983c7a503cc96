//! Partitions come and go.

use diptych_kernel::{
    Partition,
    domain::{Domain, Scope, ViewId},
    ports::{
        Assignment, EventStore, Offset, PartitionEnd, Progress, ProgressStore, ProgressUpdate, ViewCache, ViewStore,
    },
};
use tokio::time::Instant;

use crate::{
    engine::Engine,
    error::Stop,
    partition::{Mark, ParkedAt, PartitionState, Phase, Standing, ViewState},
};

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Takes partitions over, from where their progress is.
    pub(crate) async fn assign(&mut self, assignments: &[Assignment], ends: &[PartitionEnd]) -> Result<(), Stop> {
        let partitions: Vec<Partition> = assignments.iter().map(|assignment| assignment.partition).collect();
        self.release(&partitions);
        let tables = self.table_ids();
        let mut retry = self.retry("load progress");
        let stored = loop {
            match self.progress.load(&tables).await {
                Ok(stored) => break stored,
                Err(error) => retry.after(error).await?,
            }
        };
        for assignment in assignments {
            let state = self.take_over(assignment, &stored, ends);
            tracing::info!(partition = %assignment.partition, position = %state.live.position, "a partition is this member's");
            self.owned.insert(assignment.partition, state);
        }
        self.metrics.show_owned(self.owned.len());
        Ok(())
    }

    fn take_over(&self, assignment: &Assignment, stored: &[ProgressUpdate], ends: &[PartitionEnd]) -> PartitionState {
        let partition = assignment.partition;
        let of_table = |index: usize| {
            let view = self.tables.get(index).map(|table| table.view);
            let found = stored.iter().find(|update| update.partition == partition && Some(update.view) == view);
            found.map(|update| update.progress.clone()).unwrap_or_default()
        };
        let live = Mark::of(&of_table(self.heads()));
        let views = self.views.iter().enumerate();
        let views = views.map(|(index, view)| stand(view.id(), view.scope(), of_table(index), live)).collect();
        let end = ends.get(partition.index()).map(|end| end.next_offset).unwrap_or_default();
        let start = first_offset(assignment.committed, live.next_offset, end);
        PartitionState {
            partition,
            live,
            views,
            phase: Phase::Starting(start),
            expected: start,
            taken: start,
            heard_up_to: live.position,
            retry_at: Some(Instant::now()),
            retry_not_before: Instant::now(),
            retry_streams: [].into(),
            is_retrying: false,
            catch_up_at: Instant::now(),
            has_parked_anew: false,
            oldest: None,
        }
    }

    /// Lets partitions go, and everything that memory knows of them.
    pub(crate) fn release(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if self.owned.remove(partition).is_some() {
                self.metrics.show_age(*partition, None);
                self.metrics.show_parked(*partition, 0);
            }
        }
        self.hot.forget(partitions);
        self.unsaved.forget(partitions);
        self.metrics.show_owned(self.owned.len());
    }

    /// Lets everything go: another life in the group begins.
    pub(crate) fn release_all(&mut self) {
        let partitions: Vec<Partition> = self.owned.keys().copied().collect();
        self.release(&partitions);
        self.hot.clear();
    }
}

/// Where the log is read from: the smaller of what the group has and what the progress says, as either may be ahead after a power loss. A log
/// that ends before that was made anew, or has lost its end and been filled again: all of it is read.
fn first_offset(committed: Offset, progressed: Offset, end: Offset) -> Offset {
    let start = committed.min(progressed);
    if start > end { Offset(0) } else { start }
}

/// How a view stands when its partition is taken over.
fn stand(id: ViewId, scope: Scope, progress: Progress, live: Mark) -> ViewState {
    let mark = Mark::of(&progress);
    let standing = if scope == Scope::Partition && !progress.parked.is_empty() {
        Standing::Blocked
    } else if mark.position < live.position {
        Standing::Behind
    } else {
        Standing::Live
    };
    let parked =
        progress.parked.into_iter().map(|at| (at.stream_id, ParkedAt { version: at.version, reason: at.reason }));
    ViewState { id, scope, mark, parked: parked.collect(), standing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_at_the_smaller_offset() {
        assert_eq!(first_offset(Offset(5), Offset(7), Offset(9)), Offset(5));
        assert_eq!(first_offset(Offset(7), Offset(5), Offset(9)), Offset(5));
        assert_eq!(first_offset(Offset(9), Offset(9), Offset(9)), Offset(9));
    }

    #[test]
    fn a_log_that_ends_before_is_read_from_its_first_record() {
        assert_eq!(first_offset(Offset(5), Offset(7), Offset(4)), Offset(0));
    }
}
