//! Ends of partitions.

use super::fixture::{event, watermark};
use crate::{
    ports::{EventLog, LogEntry, Offset, PartitionEnd},
    testing::{TestEnv, support::SuiteRun},
};

pub(super) async fn an_empty_log_ends_at_offset_zero<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let log = run.env.handle().await;
    assert!(log.partitions().count() >= 4, "the suite needs four partitions");
    let empty = PartitionEnd { next_offset: Offset(0), last_event: None };
    for end in run.ends(&log).await {
        assert_eq!(end, empty);
    }
}

pub(super) async fn ends_report_offset_and_last_event<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let (log, other) = (run.env.handle().await, run.env.handle().await);
    let partitions = log.partitions();
    let all: Vec<_> = partitions.iter().collect();
    let before = run.ends(&log).await;
    let entries = [
        event(partitions, all[1], 11),
        event(partitions, all[2], 12),
        event(partitions, all[1], 13),
        watermark(all[1], 20),
        watermark(all[3], 20),
    ];
    run.append(&log, &entries).await;
    let ends = run.ends(&other).await;
    let grown = |index: usize| ends[index].next_offset.0 - before[index].next_offset.0;
    let is_right = |grown: u64, expected: u64| grown == expected || (!run.is_fault_free() && grown > expected);
    assert!(grown(0) == 0 && is_right(grown(1), 3) && is_right(grown(2), 1) && is_right(grown(3), 1), "{ends:?}");
    assert_eq!(ends[0], before[0]);
    let identity = |entry: &LogEntry| match entry {
        LogEntry::Event(event) => Some(event.identity()),
        LogEntry::Watermark(..) => None,
    };
    assert_eq!(ends[1].last_event, identity(&entries[2]), "a watermark is not an event");
    assert_eq!(ends[2].last_event, identity(&entries[1]));
    assert_eq!(ends[3].last_event, before[3].last_event);
    run.append(&log, &[]).await;
    assert_eq!(run.ends(&log).await, ends);
}
