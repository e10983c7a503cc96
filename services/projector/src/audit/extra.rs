//! Search for rows that no event makes.

use std::collections::HashMap;

use diptych_kernel::{
    Partition, Position,
    domain::{Domain, RowKey, View},
    ports::{EventStore, PortResult, ProgressStore, ViewStore},
};

use super::{
    Audit, READ_ROWS,
    partition::{StoredRow, row_difference},
    report::{AuditReport, Finding},
};

impl<D: Domain, S: EventStore, V: ViewStore, P: ProgressStore> Audit<'_, D, S, V, P> {
    /// Scans the whole table of a view and checks every row that the replay has not made: it was written since progress
    /// was read, or should not exist.
    pub(super) async fn extra_rows(&self, fold: &dyn View<D::Event>, report: &mut AuditReport) -> PortResult<()> {
        let view = fold.id();
        let mut after: Option<RowKey> = None;
        loop {
            let rows = self.views.scan_all(view, after.as_ref(), READ_ROWS).await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            report.views.entry(view).or_default().rows_stored += u64::try_from(rows.len()).unwrap_or(u64::MAX);
            let unknown = rows.into_iter().filter(|(key, _)| !report.expects_row(view, key));
            let unknown: Vec<StoredRow> = unknown.map(|(key, row)| ((view, key), row)).collect();
            self.check_unknown(unknown, report).await?;
        }
    }

    /// Checks rows by a replay of the partition of the event that made each of them, which its position identifies.
    async fn check_unknown(&self, unknown: Vec<StoredRow>, report: &mut AuditReport) -> PortResult<()> {
        let mut by_partition: HashMap<Partition, Vec<StoredRow>> = HashMap::new();
        for (id, row) in unknown {
            match self.partition_of(row.position).await? {
                Some(partition) => by_partition.entry(partition).or_default().push((id, row)),
                None => report.add_difference(row_difference(&id, Finding::Extra { stored: row.position })),
            }
        }
        for (partition, rows) in by_partition {
            for difference in self.compare_updated(partition, rows).await? {
                report.add_difference(difference);
            }
        }
        Ok(())
    }

    /// The partition of the event at a position, if there is one.
    async fn partition_of(&self, position: Position) -> PortResult<Option<Partition>> {
        let Ok(before) = Position::from_i64(position.as_i64() - 1) else { return Ok(None) };
        let tail = self.events.read_after(before, 1).await?;
        Ok(tail.events.first().filter(|event| event.position == position).map(|event| event.partition))
    }
}
