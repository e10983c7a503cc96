//! Scans the rows of a partition key.

use std::ops::ControlFlow;

use bytes::Bytes;
use diptych_kernel::{
    domain::ViewId,
    ports::{PortResult, ScanPage},
};

use super::{
    read::RowColumns,
    tables::{Tables, row},
};
use crate::connection::Connection;

impl Tables {
    pub(crate) async fn scan(
        &self,
        connection: &Connection,
        view: ViewId,
        partition_key: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        let statements = self.statements(connection, view).await?;
        // One row more than requested shows whether there are more. Deleted rows are skipped here, as any number of
        // them may follow each other.
        let page_rows = limit.saturating_add(1);
        let mut page = ScanPage::default();
        let on_row = |(sort_key, position, is_deleted, body): RowColumns| {
            if is_deleted {
                return Ok(ControlFlow::Continue(()));
            }
            if page.rows.len() == limit {
                page.more = true;
                return Ok(ControlFlow::Break(()));
            }
            page.rows.push((Bytes::copy_from_slice(&sort_key), row(position, is_deleted, &body)?));
            Ok(ControlFlow::Continue(()))
        };
        match after {
            Some(after) => {
                let values = (partition_key, after);
                connection
                    .read_while("reading rows", &statements.scan_partition_after, values, page_rows, on_row)
                    .await?;
            }
            None => {
                let values = (partition_key,);
                connection.read_while("reading rows", &statements.scan_partition, values, page_rows, on_row).await?;
            }
        }
        Ok(page)
    }
}
