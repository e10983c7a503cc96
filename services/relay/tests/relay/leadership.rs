//! One relay leads while another stands by.

use std::time::Duration;

use diptych_kernel::ports::{LeaseOutcome, RelayState};
use diptych_runtime::pause;
use tokio::time::Instant;

use crate::{
    gated_log::GatedLog,
    harness::{RelayHarness, config, run_relay_during},
};

async fn leader(harness: &RelayHarness) -> String {
    match harness.events.acquire_lease("probe", Duration::ZERO).await.unwrap() {
        LeaseOutcome::HeldByOther { owner, .. } => owner,
        LeaseOutcome::Held { fence, .. } => {
            harness.events.release_lease(fence).await.unwrap();
            String::new()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_one_of_two_publishes() {
    let harness = RelayHarness::new();
    let scenario = async {
        for _ in 0..20 {
            harness.store_commands(2).await;
            pause(Duration::from_secs(1)).await;
        }
        harness.until_published().await;
    };
    harness.run_relay("one", harness.run_relay("two", scenario)).await;
    assert_eq!(harness.check_log().await, 0, "an event was published twice");
}

#[tokio::test(start_paused = true)]
async fn another_relay_takes_over_at_once_when_the_lease_is_released() {
    let harness = RelayHarness::new();
    harness.store_commands(1).await;
    harness
        .run_relay("two", async {
            // "two" leads, and then hands over to "three".
            harness.until("two leads", async || leader(&harness).await == "two").await;
        })
        .await;
    let released_at = Instant::now();
    harness
        .run_relay("three", async {
            harness.store_commands(1).await;
            harness.until_published().await;
        })
        .await;
    assert!(released_at.elapsed() < Duration::from_millis(100), "{:?}", released_at.elapsed());
    assert_eq!(harness.check_log().await, 0);
}

#[tokio::test(start_paused = true)]
async fn another_relay_takes_over_when_the_lease_has_expired() {
    let harness = RelayHarness::new();
    harness.store_commands(1).await;
    {
        // Dropped without a shutdown, like a killed process.
        let relay = diptych_relay::run(harness.events.clone(), harness.log.clone(), config("one"), Default::default());
        tokio::select! {
            () = harness.until_published() => {}
            ended = relay => panic!("{ended:?}"),
        }
    }
    let killed_at = Instant::now();
    harness
        .run_relay("two", async {
            harness.store_commands(1).await;
            harness.until_published().await;
        })
        .await;
    let lease = config("one").lease_duration;
    assert!(killed_at.elapsed() <= lease + lease / 4, "{:?}", killed_at.elapsed());
    assert!(killed_at.elapsed() >= lease / 2, "took over before the lease expired, after {:?}", killed_at.elapsed());
    assert_eq!(harness.check_log().await, 0);
}

/// A leader hangs while it publishes, another one takes over and finishes; when the first continues, its records are
/// repeats and its cursor is refused.
#[tokio::test(start_paused = true)]
async fn a_fenced_leader_repeats_but_does_not_move_the_cursor() {
    let harness = RelayHarness::new();
    harness.store_commands(3).await;
    let gated = GatedLog::closed(&harness.log);
    let scenario = async {
        harness.until("the first hangs", async || gated.blocked_count() == 1).await;
        harness
            .run_relay("two", async {
                harness.store_commands(10).await;
                harness.until_published().await;
                harness.until("two leads", async || leader(&harness).await == "two").await;
                gated.open();
                harness.until("the first continues", async || gated.blocked_count() == 0).await;
                pause(Duration::from_secs(30)).await;
                assert_eq!(leader(&harness).await, "two");
            })
            .await;
        let cursor = harness.cursor().await;
        assert_eq!(cursor.published_up_to, harness.all_events().await.last().unwrap().position);
    };
    let (_, ended) = run_relay_during(&harness.events, &gated, config("one"), scenario).await;
    ended.unwrap();
    assert!(harness.check_log().await > 0, "the first relay repeated no event");
}
