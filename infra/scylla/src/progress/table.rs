//! The table of progress and its statements.

use diptych_kernel::ports::PortResult;
use futures::try_join;
use scylla::statement::prepared::PreparedStatement;

use super::{conflict_checks::ConflictChecks, save_clock::SaveClock};
use crate::connection::Connection;

pub(super) const LOAD: &str = include_str!("../../queries/progress/load.cql");

pub(crate) struct ProgressTable {
    pub(super) load: PreparedStatement,
    pub(super) load_partitions: PreparedStatement,
    pub(super) save: PreparedStatement,
    pub(super) clock: SaveClock,
    pub(super) conflict_checks: ConflictChecks,
}

impl ProgressTable {
    pub(crate) async fn prepare(connection: &Connection) -> PortResult<Self> {
        let (load, load_partitions, save) = try_join!(
            connection.prepare(LOAD),
            connection.prepare(include_str!("../../queries/progress/load_partitions.cql")),
            connection.prepare(include_str!("../../queries/progress/save.cql")),
        )?;
        let (clock, conflict_checks) = (SaveClock::default(), ConflictChecks::default());
        Ok(Self { load, load_partitions, save, clock, conflict_checks })
    }
}
