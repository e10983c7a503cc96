//! Replay of events into rows in memory.

use std::collections::HashMap;

use bytes::Bytes;
use diptych_kernel::{
    Position, RecordedEvent, StreamId, Version,
    domain::{DecodedEvent, Domain, RowKey, View, ViewId},
    ports::Row,
};

use super::report::Difference;

/// Identity of a row.
pub(super) type RowId = (ViewId, RowKey);

/// The rows made by a replay.
pub(super) type Rows = HashMap<RowId, Row>;

/// Folds the events of a partition into rows, from the first event on.
pub(super) struct Replay<'a, D: Domain> {
    folds: &'a [Box<dyn View<D::Event>>],
    pub(super) rows: Rows,
    pub(super) differences: Vec<Difference>,
    pub(super) events: u64,
    versions: HashMap<StreamId, Version>,
}

impl<'a, D: Domain> Replay<'a, D> {
    pub(super) fn new(folds: &'a [Box<dyn View<D::Event>>]) -> Self {
        Self { folds, rows: Rows::new(), differences: Vec::new(), events: 0, versions: HashMap::new() }
    }

    /// Folds an event into the selected rows.
    pub(super) fn fold(&mut self, record: &RecordedEvent, is_selected: impl Fn(ViewId, &RowKey) -> bool) {
        self.events += 1;
        self.check_version(record);
        let event = match D::decode_event(&record.event_type, &record.payload) {
            Ok(event) => event,
            Err(error) => return self.add_unreadable(None, record, error.to_string()),
        };
        let recorded = DecodedEvent { record, event: &event };
        for fold in self.folds {
            let Some(key) = fold.key(recorded) else { continue };
            if !is_selected(fold.id(), &key) {
                continue;
            }
            let id = (fold.id(), key);
            let before = self.rows.get(&id).and_then(|row| row.body.clone());
            match fold.fold(before.as_deref(), recorded) {
                Ok(body) => self.put(id, record.position, body),
                Err(error) => self.add_unreadable(Some(fold.id()), record, error.reason),
            }
        }
    }

    fn put(&mut self, id: RowId, position: Position, body: Option<Bytes>) {
        self.rows.insert(id, Row { position, body });
    }

    fn add_unreadable(&mut self, view: Option<ViewId>, record: &RecordedEvent, reason: String) {
        let (stream_id, version) = (record.stream_id.clone(), record.version);
        self.differences.push(Difference::Unreadable { view, stream_id, version, reason });
    }

    fn check_version(&mut self, record: &RecordedEvent) {
        let last = self.versions.entry(record.stream_id.clone()).or_default();
        let expected = last.next();
        *last = record.version;
        if record.version != expected {
            let (stream_id, found) = (record.stream_id.clone(), record.version);
            self.differences.push(Difference::VersionSkipped { stream_id, expected, found });
        }
    }
}
