//! One relay leads while another stands by.

use std::{cell::Cell, future::poll_fn, pin::pin, task::Poll, time::Duration};

use diptych_kernel::ports::{LeaseOutcome, RelayState};
use diptych_relay::run;
use diptych_runtime::{Shutdown, pause};
use tokio::time::Instant;

use crate::{
    gated_log::GatedLog,
    harness::{RelayHarness, config, run_relay_during},
};

/// Returns the instance name of the leader; empty if there is none.
async fn leader(harness: &RelayHarness) -> String {
    match harness.events.acquire_lease("probe", Duration::ZERO).await.unwrap() {
        LeaseOutcome::HeldByOther { owner, .. } => owner.split('#').next().unwrap().to_owned(),
        LeaseOutcome::Held { fence, .. } => {
            harness.events.release_lease(fence).await.unwrap();
            String::new()
        }
    }
}

/// Runs a future that makes no progress while `is_suspended`, like a process that is stopped by a signal.
async fn while_not<F: Future>(is_suspended: &Cell<bool>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| if is_suspended.get() { Poll::Pending } else { future.as_mut().poll(context) }).await
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
        let relay = run(harness.events.clone(), harness.log.clone(), config("one"), Default::default());
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
    assert!(killed_at.elapsed() <= Duration::from_secs(3), "{:?}", killed_at.elapsed());
    assert!(killed_at.elapsed() >= lease / 2, "took over before the lease expired, after {:?}", killed_at.elapsed());
    assert_eq!(harness.check_log().await, 0);
}

/// A leader is suspended while it publishes, another one takes over and finishes; when the first continues, its records
/// are repeats and its cursor is refused.
#[tokio::test(start_paused = true)]
async fn a_fenced_leader_repeats_but_does_not_move_the_cursor() {
    let harness = RelayHarness::new();
    harness.store_commands(3).await;
    let gated = GatedLog::closed(&harness.log);
    let (is_suspended, shutdown) = (Cell::new(false), Shutdown::new());
    let first = while_not(&is_suspended, run(harness.events.clone(), gated.clone(), config("one"), shutdown.clone()));
    let scenario = async {
        harness.until("the first hangs", async || gated.blocked_count() == 1).await;
        is_suspended.set(true);
        harness
            .run_relay("two", async {
                harness.store_commands(10).await;
                harness.until_published().await;
                harness.until("two leads", async || leader(&harness).await == "two").await;
                gated.open();
                is_suspended.set(false);
                harness.until("the first continues", async || gated.blocked_count() == 0).await;
                pause(Duration::from_secs(30)).await;
                assert_eq!(leader(&harness).await, "two");
            })
            .await;
        let cursor = harness.cursor().await;
        assert_eq!(cursor.published_up_to, harness.all_events().await.last().unwrap().position);
        shutdown.begin();
    };
    let ((), ended) = futures::join!(scenario, first);
    ended.unwrap();
    assert!(harness.check_log().await > 0, "the first relay repeated no event");
}

#[tokio::test(start_paused = true)]
async fn a_leader_keeps_its_lease_while_the_log_is_slow() {
    let harness = RelayHarness::new();
    harness.store_commands(3).await;
    let gated = GatedLog::closed(&harness.log);
    let scenario = async {
        harness.until("the first hangs", async || gated.blocked_count() == 1).await;
        harness
            .run_relay("two", async {
                for _ in 0..600 {
                    pause(Duration::from_millis(100)).await;
                    assert_eq!(leader(&harness).await, "one");
                }
            })
            .await;
        gated.open();
        harness.until_published().await;
    };
    let (_, ended) = run_relay_during(&harness.events, &gated, config("one"), scenario).await;
    ended.unwrap();
    assert_eq!(harness.check_log().await, 0, "an event was published twice");
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_with_one_instance_name_only_one_leads() {
    let harness = RelayHarness::new();
    let gated = GatedLog::closed(&harness.log);
    let scenario = async {
        harness.store_commands(2).await;
        harness.until("the first hangs", async || gated.blocked_count() == 1).await;
        harness
            .run_relay("one", async {
                pause(Duration::from_secs(20)).await;
                assert!(!harness.is_published().await, "the second process publishes although the first leads");
            })
            .await;
        gated.open();
        harness.until_published().await;
    };
    let (_, ended) = run_relay_during(&harness.events, &gated, config("one"), scenario).await;
    ended.unwrap();
    assert_eq!(harness.check_log().await, 0, "an event was published twice");
}

/// Everything on the machine stands still for longer than the lease.
#[tokio::test(start_paused = true)]
async fn a_leader_keeps_its_lease_when_the_machine_stalls() {
    let harness = RelayHarness::new();
    let scenario = async {
        harness.until("one leads", async || leader(&harness).await == "one").await;
        harness
            .run_relay("two", async {
                for _ in 0..10 {
                    pause(Duration::from_secs(1)).await;
                    tokio::time::advance(Duration::from_secs(7)).await;
                    for _ in 0..100 {
                        pause(Duration::from_millis(10)).await;
                        assert_eq!(leader(&harness).await, "one");
                    }
                }
            })
            .await;
    };
    harness.run_relay("one", scenario).await;
}
