//! One relay leads, another stands by.

use std::time::Duration;

use diptych_kernel::ports::{LeaseOutcome, RelayState};
use diptych_runtime::pause;
use tokio::time::Instant;

use crate::{
    gate::GatedLog,
    stage::{Stage, config, relaying},
};

async fn leader(stage: &Stage) -> String {
    match stage.events.acquire_lease("nobody", Duration::ZERO).await.unwrap() {
        LeaseOutcome::HeldByOther { owner, .. } => owner,
        LeaseOutcome::Held { fence, .. } => {
            stage.events.release_lease(fence).await.unwrap();
            String::new()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_one_of_two_publishes() {
    let stage = Stage::new();
    let story = async {
        for _ in 0..20 {
            stage.store(2).await;
            pause(Duration::from_secs(1)).await;
        }
        stage.until_published().await;
    };
    stage.relay("one", stage.relay("two", story)).await;
    assert_eq!(stage.check_log().await, 0, "nothing is published twice");
}

#[tokio::test(start_paused = true)]
async fn another_takes_over_soon_when_the_lead_is_given_back() {
    let stage = Stage::new();
    stage.store(1).await;
    stage
        .relay("two", async {
            // The second one leads by now, and hands over to a third.
            stage.until("two leads", async || leader(&stage).await == "two").await;
        })
        .await;
    let given_back_at = Instant::now();
    stage
        .relay("three", async {
            stage.store(1).await;
            stage.until_published().await;
        })
        .await;
    assert!(given_back_at.elapsed() < Duration::from_millis(100), "{:?}", given_back_at.elapsed());
    assert_eq!(stage.check_log().await, 0);
}

#[tokio::test(start_paused = true)]
async fn another_takes_over_when_the_lease_has_ended() {
    let stage = Stage::new();
    stage.store(1).await;
    {
        // Killed: it says nothing any more.
        let relay = diptych_relay::run(stage.events.clone(), stage.log.clone(), config("one"), Default::default());
        tokio::select! {
            () = stage.until_published() => {}
            ended = relay => panic!("{ended:?}"),
        }
    }
    let killed_at = Instant::now();
    stage
        .relay("two", async {
            stage.store(1).await;
            stage.until_published().await;
        })
        .await;
    let lease = config("one").lease;
    assert!(killed_at.elapsed() <= lease + lease / 4, "{:?}", killed_at.elapsed());
    assert!(killed_at.elapsed() >= lease / 2, "the lease was respected: {:?}", killed_at.elapsed());
    assert_eq!(stage.check_log().await, 0);
}

/// A leader hangs while it publishes, another one takes over and finishes; when the first wakes up its records are repeats and its cursor
/// is not taken.
#[tokio::test(start_paused = true)]
async fn a_fenced_leader_repeats_but_does_not_move_the_cursor() {
    let stage = Stage::new();
    stage.store(3).await;
    let gated = GatedLog::shut(&stage.log);
    let story = async {
        stage.until("the first hangs", async || gated.waiting_count() == 1).await;
        stage
            .relay("two", async {
                stage.store(10).await;
                stage.until_published().await;
                stage.until("two leads", async || leader(&stage).await == "two").await;
                gated.open();
                stage.until("the first wakes up", async || gated.waiting_count() == 0).await;
                pause(Duration::from_secs(30)).await;
                assert_eq!(leader(&stage).await, "two");
            })
            .await;
        let cursor = stage.cursor().await;
        assert_eq!(cursor.published_up_to, stage.all_events().await.last().unwrap().position);
    };
    let (_, ended) = relaying(&stage.events, &gated, config("one"), story).await;
    ended.unwrap();
    assert!(stage.check_log().await > 0, "the first has repeated something");
}
