//! A query service waits until its tables are filled.

use std::time::Duration;

use diptych_kernel::domain::ViewId;
use diptych_query::{QueryConfig, wait_until_filled};
use tokio::time::{Instant, timeout};

use crate::harness::{QueryHarness, SEATS, TOTALS, seat};

const NEXT: ViewId = ViewId { name: "seats", generation: 2 };
const LONG: Duration = Duration::from_secs(600);

impl QueryHarness {
    async fn is_filled(&self, views: &[ViewId]) -> bool {
        timeout(LONG, wait_until_filled(&*self.store, views)).await.is_ok()
    }
}

async fn empty() -> QueryHarness {
    QueryHarness::set_up(QueryConfig::default()).await
}

#[tokio::test(start_paused = true)]
async fn a_new_installation_is_filled() {
    assert!(empty().await.is_filled(&[SEATS, TOTALS]).await);
}

#[tokio::test(start_paused = true)]
async fn a_new_generation_is_filled_when_it_has_reached_every_table_in_every_partition() {
    let harness = empty().await;
    harness.progress(SEATS, 0, 9).await;
    harness.progress(TOTALS, 1, 7).await;
    assert!(!harness.is_filled(&[NEXT]).await, "it has no progress");
    harness.progress(NEXT, 0, 9).await;
    assert!(!harness.is_filled(&[NEXT]).await, "another partition is missing");
    harness.progress(NEXT, 1, 6).await;
    assert!(!harness.is_filled(&[NEXT]).await, "it is behind");
    harness.progress(NEXT, 1, 7).await;
    assert!(harness.is_filled(&[NEXT]).await);
    assert!(!harness.is_filled(&[NEXT, TOTALS]).await, "all views count");
}

#[tokio::test(start_paused = true)]
async fn a_view_that_lags_behind_another_table_is_waited_for_and_not_for_ever() {
    for lags in [false, true] {
        let harness = empty().await;
        harness.progress(SEATS, 0, 9).await;
        let filling = async {
            for at in 10..20 {
                diptych_runtime::pause(Duration::from_secs(1)).await;
                harness.progress(SEATS, 0, at).await;
                harness.progress(NEXT, 0, if lags { at - 3 } else { at }).await;
            }
            harness.progress(SEATS, 0, 20).await;
        };
        let began_at = Instant::now();
        let (filled, ()) = tokio::join!(harness.is_filled(&[NEXT]), filling);
        assert!(filled);
        let waited = began_at.elapsed();
        assert_eq!(waited > Duration::from_secs(60), lags, "{waited:?}");
    }
}

/// An operator has to act before such a view goes on, and restarted query services must not wait for that.
#[tokio::test(start_paused = true)]
async fn a_view_that_a_parked_stream_blocks_is_not_waited_for() {
    let harness = empty().await;
    let parked = seat(0, 0);
    harness.park(TOTALS, &parked, 5).await;
    harness.progress(SEATS, 0, 9).await;
    assert!(harness.is_filled(&[SEATS, TOTALS]).await);
    // But a new generation is, while the one before it goes on.
    harness.park(NEXT, &parked, 5).await;
    assert!(!harness.is_filled(&[NEXT]).await);
    harness.park(NEXT, &parked, 9).await;
    assert!(harness.is_filled(&[NEXT]).await);
}

/// Each round of filling is shorter than the one before, and longer than a view may take that does not come nearer.
#[tokio::test(start_paused = true)]
async fn a_long_fill_is_waited_for_while_events_come() {
    let harness = empty().await;
    harness.progress(SEATS, 0, 1_000_000).await;
    // One event comes each second, and two are projected.
    let filling = async {
        let (mut written, mut projected) = (1_000_000, 997_000);
        while projected < written {
            diptych_runtime::pause(Duration::from_secs(10)).await;
            (written, projected) = (written + 10, (projected + 20).min(written + 10));
            harness.progress(SEATS, 0, written).await;
            harness.progress(NEXT, 0, projected).await;
        }
    };
    let filled = async {
        wait_until_filled(&*harness.store, &[NEXT]).await;
        Instant::now()
    };
    let caught_up = async {
        filling.await;
        Instant::now()
    };
    let (filled_at, caught_up_at) = tokio::join!(filled, caught_up);
    assert!(filled_at + Duration::from_secs(15) > caught_up_at, "ready {:?} too early", caught_up_at - filled_at);
}
