//! Hearing the log: what comes in turn, and what is missing.

use diptych_kernel::{
    Partition, RecordedEvent,
    domain::Domain,
    ports::{EventStore, LogEntry, LogRecord, Offset, ProgressStore, ViewCache, ViewStore, Watermark},
};

use crate::{
    engine::Engine,
    error::Stop,
    partition::{PartitionState, Phase},
    trace::BatchSpans,
};

/// What was heard, in order.
enum Heard {
    /// The event with this number.
    Event(usize),
    /// Nothing is missing up to here.
    Watermark(Watermark),
}

/// Records of one poll that come in turn.
#[derive(Default)]
struct Batch {
    events: Vec<RecordedEvent>,
    heard: Vec<(Partition, Offset, Heard)>,
}

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Takes records from the log into the views, and returns when all of it is stored: the offsets that may be committed.
    pub(crate) async fn project(&mut self, records: Vec<LogRecord>) -> Result<Vec<(Partition, Offset)>, Stop> {
        self.metrics.batch_records.record(f64::from(u32::try_from(records.len()).unwrap_or(u32::MAX)));
        let Batch { events, heard } = self.listen(records);
        self.metrics.events.increment(u64::try_from(events.len()).unwrap_or(u64::MAX));
        let offsets = heard.iter().filter(|(.., heard)| matches!(heard, Heard::Event(_))).map(|(_, offset, _)| *offset);
        let mut spans = BatchSpans::begin(&events, offsets, &self.config.group);
        let mut work =
            self.prepare(events, |state, view| state.views.get(view).is_some_and(|view| view.is_live())).await?;
        let mut touched: Vec<Partition> = heard.iter().map(|(partition, ..)| *partition).collect();
        touched.sort_unstable();
        touched.dedup();
        for (partition, offset, heard) in heard {
            if self.owned.get(&partition).is_none_or(|state| state.phase == Phase::Halted) {
                if let Heard::Event(item) = heard {
                    spans.fail(item, "halted");
                }
                continue;
            }
            if let Heard::Event(item) = heard
                && self.take_event(&mut work, item)
            {
                spans.fail(item, "parked");
            }
            let Some(state) = self.owned.get_mut(&partition) else { continue };
            if let Heard::Watermark(watermark) = heard {
                state.advance(watermark.position, watermark.as_of);
            }
            state.take_offset(Offset(offset.0.saturating_add(1)));
        }
        spans.note_changes(&work);
        self.store_live(work.rows, &touched, &spans).await?;
        let taken = touched.iter().filter_map(|partition| Some((*partition, self.owned.get(partition)?.taken)));
        Ok(taken.collect())
    }

    /// Sorts records into those that come in turn. From the first record on before which something is missing, the rest of its partition
    /// is left, to be read again when what is missing has been read from the write side.
    fn listen(&mut self, records: Vec<LogRecord>) -> Batch {
        let mut batch = Batch::default();
        for LogRecord { offset, entry } in records {
            let partition = entry.partition();
            let Some(state) = self.owned.get_mut(&partition).filter(|state| state.phase == Phase::Reading) else {
                continue;
            };
            if let Some(what) = state.is_missing(offset, &entry) {
                tracing::warn!(%partition, offset = offset.0, expected = state.expected.0, what, "the log has lost records");
                self.metrics.losses.increment(1);
                state.phase = Phase::Recovering(offset);
                continue;
            }
            state.expected = state.expected.max(Offset(offset.0.saturating_add(1)));
            match entry {
                LogEntry::Event(event) => {
                    state.heard_up_to = state.heard_up_to.max(event.position);
                    state.oldest.get_or_insert(event.recorded_at);
                    batch.heard.push((partition, offset, Heard::Event(batch.events.len())));
                    batch.events.push(event);
                }
                LogEntry::Watermark(_, watermark) => {
                    state.heard_up_to = state.heard_up_to.max(watermark.position);
                    batch.heard.push((partition, offset, Heard::Watermark(watermark)));
                }
            }
        }
        self.show_ages();
        batch
    }
}

impl PartitionState {
    /// Whether something is missing before a record, and how that is known.
    fn is_missing(&mut self, offset: Offset, entry: &LogEntry) -> Option<&'static str> {
        let has_skipped = offset > self.expected;
        match entry {
            // What was skipped may be watermarks only; this one says.
            LogEntry::Watermark(_, watermark) if watermark.last_event > self.heard_up_to => {
                // Not said twice: the write side may not have it either.
                self.heard_up_to = watermark.last_event;
                Some("a watermark names an event that did not come")
            }
            LogEntry::Event(_) if has_skipped => Some("offsets are missing"),
            _ => None,
        }
    }
}
