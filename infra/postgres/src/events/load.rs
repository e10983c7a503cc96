//! Loads streams and looks up requests.

use diptych_kernel::{
    EventTypeInterner, Position, RequestId, Version,
    ports::{Loaded, PortResult, Snapshot, StreamLoad, StreamSlice},
};

use super::{receipts::RequestOutcomes, resources::StoreResources};
use crate::driver::{KnownEvent, SqlRow, StatementError, Uuid, corrupt_data};

const LOAD: &str = include_str!("../../queries/load.sql");

/// Loads streams and looks up requests, in one snapshot.
pub(super) async fn load(
    resources: &StoreResources,
    streams: &[StreamLoad],
    snapshot_format: u32,
    requests: &[RequestId],
) -> PortResult<Loaded> {
    try_load(resources, streams, snapshot_format, requests).await.map_err(StatementError::into_read_error)
}

async fn try_load(
    resources: &StoreResources,
    streams: &[StreamLoad],
    snapshot_format: u32,
    requests: &[RequestId],
) -> Result<Loaded, StatementError> {
    let names: Vec<&str> = streams.iter().map(|stream| stream.stream_id.as_str()).collect();
    let known: Vec<i64> = streams.iter().map(|stream| i64::from(stream.known_version.number())).collect();
    let requests: Vec<Uuid> = requests.iter().copied().map(Uuid).collect();
    let mut session = resources.readers.session().await?;
    let rows = session.query(LOAD, &[&names, &known, &i64::from(snapshot_format), &requests]).await?;

    let empty =
        |stream: &StreamLoad| StreamSlice { stream_id: stream.stream_id.clone(), snapshot: None, events: Vec::new() };
    let mut slices: Vec<StreamSlice> = streams.iter().map(empty).collect();
    let (mut requests, mut types, mut last_position) =
        (RequestOutcomes::default(), EventTypeInterner::default(), Position::START);
    for row in rows.iter().map(SqlRow) {
        last_position = last_position.max(row.position("position")?);
        let kind: i32 = row.get("kind")?;
        if kind == 2 {
            requests.add(row)?;
            continue;
        }
        let ordinal: i64 = row.get("ordinal")?;
        let slice = usize::try_from(ordinal - 1).ok().and_then(|index| slices.get_mut(index));
        let slice = slice.ok_or_else(|| corrupt_data("a stream that was not requested"))?;
        if kind == 0 {
            slice.snapshot = Some(Snapshot {
                stream_id: slice.stream_id.clone(),
                version: row.version("version")?,
                format: snapshot_format,
                state: row.bytes("payload")?,
            });
        } else if kind == 3 {
            tracing::error!(
                stream_id = %slice.stream_id,
                version = row.version("version")?.number(),
                "a snapshot differs from its checksum: the storage is damaged, or it was edited; the events are loaded \
                 instead. Run `diptych verify`"
            );
        } else {
            let event = row.event(&mut types)?;
            slice.events.push(event);
        }
    }
    for (slice, stream) in slices.iter_mut().zip(streams) {
        sort_and_check(slice, stream.known_version)?;
    }
    resources.durability.ensure_durable(&mut session, last_position).await?;
    resources.history.record_all(KnownEvent::newest(slices.iter().flat_map(|slice| &slice.events)));
    Ok(Loaded { streams: slices, requests: requests.into_requests() })
}

/// Sorts the events of a slice by version, and checks that none is missing.
fn sort_and_check(slice: &mut StreamSlice, known_version: Version) -> Result<(), StatementError> {
    slice.events.sort_by_key(|event| event.version);
    let mut before = slice.snapshot.as_ref().map_or(known_version, |snapshot| snapshot.version);
    for event in &slice.events {
        if event.version != before.next() {
            let (version, stream_id) = (event.version, &slice.stream_id);
            return Err(corrupt_data(format_args!(
                "version {version} of stream {stream_id} without the version before it"
            )));
        }
        before = event.version;
    }
    Ok(())
}
