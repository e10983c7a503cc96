//! Loads of streams.

use diptych_kernel::{
    RecordedEvent, RequestId, StreamId, Version,
    ports::{Loaded, Snapshot, StreamLoad, StreamSlice},
    vocabulary::Checksum,
};
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::{read, recent::RecentIndex, requests, segment::EventRef};
use crate::database::{TransactionError, row};

/// Loads streams and looks up requests in one transaction, as of a single moment.
pub(super) fn load(
    connection: &Connection,
    recent: &Mutex<RecentIndex>,
    streams: &[StreamLoad],
    snapshot_format: u32,
    requests: &[RequestId],
) -> Result<Loaded, TransactionError> {
    let (horizon, event_refs, requests) = {
        let mut recent = recent.lock();
        let horizon = recent.catch_up(connection)?;
        let event_refs: Vec<_> = streams.iter().map(|stream| recent.event_refs(&stream.stream_id)).collect();
        let requests: Vec<_> = requests.iter().map(|request_id| (*request_id, recent.request(request_id))).collect();
        (horizon, event_refs, requests)
    };
    let streams = streams.iter().zip(&event_refs);
    Ok(Loaded {
        streams: streams
            .map(|(stream, event_refs)| load_stream(connection, stream, snapshot_format, event_refs))
            .collect::<Result<Vec<_>, _>>()?,
        requests: requests::find(connection, horizon, &requests)?,
    })
}

/// Reads up to `limit` events of a stream after a version.
pub(super) fn read_stream(
    connection: &Connection,
    recent: &Mutex<RecentIndex>,
    stream_id: &StreamId,
    version_exclusive: Version,
    limit: usize,
) -> Result<Vec<RecordedEvent>, TransactionError> {
    let event_refs = {
        let mut recent = recent.lock();
        recent.catch_up(connection)?;
        recent.event_refs(stream_id)
    };
    read::stream(connection, stream_id, version_exclusive, limit, &event_refs)
}

fn load_stream(
    connection: &Connection,
    load: &StreamLoad,
    snapshot_format: u32,
    recent: &[EventRef],
) -> Result<StreamSlice, TransactionError> {
    let snapshot = match load.known_version {
        Version::NONE => find_snapshot(connection, &load.stream_id, snapshot_format)?,
        _ => None,
    };
    let after = snapshot.as_ref().map_or(load.known_version, |snapshot| snapshot.version);
    let events = read::stream(connection, &load.stream_id, after, usize::MAX, recent)?;
    Ok(StreamSlice { stream_id: load.stream_id.clone(), snapshot, events })
}

fn find_snapshot(
    connection: &Connection,
    stream_id: &StreamId,
    format: u32,
) -> Result<Option<Snapshot>, TransactionError> {
    let mut select = connection
        .prepare_cached("SELECT version, state, checksum FROM snapshots WHERE stream_id = ?1 AND format = ?2")?;
    let mut rows = select.query(params![stream_id.as_str(), format])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (version, state) = (row::version(row, 0)?, row::bytes(row, 1)?);
    let stored = row.get_ref(2)?.as_blob_or_null().map_err(row::corrupt)?;
    if stored.is_some_and(|stored| stored != Checksum::of_snapshot(version, format, stream_id, &state).as_bytes()) {
        tracing::error!(
            %stream_id,
            version = version.number(),
            "a snapshot differs from its checksum: the storage is damaged, or it was edited; the events are loaded \
             instead. Run `diptych verify`"
        );
        return Ok(None);
    }
    Ok(Some(Snapshot { stream_id: stream_id.clone(), version, format, state }))
}
