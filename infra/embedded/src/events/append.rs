//! Storing a batch.

use std::collections::{HashMap, HashSet};

use diptych_kernel::{
    NewEvent, Partitions, Position, Receipt, ReceiptStreams, StreamReceipt, Timestamp, Version,
    ports::{AppendOutcome, AppendUnit, Conflict, PortError, PortResult, Snapshot},
};
use parking_lot::Mutex;
use rusqlite::{Transaction, params};

use super::{
    recent::{Entry, Recent},
    requests,
};
use crate::database::{Signals, Trouble};

/// Refuses batches that no caller may send.
pub(super) fn check(units: &[AppendUnit]) -> PortResult<()> {
    if units.is_empty() {
        return Err(PortError::operator("a batch has no unit"));
    }
    let (mut requests, mut versions) = (HashSet::new(), HashMap::new());
    for unit in units {
        if unit.events.is_empty() || !requests.insert(unit.request_id) {
            let message = format!("request {} has no events, or is twice in its batch", unit.request_id);
            return Err(PortError::operator(message));
        }
        for event in &unit.events {
            let before = versions.insert(&event.stream_id, event.version);
            if event.version == Version::NONE || before.is_some_and(|before| !follows(before, event.version)) {
                return Err(PortError::operator(format!(
                    "version {} of stream {} does not follow the one before it in the batch",
                    event.version, event.stream_id
                )));
            }
        }
    }
    Ok(())
}

/// Whether `next` is one more than `before`; nothing follows the last version there is.
fn follows(before: Version, next: Version) -> bool {
    before.number().checked_add(1) == Some(next.number())
}

/// A batch on its way to the database.
pub(super) struct Batch {
    pub(super) units: Vec<AppendUnit>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) partitions: Partitions,
    pub(super) now: Timestamp,
}

/// A batch that was decided.
pub(super) struct Decided {
    outcome: AppendOutcome,
    /// The last event before those of the batch.
    after: Position,
    /// The events of the batch, where it was stored.
    entries: Vec<Entry>,
}

impl Decided {
    /// Makes the events known: to those who look for them, and to those who wait for them.
    pub(super) fn announce(&mut self, recent: &Mutex<Recent>, signals: &Signals) {
        let entries = std::mem::take(&mut self.entries);
        let last = entries.last().map_or(self.after, |entry| entry.position);
        recent.lock().append(self.after, entries);
        signals.raise(last.as_i64());
    }

    pub(super) fn into_outcome(self) -> AppendOutcome {
        self.outcome
    }
}

impl Batch {
    /// Stores all of it, or nothing where others came first. Looks first and writes then, so that a rejection has nothing to undo.
    pub(super) fn store(&self, transaction: &Transaction<'_>, recent: &Mutex<Recent>) -> Result<Decided, Trouble> {
        let firsts = self.first_events();
        let (horizon, requests, versions) = {
            let mut recent = recent.lock();
            let horizon = recent.catch_up(transaction)?;
            let requests: Vec<_> =
                self.units.iter().map(|unit| (unit.request_id, recent.request(&unit.request_id))).collect();
            let versions: Vec<_> = firsts.iter().map(|event| recent.version(&event.stream_id)).collect();
            (horizon, requests, versions)
        };
        let done = requests::find(transaction, horizon, &requests)?;
        let conflicts = conflicts(transaction, &firsts, &versions)?;
        if !done.is_empty() || !conflicts.is_empty() {
            let outcome = AppendOutcome::Rejected { conflicts, done };
            return Ok(Decided { outcome, after: horizon.last, entries: Vec::new() });
        }

        // A clock that was set back does not make an event older than the one before it.
        let recorded_at = self.now.max(horizon.recorded_at);
        let mut next = Next { transaction_id: horizon.last.transaction_id() + 1, ordinal: 0 };
        let (mut receipts, mut entries) = (Vec::with_capacity(self.units.len()), Vec::new());
        for unit in &self.units {
            receipts.push(self.store_unit(transaction, unit, &mut next, recorded_at, &mut entries)?);
        }
        self.store_snapshots(transaction)?;
        Ok(Decided { outcome: AppendOutcome::Committed(receipts), after: horizon.last, entries })
    }

    /// The first event of each stream of the batch.
    fn first_events(&self) -> Vec<&NewEvent> {
        let mut seen = HashSet::new();
        self.units.iter().flat_map(|unit| &unit.events).filter(|event| seen.insert(&event.stream_id)).collect()
    }

    fn store_unit(
        &self,
        transaction: &Transaction<'_>,
        unit: &AppendUnit,
        next: &mut Next,
        recorded_at: Timestamp,
        entries: &mut Vec<Entry>,
    ) -> Result<Receipt, Trouble> {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO events (position, partition, stream_id, version, recorded_at, event_type, request_id, payload,
                                 traceparent, fingerprint)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut streams = ReceiptStreams::default();
        let mut fingerprint = Some(unit.fingerprint.as_bytes());
        for event in &unit.events {
            let position = next.take()?;
            let NewEvent { stream_id, version, event_type, payload } = event;
            let (version, partition) = (*version, self.partitions.of(stream_id));
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
            ])?;
            let stream_id = stream_id.clone();
            streams.add_event(StreamReceipt { stream_id: stream_id.clone(), partition, version, position });
            entries.push(Entry { position, partition, stream_id, version, request_id: unit.request_id });
        }
        Ok(Receipt { request_id: unit.request_id, streams: streams.into_vec(), committed_at: recorded_at })
    }

    /// Replaces older snapshots, and at the same version those of an older format.
    fn store_snapshots(&self, transaction: &Transaction<'_>) -> Result<(), Trouble> {
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO snapshots (stream_id, version, format, state) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (stream_id) DO UPDATE
             SET version = excluded.version, format = excluded.format, state = excluded.state
             WHERE (excluded.version, excluded.format) > (version, format)",
        )?;
        for snapshot in &self.snapshots {
            upsert.execute(params![
                snapshot.stream_id.as_str(),
                snapshot.version.number(),
                snapshot.format,
                &snapshot.state[..],
            ])?;
        }
        Ok(())
    }
}

/// The streams that are not at the version which their first event builds on. `recent` has the versions of those with recent events.
fn conflicts(
    transaction: &Transaction<'_>,
    firsts: &[&NewEvent],
    recent: &[Option<Version>],
) -> Result<Vec<Conflict>, Trouble> {
    let mut select = transaction.prepare_cached("SELECT MAX(version) FROM events_by_stream WHERE stream_id = ?1")?;
    let mut conflicts = Vec::new();
    for (event, recent) in firsts.iter().zip(recent) {
        let actual = match recent {
            Some(version) => *version,
            None => {
                let version: Option<u32> = select.query_row([event.stream_id.as_str()], |row| row.get(0))?;
                Version::new(version.unwrap_or_default())
            }
        };
        if !follows(actual, event.version) {
            let expected = Version::new(event.version.number().saturating_sub(1));
            conflicts.push(Conflict { stream_id: event.stream_id.clone(), expected, actual });
        }
    }
    Ok(conflicts)
}

/// Gives out the positions of a transaction.
struct Next {
    transaction_id: u64,
    ordinal: u32,
}

impl Next {
    fn take(&mut self) -> Result<Position, Trouble> {
        let position = Position::new(self.transaction_id, self.ordinal)
            .map_err(|error| PortError::operator("the batch has no room in the order of events").caused_by(error))?;
        self.ordinal += 1;
        Ok(position)
    }
}
