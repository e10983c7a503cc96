//! Rows that no event makes.

use std::collections::HashMap;

use diptych_kernel::{
    Partition, Position,
    domain::{Domain, RowKey, View, ViewId},
    ports::{EventStore, PortResult, ProgressStore, Row, ViewStore},
};

use super::{Audit, AuditReport, Finding, READ_ROWS, partition::row_difference};

/// A row with its place.
type Stored = ((ViewId, RowKey), Row);

impl<D: Domain, S: EventStore, V: ViewStore, P: ProgressStore> Audit<'_, D, S, V, P> {
    /// Goes through the whole table of a view and looks at every row that the replay has not made: it is new since progress was
    /// read, or should not be there.
    pub(super) async fn extra_rows(&self, fold: &dyn View<D::Event>, report: &mut AuditReport) -> PortResult<()> {
        let view = fold.id();
        let mut after: Option<RowKey> = None;
        loop {
            let rows = self.views.scan_all(view, after.as_ref(), READ_ROWS).await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            report.views.entry(view).or_default().rows_stored += u64::try_from(rows.len()).unwrap_or(u64::MAX);
            let unknown = rows.into_iter().filter(|(key, _)| !report.expects_row(view, key));
            let unknown: Vec<Stored> = unknown.map(|(key, row)| ((view, key), row)).collect();
            self.judge(unknown, report).await?;
        }
    }

    /// A row's position names the event that made it, and so the partition to replay.
    async fn judge(&self, unknown: Vec<Stored>, report: &mut AuditReport) -> PortResult<()> {
        let mut by_partition: HashMap<Partition, Vec<Stored>> = HashMap::new();
        for (place, row) in unknown {
            match self.partition_of(row.position).await? {
                Some(partition) => by_partition.entry(partition).or_default().push((place, row)),
                None => report.differ(row_difference(&place, Finding::Extra { stored: row.position })),
            }
        }
        for (partition, rows) in by_partition {
            for difference in self.compare_moved(partition, rows).await? {
                report.differ(difference);
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
