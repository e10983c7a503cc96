//! Assignment and release of partitions.

use diptych_kernel::{
    Partition,
    domain::Domain,
    ports::{Assignment, EventStore, Offset, PartitionEnd, ProgressStore, ProgressUpdate, ViewCache, ViewStore},
};

use crate::{
    engine::Engine,
    error::Stop,
    partition::{PartitionState, ProgressMark, ViewState},
};

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Takes over partitions, starting at their stored progress.
    pub(crate) async fn assign(&mut self, assignments: &[Assignment], ends: &[PartitionEnd]) -> Result<(), Stop> {
        let partitions: Vec<Partition> = assignments.iter().map(|assignment| assignment.partition).collect();
        self.release(&partitions);
        self.withdraw_announcements(&partitions).await;
        let tables = self.table_ids();
        let mut retry = self.retry("load progress");
        let stored = loop {
            match self.heartbeat.beat_after(self.progress.load(&tables)).await {
                Ok(stored) => break stored,
                Err(error) => retry.after(error).await?,
            }
        };
        for assignment in assignments {
            let state = self.restore_partition(assignment, &stored, ends);
            let (partition, position) = (state.partition.number(), state.mark.position.as_i64());
            tracing::debug!(partition, position, "partition assigned");
            self.owned.insert(assignment.partition, state);
        }
        if !partitions.is_empty() {
            let numbers: Vec<u16> = partitions.iter().map(|partition| partition.number()).collect();
            tracing::info!(count = numbers.len(), partitions = ?numbers, "partitions assigned");
        }
        self.metrics.set_owned(self.owned.len());
        Ok(())
    }

    fn restore_partition(
        &self,
        assignment: &Assignment,
        stored: &[ProgressUpdate],
        ends: &[PartitionEnd],
    ) -> PartitionState {
        let partition = assignment.partition;
        let progress_of = |table: usize| {
            let view = self.tables.get(table).map(|table| table.view);
            let found = stored.iter().find(|update| update.partition == partition && Some(update.view) == view);
            found.map(|update| update.progress.clone()).unwrap_or_default()
        };
        let mark = ProgressMark::of(&progress_of(self.stream_versions_table()));
        let views = self.views.iter().enumerate();
        let views = views.map(|(index, view)| ViewState::restore(view.id(), view.scope(), progress_of(index), mark));
        let end = ends.get(partition.index()).map(|end| end.next_offset).unwrap_or_default();
        let interval = self.config.park_retry_interval;
        let new = |start| PartitionState::new(partition, mark, views.collect(), start, interval);
        match Start::of(assignment.committed, mark.next_offset, end) {
            Start::Log(offset) => new(offset),
            Start::WriteDatabase { then } => {
                let mut state = new(then);
                state.become_recovering(then);
                state
            }
        }
    }

    /// Releases partitions, and drops their state and rows in memory.
    pub(crate) fn release(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if self.owned.remove(partition).is_some() {
                self.metrics.set_age(*partition, None);
                self.metrics.set_parked(*partition, 0);
            }
        }
        self.hot_rows.evict(partitions);
        self.pending_progress.remove(partitions);
        self.metrics.set_owned(self.owned.len());
    }

    /// Releases all partitions, before the group is joined again.
    pub(crate) fn release_all(&mut self) {
        let partitions: Vec<Partition> = self.owned.keys().copied().collect();
        self.release(&partitions);
        self.hot_rows.clear();
    }
}

/// The most records of the log that are read again although the progress is past them.
const REPEATED_RECORDS_MAX: u64 = 10_000;

/// The source of a partition's first events.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// The log, from this offset on.
    Log(Offset),
    /// The write database, from the partition's mark on, and then the log from this offset on.
    WriteDatabase { then: Offset },
}

impl Start {
    /// The log is read from the smaller one of the group's committed offset and that in the progress, as either may be
    /// ahead after a power loss. A log that ends before it was recreated, or has lost its end and was filled again: it
    /// is read from the beginning.
    ///
    /// A group that is new, or has not run since another one took over, has committed no offset or an old one, and the
    /// progress is that of the other group. It does not read days of records again, but what follows the progress from
    /// the write database: so it misses nothing even where the offset in the progress is ahead of the log.
    fn of(committed: Offset, progressed: Offset, end: Offset) -> Self {
        let start = committed.min(progressed);
        if start > end {
            return Self::Log(Offset(0));
        }
        let then = progressed.min(end);
        if then.0 - start.0 > REPEATED_RECORDS_MAX { Self::WriteDatabase { then } } else { Self::Log(start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_at_the_smaller_offset() {
        assert_eq!(Start::of(Offset(5), Offset(7), Offset(9)), Start::Log(Offset(5)));
        assert_eq!(Start::of(Offset(7), Offset(5), Offset(9)), Start::Log(Offset(5)));
        assert_eq!(Start::of(Offset(9), Offset(9), Offset(9)), Start::Log(Offset(9)));
        assert_eq!(Start::of(Offset(7), Offset(99_999), Offset(9)), Start::Log(Offset(7)));
    }

    #[test]
    fn a_log_that_ends_before_the_offset_is_read_from_its_first_record() {
        assert_eq!(Start::of(Offset(5), Offset(7), Offset(4)), Start::Log(Offset(0)));
    }

    #[test]
    fn many_records_that_another_group_has_applied_are_not_read_again() {
        let [most, more] = [REPEATED_RECORDS_MAX, REPEATED_RECORDS_MAX + 1].map(Offset);
        assert_eq!(Start::of(Offset(0), most, more), Start::Log(Offset(0)));
        assert_eq!(Start::of(Offset(0), more, more), Start::WriteDatabase { then: more });
        let behind = Offset(more.0 + 5);
        assert_eq!(Start::of(Offset(5), behind, Offset(behind.0 - 1)), Start::Log(Offset(5)));
        assert_eq!(Start::of(more, Offset(5), more), Start::Log(Offset(5)));
    }
}
