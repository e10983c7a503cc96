//! Folding events again.

use std::collections::HashMap;

use bytes::Bytes;
use diptych_kernel::{
    Position, RecordedEvent, StreamId, Version,
    domain::{DecodedEvent, Domain, RowKey, View, ViewId},
    ports::Row,
};

use super::Difference;

/// The rows that a replay has made.
pub(super) type Rows = HashMap<(ViewId, RowKey), Row>;

/// Folds the events of a partition into rows, from the first on.
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

    /// Folds an event into the rows for which `takes` says yes.
    pub(super) fn fold(&mut self, record: &RecordedEvent, takes: impl Fn(ViewId, &RowKey) -> bool) {
        self.events += 1;
        self.check_version(record);
        let wanted = |fold: &dyn View<D::Event>, key: &RowKey| takes(fold.id(), key);
        let event = match D::decode_event(&record.event_type, &record.payload) {
            Ok(event) => event,
            Err(error) => return self.differ(None, record, error.to_string()),
        };
        let recorded = DecodedEvent { record, event: &event };
        for fold in self.folds {
            let Some(key) = fold.key(recorded) else { continue };
            if !wanted(fold.as_ref(), &key) {
                continue;
            }
            let place = (fold.id(), key);
            let before = self.rows.get(&place).and_then(|row| row.body.clone());
            match fold.fold(before.as_deref(), recorded) {
                Ok(body) => self.put(place, record.position, body),
                Err(error) => self.differ(Some(fold.id()), record, error.reason),
            }
        }
    }

    fn put(&mut self, place: (ViewId, RowKey), position: Position, body: Option<Bytes>) {
        self.rows.insert(place, Row { position, body });
    }

    fn differ(&mut self, view: Option<ViewId>, record: &RecordedEvent, reason: String) {
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
