//! A request is stored once.

use std::{iter, time::Duration};

use futures::future::join_all;

use super::fixture::{events, stream};
use crate::{
    ports::{EventStore, StoredRequest},
    testing::{TestEnv, support::Trial},
    vocabulary::Fingerprint,
};

pub(super) async fn a_request_is_stored_once<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.env.handle().await, trial.env.handle().await);
    let stream_id = stream("requests-once");
    let batch = [trial.unit(events(&stream_id, 1..=2)), trial.unit(events(&stream_id, 3..=3))];
    let receipts = trial.store(&mine, &batch).await;
    let stored: Vec<_> = iter::zip(&batch, &receipts)
        .map(|(unit, receipt)| StoredRequest { fingerprint: unit.fingerprint, receipt: receipt.clone() })
        .collect();

    // Time goes by, and the stream goes on: a receipt stays what it was.
    trial.env.advance(Duration::from_secs(5)).await;
    trial.store(&other, &[trial.unit(events(&stream_id, 4..=4))]).await;
    for store in [&mine, &other] {
        assert_eq!(sorted(trial.repeat(store, &batch).await), sorted(stored.clone()), "the same receipts");
        assert_eq!(trial.repeat(store, &batch[1..]).await, stored[1..], "also for a part of the batch");
        for (unit, stored) in iter::zip(&batch, &stored) {
            assert_eq!(trial.find_request(store, unit.request_id).await.as_ref(), Some(stored));
        }
    }

    // Another command under the same id: told what is stored, and not stored itself.
    let mut reused = trial.unit(events(&stream_id, 5..=5));
    reused.request_id = batch[0].request_id;
    reused.fingerprint = Fingerprint::of("test", b"another content");
    assert_eq!(trial.repeat(&other, &[reused]).await, stored[..1], "the fingerprint tells that it is another one");
    assert_eq!(trial.all_of(&mine, &stream_id).await.len(), 4);
    assert_eq!(trial.find_request(&mine, trial.request_id()).await, None);
}

pub(super) async fn a_stored_request_holds_its_batch_up<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
    let (stream_a, stream_b) = (stream("held-a"), stream("held-b"));
    let done = trial.unit(events(&stream_a, 1..=1));
    let receipt = trial.store(&store, std::slice::from_ref(&done)).await.remove(0);

    let new = trial.unit(events(&stream_b, 1..=1));
    let mut again = done.clone();
    again.events = events(&stream_a, 2..=2);
    let rejection = trial.store_in_vain(&store, &[new.clone(), again]).await;
    assert!(rejection.conflicts.is_empty(), "the versions fit");
    assert_eq!(rejection.done, [StoredRequest { fingerprint: done.fingerprint, receipt }]);
    assert_eq!(trial.all_of(&store, &stream_b).await.len(), 0);
    assert_eq!(trial.find_request(&store, new.request_id).await, None);
    // What was held up by it goes through without it.
    trial.store(&store, &[new]).await;
    assert_eq!(trial.all_of(&store, &stream_b).await.len(), 1);
}

pub(super) async fn the_same_request_from_two_handles_is_stored_once<P: TestEnv<Handle: EventStore>>(
    trial: &Trial<'_, P>,
) {
    let handles = [trial.env.handle().await, trial.env.handle().await];
    for round in 0..3 {
        let stream_id = stream(&format!("race-{round}"));
        let unit = trial.unit(events(&stream_id, 1..=2));
        let attempts = (0..4).map(|index| {
            let (store, unit) = (&handles[index % 2], unit.clone());
            async move {
                match trial.try_store(store, &[unit], &[]).await {
                    Ok(mut receipts) => (true, receipts.remove(0)),
                    Err(mut rejection) => (false, rejection.done.remove(0).receipt),
                }
            }
        });
        let answers = join_all(attempts).await;
        let winners = answers.iter().filter(|answer| answer.0).count();
        assert!(winners == 1 || !trial.is_honest(), "{winners} callers were told that theirs was stored now");
        assert!(answers.iter().all(|answer| answer.1 == answers[0].1), "everybody gets the same receipt");
        assert_eq!(trial.all_of(&handles[0], &stream_id).await.len(), 2, "the events are there once");
    }
}

pub(super) async fn forgotten_requests_count_as_new<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
    let stream_id = stream("forget");
    let old: Vec<_> = (1..=5).map(|version| trial.unit(events(&stream_id, version..=version))).collect();
    for unit in &old {
        trial.store(&store, std::slice::from_ref(unit)).await;
    }
    trial.env.advance(Duration::from_secs(60)).await;
    let young = trial.unit(events(&stream_id, 6..=6));
    let cutoff = trial.store(&store, std::slice::from_ref(&young)).await[0].committed_at;

    let mut gone = 0;
    loop {
        let count = trial.ask("forget_requests", async || store.forget_requests(cutoff, 2).await).await;
        assert!(count <= 2, "{count} are more than the limit");
        gone += count;
        if count == 0 {
            break;
        }
    }
    // Of those that a failure hid nobody knows the count.
    assert!(gone >= 5 || !trial.is_honest(), "only {gone} are said to be gone");
    for unit in &old {
        assert_eq!(trial.find_request(&store, unit.request_id).await, None, "an old request is forgotten");
    }
    assert!(trial.find_request(&store, young.request_id).await.is_some(), "the moment itself is not before it");
    assert_eq!(trial.all_of(&store, &stream_id).await.len(), 6, "events stay");

    let mut again = old[0].clone();
    again.events = events(&stream_id, 7..=7);
    let receipt = trial.store(&store, &[again.clone()]).await.remove(0);
    let found = trial.find_request(&store, again.request_id).await.unwrap();
    assert_eq!(found.receipt, receipt, "the id was new, and has a new receipt");
    // What was stored anew is not what was to be forgotten.
    let count = trial.ask("forget_requests", async || store.forget_requests(cutoff, 100).await).await;
    assert_eq!(count, 0);
    assert!(trial.find_request(&store, again.request_id).await.is_some());
}

fn sorted(mut requests: Vec<StoredRequest>) -> Vec<StoredRequest> {
    requests.sort_by_key(|stored| stored.receipt.request_id);
    requests
}
