//! Resume point of a new leader: the cursor states what should be on the log, the ends of the log show what is there.

use diptych_kernel::{
    EventIdentity, Partition, Partitions, Position,
    ports::{EventLog, EventStore, PartitionEnd, PortError, PortResult, RelayCursor},
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{error::RelayError, high_watermark::HighWatermark};

/// Maximum number of ends of the log that are looked up in the write database concurrently.
const LOOKUPS_IN_FLIGHT_MAX: usize = 16;

/// Result of comparing the cursor with the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResumePoint {
    /// Position after which reading begins.
    pub(crate) read_up_to: Position,
    /// The events that the log holds; those up to here are not appended again.
    pub(crate) on_log: HighWatermark,
    /// Partitions that lost acknowledged records at their end.
    pub(crate) lost: Vec<Partition>,
}

/// Compares the cursor with the ends of the log.
///
/// - An end **ahead** of the cursor: events were published and the cursor was not moved afterwards. They are not
///   repeated.
/// - An end **behind** the cursor: acknowledged records are gone (power loss under a log that does not wait for the
///   disk, an unclean leader election). Reading begins at the smallest such end.
/// - A partition without any event but with advanced offsets: retention deleted the records, which is no loss. One that
///   was never written to, in spite of the cursor: the log was recreated.
pub(crate) fn compare(partitions: Partitions, cursor: &RelayCursor, ends: &[PartitionEnd]) -> ResumePoint {
    let mut start = ResumePoint {
        read_up_to: cursor.published_up_to,
        on_log: HighWatermark { up_to: cursor.published_up_to, last_positions: Vec::with_capacity(ends.len()) },
        lost: Vec::new(),
    };
    for partition in partitions.iter() {
        let published = cursor.last_positions.get(partition.index()).copied().unwrap_or_default();
        let end = ends.get(partition.index());
        let on_log = match end.map(|end| (end.last_event, end.next_offset.0)) {
            Some((Some(last_event), _)) => last_event.position,
            Some((None, 0)) | None => Position::START,
            Some((None, _)) => published,
        };
        if on_log < published {
            start.lost.push(partition);
            start.read_up_to = start.read_up_to.min(on_log);
        }
        start.on_log.last_positions.push(on_log);
    }
    start.on_log.up_to = start.read_up_to;
    start
}

/// Compares the log with what this leader has stored and published so far, after an append of unknown outcome.
///
/// Events behind the published ones are appended again, although the log may hold some: only an acknowledgement shows
/// that nothing is missing before them. An end behind the published events is a loss, as in [`compare`].
pub(crate) fn compare_again(
    partitions: Partitions,
    stored: &RelayCursor,
    published: &HighWatermark,
    ends: &[PartitionEnd],
) -> ResumePoint {
    let mut start = compare(partitions, &published.cursor_after(stored), ends);
    for (on_log, published) in start.on_log.last_positions.iter_mut().zip(&published.last_positions) {
        *on_log = (*on_log).min(*published);
    }
    start.read_up_to = start.read_up_to.min(published.up_to);
    start.on_log.up_to = start.read_up_to;
    start
}

/// Fails if the log has an event that the write database lost, and suspends all appends, as a relay does when it begins
/// to lead. For a process that has both and takes commands: it compares them before it takes the first one.
///
/// # Errors
///
/// An error that needs an operator if the log has such an event; else the errors of the ports.
pub async fn check_log_is_not_ahead<S: EventStore, L: EventLog>(store: &S, log: &L) -> PortResult<()> {
    let ends = log.ends().await?;
    match find_unknown_end(store, store.partitions(), &ends).await? {
        None => Ok(()),
        Some((partition, event)) => {
            let problem = RelayError::DatabaseWentBack { partition, event }.to_string();
            store.suspend_appends(&problem).await?;
            Err(PortError::operator(problem))
        }
    }
}

/// Looks up the last event of each partition of the log in the write database. Returns the first that is missing, or
/// whose position belongs to another request.
pub(crate) async fn find_unknown_end<S: EventStore>(
    store: &S,
    partitions: Partitions,
    ends: &[PartitionEnd],
) -> Result<Option<(Partition, EventIdentity)>, PortError> {
    // Collected first: a closure that borrows inside a stream would make the future not `Send`.
    let last_events: Vec<(Partition, EventIdentity)> =
        partitions.iter().zip(ends).filter_map(|(partition, end)| Some((partition, end.last_event?))).collect();
    let unknown = stream::iter(last_events)
        .map(|(partition, event)| async move {
            let known = has_event(store, event).await?;
            Ok::<_, PortError>((!known).then_some((partition, event)))
        })
        .buffered(LOOKUPS_IN_FLIGHT_MAX)
        .try_filter_map(|unknown| async move { Ok(unknown) });
    std::pin::pin!(unknown).try_next().await
}

/// Looks up an event by itself: a read that waits for open transactions would miss it for a moment.
async fn has_event<S: EventStore>(store: &S, event: EventIdentity) -> Result<bool, PortError> {
    Ok(store.find_event(event.position).await? == Some(event))
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{RequestId, ports::Offset};

    use super::*;

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    fn end(next_offset: u64, last_event: Option<i64>) -> PartitionEnd {
        let identity = |number| EventIdentity { position: at(number), request_id: RequestId::from_bytes([7; 16]) };
        PartitionEnd { next_offset: Offset(next_offset), last_event: last_event.map(identity) }
    }

    fn compare_two(cursor: [i64; 3], ends: [PartitionEnd; 2]) -> ResumePoint {
        let cursor = RelayCursor { published_up_to: at(cursor[0]), last_positions: vec![at(cursor[1]), at(cursor[2])] };
        compare(Partitions::new(2).unwrap(), &cursor, &ends)
    }

    #[test]
    fn ends_that_agree_with_the_cursor_resume_at_the_cursor() {
        let start = compare_two([12, 10, 7], [end(3, Some(10)), end(2, Some(7))]);
        assert_eq!((start.read_up_to, start.lost), (at(12), vec![]));
        assert_eq!(start.on_log.last_positions, vec![at(10), at(7)]);
    }

    #[test]
    fn an_end_ahead_of_the_cursor_is_not_published_again() {
        let start = compare_two([12, 10, 7], [end(5, Some(14)), end(2, Some(7))]);
        assert_eq!((start.read_up_to, start.lost), (at(12), vec![]));
        assert_eq!(start.on_log.last_positions, vec![at(14), at(7)]);
    }

    #[test]
    fn reading_resumes_from_the_smallest_lost_end() {
        let start = compare_two([12, 10, 7], [end(2, Some(6)), end(1, Some(2))]);
        assert_eq!((start.read_up_to, start.lost), (at(2), vec![Partition::new(0), Partition::new(1)]));
    }

    #[test]
    fn a_recreated_log_is_filled_from_the_start() {
        let start = compare_two([12, 10, 0], [end(0, None), end(0, None)]);
        assert_eq!((start.read_up_to, start.lost), (at(0), vec![Partition::new(0)]));
    }

    /// Compares after a leader has published up to `published`, with a cursor of `[5, 5, 4]`.
    fn compare_two_again(published: [i64; 3], ends: [PartitionEnd; 2]) -> ResumePoint {
        let stored = RelayCursor { published_up_to: at(5), last_positions: vec![at(5), at(4)] };
        let published =
            HighWatermark { up_to: at(published[0]), last_positions: vec![at(published[1]), at(published[2])] };
        compare_again(Partitions::new(2).unwrap(), &stored, &published, &ends)
    }

    #[test]
    fn events_that_were_not_acknowledged_are_published_again() {
        let start = compare_two_again([12, 10, 7], [end(9, Some(14)), end(2, Some(7))]);
        assert_eq!((start.read_up_to, start.lost), (at(12), vec![]));
        assert_eq!(start.on_log.last_positions, vec![at(10), at(7)]);
    }

    #[test]
    fn an_end_behind_the_published_events_is_lost_although_the_cursor_is_behind_it_too() {
        let start = compare_two_again([12, 10, 7], [end(2, Some(8)), end(2, Some(7))]);
        assert_eq!((start.read_up_to, start.lost), (at(8), vec![Partition::new(0)]));
        assert_eq!(start.on_log.last_positions, vec![at(8), at(7)]);
    }

    #[test]
    fn a_lost_end_that_is_being_published_again_is_still_lost() {
        let start = compare_two_again([2, 2, 4], [end(9, Some(3)), end(2, Some(4))]);
        assert_eq!((start.read_up_to, start.lost), (at(2), vec![Partition::new(0)]));
        assert_eq!(start.on_log.last_positions, vec![at(2), at(4)]);
    }

    #[test]
    fn records_deleted_by_retention_are_not_lost() {
        let start = compare_two([12, 10, 7], [end(8, None), end(2, Some(7))]);
        assert_eq!((start.read_up_to, start.lost), (at(12), vec![]));
        assert_eq!(start.on_log.last_positions, vec![at(10), at(7)]);
    }
}
