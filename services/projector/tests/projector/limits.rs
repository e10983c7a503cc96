//! The limit of parked streams.

use diptych_kernel::testing::theatre::{Event, SEATS, Theatre, UNFOLDABLE};

use crate::{
    amended::{Amended, FoldsUnfoldable},
    harness::{ProjectorHarness, config, partition, run_projector_during, seat},
};

#[tokio::test(start_paused = true)]
async fn a_partition_with_too_many_parked_streams_halts_and_the_others_continue() {
    type Fixed = Amended<FoldsUnfoldable>;
    let harness = ProjectorHarness::new();
    let mut strict = config("one");
    strict.parked_streams_max = 2;
    for number in 0..3 {
        harness.append_and_publish(&[(&seat(0, number), Event::reserved(UNFOLDABLE))]).await;
    }
    let scenario = async {
        let is_halted = async || harness.parked(SEATS, partition(0)).await.len() == 3;
        harness.wait_until("three streams are parked", is_halted).await;
        harness
            .append_and_publish(&[(&seat(0, 9), Event::reserved("ada")), (&seat(1, 0), Event::reserved("bob"))])
            .await;
        harness.wait_until("the others continue", async || harness.house(partition(1)).await == (1, 1)).await;
        let until = tokio::time::Instant::now() + strict.park_retry_interval * 3;
        harness.wait_until("several retries have run", async || tokio::time::Instant::now() >= until).await;
        assert_eq!(harness.seat(&seat(0, 9)).await, None, "the partition must be halted");
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), strict.clone(), scenario).await;
    harness.assert_no_difference().await;
    run_projector_during::<Fixed, _, _, _, _, _, _>(harness.ports(), strict, harness.wait_until_projected::<Fixed>())
        .await;
    harness.assert_views_correct_in::<Fixed>().await;
}
