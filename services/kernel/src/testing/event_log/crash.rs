//! A crash between any two steps.

use super::fixture::{event, once};
use crate::{
    ports::{CommitOutcome, Consumer, EventLog, LogSignal, Offset},
    testing::{
        TestEnv,
        faulty::{FaultInjector, FaultyEventLog},
        support::Trial,
    },
    vocabulary::Partition,
};

/// A reader that keeps what it reads elsewhere, then commits, and dies somewhere on the way. Whoever comes next finds the rest.
pub(super) async fn a_crash_between_any_two_steps_loses_nothing<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let log = trial.env.handle().await;
    let partition = Partition::new(3);
    let entries: Vec<_> = (900..906).map(|number| event(log.partitions(), partition, number)).collect();
    trial.put(&log, &entries).await;
    let end = trial.ends(&log).await[partition.index()].next_offset;
    for calls in [1, 2, 5, 6, 7, 8, 9, 10, 12] {
        let group = format!("crash {calls}");
        let faults = FaultInjector::crash_only(trial.seed());
        faults.crash_after(calls);
        let mortal = FaultyEventLog::new(trial.env.handle().await, faults);
        let mut kept = Vec::new();
        if let Ok(mut consumer) = mortal.join(&group, "ada").await {
            while let Ok(signal) = consumer.poll(2, trial.env.wait_max()).await {
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

        let mut heir = trial.lone_member(&log, &group, "bob").await;
        trial
            .poll_until("the heir is done", &mut [&mut heir], |members| members[0].own.get(&partition) == Some(&end))
            .await;
        kept.extend(heir.read.iter().map(|record| record.entry.clone()));
        let kept = once(kept.iter(), partition);
        let expected: Vec<_> = kept.iter().filter(|entry| entries.contains(entry)).cloned().collect();
        assert_eq!(expected, once(entries.iter(), partition), "after {calls} calls");
    }
}
