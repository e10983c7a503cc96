//! Processing of records from the log, and detection of missing events.

use diptych_kernel::{
    Partition, RecordedEvent,
    domain::Domain,
    ports::{EventStore, LogEntry, LogRecord, Offset, ProgressStore, ViewCache, ViewStore, Watermark},
};

use crate::{engine::Engine, error::Stop, partition::PartitionStatus, partition::ViewState, trace::BatchSpans};

/// A record of a batch.
enum BatchRecord {
    /// The event with this index in the batch.
    Event(usize),
    Watermark(Watermark),
}

/// The records of one poll before which nothing is missing.
#[derive(Default)]
struct RecordBatch {
    events: Vec<RecordedEvent>,
    /// In the order of the log.
    records: Vec<(Partition, Offset, BatchRecord)>,
}

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Applies records from the log to the views. Returns the offsets that may be committed, once everything is stored.
    pub(crate) async fn project(&mut self, records: Vec<LogRecord>) -> Result<Vec<(Partition, Offset)>, Stop> {
        self.metrics.batch_records.record(f64::from(u32::try_from(records.len()).unwrap_or(u32::MAX)));
        let RecordBatch { events, records } = self.accept_records(records);
        self.metrics.events.increment(u64::try_from(events.len()).unwrap_or(u64::MAX));
        let of_events = records.iter().filter(|(.., record)| matches!(record, BatchRecord::Event(_)));
        let mut spans = BatchSpans::begin(&events, of_events.map(|(_, offset, _)| *offset), &self.config.group);
        let is_live = |view: &ViewState| view.is_live();
        let mut batch = self.prepare_batch(events, |state, view| state.views.get(view).is_some_and(is_live)).await?;
        let mut touched: Vec<Partition> = records.iter().map(|(partition, ..)| *partition).collect();
        touched.sort_unstable();
        touched.dedup();
        for (partition, offset, record) in records {
            if self.owned.get(&partition).is_none_or(|state| state.status() == PartitionStatus::Halted) {
                if let BatchRecord::Event(index) = record {
                    spans.fail(index, "halted");
                }
                continue;
            }
            if let BatchRecord::Event(index) = record
                && self.apply_event(&mut batch, index)
            {
                spans.fail(index, "parked");
            }
            let Some(state) = self.owned.get_mut(&partition) else { continue };
            if let BatchRecord::Watermark(watermark) = record {
                state.advance(watermark.position, watermark.as_of);
            }
            state.apply_offset(offset);
        }
        spans.record_changes(&batch);
        self.store_live(batch.rows, &touched, &spans).await?;
        let applied =
            touched.iter().filter_map(|partition| Some((*partition, self.owned.get(partition)?.applied_offset())));
        Ok(applied.collect())
    }

    /// Selects the records before which nothing is missing. From the first record on before which something is missing,
    /// the rest of its partition is dropped; it is read again after the missing events have been read from the write
    /// database.
    fn accept_records(&mut self, records: Vec<LogRecord>) -> RecordBatch {
        let mut batch = RecordBatch::default();
        for LogRecord { offset, entry } in records {
            let partition = entry.partition();
            let Some(state) = self.owned.get_mut(&partition).filter(|state| state.status() == PartitionStatus::Reading)
            else {
                continue;
            };
            if let Some(reason) = state.missing_before(offset, &entry) {
                let expected = state.expected_offset().0;
                tracing::warn!(
                    partition = partition.number(),
                    offset = offset.0,
                    expected,
                    reason,
                    "records are missing in the log; reading them from the write database"
                );
                self.metrics.losses.increment(1);
                state.become_recovering(offset);
                continue;
            }
            match entry {
                LogEntry::Event(event) => {
                    state.receive_event(offset, &event);
                    batch.records.push((partition, offset, BatchRecord::Event(batch.events.len())));
                    batch.events.push(event);
                }
                LogEntry::Watermark(_, watermark) => {
                    state.receive_watermark(offset, watermark);
                    batch.records.push((partition, offset, BatchRecord::Watermark(watermark)));
                }
            }
        }
        self.update_ages();
        batch
    }
}
