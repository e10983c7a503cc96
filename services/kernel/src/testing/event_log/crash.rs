//! Crashes between any two calls.

use super::fixture::{deduplicated, event};
use crate::{
    ports::{CommitOutcome, Consumer, EventLog, LogSignal, Offset},
    testing::{
        TestEnv,
        faulty::{FaultInjector, FaultyEventLog},
        support::SuiteRun,
    },
    vocabulary::Partition,
};

/// A reader stores each batch elsewhere, then commits it, and crashes at some call. Its successor must read the rest.
pub(super) async fn a_crash_at_any_call_loses_nothing<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let log = run.env.handle().await;
    let partition = Partition::new(3);
    let entries: Vec<_> = (900..906).map(|number| event(log.partitions(), partition, number)).collect();
    run.append(&log, &entries).await;
    let end = run.ends(&log).await[partition.index()].next_offset;
    for calls in [1, 2, 5, 6, 7, 8, 9, 10, 12] {
        let group = format!("crash {calls}");
        let faults = FaultInjector::crash_only(run.seed());
        faults.crash_after(calls);
        let crashing = FaultyEventLog::new(run.env.handle().await, faults);
        let mut kept = Vec::new();
        if let Ok(mut consumer) = crashing.join(&group, "ada").await {
            while let Ok(signal) = consumer.poll(2, run.env.wait_max()).await {
                let done = match signal {
                    LogSignal::Assigned(assignments) => {
                        let mine = assignments.into_iter().find(|assignment| assignment.partition == partition);
                        match mine {
                            Some(mine) => consumer.seek(partition, mine.committed).await.is_ok(),
                            None => true,
                        }
                    }
                    LogSignal::Records(records) => {
                        let next = Offset(records.last().unwrap().offset.0 + 1);
                        kept.extend(records.into_iter().map(|record| record.entry));
                        matches!(consumer.commit(&[(partition, next)]).await, Ok(CommitOutcome::Committed))
                    }
                    LogSignal::Revoked(..) | LogSignal::Idle => true,
                };
                if !done {
                    break;
                }
            }
        }

        let mut successor = run.sole_member(&log, &group, "bob").await;
        run.poll_until("the successor reaches the end", &mut [&mut successor], |members| {
            members[0].own.get(&partition) == Some(&end)
        })
        .await;
        kept.extend(successor.read.iter().map(|record| record.entry.clone()));
        let kept = deduplicated(kept.iter(), partition);
        let expected: Vec<_> = kept.iter().filter(|entry| entries.contains(entry)).cloned().collect();
        assert_eq!(expected, deduplicated(entries.iter(), partition), "after {calls} calls");
    }
}
