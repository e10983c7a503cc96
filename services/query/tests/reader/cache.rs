//! G7 and the cost of a miss: fills, leases, invalidations and aged rows.

use std::time::Duration;

use diptych_kernel::{
    Token,
    ports::{CacheRead, ViewCache},
};
use diptych_query::QueryConfig;
use futures::future::join_all;

use crate::harness::{QueryHarness, SEATS, key, row, seat, text, token};

#[tokio::test(start_paused = true)]
async fn a_thousand_concurrent_misses_read_once() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.write(SEATS, key(&seat), 1, "free").await;
    harness.store.hold(true);
    let token = Token::default();
    let reading = join_all((0..1_000).map(|_| harness.get(&seat, &token)));
    let releasing = async {
        diptych_runtime::pause(Duration::from_millis(100)).await;
        harness.store.hold(false);
    };
    let (answers, ()) = tokio::join!(reading, releasing);
    for answer in answers {
        assert_eq!(text(answer.unwrap().value), "free");
    }
    assert_eq!(harness.store.reads(), 1);
    assert_eq!(harness.body(&seat, &token).await, "free");
    assert_eq!(harness.store.reads(), 1, "the row was not cached");
}

/// A reader has read an old row and not yet filled it while the projector refreshes the key.
async fn slow_reader(is_invalidated_again: bool) {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.write(SEATS, key(&seat), 5, "free").await;
    harness.store.hold(true);
    let nothing = Token::default();
    let refreshing = async {
        diptych_runtime::pause(Duration::from_millis(100)).await;
        harness.project(&seat, 9, "taken").await;
        if is_invalidated_again {
            harness.cache.invalidate(SEATS, &[key(&seat)]).await.unwrap();
        }
        harness.store.hold(false);
    };
    let (slow, ()) = tokio::join!(harness.body(&seat, &nothing), refreshing);
    // The refused fill made the slow reader read the row again.
    assert_eq!(slow, "taken");
    for _ in 0..3 {
        assert_eq!(harness.body(&seat, &nothing).await, "taken");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_cannot_put_back_an_older_row() {
    slow_reader(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_cannot_put_back_an_older_row_after_an_invalidation() {
    slow_reader(true).await;
}

#[tokio::test(start_paused = true)]
async fn the_cache_does_not_contradict_a_row_answered_from_the_read_database() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    // The refresh of the cache was lost.
    harness.write(SEATS, key(&seat), 9, "taken").await;
    harness.progress(SEATS, 0, 9).await;
    assert_eq!(harness.body(&seat, &token(&[(0, 9)])).await, "taken");
    assert_eq!(harness.body(&seat, &Token::default()).await, "taken");
}

#[tokio::test(start_paused = true)]
async fn a_lost_refresh_is_visible_for_a_bounded_time() {
    let harness =
        QueryHarness::with(QueryConfig { cached_age_max: Duration::from_secs(30), ..QueryConfig::default() }).await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    harness.write(SEATS, key(&seat), 9, "taken").await;
    harness.progress(SEATS, 0, 35).await;
    harness.until_seen(0, 35).await;
    assert_eq!(harness.body(&seat, &Token::default()).await, "free");
    harness.progress(SEATS, 0, 36).await;
    harness.until_seen(0, 36).await;
    assert_eq!(harness.body(&seat, &Token::default()).await, "taken");
}

#[tokio::test(start_paused = true)]
async fn absence_is_cached_until_the_row_is_created() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    let nothing = Token::default();
    assert_eq!(harness.body(&seat, &nothing).await, "");
    assert_eq!(harness.body(&seat, &nothing).await, "");
    assert_eq!(harness.store.reads(), 1);
    harness.refresh(&seat, row(3, 3, "free")).await;
    assert_eq!(harness.body(&seat, &nothing).await, "free");
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_a_fill_by_another_process() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    let read = harness.cache.read(SEATS, &[key(&seat)]).await.unwrap();
    let Some(CacheRead::Miss(lease)) = read.first().cloned() else { panic!("{read:?}") };
    let filling = async {
        diptych_runtime::pause(Duration::from_millis(3)).await;
        assert!(harness.cache.fill(SEATS, &key(&seat), lease, row(1, 1, "free")).await.unwrap());
    };
    let nothing = Token::default();
    let (body, ()) = tokio::join!(harness.body(&seat, &nothing), filling);
    assert_eq!(body, "free");
    assert_eq!(harness.store.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_lease_does_not_prevent_caching() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.write(SEATS, key(&seat), 1, "free").await;
    harness.cache.read(SEATS, &[key(&seat)]).await.unwrap();
    for _ in 0..4 {
        assert_eq!(harness.body(&seat, &Token::default()).await, "free");
    }
    // One read without a lease, which ends the abandoned one, and one with a lease of its own.
    assert_eq!(harness.store.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_row_read_before_the_token_was_reached_is_read_again() {
    let harness = QueryHarness::start().await;
    let (idle, busy) = (seat(0, 0), seat(0, 1));
    harness.write(SEATS, key(&idle), 1, "free").await;
    harness.store.hold(true);
    let (nothing, nine) = (Token::default(), token(&[(0, 9)]));
    let late = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        harness.write(SEATS, key(&idle), 7, "taken").await;
        harness.project(&busy, 9, "taken").await;
        // Must not be answered by the read that was started at progress 1.
        let reading = harness.body(&idle, &nine);
        let releasing = async {
            diptych_runtime::pause(Duration::from_millis(10)).await;
            harness.store.hold(false);
        };
        tokio::join!(reading, releasing).0
    };
    let (_, late) = tokio::join!(harness.body(&idle, &nothing), late);
    assert_eq!(late, "taken");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_progress_fills_the_row_that_it_reads() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.write(SEATS, key(&seat), 5, "free").await;
    let nine = token(&[(0, 9)]);
    let began_at = tokio::time::Instant::now();
    let (body, ()) = tokio::join!(harness.body(&seat, &nine), harness.progress(SEATS, 0, 9));
    assert_eq!(body, "free");
    // The call did not wait for its own fill.
    assert_eq!(began_at.elapsed(), Duration::ZERO);
    assert_eq!(harness.body(&seat, &nine).await, "free");
    assert_eq!(harness.store.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_releases_its_lease() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    assert!(harness.get(&seat, &token(&[(0, 9)])).await.is_err());
    harness.store.set_down(true);
    assert!(harness.get(&seat, &Token::default()).await.is_err());
    let read = harness.cache.read(SEATS, &[key(&seat)]).await.unwrap();
    assert!(matches!(read.as_slice(), [CacheRead::Miss(_)]), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn a_row_never_goes_back_by_joining_an_older_read() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    let nothing = Token::default();
    harness.write(SEATS, key(&seat), 5, "free").await;
    harness.progress(SEATS, 0, 5).await;
    harness.until_seen(0, 5).await;
    // A reader of another process has the lease.
    harness.cache.read(SEATS, &[key(&seat)]).await.unwrap();
    harness.store.hold(true);
    let slow = harness.get(&seat, &nothing);
    let others = async {
        // By now the slow call has read the row at position 5, and has not received it.
        diptych_runtime::pause(Duration::from_millis(20)).await;
        harness.project(&seat, 9, "taken").await;
        assert_eq!(harness.body(&seat, &nothing).await, "taken");
        // In another process a reader with a token invalidates the key, and the next one there has the lease.
        harness.cache.invalidate(SEATS, &[key(&seat)]).await.unwrap();
        harness.cache.read(SEATS, &[key(&seat)]).await.unwrap();
        let releasing = async {
            diptych_runtime::pause(Duration::from_millis(20)).await;
            harness.store.hold(false);
        };
        // A call that begins after "taken" was answered.
        tokio::join!(harness.body(&seat, &nothing), releasing).0
    };
    let (_, later) = tokio::join!(slow, others);
    assert_eq!(later, "taken");
}

#[tokio::test(start_paused = true)]
async fn a_row_never_goes_back_by_joining_a_call_with_an_older_answer_of_the_cache() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    let nothing = Token::default();
    harness.write(SEATS, key(&seat), 5, "free").await;
    // A reader of another process fills the key while the slow call waits for it.
    let read = harness.cache.read(SEATS, &[key(&seat)]).await.unwrap();
    let Some(CacheRead::Miss(lease)) = read.first().cloned() else { panic!("{read:?}") };
    let slow = harness.get(&seat, &nothing);
    let others = async {
        diptych_runtime::pause(Duration::from_millis(1)).await;
        assert!(harness.cache.fill(SEATS, &key(&seat), lease, row(5, 5, "free")).await.unwrap());
        let release = harness.cache.hold_next_answer();
        diptych_runtime::pause(Duration::from_millis(2)).await;
        // By now the cache has answered the slow call with the row at position 5.
        harness.project(&seat, 9, "taken").await;
        assert_eq!(harness.body(&seat, &nothing).await, "taken");
        // In other processes the key is invalidated, and a reader has the lease.
        harness.cache.invalidate(SEATS, &[key(&seat)]).await.unwrap();
        harness.cache.read(SEATS, &[key(&seat)]).await.unwrap();
        let releasing = async {
            diptych_runtime::pause(Duration::from_millis(1)).await;
            drop(release);
        };
        // A call that begins after "taken" was answered.
        tokio::join!(harness.body(&seat, &nothing), releasing).0
    };
    let (_, later) = tokio::join!(slow, others);
    assert_eq!(later, "taken");
}
