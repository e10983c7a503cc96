//! Append of a batch.

use std::collections::{HashMap, HashSet};

use diptych_kernel::{
    NewEvent, Partitions, Position, Receipt, ReceiptStreams, StreamId, StreamReceipt, Timestamp, Version,
    ports::{AppendOutcome, AppendUnit, Conflict, PortError, PortResult, Snapshot},
    vocabulary::Checksum,
};
use parking_lot::Mutex;
use rusqlite::{Transaction, params};

use super::{
    recent::{Entry, RecentIndex},
    requests,
};
use crate::database::{Signals, TransactionError};

/// Rejects batches that violate the contract of [`append`](diptych_kernel::ports::EventStore::append).
pub(super) fn check(units: &[AppendUnit]) -> PortResult<()> {
    if units.is_empty() {
        return Err(PortError::operator("the batch has no units"));
    }
    AppendUnit::check_sizes(units)?;
    let (mut requests, mut versions) = (HashSet::new(), HashMap::new());
    for unit in units {
        if unit.events.is_empty() || !requests.insert(unit.request_id) {
            let message = format!("request {} has no events or occurs twice in the batch", unit.request_id);
            return Err(PortError::operator(message));
        }
        for event in &unit.events {
            let before = versions.insert(&event.stream_id, event.version);
            if event.version == Version::NONE || before.is_some_and(|before| !follows(before, event.version)) {
                return Err(PortError::operator(format!(
                    "version {} of stream {} does not follow the previous one in the batch",
                    event.version, event.stream_id
                )));
            }
        }
    }
    Ok(())
}

/// Returns whether `next` is one more than `before`. No version follows the largest one.
fn follows(before: Version, next: Version) -> bool {
    before.number().checked_add(1) == Some(next.number())
}

/// Batch to be stored.
pub(super) struct AppendBatch {
    pub(super) units: Vec<AppendUnit>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) partitions: Partitions,
    pub(super) now: Timestamp,
}

/// Stops all appends until an operator acts.
pub(super) fn suspend(transaction: &Transaction<'_>, reason: &str) -> Result<(), TransactionError> {
    transaction
        .prepare_cached("UPDATE installation SET suspended_because = ?1 WHERE suspended_because IS NULL")?
        .execute([reason])?;
    Ok(())
}

/// Fails if an operator must act before anything is stored.
pub(super) fn check_not_suspended(transaction: &Transaction<'_>) -> Result<(), TransactionError> {
    let mut select = transaction.prepare_cached("SELECT suspended_because FROM installation")?;
    match select.query_row([], |row| row.get::<_, Option<String>>(0))? {
        Some(reason) => Err(PortError::operator(reason).into()),
        None => Ok(()),
    }
}

/// Result of storing a batch, before it is announced.
pub(super) struct AppendResult {
    outcome: AppendOutcome,
    /// The position of the last event before those of the batch.
    after: Position,
    /// The stored events of the batch; empty if it was rejected.
    entries: Vec<Entry>,
}

impl AppendResult {
    /// Adds the events to the recent index and wakes up waiting readers.
    pub(super) fn announce(&mut self, recent: &Mutex<RecentIndex>, signals: &Signals) {
        let entries = std::mem::take(&mut self.entries);
        let last = entries.last().map_or(self.after, |entry| entry.position);
        recent.lock().append(self.after, entries);
        signals.raise(last.as_i64());
    }

    pub(super) fn into_outcome(self) -> AppendOutcome {
        self.outcome
    }
}

impl AppendBatch {
    /// Stores the batch, or rejects it. All checks come before the first write, so that a rejection has nothing to roll
    /// back.
    pub(super) fn store(
        &self,
        transaction: &Transaction<'_>,
        recent: &Mutex<RecentIndex>,
    ) -> Result<AppendResult, TransactionError> {
        check_not_suspended(transaction)?;
        let first_events = self.first_events();
        let (horizon, requests, versions) = {
            let mut recent = recent.lock();
            let horizon = recent.catch_up(transaction)?;
            let requests: Vec<_> =
                self.units.iter().map(|unit| (unit.request_id, recent.request(&unit.request_id))).collect();
            let versions: Vec<_> = first_events.iter().map(|event| recent.version(&event.stream_id)).collect();
            (horizon, requests, versions)
        };
        let done = requests::find(transaction, horizon, &requests)?;
        let conflicts = conflicts(transaction, &first_events, &versions)?;
        if !done.is_empty() || !conflicts.is_empty() {
            let outcome = AppendOutcome::Rejected { conflicts, done };
            return Ok(AppendResult { outcome, after: horizon.last, entries: Vec::new() });
        }

        // If the clock was set back, an event still gets no earlier time than the event before it.
        let recorded_at = self.now.max(horizon.recorded_at);
        let mut next = PositionAllocator { transaction_id: horizon.last.transaction_id() + 1, ordinal: 0 };
        let (mut receipts, mut entries) = (Vec::with_capacity(self.units.len()), Vec::new());
        for unit in &self.units {
            receipts.push(self.store_unit(transaction, unit, &mut next, recorded_at, &mut entries)?);
        }
        self.store_snapshots(transaction)?;
        Ok(AppendResult { outcome: AppendOutcome::Committed(receipts), after: horizon.last, entries })
    }

    /// Returns the first event of each stream of the batch.
    fn first_events(&self) -> Vec<&NewEvent> {
        let mut seen = HashSet::new();
        self.units.iter().flat_map(|unit| &unit.events).filter(|event| seen.insert(&event.stream_id)).collect()
    }

    fn store_unit(
        &self,
        transaction: &Transaction<'_>,
        unit: &AppendUnit,
        next: &mut PositionAllocator,
        recorded_at: Timestamp,
        entries: &mut Vec<Entry>,
    ) -> Result<Receipt, TransactionError> {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO events (position, partition, stream_id, version, recorded_at, event_type, request_id, payload,
                                 traceparent, fingerprint, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        let mut streams = ReceiptStreams::default();
        let mut fingerprint = Some(unit.fingerprint.as_bytes());
        for event in &unit.events {
            let position = next.take()?;
            let NewEvent { stream_id, version, event_type, payload } = event;
            let (version, partition) = (*version, self.partitions.of(stream_id));
            let checksum = Checksum::of_event(position, version, unit.request_id, stream_id, event_type, payload);
            insert.execute(params![
                position.as_i64(),
                partition.number(),
                stream_id.as_str(),
                version.number(),
                recorded_at.as_micros(),
                &**event_type,
                unit.request_id.as_bytes(),
                &payload[..],
                unit.metadata.traceparent.as_deref(),
                fingerprint.take(),
                checksum.as_bytes(),
            ])?;
            let stream_id = stream_id.clone();
            streams.add_event(StreamReceipt { stream_id: stream_id.clone(), partition, version, position });
            entries.push(Entry { position, partition, stream_id, version, request_id: unit.request_id });
        }
        Ok(Receipt { request_id: unit.request_id, streams: streams.into_vec(), committed_at: recorded_at })
    }

    /// Stores snapshots. Each replaces an older one, or one of an older format at the same version.
    fn store_snapshots(&self, transaction: &Transaction<'_>) -> Result<(), TransactionError> {
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO snapshots (stream_id, version, format, state, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (stream_id) DO UPDATE
             SET version = excluded.version, format = excluded.format, state = excluded.state,
                 checksum = excluded.checksum
             WHERE (excluded.version, excluded.format) > (version, format)",
        )?;
        for snapshot in &self.snapshots {
            let Snapshot { stream_id, version, format, state } = snapshot;
            let checksum = Checksum::of_snapshot(*version, *format, stream_id, state);
            upsert.execute(params![stream_id.as_str(), version.number(), format, &state[..], checksum.as_bytes(),])?;
        }
        Ok(())
    }
}

/// Returns the streams whose version is not the one that their first event builds on. `recent` contains the versions of
/// streams with recent events.
fn conflicts(
    transaction: &Transaction<'_>,
    first_events: &[&NewEvent],
    recent: &[Option<Version>],
) -> Result<Vec<Conflict>, TransactionError> {
    let mut conflicts = Vec::new();
    for (event, recent) in first_events.iter().zip(recent) {
        let actual = version(transaction, &event.stream_id, *recent)?;
        if !follows(actual, event.version) {
            let expected = Version::new(event.version.number().saturating_sub(1));
            conflicts.push(Conflict { stream_id: event.stream_id.clone(), expected, actual });
        }
    }
    Ok(conflicts)
}

/// Returns the version of a stream. `recent` is its version if it has recent events.
pub(super) fn version(
    transaction: &Transaction<'_>,
    stream_id: &StreamId,
    recent: Option<Version>,
) -> Result<Version, TransactionError> {
    if let Some(version) = recent {
        return Ok(version);
    }
    let mut select = transaction.prepare_cached("SELECT MAX(version) FROM events_by_stream WHERE stream_id = ?1")?;
    let version: Option<u32> = select.query_row([stream_id.as_str()], |row| row.get(0))?;
    Ok(Version::new(version.unwrap_or_default()))
}

/// Allocates the positions of a transaction.
struct PositionAllocator {
    transaction_id: u64,
    ordinal: u32,
}

impl PositionAllocator {
    fn take(&mut self) -> Result<Position, TransactionError> {
        let position = Position::new(self.transaction_id, self.ordinal)
            .map_err(|error| PortError::operator("no positions are left for the batch").caused_by(error))?;
        self.ordinal += 1;
        Ok(position)
    }
}
