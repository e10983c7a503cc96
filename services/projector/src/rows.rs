//! Rows in memory: recently used ones, and those of the current batch.

use std::{collections::HashMap, num::NonZeroUsize};

use bytes::Bytes;
use diptych_kernel::{
    Partition, Position, Timestamp,
    domain::{RowKey, ViewId},
    ports::{Row, RowWrite},
};
use lru::LruCache;

/// The index of a table in the projector's list of tables.
pub(crate) type TableIndex = usize;

/// A table of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) view: ViewId,
    /// Whether every row is made of one event, so that it need not be read before the write nor kept afterwards.
    pub(crate) is_written_once: bool,
}

#[derive(Debug)]
struct HotRow {
    partition: Partition,
    row: Option<Row>,
}

/// An LRU cache of the rows of owned partitions, as acknowledged by the read database. Absent rows are cached too.
#[derive(Debug)]
pub(crate) struct HotRows {
    tables: Vec<LruCache<RowKey, HotRow>>,
}

impl HotRows {
    /// An empty cache of at most `rows_max` rows, shared equally by the tables whose rows are kept, and at least one
    /// for each.
    pub(crate) fn new(tables: &[Table], rows_max: usize) -> Self {
        let kept = tables.iter().filter(|table| !table.is_written_once).count();
        let each = NonZeroUsize::new(rows_max / kept.max(1)).unwrap_or(NonZeroUsize::MIN);
        Self { tables: tables.iter().map(|_| LruCache::new(each)).collect() }
    }

    /// Removes a row, to be put back once its new state is stored.
    fn take(&mut self, table: TableIndex, key: &RowKey) -> Option<Option<Row>> {
        Some(self.tables.get_mut(table)?.pop(key)?.row)
    }

    fn put(&mut self, table: TableIndex, key: RowKey, partition: Partition, row: Option<Row>) {
        if let Some(table) = self.tables.get_mut(table) {
            table.put(key, HotRow { partition, row });
        }
    }

    /// Removes the rows of partitions.
    pub(crate) fn evict(&mut self, partitions: &[Partition]) {
        for table in &mut self.tables {
            let rows = table.iter().filter(|(_, hot)| partitions.contains(&hot.partition));
            let keys: Vec<RowKey> = rows.map(|(key, _)| key.clone()).collect();
            for key in keys {
                table.pop(&key);
            }
        }
    }

    /// Removes all rows.
    pub(crate) fn clear(&mut self) {
        self.tables.iter_mut().for_each(LruCache::clear);
    }
}

/// A row of the current batch.
#[derive(Debug)]
pub(crate) struct RowSlot {
    pub(crate) table: TableIndex,
    pub(crate) key: RowKey,
    pub(crate) partition: Partition,
    pub(crate) row: Option<Row>,
    /// The recording time of the event that changed `row` last; meaningful only once it is changed.
    pub(crate) recorded_at: Timestamp,
    is_known: bool,
    pub(crate) is_changed: bool,
}

impl RowSlot {
    /// Whether the row contains the event at this position.
    pub(crate) fn contains(&self, position: Position) -> bool {
        self.row.as_ref().is_some_and(|row| row.position >= position)
    }

    pub(crate) fn body(&self) -> Option<&[u8]> {
        self.row.as_ref().and_then(|row| row.body.as_deref())
    }

    pub(crate) fn set(&mut self, position: Position, recorded_at: Timestamp, body: Option<Bytes>) {
        self.row = Some(Row { position, body });
        self.recorded_at = recorded_at;
        self.is_changed = true;
    }
}

/// The rows of the current batch, kept until the batch is stored. Their number is bounded by the events of a batch.
#[derive(Debug)]
pub(crate) struct WorkingSet {
    pub(crate) slots: Vec<RowSlot>,
    index: Vec<HashMap<RowKey, usize>>,
}

impl WorkingSet {
    pub(crate) fn new(tables: usize) -> Self {
        Self { slots: Vec::new(), index: (0..tables).map(|_| HashMap::new()).collect() }
    }

    /// The index of a row's slot, which is created with the row in memory, if there is one.
    pub(crate) fn slot(
        &mut self,
        hot_rows: &mut HotRows,
        tables: &[Table],
        table: TableIndex,
        key: RowKey,
        partition: Partition,
    ) -> usize {
        let next = self.slots.len();
        let Some(index) = self.index.get_mut(table) else { return next };
        if let Some(slot) = index.get(&key) {
            return *slot;
        }
        index.insert(key.clone(), next);
        let known = hot_rows.take(table, &key);
        let is_known = known.is_some() || tables.get(table).is_some_and(|table| table.is_written_once);
        let (row, recorded_at) = (known.flatten(), Timestamp::default());
        self.slots.push(RowSlot { table, key, partition, row, recorded_at, is_known, is_changed: false });
        next
    }

    /// The rows of a table that have to be read: the indexes of their slots, and their keys.
    pub(crate) fn unknown(&self, table: TableIndex) -> (Vec<usize>, Vec<RowKey>) {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| slot.table == table && !slot.is_known)
            .map(|(index, slot)| (index, slot.key.clone()))
            .unzip()
    }

    /// Sets a row that was read.
    pub(crate) fn set_read(&mut self, slot: usize, row: Option<Row>) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.row = row;
            slot.is_known = true;
        }
    }

    pub(crate) fn changed(&self) -> impl Iterator<Item = &RowSlot> {
        self.slots.iter().filter(|slot| slot.is_changed)
    }

    /// The writes of the changed rows, oldest first: what is written of them is at any time complete up to a position.
    pub(crate) fn writes(&self, tables: &[Table]) -> Vec<RowWrite> {
        let changed = self.changed().filter_map(|slot| {
            let (table, row) = tables.get(slot.table).zip(slot.row.clone())?;
            Some(RowWrite { view: table.view, key: slot.key.clone(), row })
        });
        let mut writes: Vec<RowWrite> = changed.collect();
        writes.sort_by_key(|write| write.row.position);
        writes
    }

    /// Keeps the rows in memory, after all of them are stored.
    pub(crate) fn keep(self, hot_rows: &mut HotRows, tables: &[Table]) {
        for slot in self.slots {
            let is_reusable = tables.get(slot.table).is_some_and(|table| !table.is_written_once);
            if is_reusable && slot.is_known {
                hot_rows.put(slot.table, slot.key, slot.partition, slot.row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: ViewId = ViewId { name: "seats", generation: 1 };
    const TABLES: [Table; 1] = [Table { view: VIEW, is_written_once: false }];

    fn row(position: i64) -> Row {
        Row { position: Position::from_i64(position).unwrap(), body: Some(Bytes::from_static(b"row")) }
    }

    fn hot_with(rows_max: usize, keys: &[&str]) -> HotRows {
        let mut hot = HotRows::new(&TABLES, rows_max);
        for (number, key) in (0..).zip(keys) {
            hot.put(0, RowKey::single(key), Partition::new(number), Some(row(1)));
        }
        hot
    }

    #[test]
    fn the_number_of_rows_in_memory_is_bounded() {
        let mut hot = hot_with(2, &["a", "b", "c"]);
        assert_eq!(hot.take(0, &RowKey::single("a")), None);
        assert_eq!(hot.take(0, &RowKey::single("c")), Some(Some(row(1))));
    }

    #[test]
    fn a_row_of_a_batch_is_put_back_only_after_it_is_stored() {
        let mut hot = hot_with(10, &["a"]);
        let mut working = WorkingSet::new(1);
        let slot = working.slot(&mut hot, &TABLES, 0, RowKey::single("a"), Partition::new(0));
        working.slots[slot].set(Position::from_i64(2).unwrap(), Timestamp::default(), None);
        assert_eq!(working.writes(&TABLES).len(), 1);
        drop(working);
        assert_eq!(hot.take(0, &RowKey::single("a")), None);
    }

    #[test]
    fn rows_of_a_released_partition_are_evicted() {
        let mut hot = hot_with(10, &["a", "b"]);
        hot.evict(&[Partition::new(0)]);
        assert_eq!(hot.take(0, &RowKey::single("a")), None);
        assert_eq!(hot.take(0, &RowKey::single("b")), Some(Some(row(1))));
    }

    #[test]
    fn only_unknown_rows_are_read() {
        let mut hot = hot_with(10, &["a"]);
        let mut working = WorkingSet::new(1);
        for key in ["a", "b", "b"] {
            working.slot(&mut hot, &TABLES, 0, RowKey::single(key), Partition::new(0));
        }
        assert_eq!(working.unknown(0), (vec![1], vec![RowKey::single("b")]));
        working.set_read(1, None);
        assert_eq!(working.unknown(0), (vec![], vec![]));
    }
}
