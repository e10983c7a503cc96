//! A crash between any two steps.

use std::slice;

use super::{row, view};
use crate::{
    domain::RowKey,
    ports::{Offset, Progress, ProgressStore, ProgressUpdate, RowWrite, ViewStore},
    testing::{
        TestEnv,
        faulty::{FaultInjector, FaultyViewStore},
        support::Trial,
    },
    vocabulary::{Partition, Timestamp},
};

/// Rows first, then progress: after a crash there may be rows that progress does not speak of, never the other way round.
pub(super) async fn progress_never_promises_what_is_not_there<P: TestEnv<Handle: ViewStore + ProgressStore>>(
    trial: &Trial<'_, P>,
) {
    let table = view("crash");
    let clean = trial.env.handle().await;
    trial.ensure(&clean, &[table]).await;
    for calls in 0..7 {
        let partition = Partition::new(u16::try_from(calls).unwrap());
        let keys: Vec<_> = (0..4_u8).map(|number| RowKey::new(&format!("crash {calls}"), vec![number])).collect();
        let save_at = |position: i64| {
            let position = super::at(position);
            let (as_of, next_offset) = (Timestamp::from_micros(position.as_i64()), Offset(1));
            let progress = Progress { position, as_of, next_offset, parked: Vec::new() };
            ProgressUpdate { view: table, partition, progress }
        };

        let faults = FaultInjector::crash_only(trial.seed());
        faults.crash_after(calls);
        let mortal = FaultyViewStore::new(trial.env.handle().await, faults);
        for position in 1..=3 {
            let writes: Vec<_> =
                keys.iter().map(|key| RowWrite { view: table, key: key.clone(), row: row(key, position) }).collect();
            if mortal.write(&writes).await.is_err() || mortal.save(&[save_at(position)]).await.is_err() {
                break;
            }
        }
        drop(mortal);

        let store = trial.env.handle().await;
        let saved = trial.ask("load", async || store.load(slice::from_ref(&table)).await).await;
        let reached = saved.iter().find(|update| update.partition == partition).map(|update| &update.progress);
        let reached = reached.map_or(0, |progress| progress.position.as_i64());
        for (key, found) in keys.iter().zip(trial.read(&store, table, &keys).await) {
            let position = found.as_ref().map_or(0, |row| row.position.as_i64());
            assert!(position >= reached, "progress says {reached}, a row {position}, after {calls} calls");
            assert!(found.is_none_or(|found| found == row(key, position)), "half a row");
        }
        // The projector comes back and does it all again.
        for position in 1..=3 {
            let writes: Vec<_> = keys.iter().map(|key| (key, row(key, position))).collect();
            trial.write(&store, table, &writes).await;
            trial.ask("save", async || store.save(&[save_at(position)]).await).await;
        }
        for (key, found) in keys.iter().zip(trial.read(&store, table, &keys).await) {
            assert_eq!(found, Some(row(key, 3)));
        }
    }
}
