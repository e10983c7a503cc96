//! Data loss of the log and of the database.

use std::sync::Arc;

use diptych_kernel::{
    Position, RequestId,
    ports::{EventLog, LogEntry, Remedy},
    testing::faulty::{FaultInjector, FaultyEventLog},
};
use diptych_relay::{RelayError, check_log_is_not_ahead, run};
use diptych_runtime::Shutdown;

use crate::{
    harness::{RelayHarness, config, run_relay_during},
    lossy_log::LossyLog,
};

#[tokio::test(start_paused = true)]
async fn a_lost_end_of_the_log_is_published_again() {
    for keep_records in 0..8 {
        let mut harness = RelayHarness::new();
        harness.store_commands(15).await;
        harness.run_relay("one", harness.until_published()).await;
        let cursor = harness.cursor().await;
        harness.cut_log(keep_records).await;
        assert!(!harness.is_published().await, "nothing is lost with {keep_records} records kept");

        harness.run_relay("one", harness.until_published()).await;
        assert_eq!(harness.check_log().await, 0, "a record that was left on the log was repeated");
        assert_eq!(harness.cursor().await, cursor, "the cursor went back");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_log_loses_under_a_leader_is_published_again() {
    for keep_records in 0..8 {
        let mut harness = RelayHarness::new();
        harness.store_commands(15).await;
        let (events, log) = (Arc::clone(&harness.events), LossyLog::new(&harness.log));
        let scenario = async {
            harness.until_published().await;
            harness.cut_log(keep_records).await;
            log.lose_end(&harness.log);
            harness.store_commands(2).await;
            harness.until_published().await;
        };
        run_relay_during(&events, &log, config("one"), scenario).await.1.unwrap();
        assert_eq!(harness.check_log().await, 0, "a record that was left on the log was repeated");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_end_is_detected_again_after_a_second_crash() {
    let mut harness = RelayHarness::new();
    harness.store_commands(15).await;
    harness.run_relay("one", harness.until_published()).await;
    harness.cut_log(1).await;
    // Begins to publish the lost end again, and crashes after its first append.
    let faults = FaultInjector::crash_only(1);
    let log = Arc::new(FaultyEventLog::new(Arc::clone(&harness.log), faults.clone()));
    faults.crash_after(2);
    let crashed = harness.until("the relay has crashed", async || faults.has_crashed());
    run_relay_during(&harness.events, &log, config("one"), crashed).await.1.unwrap();
    assert!(!harness.is_published().await);

    harness.run_relay("one", harness.until_published()).await;
    harness.check_log().await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_went_back_in_time_is_refused() {
    let harness = RelayHarness::new();
    harness.store_commands(3).await;
    harness.run_relay("one", harness.until_published()).await;
    let mut event = harness.all_events().await.pop().unwrap();
    event.position = Position::new(1_000, 0).unwrap();
    event.version = event.version.next();
    let (partition, lost) = (event.partition, event.identity());
    harness.log.append(&[LogEntry::Event(event)]).await.unwrap();
    let before = harness.records().await;

    let ended = run(harness.events.clone(), harness.log.clone(), config("one"), Shutdown::new()).await;
    match ended {
        Err(error @ RelayError::DatabaseWentBack { partition: at, event: last }) => {
            assert_eq!((at, last), (partition, lost));
            let refused = harness.try_store_command(&[1]).await.unwrap_err();
            assert_eq!(refused.remedy(), Remedy::Operator, "{refused}");
            assert!(refused.to_string().contains(&error.to_string()), "{refused}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(harness.records().await, before, "something was published");
}

#[tokio::test(start_paused = true)]
async fn another_event_at_the_position_of_a_record_is_refused() {
    let harness = RelayHarness::new();
    harness.store_commands(3).await;
    let mut event = harness.all_events().await.pop().unwrap();
    // As before a restore: the position is the same, and the command is another one.
    event.request_id = RequestId::from_bytes([9; 16]);
    let lost = event.identity();
    harness.log.append(&[LogEntry::Event(event)]).await.unwrap();
    let ended = run(harness.events.clone(), harness.log.clone(), config("one"), Shutdown::new()).await;
    match ended {
        Err(RelayError::DatabaseWentBack { event, .. }) => assert_eq!(event, lost),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_takes_commands_compares_the_log_first() {
    let harness = RelayHarness::new();
    harness.store_commands(3).await;
    harness.run_relay("one", harness.until_published()).await;
    check_log_is_not_ahead(&*harness.events, &*harness.log).await.unwrap();
    harness.try_store_command(&[1]).await.unwrap();
    let mut event = harness.all_events().await.pop().unwrap();
    event.request_id = RequestId::from_bytes([9; 16]);
    harness.log.append(&[LogEntry::Event(event)]).await.unwrap();
    let ahead = check_log_is_not_ahead(&*harness.events, &*harness.log).await.unwrap_err();
    assert_eq!(ahead.remedy(), Remedy::Operator, "{ahead}");
    let refused = harness.try_store_command(&[1]).await.unwrap_err();
    assert!(refused.to_string().contains(&ahead.to_string()), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_behind_the_log_causes_no_repeats() {
    let harness = RelayHarness::new();
    harness.store_commands(4).await;
    let all: Vec<_> = harness.all_events().await.into_iter().map(LogEntry::Event).collect();
    harness.log.append(&all).await.unwrap();
    let (_, ended) = run_relay_during(&harness.events, &harness.log, config("one"), async {
        harness.store_commands(2).await;
        harness.until_published().await;
    })
    .await;
    ended.unwrap();
    assert_eq!(harness.check_log().await, 0);
}
