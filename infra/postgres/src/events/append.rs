//! Appends a batch in one statement.

use std::collections::HashMap;

use diptych_kernel::{
    Position, Receipt, ReceiptStreams, StreamId, StreamReceipt, Timestamp, Version,
    ports::{AppendOutcome, AppendUnit, Conflict, PortError, PortResult, Snapshot, StoredRequest},
};
use tokio_postgres::types::ToSql;

use super::{receipts::RequestOutcomes, resources::StoreResources};
use crate::driver::{KnownEvent, Session, SqlRow, StatementError, Uuid, corrupt_data};

const APPEND: &str = include_str!("../../queries/append.sql");
const SUSPEND: &str = include_str!("../../queries/suspend_appends.sql");
const SUSPENSION: &str = include_str!("../../queries/suspension.sql");
const REJECTION_REASONS: &str = include_str!("../../queries/rejection_reasons.sql");

/// Maximum number of attempts for a batch that is rejected without a reason that is found afterwards: the obstacle is
/// gone, such as a forgotten request, or a missing version was stored meanwhile.
const ATTEMPTS_MAX: usize = 8;

/// Stores all units, or none if they conflict with what is stored.
pub(super) async fn append(
    resources: &StoreResources,
    units: &[AppendUnit],
    snapshots: &[Snapshot],
) -> PortResult<AppendOutcome> {
    let batch = AppendBatch::new(resources, units, snapshots);
    for _ in 0..ATTEMPTS_MAX {
        let mut session = resources.writers.session().await.map_err(StatementError::into_write_error)?;
        match batch.insert(&mut session).await {
            Ok(Some(stored)) => {
                resources.notifications.appended(stored.first_position.plus(batch.last_ordinal()));
                resources.history.record_all(batch.newest_event(&stored));
                return Ok(AppendOutcome::Committed(batch.receipts(&stored)));
            }
            Ok(None) => {}
            Err(error) if error.is_unique_violation() => {}
            Err(error) => return Err(error.into_write_error()),
        }
        // Nothing is stored, and what follows only reads.
        let rejected = batch.rejection_reasons(&mut session).await.map_err(StatementError::into_read_error)?;
        // What is stored is told while appends are suspended too. A conflict is not: the caller would decide again, on
        // what is left in a database that went back.
        let is_stored = matches!(&rejected, Some(AppendOutcome::Rejected { conflicts, .. }) if conflicts.is_empty());
        if !is_stored {
            check_not_suspended(&mut session).await.map_err(StatementError::into_read_error)?;
        }
        if let Some(rejected) = rejected {
            return Ok(rejected);
        }
    }
    Err(PortError::not_done(format!(
        "a batch was rejected {ATTEMPTS_MAX} times, each time for a reason that was gone when it was looked up"
    )))
}

/// Stops all appends until an operator acts.
pub(super) async fn suspend(resources: &StoreResources, reason: &str) -> PortResult<()> {
    let suspended = async { resources.writers.session().await?.write(SUSPEND, &[&reason]).await };
    suspended.await.map_err(StatementError::into_write_error)?;
    Ok(())
}

/// Fails if an operator must act before anything is stored.
pub(super) async fn check_not_suspended(session: &mut Session) -> Result<(), StatementError> {
    let rows = session.query(SUSPENSION, &[]).await?;
    match SqlRow::first(&rows)?.get::<Option<&str>>("suspended_because")? {
        Some(reason) => Err(PortError::operator(reason.to_owned()).into()),
        None => Ok(()),
    }
}

/// A batch as the array parameters of the statement.
struct AppendBatch<'a> {
    resources: &'a StoreResources,
    units: &'a [AppendUnit],
    events: EventColumns<'a>,
    requests: RequestColumns<'a>,
    snapshots: SnapshotColumns<'a>,
    streams: StreamColumns<'a>,
}

/// The streams of a batch, the version that each is expected to have before, and the one that it has after.
struct StreamColumns<'a> {
    names: Vec<&'a str>,
    expected_versions: Vec<i64>,
    last_versions: Vec<i64>,
}

/// Position and time of a stored batch.
struct StoredBatch {
    first_position: Position,
    recorded_at: Timestamp,
}

impl<'a> AppendBatch<'a> {
    fn new(resources: &'a StoreResources, units: &'a [AppendUnit], snapshots: &'a [Snapshot]) -> Self {
        let events = EventColumns::new(resources, units);
        Self {
            resources,
            units,
            streams: events.streams(),
            events,
            requests: RequestColumns::new(units),
            snapshots: SnapshotColumns::new(snapshots),
        }
    }

    fn last_ordinal(&self) -> u32 {
        // `validate` has checked that the events of a batch can be numbered by ordinals.
        u32::try_from(self.events.ordinals.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The last event of a stored batch.
    fn newest_event(&self, stored: &StoredBatch) -> Option<KnownEvent> {
        let request_id = self.units.last()?.request_id;
        Some(KnownEvent { position: stored.first_position.plus(self.last_ordinal()), request_id })
    }

    /// Inserts the batch. Returns `None` if it conflicts with what is stored.
    async fn insert(&self, session: &mut Session) -> Result<Option<StoredBatch>, StatementError> {
        let (events, requests, snapshots) = (&self.events, &self.requests, &self.snapshots);
        let params: [&(dyn ToSql + Sync); 19] = [
            &events.ordinals,
            &events.streams,
            &events.versions,
            &events.partitions,
            &events.types,
            &events.payloads,
            &events.requests,
            &events.traceparents,
            &self.streams.names,
            &self.streams.expected_versions,
            &requests.ids,
            &requests.fingerprints,
            &requests.ordinals,
            &requests.events_counts,
            &snapshots.streams,
            &snapshots.versions,
            &snapshots.formats,
            &snapshots.states,
            &self.streams.last_versions,
        ];
        let rows = session.write(APPEND, &params).await?;
        let Some(row) = rows.first().map(SqlRow) else { return Ok(None) };
        let first_position = row.position("first_position")?;
        self.resources.durability.record_commit(first_position, row)?;
        Ok(Some(StoredBatch { first_position, recorded_at: row.time("recorded_at")? }))
    }

    fn receipts(&self, stored: &StoredBatch) -> Vec<Receipt> {
        let mut position = stored.first_position;
        let receipt = |unit: &AppendUnit| {
            let mut streams = ReceiptStreams::default();
            for event in &unit.events {
                streams.add_event(StreamReceipt {
                    stream_id: event.stream_id.clone(),
                    partition: self.resources.partitions.of(&event.stream_id),
                    version: event.version,
                    position,
                });
                position = position.plus(1);
            }
            Receipt { request_id: unit.request_id, streams: streams.into_vec(), committed_at: stored.recorded_at }
        };
        self.units.iter().map(receipt).collect()
    }

    /// Reads what conflicts with the batch, if anything still does.
    async fn rejection_reasons(&self, session: &mut Session) -> Result<Option<AppendOutcome>, StatementError> {
        let RejectionReasons { versions, requests } =
            rejection_reasons(session, &self.streams.names, &self.requests.ids).await?;
        let streams = self.streams.names.iter().zip(&self.streams.expected_versions).zip(versions);
        let mut conflicts = Vec::new();
        for ((name, expected), actual) in streams {
            let expected = version_of(*expected);
            if actual != expected {
                let stream_id = StreamId::new(name).map_err(corrupt_data)?;
                conflicts.push(Conflict { stream_id, expected, actual });
            }
        }
        let last_position = requests.last_position();
        let done: Vec<StoredRequest> = requests.into_requests();
        if conflicts.is_empty() && done.is_empty() {
            return Ok(None);
        }
        self.resources.durability.ensure_durable(session, last_position).await?;
        Ok(Some(AppendOutcome::Rejected { conflicts, done }))
    }
}

/// The reasons why appends and refusals are not stored.
pub(super) struct RejectionReasons {
    /// The version of each stream.
    pub(super) versions: Vec<Version>,
    /// The stored ones of the requests.
    pub(super) requests: RequestOutcomes,
}

/// Reads the versions of streams and the stored requests, in one snapshot.
pub(super) async fn rejection_reasons(
    session: &mut Session,
    streams: &[&str],
    requests: &[Uuid],
) -> Result<RejectionReasons, StatementError> {
    let rows = session.query(REJECTION_REASONS, &[&streams, &requests]).await?;
    let mut reasons =
        RejectionReasons { versions: vec![Version::NONE; streams.len()], requests: RequestOutcomes::default() };
    for row in rows.iter().map(SqlRow) {
        if row.get::<i32>("kind")? != 0 {
            reasons.requests.add(row)?;
            continue;
        }
        let ordinal: i64 = row.get("ordinal")?;
        let version = usize::try_from(ordinal - 1).ok().and_then(|index| reasons.versions.get_mut(index));
        *version.ok_or_else(|| corrupt_data("a stream that was not requested"))? = row.version("version")?;
    }
    Ok(reasons)
}

/// Converts a column back that was made from a version.
fn version_of(column: i64) -> Version {
    Version::new(u32::try_from(column).unwrap_or(u32::MAX))
}

/// The events, sorted by stream and version.
struct EventColumns<'a> {
    ordinals: Vec<i32>,
    streams: Vec<&'a str>,
    versions: Vec<i64>,
    partitions: Vec<i16>,
    types: Vec<&'a str>,
    payloads: Vec<&'a [u8]>,
    requests: Vec<Uuid>,
    traceparents: Vec<Option<&'a str>>,
}

impl<'a> EventColumns<'a> {
    fn new(resources: &StoreResources, units: &'a [AppendUnit]) -> Self {
        let all = units.iter().flat_map(|unit| unit.events.iter().map(move |event| (unit, event)));
        let mut all: Vec<_> = (0..).zip(all).collect();
        all.sort_by_key(|(_, (_, event))| (&event.stream_id, event.version));
        // There are at most 256 partitions.
        let partition = |stream_id| i16::try_from(resources.partitions.of(stream_id).number()).unwrap_or_default();
        let events = || all.iter().map(|(_, (_, event))| *event);
        let units = || all.iter().map(|(_, (unit, _))| *unit);
        Self {
            ordinals: all.iter().map(|(ordinal, _)| *ordinal).collect(),
            streams: events().map(|event| event.stream_id.as_str()).collect(),
            versions: events().map(|event| i64::from(event.version.number())).collect(),
            partitions: events().map(|event| partition(&event.stream_id)).collect(),
            types: events().map(|event| &*event.event_type).collect(),
            payloads: events().map(|event| &*event.payload).collect(),
            requests: units().map(|unit| Uuid(unit.request_id)).collect(),
            traceparents: units().map(|unit| unit.metadata.traceparent.as_deref()).collect(),
        }
    }
}

impl<'a> EventColumns<'a> {
    /// The events are sorted, so those of a stream follow each other.
    fn streams(&self) -> StreamColumns<'a> {
        let mut streams = StreamColumns { names: Vec::new(), expected_versions: Vec::new(), last_versions: Vec::new() };
        for (name, version) in self.streams.iter().zip(&self.versions) {
            match streams.last_versions.last_mut() {
                Some(last) if streams.names.last() == Some(name) => *last = *version,
                _ => {
                    streams.names.push(*name);
                    streams.expected_versions.push(*version - 1);
                    streams.last_versions.push(*version);
                }
            }
        }
        streams
    }
}

/// The requests, sorted by id.
struct RequestColumns<'a> {
    ids: Vec<Uuid>,
    fingerprints: Vec<&'a [u8]>,
    ordinals: Vec<i32>,
    events_counts: Vec<i32>,
}

impl<'a> RequestColumns<'a> {
    fn new(units: &'a [AppendUnit]) -> Self {
        let mut ordinal = 0;
        let numbered = units.iter().map(|unit| {
            let first = ordinal;
            let count = i32::try_from(unit.events.len()).unwrap_or(i32::MAX);
            ordinal = i32::saturating_add(ordinal, count);
            (unit, first, count)
        });
        let mut numbered: Vec<_> = numbered.collect();
        numbered.sort_by_key(|(unit, ..)| unit.request_id);
        Self {
            ids: numbered.iter().map(|(unit, ..)| Uuid(unit.request_id)).collect(),
            fingerprints: numbered.iter().map(|(unit, ..)| &unit.fingerprint.as_bytes()[..]).collect(),
            ordinals: numbered.iter().map(|(_, first, _)| *first).collect(),
            events_counts: numbered.iter().map(|(.., count)| *count).collect(),
        }
    }
}

/// The newest snapshot of each stream, sorted by stream.
struct SnapshotColumns<'a> {
    streams: Vec<&'a str>,
    versions: Vec<i64>,
    formats: Vec<i64>,
    states: Vec<&'a [u8]>,
}

impl<'a> SnapshotColumns<'a> {
    fn new(snapshots: &'a [Snapshot]) -> Self {
        // A statement may replace a row only once.
        let mut newest: HashMap<&StreamId, &Snapshot> = HashMap::new();
        for snapshot in snapshots {
            let known = newest.entry(&snapshot.stream_id).or_insert(snapshot);
            if (snapshot.version, snapshot.format) > (known.version, known.format) {
                *known = snapshot;
            }
        }
        let mut newest: Vec<&Snapshot> = newest.into_values().collect();
        newest.sort_by_key(|snapshot| &snapshot.stream_id);
        Self {
            streams: newest.iter().map(|snapshot| snapshot.stream_id.as_str()).collect(),
            versions: newest.iter().map(|snapshot| i64::from(snapshot.version.number())).collect(),
            formats: newest.iter().map(|snapshot| i64::from(snapshot.format)).collect(),
            states: newest.iter().map(|snapshot| &*snapshot.state).collect(),
        }
    }
}
