//! The search for the last event of one partition, as a state that is fed records.

use diptych_kernel::Position;

use crate::record::{Glimpse, Tail};

/// The first look is at the last record only. Where that does not tell, looks grow by this factor.
const GROWTH: u64 = 32;

/// How far a look reaches back at most, so that what has been seen is bounded before the search can be given up.
const LOOK_RECORDS_MAX: u64 = 32 * 1024;

/// Where a search is.
#[derive(Debug)]
pub(super) struct Search {
    /// The first record that there still is.
    floor: u64,
    /// From here to the end there is no event.
    seen_from: u64,
    /// The records that are being looked at, up to `seen_from`.
    from: u64,
    size: u64,
    in_look: InLook,
}

/// What the current look has brought.
#[derive(Debug, Default)]
struct InLook {
    last_event: Option<(u64, Position)>,
    /// The knowledge of the last watermark that has any.
    tail: Option<Tail>,
}

/// What follows from a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look at the records from here up to the end of [`Search::look`].
    LookFrom(u64),
    /// This is the last event, if there is one.
    Found(Option<(u64, Position)>),
}

impl Search {
    /// A search between the first offset and the end.
    pub(super) fn new(floor: u64, end: u64) -> Self {
        Self { floor, seen_from: end, from: end, size: 1, in_look: InLook::default() }
    }

    /// Where the current look begins, and where it ends (exclusive).
    pub(super) fn look(&self) -> (u64, u64) {
        (self.from, self.seen_from)
    }

    /// A record of the current look. One that does not belong to it is passed over.
    pub(super) fn see(&mut self, offset: u64, glimpse: &Glimpse) {
        if !(self.from..self.seen_from).contains(&offset) {
            return;
        }
        match glimpse {
            Glimpse::Event(position) => self.in_look.last_event = Some((offset, *position)),
            // A tail that reaches above its own watermark is of another topic of the same name.
            Glimpse::Watermark(Some(tail)) if tail.below <= offset => self.in_look.tail = Some(*tail),
            Glimpse::Watermark(_) | Glimpse::Foreign | Glimpse::Garbled(_) => {}
        }
    }

    /// The current look is over, or there was none yet.
    pub(super) fn next(&mut self) -> Next {
        let InLook { last_event, tail } = std::mem::take(&mut self.in_look);
        if last_event.is_some() {
            return Next::Found(last_event);
        }
        self.seen_from = self.from;
        if self.seen_from <= self.floor {
            return Next::Found(None);
        }
        if let Some(tail) = tail {
            if tail.below >= self.seen_from {
                // All that the tail does not cover was seen. Its event may be gone with retention.
                return Next::Found(tail.last_event.filter(|(offset, _)| *offset >= self.floor));
            }
            self.size = (self.seen_from - tail.below).min(LOOK_RECORDS_MAX);
        }
        self.from = self.seen_from.saturating_sub(self.size).max(self.floor);
        self.size = (self.size * GROWTH).min(LOOK_RECORDS_MAX);
        Next::LookFrom(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    /// Searches among records from `floor` on. Returns the last event, and how many records were looked at.
    fn search(floor: u64, records: &[Glimpse]) -> (Option<(u64, Position)>, usize) {
        let mut search = Search::new(floor, floor + records.len() as u64);
        let mut looked_at = 0;
        loop {
            match search.next() {
                Next::Found(found) => return (found, looked_at),
                Next::LookFrom(from) => {
                    let (begin, end) = search.look();
                    assert_eq!(begin, from);
                    for offset in begin..end {
                        search.see(offset, &records[usize::try_from(offset - floor).unwrap()]);
                        looked_at += 1;
                    }
                }
            }
        }
    }

    fn idle_for(watermarks: u64, tails: bool) -> Vec<Glimpse> {
        let mut records = vec![Glimpse::Event(at(7)), Glimpse::Foreign, Glimpse::Event(at(8))];
        for offset in 3..3 + watermarks {
            let tail = Tail { below: offset, last_event: Some((2, at(8))) };
            records.push(Glimpse::Watermark(tails.then_some(tail)));
        }
        records
    }

    #[test]
    fn nothing_is_looked_at_where_there_is_nothing() {
        assert_eq!(search(0, &[]), (None, 0));
        assert_eq!(search(9, &[]), (None, 0));
    }

    #[test]
    fn the_last_record_is_looked_at_first() {
        assert_eq!(search(0, &idle_for(0, false)), (Some((2, at(8))), 1));
    }

    #[test]
    fn a_tail_makes_a_long_idleness_short() {
        assert_eq!(search(0, &idle_for(100_000, true)), (Some((2, at(8))), 1));
    }

    #[test]
    fn without_tails_every_watermark_is_passed_once() {
        for watermarks in [1, 31, 32, 33, 1_000, 100_000] {
            let records = idle_for(watermarks, false);
            let (found, looked_at) = search(0, &records);
            assert_eq!(found, Some((2, at(8))));
            assert!(looked_at <= records.len(), "{looked_at} of {}", records.len());
        }
    }

    #[test]
    fn what_stands_between_a_tail_and_its_watermark_is_looked_at() {
        let mut records = idle_for(40, true);
        let len = records.len() as u64;
        // Another appender put an event there that this watermark's appender did not know of.
        records.push(Glimpse::Event(at(9)));
        records.push(Glimpse::Watermark(Some(Tail { below: len, last_event: Some((2, at(8))) })));
        assert_eq!(search(0, &records).0, Some((len, at(9))));
        // And one that did not know for long.
        records.push(Glimpse::Watermark(Some(Tail { below: 10, last_event: Some((2, at(8))) })));
        assert_eq!(search(0, &records).0, Some((len, at(9))));
    }

    #[test]
    fn what_retention_took_is_not_found() {
        let tail = Tail { below: 9, last_event: Some((4, at(8))) };
        assert_eq!(search(9, &[Glimpse::Watermark(Some(tail))]), (None, 1));
        assert_eq!(search(8, &[Glimpse::Foreign, Glimpse::Watermark(Some(tail))]), (None, 1));
        assert_eq!(search(9, &[Glimpse::Watermark(None), Glimpse::Watermark(None)]), (None, 2));
    }

    #[test]
    fn a_tail_of_another_topic_is_not_believed() {
        let tail = Tail { below: 9, last_event: Some((4, at(8))) };
        assert_eq!(search(0, &[Glimpse::Event(at(1)), Glimpse::Watermark(Some(tail))]).0, Some((0, at(1))));
    }
}
