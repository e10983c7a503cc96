//! Refusals: each claims its request id, as an append does.

use std::{iter, slice, time::Duration};

use bytes::Bytes;
use futures::future::join;

use super::fixture::{events, stream};
use crate::{
    ports::{
        AppendUnit, Conflict, EventStore, REFUSAL_BYTES_MAX, RefusalOutcome, RefusalUnit, StoredOutcome, StoredRequest,
    },
    testing::{TestEnv, support::SuiteRun},
    vocabulary::{Fingerprint, RequestId, StreamId, Timestamp, Version},
};

fn refusal(request_id: RequestId, streams: &[(&StreamId, u32)]) -> RefusalUnit {
    RefusalUnit {
        request_id,
        fingerprint: Fingerprint::of("test", request_id.as_bytes()),
        streams: streams.iter().map(|(stream_id, version)| ((*stream_id).clone(), Version::new(*version))).collect(),
        // Not valid UTF-8.
        refusal: Bytes::from(vec![0xff, 0, request_id.as_bytes()[15]]),
    }
}

fn stored(refusal: &RefusalUnit) -> StoredRequest {
    StoredRequest {
        request_id: refusal.request_id,
        fingerprint: refusal.fingerprint,
        outcome: StoredOutcome::Refused(refusal.refusal.clone()),
    }
}

impl<P: TestEnv<Handle: EventStore>> SuiteRun<'_, P> {
    /// Stores refusals as a caller must: repeats the call while its effect is unknown, and then counts its own refusals
    /// as stored.
    async fn refuse(&self, store: &P::Handle, refusals: &[RefusalUnit]) -> Vec<RefusalOutcome> {
        let mut attempts = 0;
        let outcomes = self
            .retry("refuse", async || {
                attempts += 1;
                store.refuse(refusals).await
            })
            .await;
        assert_eq!(outcomes.len(), refusals.len(), "one result per refusal");
        let own = |(outcome, refusal): (RefusalOutcome, &RefusalUnit)| {
            if attempts > 1 && outcome == RefusalOutcome::Done(stored(refusal)) {
                RefusalOutcome::Stored
            } else {
                outcome
            }
        };
        iter::zip(outcomes, refusals).map(own).collect()
    }
}

pub(super) async fn a_refusal_claims_its_request_id<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let stream_id = stream("refused");
    let unit = run.unit(events(&stream_id, 1..=1));
    let refused = RefusalUnit {
        refusal: Bytes::from(vec![0xff; REFUSAL_BYTES_MAX]),
        ..refusal(unit.request_id, &[(&stream_id, 0)])
    };
    assert_eq!(run.refuse(&mine, slice::from_ref(&refused)).await, [RefusalOutcome::Stored]);
    run.env.advance(Duration::from_secs(5)).await;
    for store in [&mine, &other] {
        assert_eq!(run.find_request(store, unit.request_id).await, Some(stored(&refused)));
        let rejection = run.expect_rejection(store, slice::from_ref(&unit)).await;
        assert_eq!(rejection.done, [stored(&refused)], "a refused command is not committed later");
        let again = run.retry("refuse", async || store.refuse(slice::from_ref(&refused)).await).await;
        assert_eq!(again, [RefusalOutcome::Done(stored(&refused))], "the same refusal");
    }
    // Another content under the same id gets the stored refusal, whatever the versions of its streams are now.
    run.store(&mine, &[run.unit(events(&stream_id, 1..=1))]).await;
    let other_content = RefusalUnit { fingerprint: Fingerprint::of("test", b"another content"), ..refused.clone() };
    let again = run.retry("refuse", async || other.refuse(slice::from_ref(&other_content)).await).await;
    assert_eq!(again, [RefusalOutcome::Done(stored(&refused))]);
    assert_eq!(run.load_events(&mine, &stream_id).await.len(), 1);
}

pub(super) async fn a_stored_request_is_not_refused<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let stream_id = stream("not-refused");
    let unit = run.unit(events(&stream_id, 1..=2));
    let receipt = run.store(&mine, slice::from_ref(&unit)).await.remove(0);
    let committed = StoredRequest::committed(unit.fingerprint, receipt);
    // At the version of the stream, and at an older one.
    for version in [2, 0] {
        let outcome = run.refuse(&other, &[refusal(unit.request_id, &[(&stream_id, version)])]).await;
        assert_eq!(outcome, [RefusalOutcome::Done(committed.clone())]);
    }
    assert_eq!(run.find_request(&mine, unit.request_id).await, Some(committed));
}

pub(super) async fn a_refusal_on_a_changed_stream_is_not_stored<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let (changed, unchanged) = (stream("refusal-changed"), stream("refusal-unchanged"));
    run.store(&store, &[run.unit(events(&changed, 1..=3)), run.unit(events(&unchanged, 1..=1))]).await;
    let unit = run.unit(events(&unchanged, 2..=2));
    let stale = refusal(unit.request_id, &[(&unchanged, 1), (&changed, 2)]);
    let conflict = Conflict { stream_id: changed.clone(), expected: Version::new(2), actual: Version::new(3) };
    assert_eq!(run.refuse(&store, &[stale]).await, [RefusalOutcome::Conflicts(vec![conflict])]);
    assert_eq!(run.find_request(&store, unit.request_id).await, None, "the request id is still new");
    run.store(&store, &[unit]).await;
}

pub(super) async fn each_refusal_of_a_call_is_stored_by_itself<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let (stream_a, stream_b) = (stream("refusals-a"), stream("refusals-b"));
    let done = run.unit(events(&stream_a, 1..=1));
    let receipt = run.store(&store, slice::from_ref(&done)).await.remove(0);
    let refusals = [
        refusal(run.request_id(), &[(&stream_a, 1)]),
        refusal(run.request_id(), &[(&stream_a, 0)]),
        refusal(done.request_id, &[(&stream_a, 1)]),
        refusal(run.request_id(), &[(&stream_b, 0), (&stream_a, 1)]),
    ];
    let conflict = Conflict { stream_id: stream_a.clone(), expected: Version::NONE, actual: Version::new(1) };
    let expected = [
        RefusalOutcome::Stored,
        RefusalOutcome::Conflicts(vec![conflict]),
        RefusalOutcome::Done(StoredRequest::committed(done.fingerprint, receipt)),
        RefusalOutcome::Stored,
    ];
    assert_eq!(run.refuse(&store, &refusals).await, expected);
    assert!(run.retry("refuse", async || store.refuse(&[]).await).await.is_empty());
    assert_eq!(run.load_events(&store, &stream_b).await.len(), 0, "a refusal has no events");
}

/// An append and a refusal of the same request id at the same time.
async fn race<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
    (appender, refuser): (&P::Handle, &P::Handle),
    unit: &AppendUnit,
    refused: &RefusalUnit,
) -> (bool, RefusalOutcome) {
    let append = async { run.try_store(appender, slice::from_ref(unit), &[]).await.is_ok() };
    let refuse = async { run.refuse(refuser, slice::from_ref(refused)).await.remove(0) };
    join(append, refuse).await
}

pub(super) async fn a_request_is_refused_or_committed_and_never_both<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
) {
    let handles = [run.env.handle().await, run.env.handle().await];
    for round in 0..10 {
        let (stream_id, other_stream) = (stream(&format!("claim-{round}")), stream(&format!("claim-other-{round}")));
        let unit = run.unit(events(&stream_id, 1..=1));
        // On another stream, so that only the request id is in the way.
        let refused = refusal(unit.request_id, &[(&other_stream, 0)]);
        let (committed, outcome) = race(run, (&handles[0], &handles[round % 2]), &unit, &refused).await;
        let found = run.find_request(&handles[1], unit.request_id).await.unwrap();
        let events = run.load_events(&handles[0], &stream_id).await.len();
        assert_eq!(committed, events == 1, "round {round}: {outcome:?}");
        match outcome {
            RefusalOutcome::Stored => assert_eq!((found, events), (stored(&refused), 0), "round {round}"),
            RefusalOutcome::Done(done) => assert_eq!((done, events), (found, 1), "round {round}"),
            RefusalOutcome::Conflicts(conflicts) => panic!("round {round}: {conflicts:?}"),
        }
    }
}

pub(super) async fn forgotten_refusals_count_as_new<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let stream_id = stream("forget-refusals");
    run.store(&store, &[run.unit(events(&stream_id, 1..=1))]).await;
    let old: Vec<_> = (0..5).map(|_| refusal(run.request_id(), &[(&stream_id, 1)])).collect();
    assert_eq!(run.refuse(&store, &old).await, vec![RefusalOutcome::Stored; 5]);
    // A store may count only the time since it was first asked.
    run.retry("forget_requests", async || store.forget_requests(Timestamp::from_micros(0), 1).await).await;
    run.env.advance(Duration::from_secs(60)).await;
    let young = refusal(run.request_id(), &[(&stream_id, 1)]);
    let cutoff = run.store(&store, &[run.unit(events(&stream_id, 2..=2))]).await[0].committed_at;
    let young = RefusalUnit { streams: vec![(stream_id.clone(), Version::new(2))], ..young };
    assert_eq!(run.refuse(&store, slice::from_ref(&young)).await, [RefusalOutcome::Stored]);
    loop {
        let count = run.retry("forget_requests", async || store.forget_requests(cutoff, 2).await).await;
        assert!(count <= 2, "{count} is more than the limit");
        if count == 0 {
            break;
        }
    }
    for refused in &old {
        assert!(run.find_request(&store, refused.request_id).await.is_none(), "an old refusal is forgotten");
    }
    assert_eq!(run.find_request(&store, young.request_id).await, Some(stored(&young)), "a young refusal is kept");
    let mut again = run.unit(events(&stream_id, 3..=3));
    again.request_id = old[0].request_id;
    run.store(&store, &[again]).await;
}
