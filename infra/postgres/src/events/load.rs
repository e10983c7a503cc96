//! Loading streams and looking requests up.

use diptych_kernel::{
    EventTypeInterner, Position, RequestId, Version,
    ports::{Loaded, PortResult, Snapshot, StreamLoad, StreamSlice},
};

use super::{Inner, receipts::Receipts};
use crate::wire::{Row, Trouble, Uuid, garbled};

const LOAD: &str = include_str!("../../queries/load.sql");

/// Loads streams and looks up requests, as of one moment.
pub(super) async fn load(
    inner: &Inner,
    streams: &[StreamLoad],
    snapshot_format: u32,
    requests: &[RequestId],
) -> PortResult<Loaded> {
    try_load(inner, streams, snapshot_format, requests).await.map_err(Trouble::of_question)
}

async fn try_load(
    inner: &Inner,
    streams: &[StreamLoad],
    snapshot_format: u32,
    requests: &[RequestId],
) -> Result<Loaded, Trouble> {
    let names: Vec<&str> = streams.iter().map(|stream| stream.stream_id.as_str()).collect();
    let known: Vec<i64> = streams.iter().map(|stream| i64::from(stream.known_version.number())).collect();
    let requests: Vec<Uuid> = requests.iter().copied().map(Uuid).collect();
    let mut session = inner.readers.session().await?;
    let rows = session.query(LOAD, &[&names, &known, &i64::from(snapshot_format), &requests]).await?;

    let empty =
        |stream: &StreamLoad| StreamSlice { stream_id: stream.stream_id.clone(), snapshot: None, events: Vec::new() };
    let mut slices: Vec<StreamSlice> = streams.iter().map(empty).collect();
    let (mut receipts, mut types, mut newest) = (Receipts::default(), EventTypeInterner::default(), Position::START);
    for row in rows.iter().map(Row) {
        newest = newest.max(row.position("position")?);
        let kind: i32 = row.get("kind")?;
        if kind == 2 {
            receipts.add(row)?;
            continue;
        }
        let ordinal: i64 = row.get("ordinal")?;
        let slice = usize::try_from(ordinal - 1).ok().and_then(|index| slices.get_mut(index));
        let slice = slice.ok_or_else(|| garbled("a stream that was not asked for"))?;
        if kind == 0 {
            slice.snapshot = Some(Snapshot {
                stream_id: slice.stream_id.clone(),
                version: row.version("version")?,
                format: snapshot_format,
                state: row.bytes("payload")?,
            });
        } else {
            let event = row.event(&mut types)?;
            slice.events.push(event);
        }
    }
    for (slice, stream) in slices.iter_mut().zip(streams) {
        put_in_order(slice, stream.known_version)?;
    }
    inner.safe.make(&mut session, newest).await?;
    Ok(Loaded { streams: slices, requests: receipts.into_requests() })
}

/// Puts the events of a slice in order, and checks that none is missing.
fn put_in_order(slice: &mut StreamSlice, known_version: Version) -> Result<(), Trouble> {
    slice.events.sort_by_key(|event| event.version);
    let mut before = slice.snapshot.as_ref().map_or(known_version, |snapshot| snapshot.version);
    for event in &slice.events {
        if event.version != before.next() {
            let (version, stream_id) = (event.version, &slice.stream_id);
            return Err(garbled(format_args!("version {version} of stream {stream_id} and not the one before it")));
        }
        before = event.version;
    }
    Ok(())
}
