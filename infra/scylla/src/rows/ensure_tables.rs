//! Creates the tables of views.

use diptych_kernel::{domain::ViewId, ports::PortResult};

use super::{
    statements::for_table,
    tables::{Tables, check_name},
};
use crate::{connection::Connection, migration::Schema};

const CREATE_TABLE: &str = include_str!("../../queries/rows/create_table.cql");

impl Tables {
    /// Creates the missing tables, one process at a time, and returns when all nodes agree on the schema.
    pub(crate) async fn ensure(&self, connection: &Connection, keyspace: &str, views: &[ViewId]) -> PortResult<()> {
        for view in views {
            check_name(*view)?;
        }
        let schema = Schema::new(connection, keyspace);
        if missing(&schema, views).await?.is_empty() && !schema.is_locked().await? {
            return Ok(());
        }
        let mut lock = schema.lock().await?;
        let created = async {
            for view in missing(&schema, views).await? {
                lock.renew().await?;
                schema.change(&for_table(CREATE_TABLE, view)).await?;
                tracing::info!(table = %view, "created the table of a view");
            }
            Ok(())
        }
        .await;
        lock.release(created).await
    }
}

async fn missing(schema: &Schema<'_>, views: &[ViewId]) -> PortResult<Vec<ViewId>> {
    let tables = schema.tables().await?;
    let mut missing: Vec<_> = views.iter().copied().filter(|view| !tables.contains(&view.to_string())).collect();
    missing.sort_unstable();
    missing.dedup();
    Ok(missing)
}
