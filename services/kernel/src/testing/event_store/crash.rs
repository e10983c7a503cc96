//! A crash between any two steps.

use std::collections::HashMap;

use super::fixture::{events, stream};
use crate::{
    ports::{AppendOutcome, EventStore},
    testing::{
        TestEnv,
        faulty::{FaultInjector, FaultyEventStore},
        support::Trial,
    },
    vocabulary::RequestId,
};

pub(super) async fn a_crash_between_any_two_steps_leaves_whole_units<P: TestEnv<Handle: EventStore>>(
    trial: &Trial<'_, P>,
) {
    for calls in 0..4 {
        let (stream_a, stream_b) = (stream(&format!("crash-{calls}-a")), stream(&format!("crash-{calls}-b")));
        let batches = [
            vec![trial.unit(events(&stream_a, 1..=2))],
            vec![trial.unit([events(&stream_a, 3..=3), events(&stream_b, 1..=1)].concat())],
            vec![trial.unit(events(&stream_b, 2..=2)), trial.unit(events(&stream_a, 4..=4))],
        ];

        let faults = FaultInjector::crash_only(trial.seed());
        faults.crash_after(calls);
        let mut acknowledged = HashMap::new();
        let mortal = FaultyEventStore::new(trial.env.handle().await, faults);
        for batch in &batches {
            // The process stops at the first failure that it sees, whatever it means.
            let Ok(AppendOutcome::Committed(receipts)) = mortal.append(batch, &[]).await else { break };
            acknowledged.extend(receipts.into_iter().map(|receipt| (receipt.request_id, receipt)));
        }
        drop(mortal);

        let store = trial.env.handle().await;
        let left = [trial.all_of(&store, &stream_a).await, trial.all_of(&store, &stream_b).await].concat();
        let events_of = |id: RequestId| left.iter().filter(|event| event.request_id == id).count();
        for batch in &batches {
            let is_there = events_of(batch[0].request_id) > 0;
            for unit in batch {
                let count = events_of(unit.request_id);
                assert_eq!(count, if is_there { unit.events.len() } else { 0 }, "a torn batch after {calls} calls");
                let found = trial.find_request(&store, unit.request_id).await;
                assert_eq!(found.is_some(), is_there, "request and events are stored together");
                assert!(is_there || !acknowledged.contains_key(&unit.request_id), "what was acknowledged is gone");
            }
        }

        // The process comes back and repeats everything, as its callers do.
        for batch in &batches {
            let receipts = match trial.try_store(&store, batch, &[]).await {
                Ok(receipts) => receipts,
                Err(rejection) => rejection.done.into_iter().map(|stored| stored.receipt).collect(),
            };
            assert_eq!(receipts.len(), batch.len());
            for receipt in receipts {
                let before = acknowledged.entry(receipt.request_id).or_insert_with(|| receipt.clone());
                assert_eq!(*before, receipt, "the same receipt after the crash");
            }
        }
        assert_eq!(trial.all_of(&store, &stream_a).await.len(), 4);
        assert_eq!(trial.all_of(&store, &stream_b).await.len(), 2);
    }
}
