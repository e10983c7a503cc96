//! Executes commands sequentially in memory: decides them, records their events, and folds the events into rows.

use std::collections::BTreeMap;

use bytes::Bytes;
use diptych_kernel::{
    EventMetadata, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    domain::{DecodedEvent, Domain, RowKey, ViewId},
};
use diptych_ledger::{
    Ledger,
    domain::{Account, Command, Event, Refusal},
};
use uuid::Uuid;

/// The states and events after a sequence of commands.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) partitions: Partitions,
    pub(crate) states: BTreeMap<StreamId, (Version, Account)>,
    pub(crate) records: Vec<RecordedEvent>,
    commands: u64,
}

impl History {
    pub(crate) fn new(partitions: u16) -> Self {
        let partitions = Partitions::new(partitions).unwrap();
        Self { partitions, states: BTreeMap::new(), records: Vec::new(), commands: 0 }
    }

    /// Decides a command on the current states, and records its events.
    pub(crate) fn run(&mut self, command: &Command) -> Result<(), Refusal> {
        let streams = Ledger::streams(command);
        let states: Vec<Account> = streams
            .iter()
            .map(|stream| self.states.get(stream).map(|(_, state)| state.clone()).unwrap_or_default())
            .collect();
        let events = Ledger::decide(&states, command)?;
        self.commands += 1;
        for (ordinal, (index, event)) in (0_u32..).zip(events) {
            self.record(&streams[index], ordinal, &event);
        }
        Ok(())
    }

    fn record(&mut self, stream_id: &StreamId, ordinal: u32, event: &Event) {
        let (version, state) = self.states.entry(stream_id.clone()).or_default();
        *version = version.next();
        Ledger::evolve(state, event);
        let (event_type, payload) = Ledger::encode_event(event);
        self.records.push(RecordedEvent {
            position: Position::new(self.commands, ordinal).unwrap(),
            partition: self.partitions.of(stream_id),
            stream_id: stream_id.clone(),
            version: *version,
            event_type,
            payload,
            metadata: EventMetadata::default(),
            request_id: RequestId::from_uuid(Uuid::from_u128(self.commands.into())),
            recorded_at: Timestamp::from_micros(1_000_000 * i64::try_from(self.commands).unwrap()),
        });
    }

    /// The states obtained by replaying the stored events.
    pub(crate) fn replayed(&self) -> BTreeMap<StreamId, Account> {
        let mut states: BTreeMap<StreamId, Account> = BTreeMap::new();
        for record in &self.records {
            let event = Ledger::decode_event(&record.event_type, &record.payload).unwrap();
            Ledger::evolve(states.entry(record.stream_id.clone()).or_default(), &event);
        }
        states
    }

    /// All rows of all views, folded from the stored events.
    pub(crate) fn rows(&self) -> BTreeMap<(ViewId, RowKey), (Position, Bytes)> {
        let views = Ledger::views();
        let mut rows: BTreeMap<(ViewId, RowKey), (Position, Bytes)> = BTreeMap::new();
        for record in &self.records {
            let event = Ledger::decode_event(&record.event_type, &record.payload).unwrap();
            for view in &views {
                let recorded = DecodedEvent { record, event: &event };
                let Some(key) = view.key(recorded) else { continue };
                assert!((1..=255).contains(&key.partition_key.len()) && key.sort_key.len() <= 255, "{key:?}");
                let row_key = (view.id(), key);
                let row = rows.get(&row_key).map(|(_, row)| row.as_ref());
                match view.fold(row, recorded).unwrap() {
                    Some(row) => rows.insert(row_key, (record.position, row)),
                    None => rows.remove(&row_key),
                };
            }
        }
        rows
    }
}
