//! How far each view has got.

mod changes;
mod load;
mod looks;
mod save;
mod together;

use diptych_kernel::ports::PortResult;
use futures::try_join;
use scylla::statement::prepared::PreparedStatement;

use crate::connection::Connection;

pub(crate) use changes::Changes;

/// The table of progress.
pub(crate) struct ProgressTable {
    load: PreparedStatement,
    look: PreparedStatement,
    put: PreparedStatement,
    stamps: save::Stamps,
    looks: looks::Looks,
}

impl ProgressTable {
    pub(crate) async fn prepare(connection: &Connection) -> PortResult<Self> {
        let (load, look, put) = try_join!(
            connection.prepare(include_str!("../../queries/progress/load.cql")),
            connection.prepare(include_str!("../../queries/progress/look.cql")),
            connection.prepare(include_str!("../../queries/progress/put.cql")),
        )?;
        Ok(Self { load, look, put, stamps: save::Stamps::default(), looks: looks::Looks::default() })
    }
}
