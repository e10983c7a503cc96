//! Known end of each partition, from acknowledged records and from reads of the ends.

use diptych_kernel::{EventIdentity, Partition, Partitions};
use parking_lot::Mutex;

use crate::record::TailSummary;

/// Knowledge about the end of each partition.
#[derive(Debug)]
pub(crate) struct TailSummaries(Mutex<Vec<Tail>>);

/// Knowledge about the end of one partition.
#[derive(Clone, Debug, Default)]
struct Tail {
    /// The summary for the next watermark, where known.
    summary: Option<TailSummary>,
    /// The log reaches this offset: a record that is appended later has at least this offset. 0 if unknown.
    end_exclusive: u64,
    /// From this offset on, acknowledged records were lost, and later ones are stored. See
    /// [`TailSummaries::record_loss`].
    lost_from: Option<u64>,
}

impl TailSummaries {
    pub(crate) fn new(partitions: Partitions) -> Self {
        Self(Mutex::new(vec![Tail::default(); usize::from(partitions.count())]))
    }

    pub(crate) fn of(&self, partition: Partition) -> Option<TailSummary> {
        self.0.lock().get(partition.index()).and_then(|tail| tail.summary)
    }

    /// Returns the offset that the log is known to reach, 0 if unknown.
    pub(crate) fn end_exclusive(&self, partition: Partition) -> u64 {
        self.0.lock().get(partition.index()).map_or(0, |tail| tail.end_exclusive)
    }

    /// Returns where the lost end of a partition began, if the log has lost it.
    pub(crate) fn lost_from(&self, partition: Partition) -> Option<u64> {
        self.0.lock().get(partition.index()).and_then(|tail| tail.lost_from)
    }

    /// Records that a record was stored at an offset: an event, or a watermark.
    ///
    /// A watermark extends the summary only if it directly follows it: a record that another appender has written in
    /// between may be an event.
    pub(crate) fn record_acknowledged(&self, partition: Partition, offset: u64, event: Option<EventIdentity>) {
        let mut tails = self.0.lock();
        let Some(tail) = tails.get_mut(partition.index()) else { return };
        tail.end_exclusive = offset + 1;
        // The caller continued from the end that was reported to it, so the lost records precede this one again.
        tail.lost_from = None;
        match (event, &mut tail.summary) {
            (Some(event), summary) => {
                *summary = Some(TailSummary { end_exclusive: offset + 1, last_event: Some((offset, event)) });
            }
            (None, Some(known)) if known.end_exclusive == offset => known.end_exclusive += 1,
            // The topic was created again, and the summary is about the old one.
            (None, summary) if summary.is_some_and(|known| known.end_exclusive > offset) => *summary = None,
            (None, _) => {}
        }
    }

    /// Records that a record was stored at `offset`, in place of acknowledged ones that the log has lost.
    ///
    /// Until the next acknowledgement, [`read_ends`](super::read_ends) reports this offset as the end, so that the
    /// caller appends again what was lost, not only what follows the record.
    pub(crate) fn record_loss(&self, partition: Partition, offset: u64) {
        let mut tails = self.0.lock();
        let Some(tail) = tails.get_mut(partition.index()) else { return };
        let lost_from = tail.lost_from.map_or(offset, |earlier| earlier.min(offset));
        *tail = Tail { summary: None, end_exclusive: offset + 1, lost_from: Some(lost_from) };
    }

    /// Records what a read of the end of a partition has found. `end_exclusive` is the end itself; `found` is the
    /// part before a loss.
    pub(crate) fn record_end(&self, partition: Partition, end_exclusive: u64, found: TailSummary) {
        let mut tails = self.0.lock();
        let Some(tail) = tails.get_mut(partition.index()) else { return };
        // Also if it is lower than before: the caller compares it with its own records, and continues from there.
        tail.end_exclusive = end_exclusive;
        // An acknowledgement may have arrived since.
        if tail.lost_from.is_none() && tail.summary.is_none_or(|known| known.end_exclusive < found.end_exclusive) {
            tail.summary = Some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{Position, RequestId};

    use super::*;

    fn tails() -> TailSummaries {
        TailSummaries::new(Partitions::new(2).unwrap())
    }

    const PARTITION: fn() -> Partition = || Partition::new(1);

    fn event(number: i64) -> EventIdentity {
        EventIdentity { position: Position::from_i64(number).unwrap(), request_id: RequestId::from_bytes([7; 16]) }
    }

    #[test]
    fn an_event_is_the_last_one_until_the_next() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 4, Some(event(70)));
        tails.record_acknowledged(PARTITION(), 5, None);
        tails.record_acknowledged(PARTITION(), 6, None);
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 7, last_event: Some((4, event(70))) }));
        assert_eq!(tails.of(Partition::new(0)), None);
        tails.record_acknowledged(PARTITION(), 7, Some(event(71)));
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 8, last_event: Some((7, event(71))) }));
    }

    #[test]
    fn a_watermark_behind_unread_records_does_not_extend_the_summary() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 3, None);
        assert_eq!(tails.of(PARTITION()), None, "the records before it were never read");
        tails.record_end(PARTITION(), 4, TailSummary { end_exclusive: 4, last_event: None });
        tails.record_acknowledged(PARTITION(), 9, None);
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 4, last_event: None }));
    }

    #[test]
    fn a_recreated_topic_resets_the_summary() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 90, Some(event(70)));
        tails.record_acknowledged(PARTITION(), 0, None);
        assert_eq!(tails.of(PARTITION()), None);
    }

    #[test]
    fn an_older_read_changes_nothing() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 4, Some(event(70)));
        tails.record_end(PARTITION(), 4, TailSummary { end_exclusive: 4, last_event: None });
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 5, last_event: Some((4, event(70))) }));
    }

    #[test]
    fn a_lost_end_is_reported_until_the_next_acknowledgement() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 90, Some(event(70)));
        tails.record_loss(PARTITION(), 40);
        tails.record_loss(PARTITION(), 43);
        assert_eq!(tails.lost_from(PARTITION()), Some(40), "the earliest");
        assert_eq!((tails.of(PARTITION()), tails.end_exclusive(PARTITION())), (None, 44));
        tails.record_end(PARTITION(), 44, TailSummary { end_exclusive: 40, last_event: None });
        assert_eq!((tails.of(PARTITION()), tails.end_exclusive(PARTITION())), (None, 44));
        assert_eq!(tails.lost_from(PARTITION()), Some(40), "reading the end does not repair it");
        tails.record_acknowledged(PARTITION(), 44, Some(event(61)));
        assert_eq!(tails.lost_from(PARTITION()), None);
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 45, last_event: Some((44, event(61))) }));
    }
}
