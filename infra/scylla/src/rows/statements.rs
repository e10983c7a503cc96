//! The prepared statements of a view's table.

use diptych_kernel::{domain::ViewId, ports::PortResult};
use futures::try_join;
use scylla::statement::prepared::PreparedStatement;

use crate::connection::Connection;

/// Replaces the placeholder of a table's name in a statement.
pub(super) fn for_table(file: &str, view: ViewId) -> String {
    file.replace("{table}", &format!("\"{view}\""))
}

pub(super) struct RowStatements {
    pub(super) write: PreparedStatement,
    pub(super) read_one: PreparedStatement,
    pub(super) read_many: PreparedStatement,
    pub(super) scan_partition: PreparedStatement,
    pub(super) scan_partition_after: PreparedStatement,
    pub(super) scan_table: PreparedStatement,
    pub(super) scan_table_after: PreparedStatement,
    pub(super) partition_keys_of_token: PreparedStatement,
}

impl RowStatements {
    pub(super) async fn prepare(connection: &Connection, view: ViewId) -> PortResult<Self> {
        let prepare = async |file: &str| connection.prepare(&for_table(file, view)).await;
        let (
            write,
            read_one,
            read_many,
            scan_partition,
            scan_partition_after,
            scan_table,
            scan_table_after,
            partition_keys_of_token,
        ) = try_join!(
            prepare(include_str!("../../queries/rows/write.cql")),
            prepare(include_str!("../../queries/rows/read_one.cql")),
            prepare(include_str!("../../queries/rows/read_many.cql")),
            prepare(include_str!("../../queries/rows/scan_partition.cql")),
            prepare(include_str!("../../queries/rows/scan_partition_after.cql")),
            prepare(include_str!("../../queries/rows/scan_table.cql")),
            prepare(include_str!("../../queries/rows/scan_table_after.cql")),
            prepare(include_str!("../../queries/rows/partition_keys_of_token.cql")),
        )?;
        Ok(Self {
            write,
            read_one,
            read_many,
            scan_partition,
            scan_partition_after,
            scan_table,
            scan_table_after,
            partition_keys_of_token,
        })
    }
}
