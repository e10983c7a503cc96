//! A domain that breaks its contract fails only the commands concerned.

use std::{iter, sync::Arc, time::Duration};

use bytes::Bytes;
use diptych_command::{CommandError, SequencerConfig, Submission, start};
use diptych_kernel::{
    EventMetadata, Fingerprint, StreamId,
    domain::{DecodeError, Domain, EVENTS_PER_COMMAND_MAX, STREAMS_PER_COMMAND_MAX, View},
    ports::{APPEND_BYTES_MAX, EVENT_BYTES_MAX},
};
use diptych_runtime::{Shutdown, Tasks};
use futures::future::join_all;

use crate::process::{request_id, store};

struct Careless;

/// The number of streams, whether the first is repeated at the end, and the stream of each event.
#[derive(Clone, Debug)]
struct Command {
    streams: usize,
    twice: bool,
    events: Vec<usize>,
    /// The size of the payload of each event.
    payload_bytes: usize,
}

impl Domain for Careless {
    type Command = Command;
    type Event = usize;
    type State = u32;
    type Refusal = ();

    const SNAPSHOT_FORMAT: u32 = 1;

    fn streams(command: &Command) -> Vec<StreamId> {
        let again = command.twice.then(|| stream(0));
        (0..command.streams).map(stream).chain(again).collect()
    }

    fn decide(_: &[u32], command: &Command) -> Result<Vec<(usize, usize)>, ()> {
        Ok(command.events.iter().map(|stream| (*stream, command.payload_bytes)).collect())
    }

    fn evolve(state: &mut u32, _: &usize) {
        *state += 1;
    }

    fn decode_command(command_type: &str, _: &[u8]) -> Result<Command, DecodeError> {
        Err(DecodeError::new(command_type, "it is never queued"))
    }

    fn encode_event(payload_bytes: &usize) -> (Arc<str>, Bytes) {
        ("careless".into(), vec![0; *payload_bytes].into())
    }

    fn decode_event(_: &str, payload: &[u8]) -> Result<usize, DecodeError> {
        Ok(payload.len())
    }

    fn encode_refusal((): &()) -> Bytes {
        Bytes::new()
    }

    fn decode_refusal(_: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }

    fn encode_snapshot(state: &u32) -> Bytes {
        Bytes::copy_from_slice(&state.to_be_bytes())
    }

    fn decode_snapshot(snapshot: &[u8]) -> Result<u32, DecodeError> {
        snapshot.try_into().map(u32::from_be_bytes).map_err(|error| DecodeError::new("careless", error))
    }

    fn views() -> Vec<Box<dyn View<usize>>> {
        Vec::new()
    }
}

fn stream(number: usize) -> StreamId {
    StreamId::new(&format!("stream-{number}")).unwrap()
}

fn command(streams: usize, events: impl IntoIterator<Item = usize>) -> Command {
    Command { streams, twice: false, events: events.into_iter().collect(), payload_bytes: 0 }
}

#[tokio::test]
async fn commands_that_break_the_contract_fail_alone() {
    let store = store();
    let tasks = Tasks::new(Shutdown::new());
    let handle = start::<Careless, _>(Arc::clone(&store), SequencerConfig::default(), &tasks);
    let submit = |id, command: Command| {
        let fingerprint = Fingerprint::of("careless", format!("{command:?}").as_bytes());
        let (expected_version, metadata) = (None, EventMetadata::default());
        handle.try_submit(Submission { request_id: request_id(id), fingerprint, expected_version, command, metadata })
    };

    // No stream, too many, one twice: rejected.
    for (id, streams, twice) in [(1, 0, false), (2, STREAMS_PER_COMMAND_MAX + 1, false), (3, 1, true)] {
        let refused = submit(id, Command { twice, ..command(streams, 0..streams) });
        assert_eq!(refused.map(drop), Err(CommandError::Internal), "{streams} streams");
    }
    // No event, too many, one on a stream that is not named, none on one that is: decided, and not stored.
    let invalid = [
        command(1, []),
        command(1, iter::repeat_n(0, EVENTS_PER_COMMAND_MAX + 1)),
        command(1, [0, 1]),
        command(2, [0, 0]),
    ];
    let invalid: Vec<_> = (10..).zip(invalid).map(|(id, command)| submit(id, command).unwrap()).collect();
    // Valid commands of the largest size, in the same batch.
    let largest = [command(STREAMS_PER_COMMAND_MAX, 0..STREAMS_PER_COMMAND_MAX), {
        command(1, iter::repeat_n(0, EVENTS_PER_COMMAND_MAX))
    }];
    let largest: Vec<_> = (20..).zip(largest).map(|(id, command)| submit(id, command).unwrap()).collect();
    assert_eq!(join_all(invalid).await, vec![Err(CommandError::Internal); 4]);
    let largest = join_all(largest).await;
    assert_eq!(largest[0].as_ref().unwrap().receipt.streams.len(), STREAMS_PER_COMMAND_MAX);
    assert_eq!(largest[1].as_ref().unwrap().receipt.streams[0].version.number(), 1_025);
    tasks.shutdown().begin();
    tasks.finish(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn events_that_the_log_cannot_take_are_refused_alone_with_their_size() {
    let store = store();
    let tasks = Tasks::new(Shutdown::new());
    let handle = start::<Careless, _>(Arc::clone(&store), SequencerConfig::default(), &tasks);
    let run = |id, events: usize, payload_bytes| {
        let command = Command { payload_bytes, ..command(1, iter::repeat_n(0, events)) };
        let fingerprint = Fingerprint::of("careless", format!("{command:?}").as_bytes());
        let (request_id, expected_version, metadata) = (request_id(id), None, EventMetadata::default());
        handle.try_submit(Submission { request_id, fingerprint, expected_version, command, metadata }).unwrap()
    };
    let name = "careless".len();
    let (largest, too_large) = (run(1, 1, EVENT_BYTES_MAX - name), run(2, 1, EVENT_BYTES_MAX - name + 1));
    let too_many = run(3, 19, EVENT_BYTES_MAX - name);
    assert!(largest.await.is_ok());
    let expected = CommandError::TooLarge { what: "an event", bytes: EVENT_BYTES_MAX + 1, bytes_max: EVENT_BYTES_MAX };
    assert_eq!(too_large.await, Err(expected));
    let expected = CommandError::TooLarge { what: "events", bytes: 19 * EVENT_BYTES_MAX, bytes_max: APPEND_BYTES_MAX };
    assert_eq!(too_many.await, Err(expected));
    // Together larger than an append: they are stored with several.
    let pending: Vec<_> = (10..30).map(|id| run(id, 1, EVENT_BYTES_MAX - name)).collect();
    assert!(join_all(pending).await.iter().all(Result::is_ok));
    assert_eq!(store.units_per_append(), [1, 18, 2]);
    tasks.shutdown().begin();
    tasks.finish(Duration::from_secs(60)).await.unwrap();
}
