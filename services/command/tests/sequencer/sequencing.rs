//! Commands are decided in order and stored in batches.

use diptych_command::{CommandError, SequencerConfig};
use diptych_kernel::{
    Position,
    testing::theatre::{Command, Event, Refusal, seat},
};
use futures::{FutureExt, future::join_all};

use crate::process::{Process, events, history, request_id, store, version_of};

#[tokio::test]
async fn a_command_is_stored_and_gets_a_receipt() {
    let store = store();
    let process = Process::new(&store);
    let done = process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    assert!(!done.repeated);
    assert_eq!(done.receipt.request_id, request_id(1));
    let [stream] = done.receipt.streams.as_slice() else { panic!("one stream: {:?}", done.receipt) };
    assert_eq!((stream.stream_id.clone(), stream.version.number()), (seat("A1"), 1));
    assert!(stream.position > Position::START);

    let [event] = events(&*store, &seat("A1")).await.try_into().unwrap();
    assert_eq!((event.request_id, event.position), (request_id(1), stream.position));
    assert_eq!(process.handle.receipt(request_id(1)).await, Ok(Some(done.receipt)));
    assert_eq!(process.handle.receipt(request_id(2)).await, Ok(None));
    process.stop().await;
}

#[tokio::test]
async fn commands_of_a_batch_see_those_before_them() {
    let store = store();
    let process = Process::new(&store);
    let pending: Vec<_> = (0..100)
        .map(|id| match id % 2 {
            0 => process.submit(id, Command::reserve("A1", &format!("guest-{id}"))),
            _ => process.submit(id, Command::release("A1")),
        })
        .collect();
    let answers = join_all(pending).await;
    let versions: Vec<_> = answers.iter().map(|answer| version_of(answer, 0)).collect();
    assert_eq!(versions, (1..=100).collect::<Vec<_>>());
    assert_eq!(store.units_per_append(), [100], "the batch is one append");
    assert_eq!(events(&*store, &seat("A1")).await.len(), 100);
    process.stop().await;
}

#[tokio::test]
async fn commands_queued_during_a_commit_are_the_next_batch() {
    let store = store();
    let process = Process::new(&store);
    store.block_appends();
    let first = process.submit(1, Command::reserve("A1", "ada"));
    store.appends_begun(1).await;
    let rest: Vec<_> = (2..40).map(|id| process.submit(id, Command::reserve(&format!("B{id}"), "bob"))).collect();
    store.unblock_appends();
    assert!(first.await.is_ok());
    assert!(join_all(rest).await.iter().all(Result::is_ok));
    assert_eq!(store.units_per_append(), [1, 38]);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_of_one_stream_get_dense_versions() {
    const CALLERS: u128 = 16;
    const TURNS: u128 = 40;
    let store = store();
    let process = Process::new(&store);
    let caller = |caller: u128| {
        let handle = &process;
        async move {
            let mut versions = Vec::new();
            for turn in 0..TURNS {
                let id = caller * 1_000 + turn * 2;
                versions.extend(handle.run(id, Command::reserve("A1", "ada")).await.ok());
                versions.extend(handle.run(id + 1, Command::release("A1")).await.ok());
            }
            versions.into_iter().map(|done| done.receipt.streams[0].version.number()).collect::<Vec<_>>()
        }
    };
    let mut versions = join_all((1..=CALLERS).map(caller)).await.concat();
    versions.sort_unstable();
    let stored = events(&*store, &seat("A1")).await.len();
    assert_eq!(versions, (1..).take(stored).collect::<Vec<u32>>(), "every version was given to one caller");
    assert!(stored > 2);
    process.stop().await;
}

#[tokio::test]
async fn a_command_over_two_streams_is_stored_whole() {
    let store = store();
    let process = Process::new(&store);
    let pending = [
        process.submit(1, Command::reserve("A1", "ada")),
        process.submit(2, Command::reserve("B2", "bob")),
        process.submit(3, Command::swap("A1", "B2")),
        process.submit(4, Command::swap("A1", "C3")),
    ];
    let answers = join_all(pending).await;
    assert_eq!((version_of(&answers[2], 0), version_of(&answers[2], 1)), (3, 3));
    assert_eq!(answers[2].as_ref().unwrap().receipt.streams.len(), 2);
    assert_eq!(answers[3], Err(CommandError::Refused(Refusal::SeatFree)));
    assert_eq!(history(&*store, &seat("A1")).await.last(), Some(&Event::swapped("bob")));
    assert_eq!(history(&*store, &seat("B2")).await.last(), Some(&Event::swapped("ada")));
    assert!(history(&*store, &seat("C3")).await.is_empty());
    process.stop().await;
}

#[tokio::test]
async fn a_refusal_on_events_of_its_batch_waits_until_they_are_stored() {
    let store = store();
    let process = Process::new(&store);
    store.block_appends();
    let ada = process.submit(1, Command::reserve("A1", "ada"));
    let mut bob = process.submit(2, Command::reserve("A1", "bob"));
    store.appends_begun(1).await;
    assert!((&mut bob).now_or_never().is_none(), "no result is sent before it is final");
    store.unblock_appends();
    assert!(ada.await.is_ok());
    assert_eq!(bob.await, Err(CommandError::Refused(Refusal::SeatTaken("ada".into()))));
    process.stop().await;
}

#[tokio::test]
async fn the_refusals_of_a_batch_are_stored_with_one_call_after_its_events() {
    let store = store();
    let process = Process::new(&store);
    let ada = process.submit(1, Command::reserve("A1", "ada"));
    let bob = process.submit(2, Command::release("B2"));
    let eve = process.submit(3, Command::release("C3"));
    assert_eq!(bob.await, Err(CommandError::Refused(Refusal::SeatFree)));
    assert_eq!(eve.await, Err(CommandError::Refused(Refusal::SeatFree)));
    assert!(ada.await.is_ok());
    assert_eq!((store.loads(), store.appends(), store.refusals()), (1, 1, 1));
    process.stop().await;
}

#[tokio::test]
async fn an_append_that_is_full_leaves_the_rest_to_the_next() {
    let store = store();
    let process = Process::with(
        &store,
        SequencerConfig { batch_commands_max: 4_096, batch_events_max: 1_024, ..SequencerConfig::default() },
    );
    let pending: Vec<_> = (0..2_500)
        .map(|id| match id % 2 {
            0 => process.submit(id, Command::reserve("A1", "ada")),
            _ => process.submit(id, Command::release("A1")),
        })
        .collect();
    let answers = join_all(pending).await;
    let versions: Vec<_> = answers.iter().map(|answer| version_of(answer, 0)).collect();
    assert_eq!(versions, (1..=2_500).collect::<Vec<_>>());
    assert_eq!(store.units_per_append(), [1_024, 1_024, 452]);
    process.stop().await;
}
