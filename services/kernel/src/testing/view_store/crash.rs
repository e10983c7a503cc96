//! Crashes between any two calls.

use std::slice;

use super::{row, view};
use crate::{
    domain::RowKey,
    ports::{Offset, Progress, ProgressStore, ProgressUpdate, RowWrite, ViewStore},
    testing::{
        TestEnv,
        faulty::{FaultInjector, FaultyViewStore},
        support::SuiteRun,
    },
    vocabulary::{Partition, Timestamp},
};

/// A projector writes rows first and progress afterwards, so after a crash rows may be ahead of progress, never behind
/// it.
pub(super) async fn progress_never_exceeds_the_stored_rows<P: TestEnv<Handle: ViewStore + ProgressStore>>(
    run: &SuiteRun<'_, P>,
) {
    let table = view("crash");
    let clean = run.env.handle().await;
    run.ensure(&clean, &[table]).await;
    for calls in 0..7 {
        let partition = Partition::new(u16::try_from(calls).unwrap());
        let keys: Vec<_> = (0..4_u8).map(|number| RowKey::new(&format!("crash {calls}"), vec![number])).collect();
        let save_at = |position: i64| {
            let position = super::at(position);
            let (as_of, next_offset) = (Timestamp::from_micros(position.as_i64()), Offset(1));
            let progress = Progress { position, as_of, next_offset, parked: Vec::new() };
            ProgressUpdate { view: table, partition, progress }
        };

        let faults = FaultInjector::crash_only(run.seed());
        faults.crash_after(calls);
        let crashing = FaultyViewStore::new(run.env.handle().await, faults);
        for position in 1..=3 {
            let writes: Vec<_> =
                keys.iter().map(|key| RowWrite { view: table, key: key.clone(), row: row(key, position) }).collect();
            if crashing.write(&writes).await.is_err() || crashing.save(&[save_at(position)]).await.is_err() {
                break;
            }
        }
        drop(crashing);

        let store = run.env.handle().await;
        let saved = run.retry("load", async || store.load(slice::from_ref(&table)).await).await;
        let reached = saved.iter().find(|update| update.partition == partition).map(|update| &update.progress);
        let reached = reached.map_or(0, |progress| progress.position.as_i64());
        for (key, found) in keys.iter().zip(run.read(&store, table, &keys).await) {
            let position = found.as_ref().map_or(0, |row| row.position.as_i64());
            assert!(position >= reached, "after {calls} calls progress is {reached}, but a row is at {position}");
            assert!(found.is_none_or(|found| found == row(key, position)), "a partial row");
        }
        // The projector restarts and repeats everything.
        for position in 1..=3 {
            let writes: Vec<_> = keys.iter().map(|key| (key, row(key, position))).collect();
            run.write(&store, table, &writes).await;
            run.retry("save", async || store.save(&[save_at(position)]).await).await;
        }
        for (key, found) in keys.iter().zip(run.read(&store, table, &keys).await) {
            assert_eq!(found, Some(row(key, 3)));
        }
    }
}
