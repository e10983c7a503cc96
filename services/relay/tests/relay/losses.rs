//! The log has lost something, or the database has.

use std::sync::Arc;

use diptych_kernel::{
    Position,
    ports::{EventLog, LogEntry},
    testing::faulty::{FaultInjector, FaultyEventLog},
};
use diptych_relay::{RelayError, run};
use diptych_runtime::Shutdown;

use crate::stage::{Stage, config, relaying};

#[tokio::test(start_paused = true)]
async fn a_lost_end_of_the_log_is_published_again() {
    for keep_records in 0..8 {
        let mut stage = Stage::new();
        stage.store(15).await;
        stage.relay("one", stage.until_published()).await;
        let cursor = stage.cursor().await;
        stage.cut_log(keep_records).await;
        assert!(!stage.is_published().await, "something is lost with {keep_records}");

        stage.relay("one", stage.until_published()).await;
        assert_eq!(stage.check_log().await, 0, "what was left is not repeated");
        assert_eq!(stage.cursor().await, cursor, "the cursor does not go back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_end_is_found_again_after_a_second_crash() {
    let mut stage = Stage::new();
    stage.store(15).await;
    stage.relay("one", stage.until_published()).await;
    stage.cut_log(1).await;
    // Begins to bring it back, and dies after its first append.
    let faults = FaultInjector::crash_only(1);
    let log = Arc::new(FaultyEventLog::new(Arc::clone(&stage.log), faults.clone()));
    faults.crash_after(2);
    let died = stage.until("it has died", async || faults.has_crashed());
    relaying(&stage.events, &log, config("one"), died).await.1.unwrap();
    assert!(!stage.is_published().await);

    stage.relay("one", stage.until_published()).await;
    stage.check_log().await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_went_back_in_time_is_refused() {
    let stage = Stage::new();
    stage.store(3).await;
    stage.relay("one", stage.until_published()).await;
    let mut event = stage.all_events().await.pop().unwrap();
    event.position = Position::new(1_000, 0).unwrap();
    event.version = event.version.next();
    let (partition, position) = (event.partition, event.position);
    stage.log.append(&[LogEntry::Event(event)]).await.unwrap();
    let before = stage.records().await;

    let ended = run(stage.events.clone(), stage.log.clone(), config("one"), Shutdown::new()).await;
    match ended {
        Err(RelayError::DatabaseWentBack { partition: at, position: last }) => {
            assert_eq!((at, last), (partition, position));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.records().await, before, "nothing was published");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_lags_behind_the_log_costs_nothing() {
    let stage = Stage::new();
    stage.store(4).await;
    let all: Vec<_> = stage.all_events().await.into_iter().map(LogEntry::Event).collect();
    stage.log.append(&all).await.unwrap();
    let (_, ended) = relaying(&stage.events, &stage.log, config("one"), async {
        stage.store(2).await;
        stage.until_published().await;
    })
    .await;
    ended.unwrap();
    assert_eq!(stage.check_log().await, 0);
}
