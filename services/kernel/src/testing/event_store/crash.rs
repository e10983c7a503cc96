//! Crashes between any two calls.

use std::collections::HashMap;

use super::fixture::{events, stream};
use crate::{
    ports::{AppendOutcome, EventStore, StoredRequest},
    testing::{
        TestEnv,
        faulty::{FaultInjector, FaultyEventStore},
        support::SuiteRun,
    },
    vocabulary::RequestId,
};

pub(super) async fn a_crash_at_any_call_leaves_whole_batches<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    for calls in 0..4 {
        let (stream_a, stream_b) = (stream(&format!("crash-{calls}-a")), stream(&format!("crash-{calls}-b")));
        let batches = [
            vec![run.unit(events(&stream_a, 1..=2))],
            vec![run.unit([events(&stream_a, 3..=3), events(&stream_b, 1..=1)].concat())],
            vec![run.unit(events(&stream_b, 2..=2)), run.unit(events(&stream_a, 4..=4))],
        ];

        let faults = FaultInjector::crash_only(run.seed());
        faults.crash_after(calls);
        let mut acknowledged = HashMap::new();
        let crashing = FaultyEventStore::new(run.env.handle().await, faults);
        for batch in &batches {
            // The process stops at the first error, whatever its effect.
            let Ok(AppendOutcome::Committed(receipts)) = crashing.append(batch, &[]).await else { break };
            acknowledged.extend(receipts.into_iter().map(|receipt| (receipt.request_id, receipt)));
        }
        drop(crashing);

        let store = run.env.handle().await;
        let left = [run.load_events(&store, &stream_a).await, run.load_events(&store, &stream_b).await].concat();
        let events_of = |id: RequestId| left.iter().filter(|event| event.request_id == id).count();
        for batch in &batches {
            let is_there = events_of(batch[0].request_id) > 0;
            for unit in batch {
                let count = events_of(unit.request_id);
                assert_eq!(count, if is_there { unit.events.len() } else { 0 }, "a partial batch after {calls} calls");
                let found = run.find_request(&store, unit.request_id).await;
                assert_eq!(found.is_some(), is_there, "a request and its events must be stored together");
                assert!(is_there || !acknowledged.contains_key(&unit.request_id), "an acknowledged command is lost");
            }
        }

        // The process restarts and repeats everything, as its callers do.
        for batch in &batches {
            let receipts = match run.try_store(&store, batch, &[]).await {
                Ok(receipts) => receipts,
                Err(rejection) => rejection.done.iter().filter_map(StoredRequest::receipt).cloned().collect(),
            };
            assert_eq!(receipts.len(), batch.len());
            for receipt in receipts {
                let before = acknowledged.entry(receipt.request_id).or_insert_with(|| receipt.clone());
                assert_eq!(*before, receipt, "the receipt must be the same after the crash");
            }
        }
        assert_eq!(run.load_events(&store, &stream_a).await.len(), 4);
        assert_eq!(run.load_events(&store, &stream_b).await.len(), 2);
    }
}
