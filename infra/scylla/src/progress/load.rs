//! Loads progress.

use std::collections::{BTreeMap, BTreeSet};

use diptych_kernel::{
    Partition, Position, StreamId, Timestamp, Version,
    domain::ViewId,
    ports::{Offset, Parked, PortResult, Progress, ProgressUpdate, TablePosition},
};

use super::{
    table::{LOAD, ProgressTable},
    view_group::SEPARATOR,
};
use crate::{connection::Connection, error};

/// The column `saved`: time of the save, position, `as_of`, offset, and id, version and reason of each parked stream.
pub(super) type SavedColumn = (i64, i64, i64, i64, Vec<(String, i64, String)>);

/// A row: partition, names of the views, and their progress. A row without progress counts as absent.
pub(super) type ProgressColumns = (i16, String, Option<SavedColumn>);

/// The last save of a view in a partition.
pub(super) struct SavedProgress {
    pub(super) progress: Progress,
    /// Time of the save, in microseconds since 1970.
    pub(super) saved_at_micros: i64,
}

/// The last save of each view in each partition.
pub(super) type StoredProgress = BTreeMap<(ViewId, Partition), SavedProgress>;

/// Collects the last saves of the requested views from rows.
pub(super) struct ProgressCollector {
    views: BTreeMap<String, ViewId>,
    pub(super) stored: StoredProgress,
}

impl ProgressCollector {
    pub(super) fn new(views: impl IntoIterator<Item = ViewId>) -> Self {
        let views: BTreeSet<_> = views.into_iter().collect();
        Self { views: views.into_iter().map(|view| (view.to_string(), view)).collect(), stored: StoredProgress::new() }
    }

    /// Adds the progress in a row for those of its views that are requested.
    pub(super) fn add(&mut self, columns: ProgressColumns) -> PortResult<()> {
        let (partition, names, Some(saved)) = columns else { return Ok(()) };
        let partition = partition_of(partition)?;
        let (saved_at_micros, progress) = (saved.0, progress(saved)?);
        for name in names.split(SEPARATOR) {
            let Some(view) = self.views.get(name) else { continue };
            let order = |last: &SavedProgress| (last.progress.position, last.saved_at_micros);
            let key = (*view, partition);
            if self.stored.get(&key).is_none_or(|last| order(last) < (progress.position, saved_at_micros)) {
                self.stored.insert(key, SavedProgress { progress: progress.clone(), saved_at_micros });
            }
        }
        Ok(())
    }
}

fn partition_of(column: i16) -> PortResult<Partition> {
    let number = u16::try_from(column).map_err(|_| error::corrupt_data(format_args!("partition {column}")))?;
    Ok(Partition::new(number))
}

fn progress((_, position, as_of, next_offset, parked): SavedColumn) -> PortResult<Progress> {
    Ok(Progress {
        position: Position::from_i64(position).map_err(error::corrupt_data)?,
        as_of: Timestamp::from_micros(as_of),
        next_offset: u64::try_from(next_offset)
            .map(Offset)
            .map_err(|_| error::corrupt_data(format_args!("offset {next_offset}")))?,
        parked: parked.into_iter().map(parked_stream).collect::<PortResult<_>>()?,
    })
}

fn parked_stream((stream_id, version, reason): (String, i64, String)) -> PortResult<Parked> {
    Ok(Parked {
        stream_id: StreamId::new(&stream_id).map_err(error::corrupt_data)?,
        version: u32::try_from(version)
            .map(Version::new)
            .map_err(|_| error::corrupt_data(format_args!("version {version}")))?,
        reason,
    })
}

impl ProgressTable {
    /// Reads the newest position of all progress; the start if there is none.
    pub(crate) async fn newest_position(connection: &Connection) -> PortResult<Position> {
        let load = connection.prepare(LOAD).await?;
        let rows: Vec<ProgressColumns> = connection.read("loading progress", &load, ()).await?;
        let newest = rows.into_iter().filter_map(|(_, _, saved)| Some(saved?.1)).max();
        newest.map_or(Ok(Position::START), |newest| Position::from_i64(newest).map_err(error::corrupt_data))
    }

    /// Loads the newest position of every table that has progress.
    pub(crate) async fn table_positions(&self, connection: &Connection) -> PortResult<Vec<TablePosition>> {
        let rows: Vec<ProgressColumns> = connection.read("loading progress", &self.load, ()).await?;
        let mut newest = BTreeMap::<(Partition, String), Position>::new();
        for (partition, names, saved) in rows {
            let Some((_, position, ..)) = saved else { continue };
            let (partition, position) =
                (partition_of(partition)?, Position::from_i64(position).map_err(error::corrupt_data)?);
            for name in names.split(SEPARATOR) {
                let kept = newest.entry((partition, name.to_owned())).or_default();
                *kept = position.max(*kept);
            }
        }
        let position = |((partition, table), position)| TablePosition { table, partition, position };
        Ok(newest.into_iter().map(position).collect())
    }

    /// Loads all progress, as it is little, and rows cannot be selected by a single one of their views.
    pub(crate) async fn load(&self, connection: &Connection, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let mut collector = ProgressCollector::new(views.iter().copied());
        for columns in connection.read("loading progress", &self.load, ()).await? {
            collector.add(columns)?;
        }
        let update = |((view, partition), SavedProgress { progress, .. })| ProgressUpdate { view, partition, progress };
        Ok(collector.stored.into_iter().map(update).collect())
    }
}
