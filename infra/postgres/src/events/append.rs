//! Storing a batch.

use std::collections::HashMap;

use diptych_kernel::{
    Position, Receipt, ReceiptStreams, StreamId, StreamReceipt, Timestamp, Version,
    ports::{AppendOutcome, AppendUnit, Conflict, PortError, PortResult, Snapshot, StoredRequest},
};
use tokio_postgres::types::ToSql;

use super::{Inner, receipts::Receipts};
use crate::wire::{Row, Session, Trouble, Uuid, garbled};

const APPEND: &str = include_str!("../../queries/append.sql");
const REJECTION: &str = include_str!("../../queries/rejection.sql");

/// How often a batch is sent again that was refused, while a look for the reason finds none: what stood against it has gone, as a
/// request that is forgotten, or has come since, as a version that was missing.
const ATTEMPTS_MAX: usize = 8;

/// Stores all of it, or nothing where others came first.
pub(super) async fn append(inner: &Inner, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
    let batch = Batch::new(inner, units, snapshots);
    for _ in 0..ATTEMPTS_MAX {
        let mut session = inner.writers.session().await.map_err(Trouble::of_write)?;
        match batch.store(&mut session).await {
            Ok(Some(stored)) => {
                inner.wake.appended(stored.first_position.plus(batch.last_ordinal()));
                return Ok(AppendOutcome::Committed(batch.receipts(&stored)));
            }
            Ok(None) => {}
            Err(trouble) if trouble.is_unique_violation() => {}
            Err(trouble) => return Err(trouble.of_write()),
        }
        // Nothing is stored, and the rest is questions.
        if let Some(rejected) = batch.find_reasons(inner, &mut session).await.map_err(Trouble::of_question)? {
            return Ok(rejected);
        }
    }
    Err(PortError::not_done(format!(
        "something stood against a batch {ATTEMPTS_MAX} times and was gone when looked for"
    )))
}

/// A batch as the columns that the statement takes.
struct Batch<'a> {
    inner: &'a Inner,
    units: &'a [AppendUnit],
    events: Events<'a>,
    requests: Requests<'a>,
    snapshots: Snapshots<'a>,
    streams: BuiltOn<'a>,
}

/// The streams of a batch, and for each the version that its first event builds on.
struct BuiltOn<'a> {
    names: Vec<&'a str>,
    versions: Vec<i64>,
}

/// Where and when a batch was stored.
struct Stored {
    first_position: Position,
    recorded_at: Timestamp,
}

impl<'a> Batch<'a> {
    fn new(inner: &'a Inner, units: &'a [AppendUnit], snapshots: &'a [Snapshot]) -> Self {
        let events = Events::new(inner, units);
        Self {
            inner,
            units,
            streams: events.built_on(),
            events,
            requests: Requests::new(units),
            snapshots: Snapshots::new(snapshots),
        }
    }

    fn last_ordinal(&self) -> u32 {
        // Checked before: the events of a batch can be counted by ordinals.
        u32::try_from(self.events.ordinals.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// `None` where something stands against it.
    async fn store(&self, session: &mut Session) -> Result<Option<Stored>, Trouble> {
        let (events, requests, snapshots) = (&self.events, &self.requests, &self.snapshots);
        let params: [&(dyn ToSql + Sync); 18] = [
            &events.ordinals,
            &events.streams,
            &events.versions,
            &events.partitions,
            &events.types,
            &events.payloads,
            &events.requests,
            &events.traceparents,
            &self.streams.names,
            &self.streams.versions,
            &requests.ids,
            &requests.fingerprints,
            &requests.ordinals,
            &requests.events_counts,
            &snapshots.streams,
            &snapshots.versions,
            &snapshots.formats,
            &snapshots.states,
        ];
        let rows = session.write(APPEND, &params).await?;
        let Some(row) = rows.first().map(Row) else { return Ok(None) };
        let first_position = row.position("first_position")?;
        self.inner.safe.committed(first_position, row)?;
        Ok(Some(Stored { first_position, recorded_at: row.time("recorded_at")? }))
    }

    fn receipts(&self, stored: &Stored) -> Vec<Receipt> {
        let mut position = stored.first_position;
        let receipt = |unit: &AppendUnit| {
            let mut streams = ReceiptStreams::default();
            for event in &unit.events {
                streams.add_event(StreamReceipt {
                    stream_id: event.stream_id.clone(),
                    partition: self.inner.partitions.of(&event.stream_id),
                    version: event.version,
                    position,
                });
                position = position.plus(1);
            }
            Receipt { request_id: unit.request_id, streams: streams.into_vec(), committed_at: stored.recorded_at }
        };
        self.units.iter().map(receipt).collect()
    }

    /// What stands against it, where something does.
    async fn find_reasons(&self, inner: &Inner, session: &mut Session) -> Result<Option<AppendOutcome>, Trouble> {
        let rows = session.query(REJECTION, &[&self.streams.names, &self.requests.ids]).await?;
        let (mut conflicts, mut receipts) = (Vec::new(), Receipts::default());
        for row in rows.iter().map(Row) {
            if row.get::<i32>("kind")? != 0 {
                receipts.add(row)?;
                continue;
            }
            let ordinal: i64 = row.get("ordinal")?;
            let asked = usize::try_from(ordinal - 1).ok().and_then(|index| self.streams.versions.get(index));
            let expected = *asked.ok_or_else(|| garbled("a stream that was not asked for"))?;
            let (expected, actual) = (version_of(expected), row.version("version")?);
            if actual != expected {
                conflicts.push(Conflict { stream_id: row.stream_id("stream_id")?, expected, actual });
            }
        }
        let newest = receipts.newest();
        let done: Vec<StoredRequest> = receipts.into_requests();
        if conflicts.is_empty() && done.is_empty() {
            return Ok(None);
        }
        inner.safe.make(session, newest).await?;
        Ok(Some(AppendOutcome::Rejected { conflicts, done }))
    }
}

/// The version of a column that was made from one.
fn version_of(column: i64) -> Version {
    Version::new(u32::try_from(column).unwrap_or(u32::MAX))
}

/// The events by stream and version.
struct Events<'a> {
    ordinals: Vec<i32>,
    streams: Vec<&'a str>,
    versions: Vec<i64>,
    partitions: Vec<i16>,
    types: Vec<&'a str>,
    payloads: Vec<&'a [u8]>,
    requests: Vec<Uuid>,
    traceparents: Vec<Option<&'a str>>,
}

impl<'a> Events<'a> {
    fn new(inner: &Inner, units: &'a [AppendUnit]) -> Self {
        let all = units.iter().flat_map(|unit| unit.events.iter().map(move |event| (unit, event)));
        let mut all: Vec<_> = (0..).zip(all).collect();
        all.sort_by_key(|(_, (_, event))| (&event.stream_id, event.version));
        // There are at most 256 partitions.
        let partition = |stream_id| i16::try_from(inner.partitions.of(stream_id).number()).unwrap_or_default();
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

impl<'a> Events<'a> {
    /// The first event of each stream stands before its others.
    fn built_on(&self) -> BuiltOn<'a> {
        let mut built_on = BuiltOn { names: Vec::new(), versions: Vec::new() };
        for (name, version) in self.streams.iter().zip(&self.versions) {
            if built_on.names.last() != Some(name) {
                built_on.names.push(*name);
                built_on.versions.push(*version - 1);
            }
        }
        built_on
    }
}

/// The requests by id.
struct Requests<'a> {
    ids: Vec<Uuid>,
    fingerprints: Vec<&'a [u8]>,
    ordinals: Vec<i32>,
    events_counts: Vec<i32>,
}

impl<'a> Requests<'a> {
    fn new(units: &'a [AppendUnit]) -> Self {
        let mut ordinal = 0;
        let placed = units.iter().map(|unit| {
            let first = ordinal;
            let count = i32::try_from(unit.events.len()).unwrap_or(i32::MAX);
            ordinal = i32::saturating_add(ordinal, count);
            (unit, first, count)
        });
        let mut placed: Vec<_> = placed.collect();
        placed.sort_by_key(|(unit, ..)| unit.request_id);
        Self {
            ids: placed.iter().map(|(unit, ..)| Uuid(unit.request_id)).collect(),
            fingerprints: placed.iter().map(|(unit, ..)| &unit.fingerprint.as_bytes()[..]).collect(),
            ordinals: placed.iter().map(|(_, first, _)| *first).collect(),
            events_counts: placed.iter().map(|(.., count)| *count).collect(),
        }
    }
}

/// The newest snapshot of each stream, by stream.
struct Snapshots<'a> {
    streams: Vec<&'a str>,
    versions: Vec<i64>,
    formats: Vec<i64>,
    states: Vec<&'a [u8]>,
}

impl<'a> Snapshots<'a> {
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
