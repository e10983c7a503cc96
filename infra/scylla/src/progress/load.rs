//! Reading progress.

use std::collections::BTreeMap;

use diptych_kernel::{
    Partition, Position, StreamId, Timestamp, Version,
    domain::ViewId,
    ports::{Offset, Parked, PortResult, Progress, ProgressUpdate},
};

use super::{ParkedColumn, ProgressTable};
use crate::{connection::Connection, error};

/// How many views are asked for in one request, at most. ScyllaDB refuses more than 100.
const LOAD_VIEWS_MAX: usize = 64;

/// View, partition, position, time, offset, parked streams. The last four may not be written yet.
pub(super) type Columns = (String, i16, Option<i64>, Option<i64>, Option<i64>, Option<ParkedColumn>);

/// A row that was read.
pub(super) struct Stored {
    pub(super) view: ViewId,
    pub(super) partition: Partition,
    pub(super) progress: Progress,
    /// When the list of parked streams was saved.
    pub(super) stamp: i64,
}

impl Stored {
    /// `None` for a row of another view, and for one that has no position: that comes first, so the row is as good as none.
    pub(super) fn from_columns(columns: Columns, views: &BTreeMap<&str, ViewId>) -> PortResult<Option<Self>> {
        let (view_name, partition, position, as_of, next_offset, parked) = columns;
        let (Some(view), Some(position)) = (views.get(&*view_name), position) else { return Ok(None) };
        let (stamp, parked) = parked.unwrap_or_default();
        let next_offset = next_offset.unwrap_or_default();
        let progress = Progress {
            position: Position::from_i64(position).map_err(error::garbled)?,
            as_of: Timestamp::from_micros(as_of.unwrap_or_default()),
            next_offset: u64::try_from(next_offset)
                .map(Offset)
                .map_err(|_| error::garbled(format_args!("offset {next_offset}")))?,
            parked: parked.into_iter().map(read_parked).collect::<PortResult<_>>()?,
        };
        let partition = u16::try_from(partition).map_err(|_| error::garbled(format_args!("partition {partition}")))?;
        Ok(Some(Self { view: *view, partition: Partition::new(partition), progress, stamp }))
    }
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
    pub(crate) async fn load(&self, connection: &Connection, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        let names: Vec<_> = views.iter().map(ToString::to_string).collect();
        let views: BTreeMap<_, _> = names.iter().map(|name| &**name).zip(views.iter().copied()).collect();
        let names: Vec<_> = views.keys().copied().collect();
        let mut updates = Vec::new();
        for names in names.chunks(LOAD_VIEWS_MAX) {
            for columns in connection.read("loading progress", &self.load, (names,)).await? {
                let stored = Stored::from_columns(columns, &views)?;
                updates.extend(stored.map(|Stored { view, partition, progress, .. }| ProgressUpdate {
                    view,
                    partition,
                    progress,
                }));
            }
        }
        Ok(updates)
    }
}
