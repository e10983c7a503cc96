//! Bounds: queue, gone callers, shutdown, loads, cache.

use std::time::Duration;

use bytes::Bytes;
use diptych_command::{CommandError, SequencerConfig};
use diptych_kernel::{
    Version,
    domain::Domain,
    ports::{EventStore, Snapshot},
    testing::theatre::{Command, Event, Refusal, Theatre, seat, unknown_event},
};
use futures::{
    FutureExt,
    future::{join, join_all},
};

use crate::{
    probe::CallScript,
    process::{
        Process, events, events_of_request, history, request_id, store, store_directly, submission, unit, version_of,
    },
};

#[tokio::test]
async fn a_full_queue_rejects_commands() {
    let store = store();
    let process = Process::with(&store, SequencerConfig { queue_commands_max: 3, ..SequencerConfig::default() });
    let reserve = |id: u128| submission(id, Command::reserve(&format!("A{id}"), "ada"));
    store.block_appends();
    let mut pending = vec![process.handle.try_submit(reserve(0)).unwrap()];
    store.appends_begun(1).await;
    pending.extend((1..4).map(|id| process.handle.try_submit(reserve(id)).unwrap()));
    assert_eq!(process.handle.try_submit(reserve(4)).map(drop), Err(CommandError::Overloaded));

    let mut waiting = Box::pin(process.handle.submit(reserve(5)));
    assert!((&mut waiting).now_or_never().is_none(), "there is no room yet");
    store.unblock_appends();
    pending.push(waiting.await.unwrap());
    assert!(join_all(pending).await.iter().all(Result::is_ok));
    assert_eq!(events_of_request(&*store, 4).await, 0);
    assert!(process.handle.try_submit(reserve(4)).unwrap().await.is_ok());
    process.stop().await;
}

#[tokio::test]
async fn streams_leave_room_in_the_queue_for_single_calls() {
    let store = store();
    let config = SequencerConfig { queue_commands_max: 16, batch_commands_max: 4, ..SequencerConfig::default() };
    let process = Process::with(&store, config);
    let reserve = |id: u128| submission(id, Command::reserve(&format!("A{id}"), "ada"));
    store.block_appends();
    let first = process.handle.try_submit(reserve(0)).unwrap();
    store.appends_begun(1).await;
    // 16 streams with more commands than the queue takes.
    let streams = (1..=16).map(|stream: u128| {
        let handle = &process.handle;
        async move {
            let mut answers = Vec::new();
            for number in 0..32 {
                answers.push(handle.submit(reserve(stream * 1_000 + number)).await.unwrap());
            }
            join_all(answers).await
        }
    });
    let mut streams = Box::pin(join_all(streams));
    assert!((&mut streams).now_or_never().is_none(), "the streams wait for room");
    let calls: Vec<_> = (100..104).map(|id| process.handle.try_submit(reserve(id)).unwrap()).collect();
    assert_eq!(process.handle.try_submit(reserve(104)).map(drop), Err(CommandError::Overloaded), "all of it is full");
    store.unblock_appends();
    // Single calls while the streams are saturated: none is refused.
    let single = async {
        let mut answers = join_all(calls).await;
        for id in 200..230 {
            answers.push(process.handle.try_submit(reserve(id)).unwrap().await);
        }
        answers
    };
    let (streams, single) = join(streams, single).await;
    assert!(first.await.is_ok());
    assert!(streams.iter().flatten().chain(&single).all(Result::is_ok));
    process.stop().await;
}

#[tokio::test]
async fn a_command_whose_caller_has_gone_is_not_decided() {
    let store = store();
    let process = Process::new(&store);
    drop(process.submit(1, Command::reserve("A1", "ada")));
    let bob = process.run(2, Command::reserve("A1", "bob")).await;
    assert_eq!(version_of(&bob, 0), 1);
    assert_eq!(events_of_request(&*store, 1).await, 0);
    // Another caller sends the same command.
    drop(process.submit(3, Command::release("A1")));
    assert!(process.run(3, Command::release("A1")).await.is_ok());
    // Another caller uses the request id, which is still new, for another command.
    drop(process.submit(4, Command::reserve("A1", "ada")));
    assert!(process.run(4, Command::reserve("B2", "bob")).await.is_ok());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_answers_all_queued_commands() {
    let store = store();
    let process = Process::with(&store, SequencerConfig { batch_commands_max: 10, ..SequencerConfig::default() });
    store.block_appends();
    let pending: Vec<_> = (0..100).map(|id| process.submit(id, Command::reserve(&format!("A{id}"), "ada"))).collect();
    store.appends_begun(1).await;
    process.tasks.shutdown().begin();
    let late = process.handle.try_submit(submission(200, Command::reserve("B1", "ada")));
    assert_eq!(late.map(drop), Err(CommandError::ShuttingDown));
    let late = process.handle.submit(submission(201, Command::reserve("B1", "ada"))).await;
    assert_eq!(late.map(drop), Err(CommandError::ShuttingDown));
    store.unblock_appends();
    assert!(join_all(pending).await.iter().all(Result::is_ok), "what was queued is stored");
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_bounded_when_the_store_is_unreachable() {
    let store = store();
    let process = Process::with(&store, SequencerConfig { batch_commands_max: 10, ..SequencerConfig::default() });
    store.other_appends(|| CallScript::NotDone);
    let pending: Vec<_> = (0..100).map(|id| process.submit(id, Command::reserve(&format!("A{id}"), "ada"))).collect();
    process.tasks.shutdown().begin();
    let answers = join_all(pending).await;
    let rejected = answers.iter().filter(|answer| **answer == Err(CommandError::ShuttingDown)).count();
    let unavailable = answers.iter().filter(|answer| **answer == Err(CommandError::Unavailable)).count();
    assert_eq!((unavailable, rejected), (10, 90));
    assert_eq!(process.handle.receipt(request_id(1)).await, Err(CommandError::ShuttingDown));
    process.stop().await;
}

#[tokio::test]
async fn the_tasks_end_with_the_last_handle() {
    let process = Process::new(&store());
    let answer = process.submit(1, Command::reserve("A1", "ada"));
    drop(process.handle);
    assert!(answer.await.is_ok());
    process.tasks.finish(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn snapshots_keep_loads_short() {
    let store = store();
    let config = SequencerConfig { snapshot_every_events: 16, ..SequencerConfig::default() };
    let process = Process::with(&store, config.clone());
    for id in (0..200).step_by(2) {
        process.run(id, Command::reserve("A1", &format!("guest-{id}"))).await.unwrap();
        process.run(id + 1, Command::release("A1")).await.unwrap();
    }
    assert_eq!(store.snapshots(), 200 / 16);
    process.stop().await;

    let process = Process::with(&store, config);
    let before = store.events_loaded();
    let refused = process.run(500, Command::release("A1")).await;
    assert_eq!(refused, Err(CommandError::Refused(Refusal::SeatFree)));
    assert_eq!(store.events_loaded() - before, 200 % 16);
    let bob = process.run(501, Command::reserve("A1", "bob")).await;
    assert_eq!(version_of(&bob, 0), 201);
    process.stop().await;
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_ignored() {
    let store = store();
    let reserve = unit(1, &Command::reserve("A1", "ada"), &[(seat("A1"), 1, Event::reserved("ada"))]);
    let snapshot = Snapshot {
        stream_id: seat("A1"),
        version: Version::new(1),
        format: Theatre::SNAPSHOT_FORMAT,
        state: Bytes::from_static(b"?"),
    };
    store.inner.append(&[reserve], &[snapshot]).await.unwrap();
    let process = Process::new(&store);
    let bob = process.run(2, Command::reserve("A1", "bob")).await;
    assert_eq!(bob, Err(CommandError::Refused(Refusal::SeatTaken("ada".into()))));
    assert_eq!(version_of(&process.run(3, Command::release("A1")).await, 0), 2);
    process.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_fails_only_its_stream() {
    let store = store();
    let reserve = Command::reserve("A1", "ada");
    let mut garbled = unit(1, &reserve, &[]);
    garbled.events.push(unknown_event(seat("A1"), Version::new(1)));
    store_directly(&*store.inner, garbled).await;
    let process = Process::new(&store);
    for round in 0..2 {
        let id = |number: u128| round * 100 + number;
        let on_stream = process.submit(id(10), Command::release("A1"));
        let other_stream = process.submit(id(11), Command::reserve(&format!("B{round}"), "bob"));
        let on_both = process.submit(id(12), Command::swap(&format!("B{round}"), "A1"));
        let stored = process.submit(1, reserve.clone());
        assert_eq!(on_stream.await, Err(CommandError::Internal));
        assert_eq!(on_both.await, Err(CommandError::Internal));
        assert!(other_stream.await.is_ok());
        assert!(stored.await.unwrap().repeated, "a receipt needs no state");
    }
    process.stop().await;
}

#[tokio::test]
async fn a_stream_that_becomes_unreadable_is_detected() {
    let store = store();
    let process = Process::new(&store);
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    let mut garbled = unit(2, &Command::release("A1"), &[]);
    garbled.events.push(unknown_event(seat("A1"), Version::new(2)));
    store_directly(&*store.inner, garbled).await;
    // On the cached state one would be refused and one accepted.
    assert_eq!(process.run(3, Command::reserve("A1", "bob")).await, Err(CommandError::Internal));
    assert_eq!(process.run(4, Command::release("A1")).await, Err(CommandError::Internal));
    assert_eq!(events(&*store, &seat("A1")).await.len(), 2);
    process.stop().await;
}

#[tokio::test]
async fn a_cache_of_one_state_is_enough() {
    let store = store();
    let process = Process::with(&store, SequencerConfig { cached_states_max: 1, ..SequencerConfig::default() });
    for round in 0..3 {
        let pending: Vec<_> = (0..20)
            .map(|number: u128| {
                let (id, name) = (round * 100 + number, format!("A{number}"));
                process
                    .submit(id, if round % 2 == 0 { Command::reserve(&name, "ada") } else { Command::release(&name) })
            })
            .collect();
        assert!(join_all(pending).await.iter().all(Result::is_ok));
    }
    let loads = store.loads();
    process.run(1_000, Command::release("A19")).await.unwrap();
    assert_eq!(store.loads(), loads, "the last used state is cached");
    process.run(1_001, Command::release("A0")).await.unwrap();
    assert_eq!(store.loads(), loads + 1);
    assert_eq!(history(&*store, &seat("A0")).await.len(), 4);
    process.stop().await;
}
