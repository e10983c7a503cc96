//! Search for the last event of one partition, as a state machine that is fed with records.

use std::ops::Range;

use diptych_kernel::EventIdentity;

use crate::record::{RecordSummary, TailSummary};

/// The first range is the last record only. If that is not enough, ranges grow by this factor.
const RANGE_GROWTH_FACTOR: u64 = 32;

/// Maximum number of records in one range. It bounds the work between two checks of the deadline.
const RANGE_RECORDS_MAX: u64 = 32 * 1024;

/// Searches backwards from the end of a partition, one range of offsets after another.
#[derive(Debug)]
pub(super) struct LastEventSearch {
    /// First offset of the partition.
    start: u64,
    /// There is no event from this offset to the end. Exclusive end of the current range.
    searched_from: u64,
    /// First offset of the current range.
    range_start: u64,
    /// Size of the next range.
    range_size: u64,
    findings: RangeFindings,
}

/// Results of the current range.
#[derive(Debug, Default)]
struct RangeFindings {
    last_event: Option<(u64, EventIdentity)>,
    /// The summary of the last watermark that has one.
    tail: Option<TailSummary>,
}

/// Next step of the caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SearchStep {
    /// Read the records of [`LastEventSearch::range`], which starts here.
    ReadFrom(u64),
    /// Nothing: this is the last event, with its offset, if there is one.
    Done(Option<(u64, EventIdentity)>),
}

impl LastEventSearch {
    /// Starts a search between the first offset and the end of a partition.
    pub(super) fn new(start: u64, end_exclusive: u64) -> Self {
        Self {
            start,
            searched_from: end_exclusive,
            range_start: end_exclusive,
            range_size: 1,
            findings: RangeFindings::default(),
        }
    }

    /// The offsets to read.
    pub(super) fn range(&self) -> Range<u64> {
        self.range_start..self.searched_from
    }

    /// Takes a record of the current range into account. Records outside of it are ignored.
    pub(super) fn observe(&mut self, offset: u64, summary: &RecordSummary) {
        if !self.range().contains(&offset) {
            return;
        }
        match summary {
            RecordSummary::Event(event) => self.findings.last_event = Some((offset, *event)),
            // A summary that reaches beyond its own watermark belongs to an earlier topic of the same name.
            RecordSummary::Watermark(Some(tail)) if tail.end_exclusive <= offset => self.findings.tail = Some(*tail),
            RecordSummary::Watermark(_) | RecordSummary::Foreign | RecordSummary::Unreadable(_) => {}
        }
    }

    /// Moves on, at the beginning and after every record of the range was observed.
    pub(super) fn next_step(&mut self) -> SearchStep {
        let RangeFindings { last_event, tail } = std::mem::take(&mut self.findings);
        if last_event.is_some() {
            return SearchStep::Done(last_event);
        }
        self.searched_from = self.range_start;
        if self.searched_from <= self.start {
            return SearchStep::Done(None);
        }
        if let Some(tail) = tail {
            if tail.end_exclusive >= self.searched_from {
                // Everything that the summary does not cover was read. Its event may have been deleted by retention.
                return SearchStep::Done(tail.last_event.filter(|(offset, _)| *offset >= self.start));
            }
            self.range_size = (self.searched_from - tail.end_exclusive).min(RANGE_RECORDS_MAX);
        }
        self.range_start = self.searched_from.saturating_sub(self.range_size).max(self.start);
        self.range_size = (self.range_size * RANGE_GROWTH_FACTOR).min(RANGE_RECORDS_MAX);
        SearchStep::ReadFrom(self.range_start)
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{Position, RequestId};

    use super::*;

    fn event(number: i64) -> EventIdentity {
        EventIdentity { position: Position::from_i64(number).unwrap(), request_id: RequestId::from_bytes([7; 16]) }
    }

    /// Searches among records from offset `start` on. Returns the last event, and how many records were read.
    fn search(start: u64, records: &[RecordSummary]) -> (Option<(u64, EventIdentity)>, usize) {
        let mut search = LastEventSearch::new(start, start + records.len() as u64);
        let mut records_read = 0;
        loop {
            match search.next_step() {
                SearchStep::Done(last_event) => return (last_event, records_read),
                SearchStep::ReadFrom(range_start) => {
                    let range = search.range();
                    assert_eq!(range.start, range_start);
                    for offset in range {
                        search.observe(offset, &records[usize::try_from(offset - start).unwrap()]);
                        records_read += 1;
                    }
                }
            }
        }
    }

    fn idle_for(watermarks: u64, with_summaries: bool) -> Vec<RecordSummary> {
        let mut records = vec![RecordSummary::Event(event(7)), RecordSummary::Foreign, RecordSummary::Event(event(8))];
        for offset in 3..3 + watermarks {
            let tail = TailSummary { end_exclusive: offset, last_event: Some((2, event(8))) };
            records.push(RecordSummary::Watermark(with_summaries.then_some(tail)));
        }
        records
    }

    #[test]
    fn an_empty_partition_is_not_read() {
        assert_eq!(search(0, &[]), (None, 0));
        assert_eq!(search(9, &[]), (None, 0));
    }

    #[test]
    fn the_last_record_is_read_first() {
        assert_eq!(search(0, &idle_for(0, false)), (Some((2, event(8))), 1));
    }

    #[test]
    fn one_summary_replaces_reading_a_long_idle_time() {
        assert_eq!(search(0, &idle_for(100_000, true)), (Some((2, event(8))), 1));
    }

    #[test]
    fn without_summaries_every_watermark_is_read_at_most_once() {
        for watermarks in [1, 31, 32, 33, 1_000, 100_000] {
            let records = idle_for(watermarks, false);
            let (last_event, records_read) = search(0, &records);
            assert_eq!(last_event, Some((2, event(8))));
            assert!(records_read <= records.len(), "{records_read} of {}", records.len());
        }
    }

    #[test]
    fn records_between_a_summary_and_its_watermark_are_read() {
        let mut records = idle_for(40, true);
        let len = records.len() as u64;
        // Another appender wrote an event that the appender of this watermark does not know.
        records.push(RecordSummary::Event(event(9)));
        records
            .push(RecordSummary::Watermark(Some(TailSummary { end_exclusive: len, last_event: Some((2, event(8))) })));
        assert_eq!(search(0, &records).0, Some((len, event(9))));
        // And a watermark whose appender has missed many records.
        records
            .push(RecordSummary::Watermark(Some(TailSummary { end_exclusive: 10, last_event: Some((2, event(8))) })));
        assert_eq!(search(0, &records).0, Some((len, event(9))));
    }

    #[test]
    fn an_event_that_retention_deleted_is_not_found() {
        let tail = TailSummary { end_exclusive: 9, last_event: Some((4, event(8))) };
        assert_eq!(search(9, &[RecordSummary::Watermark(Some(tail))]), (None, 1));
        assert_eq!(search(8, &[RecordSummary::Foreign, RecordSummary::Watermark(Some(tail))]), (None, 1));
        assert_eq!(search(9, &[RecordSummary::Watermark(None), RecordSummary::Watermark(None)]), (None, 2));
    }

    #[test]
    fn a_summary_of_an_earlier_topic_is_ignored() {
        let tail = TailSummary { end_exclusive: 9, last_event: Some((4, event(8))) };
        assert_eq!(
            search(0, &[RecordSummary::Event(event(1)), RecordSummary::Watermark(Some(tail))]).0,
            Some((0, event(1)))
        );
    }
}
