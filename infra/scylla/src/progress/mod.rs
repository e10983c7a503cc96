//! How far each view has got.

mod changes;
mod load;
mod save;

use diptych_kernel::ports::PortResult;
use futures::try_join;
use scylla::statement::prepared::PreparedStatement;

use crate::connection::Connection;

pub(crate) use changes::Changes;

/// The list of parked streams as it is stored: when it was saved, and name, version and reason of each.
type ParkedColumn = (i64, Vec<(String, i64, String)>);

/// The table of progress.
pub(crate) struct ProgressTable {
    load: PreparedStatement,
    look: PreparedStatement,
    put_position: PreparedStatement,
    put_as_of: PreparedStatement,
    put_next_offset: PreparedStatement,
    stamps: save::Stamps,
}

impl ProgressTable {
    pub(crate) async fn prepare(connection: &Connection) -> PortResult<Self> {
        let (load, look, put_position, put_as_of, put_next_offset) = try_join!(
            connection.prepare(include_str!("../../queries/progress/load.cql")),
            connection.prepare(include_str!("../../queries/progress/look.cql")),
            connection.prepare(include_str!("../../queries/progress/put_position.cql")),
            connection.prepare(include_str!("../../queries/progress/put_as_of.cql")),
            connection.prepare(include_str!("../../queries/progress/put_next_offset.cql")),
        )?;
        Ok(Self { load, look, put_position, put_as_of, put_next_offset, stamps: save::Stamps::default() })
    }
}
