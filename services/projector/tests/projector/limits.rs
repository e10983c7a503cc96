//! When too much is wrong.

use diptych_kernel::testing::theatre::{Event, SEATS, Theatre, UNFOLDABLE};

use crate::{
    amended::{Amended, FoldsUnfoldable},
    stage::{Stage, config, partition, playing, seat},
};

#[tokio::test(start_paused = true)]
async fn a_partition_with_too_many_parked_streams_halts_and_the_others_go_on() {
    type Fixed = Amended<FoldsUnfoldable>;
    let stage = Stage::new();
    let mut strict = config("one");
    strict.parked_streams_max = 2;
    for number in 0..3 {
        stage.happen(&[(&seat(0, number), Event::reserved(UNFOLDABLE))]).await;
    }
    let story = async {
        let is_halted = async || stage.parked(SEATS, partition(0)).await.len() == 3;
        stage.until("three streams are parked", is_halted).await;
        stage.happen(&[(&seat(0, 9), Event::reserved("ada")), (&seat(1, 0), Event::reserved("bob"))]).await;
        stage.until("the others go on", async || stage.house(partition(1)).await == (1, 1)).await;
        let until = tokio::time::Instant::now() + strict.park_retry * 3;
        stage.until("it was tried again", async || tokio::time::Instant::now() >= until).await;
        assert_eq!(stage.seat(&seat(0, 9)).await, None, "the partition goes on");
    };
    playing::<Theatre, _, _, _, _, _, _>(stage.ports(), strict.clone(), story).await;
    stage.assert_no_difference().await;
    playing::<Fixed, _, _, _, _, _, _>(stage.ports(), strict, stage.until_projected::<Fixed>()).await;
    stage.assert_right_in::<Fixed>().await;
}
