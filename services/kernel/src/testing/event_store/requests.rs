//! Request ids: each request is stored once.

use std::{iter, time::Duration};

use futures::future::join_all;

use super::fixture::{events, stream};
use crate::{
    ports::{EventStore, StoredRequest},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::Fingerprint,
};

pub(super) async fn a_request_is_stored_once<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let stream_id = stream("requests-once");
    let batch = [run.unit(events(&stream_id, 1..=2)), run.unit(events(&stream_id, 3..=3))];
    let receipts = run.store(&mine, &batch).await;
    let stored: Vec<_> = iter::zip(&batch, &receipts)
        .map(|(unit, receipt)| StoredRequest::committed(unit.fingerprint, receipt.clone()))
        .collect();

    // A receipt does not change as time passes and the stream grows.
    run.env.advance(Duration::from_secs(5)).await;
    run.store(&other, &[run.unit(events(&stream_id, 4..=4))]).await;
    for store in [&mine, &other] {
        assert_eq!(sorted(run.repeat(store, &batch).await), sorted(stored.clone()), "the same receipts");
        assert_eq!(run.repeat(store, &batch[1..]).await, stored[1..], "the same receipts for a part of the batch");
        for (unit, stored) in iter::zip(&batch, &stored) {
            assert_eq!(run.find_request(store, unit.request_id).await.as_ref(), Some(stored));
        }
    }

    // Another command with the same id is not stored, and gets the stored request.
    let mut reused = run.unit(events(&stream_id, 5..=5));
    reused.request_id = batch[0].request_id;
    reused.fingerprint = Fingerprint::of("test", b"another content");
    assert_eq!(run.repeat(&other, &[reused]).await, stored[..1], "the stored fingerprint is returned");
    assert_eq!(run.load_events(&mine, &stream_id).await.len(), 4);
    assert_eq!(run.find_request(&mine, run.request_id()).await, None);
}

pub(super) async fn a_stored_request_rejects_its_whole_batch<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let (stream_a, stream_b) = (stream("held-a"), stream("held-b"));
    let done = run.unit(events(&stream_a, 1..=1));
    let receipt = run.store(&store, std::slice::from_ref(&done)).await.remove(0);

    let new = run.unit(events(&stream_b, 1..=1));
    let mut again = done.clone();
    again.events = events(&stream_a, 2..=2);
    let rejection = run.expect_rejection(&store, &[new.clone(), again]).await;
    assert!(rejection.conflicts.is_empty(), "the versions fit");
    assert_eq!(rejection.done, [StoredRequest::committed(done.fingerprint, receipt)]);
    assert_eq!(run.load_events(&store, &stream_b).await.len(), 0);
    assert_eq!(run.find_request(&store, new.request_id).await, None);
    // Without the stored request, the rest of the batch is stored.
    run.store(&store, &[new]).await;
    assert_eq!(run.load_events(&store, &stream_b).await.len(), 1);
}

pub(super) async fn the_same_request_from_two_handles_is_stored_once<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
) {
    let handles = [run.env.handle().await, run.env.handle().await];
    for round in 0..3 {
        let stream_id = stream(&format!("race-{round}"));
        let unit = run.unit(events(&stream_id, 1..=2));
        let attempts = (0..4).map(|index| {
            let (store, unit) = (&handles[index % 2], unit.clone());
            async move {
                match run.try_store(store, &[unit], &[]).await {
                    Ok(mut receipts) => (true, receipts.remove(0)),
                    Err(rejection) => (false, rejection.done[0].receipt().unwrap().clone()),
                }
            }
        });
        let answers = join_all(attempts).await;
        let winners = answers.iter().filter(|answer| answer.0).count();
        assert!(winners == 1 || !run.is_fault_free(), "{winners} appends returned that they stored the request");
        assert!(answers.iter().all(|answer| answer.1 == answers[0].1), "every caller gets the same receipt");
        assert_eq!(run.load_events(&handles[0], &stream_id).await.len(), 2, "the events are stored once");
    }
}

pub(super) async fn forgotten_requests_count_as_new<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let stream_id = stream("forget");
    let old: Vec<_> = (1..=5).map(|version| run.unit(events(&stream_id, version..=version))).collect();
    for unit in &old {
        run.store(&store, std::slice::from_ref(unit)).await;
    }
    run.env.advance(Duration::from_secs(60)).await;
    let young = run.unit(events(&stream_id, 6..=6));
    let cutoff = run.store(&store, std::slice::from_ref(&young)).await[0].committed_at;

    let mut gone = 0;
    loop {
        let count = run.retry("forget_requests", async || store.forget_requests(cutoff, 2).await).await;
        assert!(count <= 2, "{count} is more than the limit");
        gone += count;
        if count == 0 {
            break;
        }
    }
    // A failed call may have forgotten requests without returning their count.
    assert!(gone >= 5 || !run.is_fault_free(), "only {gone} requests were reported as forgotten");
    for unit in &old {
        assert_eq!(run.find_request(&store, unit.request_id).await, None, "an old request is forgotten");
    }
    assert!(run.find_request(&store, young.request_id).await.is_some(), "a request recorded at the cutoff is kept");
    assert_eq!(run.load_events(&store, &stream_id).await.len(), 6, "events are kept");

    let mut again = old[0].clone();
    again.events = events(&stream_id, 7..=7);
    let receipt = run.store(&store, &[again.clone()]).await.remove(0);
    let found = run.find_request(&store, again.request_id).await.unwrap();
    assert_eq!(found.receipt(), Some(&receipt), "a forgotten id gets a new receipt");
    // The newly stored request is not forgotten with the old one.
    let count = run.retry("forget_requests", async || store.forget_requests(cutoff, 100).await).await;
    assert_eq!(count, 0);
    assert!(run.find_request(&store, again.request_id).await.is_some());
}

fn sorted(mut requests: Vec<StoredRequest>) -> Vec<StoredRequest> {
    requests.sort_by_key(|stored| stored.request_id);
    requests
}
