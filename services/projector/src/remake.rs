//! Folding a partition's rows of a view anew.
//!
//! A view over many streams mixes their events in a row. Where it turns out that it has passed an event by, and has folded later ones of
//! other streams, the row cannot be mended by folding: it is made again from the first event on, in memory, for the keys of this
//! partition. What then differs from what is stored is written at a position larger than the stored one, as a row never goes back (G7):
//! at that of the row's own last event where it is, otherwise at the last one of the partition.

use std::collections::HashMap;

use diptych_kernel::{
    Partition, Position, RecordedEvent,
    domain::{DecodedEvent, Domain, RowKey, View},
    ports::{EventStore, ProgressStore, Row, RowWrite, ViewCache, ViewStore},
};

use tokio::time::Instant;

use crate::{
    engine::Engine,
    error::Stop,
    partition::{ParkedAt, PartitionState, Standing},
};

/// How many rows are read at once.
const READ_ROWS: usize = 500;

/// How far a remake has got.
#[derive(Debug, Default)]
pub(crate) struct Remake {
    up_to: Position,
    rows: HashMap<RowKey, Row>,
}

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Folds a piece of the partition; at the end stores what differs, and lets the view go with the partition again.
    pub(crate) async fn remake(&mut self, partition: Partition, index: usize) -> Result<(), Stop> {
        let Some(after) = self.owned.get(&partition).and_then(|state| state.remake_up_to(index)) else { return Ok(()) };
        let Some(tail) = self.read_tail(partition, after).await? else { return Ok(()) };
        let Some((state, view)) = self.owned.get_mut(&partition).zip(self.views.get(index)) else { return Ok(()) };
        let live = state.live.position;
        let is_end = tail.events.len() < self.config.catch_up_events_max.max(1) || tail.complete_up_to >= live;
        let Some(Standing::Remaking(remake)) = state.views.get_mut(index).map(|view| &mut view.standing) else {
            return Ok(());
        };
        for record in tail.events.iter().filter(|record| record.position <= live) {
            if let Err(reason) = remake.fold::<D>(view.as_ref(), record) {
                // What it stood still for stays parked too, so that the next try is a remake again.
                let retry_at = Instant::now() + self.config.park_retry;
                state.park(index, &record.stream_id, ParkedAt { version: record.version, reason }, retry_at);
                return self.save_progress(&[partition]).await;
            }
        }
        if is_end { self.finish_remake(partition, index).await } else { Ok(()) }
    }

    async fn finish_remake(&mut self, partition: Partition, index: usize) -> Result<(), Stop> {
        let Some(state) = self.owned.get_mut(&partition) else { return Ok(()) };
        let live = state.live;
        let Some(view_state) = state.views.get_mut(index) else { return Ok(()) };
        let Standing::Remaking(remake) = std::mem::replace(&mut view_state.standing, Standing::Blocked) else {
            return Ok(());
        };
        let Some(writes) = self.differing(index, remake, live.position).await? else {
            tracing::info!(%partition, "a view waits for the partition to go on before its rows can be replaced");
            return Ok(());
        };
        if !writes.is_empty() {
            let mut retry = self.retry("write rows");
            while let Err(error) = self.store.write(&writes).await {
                retry.after(error).await?;
            }
            self.metrics.rows_written.increment(u64::try_from(writes.len()).unwrap_or(u64::MAX));
            self.forget_remade(partition, index, &writes).await;
        }
        if let Some(view_state) = self.owned.get_mut(&partition).and_then(|state| state.views.get_mut(index)) {
            view_state.mark.catch_up_with(live);
            view_state.parked.clear();
            view_state.standing = Standing::Live;
        }
        tracing::info!(%partition, rows = writes.len(), "the rows of a view were made anew");
        self.save_progress(&[partition]).await
    }

    /// The rows that are not stored as they should be; `None` where one of them cannot be replaced yet.
    async fn differing(&self, index: usize, remake: Remake, live: Position) -> Result<Option<Vec<RowWrite>>, Stop> {
        let Some(view) = self.tables.get(index).map(|table| table.view) else { return Ok(None) };
        let keys: Vec<RowKey> = remake.rows.keys().cloned().collect();
        let mut writes = Vec::new();
        for keys in keys.chunks(READ_ROWS) {
            let mut retry = self.retry("read rows");
            let stored = loop {
                match self.store.read(view, keys).await {
                    Ok(stored) => break stored,
                    Err(error) => retry.after(error).await?,
                }
            };
            for (key, stored) in keys.iter().zip(stored) {
                let Some(row) = remake.rows.get(key) else { continue };
                match replacement(row, stored.as_ref(), [remake.up_to, live]) {
                    Replacement::NotNeeded => {}
                    Replacement::Write(row) => writes.push(RowWrite { view, key: key.clone(), row }),
                    Replacement::NotYet => return Ok(None),
                }
            }
        }
        Ok(Some(writes))
    }

    /// Neither memory nor the cache may go on with the rows as they were.
    async fn forget_remade(&mut self, partition: Partition, index: usize, writes: &[RowWrite]) {
        self.hot.forget(&[partition]);
        let Some(view) = self.views.get(index).map(|view| view.id()) else { return };
        let keys: Vec<RowKey> = writes.iter().map(|write| write.key.clone()).collect();
        if let Err(error) = self.cache.invalidate(view, &keys).await {
            self.metrics.cache_failures.increment(1);
            tracing::debug!(%view, %error, "the cache did not forget the rows");
        }
    }
}

/// What is to become of a stored row.
#[derive(Debug, PartialEq, Eq)]
enum Replacement {
    NotNeeded,
    Write(Row),
    /// The stored row is at or beyond where the partition is, so that no position is left to write at.
    NotYet,
}

/// `later` are positions beyond the row's own at which it may be written instead, because nothing of it lies between.
fn replacement(row: &Row, stored: Option<&Row>, later: [Position; 2]) -> Replacement {
    let Some(stored) = stored else { return Replacement::Write(row.clone()) };
    if stored.position < row.position {
        return Replacement::Write(row.clone());
    }
    if stored.body == row.body {
        return Replacement::NotNeeded;
    }
    match later.into_iter().find(|position| *position > stored.position) {
        Some(position) => Replacement::Write(Row { position, body: row.body.clone() }),
        None => Replacement::NotYet,
    }
}

impl Remake {
    fn fold<D: Domain>(&mut self, view: &dyn View<D::Event>, record: &RecordedEvent) -> Result<(), String> {
        let event = D::decode_event(&record.event_type, &record.payload).map_err(|error| error.to_string())?;
        let recorded = DecodedEvent { record, event: &event };
        if let Some(key) = view.key(recorded) {
            let before = self.rows.get(&key).and_then(|row| row.body.as_deref());
            let body = view.fold(before, recorded).map_err(|error| error.to_string())?;
            self.rows.insert(key, Row { position: record.position, body });
        }
        self.up_to = record.position;
        Ok(())
    }
}

impl PartitionState {
    fn remake_up_to(&self, view: usize) -> Option<Position> {
        match &self.views.get(view)?.standing {
            Standing::Remaking(remake) => Some(remake.up_to),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    fn row(position: i64, body: &'static str) -> Row {
        Row { position: at(position), body: Some(Bytes::from_static(body.as_bytes())) }
    }

    fn replace(remade: &Row, stored: &Row) -> Replacement {
        replacement(remade, Some(stored), [at(8), at(9)])
    }

    #[test]
    fn a_row_is_replaced_at_a_larger_position_only() {
        assert_eq!(replacement(&row(5, "a"), None, [at(8), at(9)]), Replacement::Write(row(5, "a")));
        assert_eq!(replace(&row(5, "a"), &row(4, "b")), Replacement::Write(row(5, "a")));
        assert_eq!(replace(&row(5, "a"), &row(5, "b")), Replacement::Write(row(8, "a")));
        assert_eq!(replace(&row(8, "a"), &row(8, "b")), Replacement::Write(row(9, "a")));
        assert_eq!(replace(&row(5, "a"), &row(9, "b")), Replacement::NotYet);
        assert_eq!(replace(&row(5, "a"), &row(7, "a")), Replacement::NotNeeded);
    }
}
