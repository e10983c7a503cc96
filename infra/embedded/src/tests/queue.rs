//! The queue of commands.

use std::time::Duration;

use bytes::Bytes;
use diptych_kernel::{
    EventMetadata, Fingerprint, RequestId, StreamId, Timestamp, Version,
    ports::{CommandQueue, EVENT_BYTES_MAX, Offset, QueueEnds, QueuedCommand},
};
use uuid::Uuid;

use super::test_env::sixteen;
use crate::{EmbeddedCommandQueue, Storage};

const NO_WAIT: Duration = Duration::ZERO;

fn command(number: u128, payload: &[u8]) -> QueuedCommand {
    QueuedCommand {
        request_id: RequestId::from_uuid(Uuid::from_u128(number + 1)),
        fingerprint: Fingerprint::of("seat", payload),
        expected_version: number.is_multiple_of(2).then(|| Version::new(7)),
        streams: ["seat-A1", "seat-B2"].iter().map(|name| StreamId::new(name).unwrap()).collect(),
        command_type: "theatre.command.v1.SwapSeats".into(),
        payload: Bytes::copy_from_slice(payload),
        metadata: EventMetadata { traceparent: number.is_multiple_of(3).then(|| "00-trace".into()) },
        queued_by: "one".into(),
        expires_at: Timestamp::from_micros(1_700_000_000_000_000),
    }
}

fn open(folder: &std::path::Path) -> EmbeddedCommandQueue {
    EmbeddedCommandQueue::open(&Storage::Directory(folder.to_owned()), sixteen()).unwrap()
}

#[tokio::test]
async fn commands_are_read_back_in_order_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let large = vec![7; EVENT_BYTES_MAX];
    let commands: Vec<_> = (0..20).map(|number| command(number, b"names")).chain([command(20, &large)]).collect();
    let offsets = open(folder.path()).append(&commands).await.unwrap();
    assert!(offsets.is_sorted() && offsets.len() == commands.len());
    let queue = open(folder.path());
    let records = queue.read(Offset(0), 100, NO_WAIT).await.unwrap();
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), offsets);
    assert!(records.into_iter().map(|record| record.command).eq(commands));
    let two = queue.read(offsets[5], 2, NO_WAIT).await.unwrap();
    assert_eq!(two.iter().map(|record| record.offset).collect::<Vec<_>>(), offsets[5..7]);
    let ends = QueueEnds { first: offsets[0], next: Offset(offsets[20].0 + 1) };
    assert_eq!(queue.ends().await.unwrap(), ends);
}

#[tokio::test]
async fn an_offset_never_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let offsets = queue.append(&[command(0, b""), command(1, b"")]).await.unwrap();
    assert_eq!(queue.delete_before(Offset(offsets[1].0 + 1), 1).await.unwrap(), 1);
    assert_eq!(queue.delete_before(Offset(offsets[1].0 + 1), 100).await.unwrap(), 1);
    drop(queue);
    let queue = open(folder.path());
    let next = Offset(offsets[1].0 + 1);
    assert_eq!(queue.ends().await.unwrap(), QueueEnds { first: next, next });
    assert_eq!(queue.append(&[command(2, b"")]).await.unwrap(), [next]);
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_the_next_command() {
    let queue = EmbeddedCommandQueue::open(&Storage::Memory, sixteen()).unwrap();
    let other = queue.clone();
    let (found, appended) = tokio::join!(queue.read(Offset(0), 10, Duration::from_secs(600)), async {
        tokio::task::yield_now().await;
        other.append(&[command(0, b"")]).await.unwrap()
    });
    assert_eq!(found.unwrap()[0].offset, appended[0]);
    assert_eq!(queue.read(Offset(appended[0].0 + 1), 10, Duration::from_secs(1)).await.unwrap(), []);
}
