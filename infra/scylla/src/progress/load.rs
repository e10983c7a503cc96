//! Reading progress.

use std::collections::{BTreeMap, BTreeSet};

use diptych_kernel::{
    Partition, Position, StreamId, Timestamp, Version,
    domain::ViewId,
    ports::{Offset, Parked, PortResult, Progress, ProgressUpdate},
};

use super::{ProgressTable, together::SEPARATOR};
use crate::{connection::Connection, error};

/// What a row says: when it was saved, position, time, offset, and name, version and reason of each parked stream.
pub(super) type SavedColumn = (i64, i64, i64, i64, Vec<(String, i64, String)>);

/// A row: partition, the names of the views, and what was saved of them. A row without that last one is as good as none.
pub(super) type Columns = (i16, String, Option<SavedColumn>);

/// The last that was saved of a view in a partition.
pub(super) struct Last {
    pub(super) progress: Progress,
    /// When it was saved.
    pub(super) stamp: i64,
}

/// What was saved of views.
pub(super) type Stored = BTreeMap<(ViewId, Partition), Last>;

/// Finds out of rows what was saved of the views that are asked for.
pub(super) struct Found {
    views: BTreeMap<String, ViewId>,
    pub(super) stored: Stored,
}

impl Found {
    pub(super) fn of(views: impl IntoIterator<Item = ViewId>) -> Self {
        let views: BTreeSet<_> = views.into_iter().collect();
        Self { views: views.into_iter().map(|view| (view.to_string(), view)).collect(), stored: Stored::new() }
    }

    /// Takes in what a row says of those of its views that are asked for.
    pub(super) fn take(&mut self, columns: Columns) -> PortResult<()> {
        let (partition, names, Some(saved)) = columns else { return Ok(()) };
        let partition = u16::try_from(partition).map_err(|_| error::garbled(format_args!("partition {partition}")))?;
        let (stamp, progress) = (saved.0, read(saved)?);
        for name in names.split(SEPARATOR) {
            let Some(view) = self.views.get(name) else { continue };
            let age = |last: &Last| (last.progress.position, last.stamp);
            let key = (*view, Partition::new(partition));
            if self.stored.get(&key).is_none_or(|last| age(last) < (progress.position, stamp)) {
                self.stored.insert(key, Last { progress: progress.clone(), stamp });
            }
        }
        Ok(())
    }
}

fn read((_, position, as_of, next_offset, parked): SavedColumn) -> PortResult<Progress> {
    Ok(Progress {
        position: Position::from_i64(position).map_err(error::garbled)?,
        as_of: Timestamp::from_micros(as_of),
        next_offset: u64::try_from(next_offset)
            .map(Offset)
            .map_err(|_| error::garbled(format_args!("offset {next_offset}")))?,
        parked: parked.into_iter().map(read_parked).collect::<PortResult<_>>()?,
    })
}

fn read_parked((stream_id, version, reason): (String, i64, String)) -> PortResult<Parked> {
    Ok(Parked {
        stream_id: StreamId::new(&stream_id).map_err(error::garbled)?,
        version: u32::try_from(version)
            .map(Version::new)
            .map_err(|_| error::garbled(format_args!("version {version}")))?,
        reason,
    })
}

impl ProgressTable {
    /// Reads all of it, as there is little, and views of which each row speaks cannot be asked for.
    pub(crate) async fn load(&self, connection: &Connection, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Found::of(views.iter().copied());
        for columns in connection.read("loading progress", &self.load, ()).await? {
            found.take(columns)?;
        }
        let update = |((view, partition), Last { progress, .. })| ProgressUpdate { view, partition, progress };
        Ok(found.stored.into_iter().map(update).collect())
    }
}
