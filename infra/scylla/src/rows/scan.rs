//! Rows by their groups.

use std::ops::ControlFlow;

use bytes::Bytes;
use diptych_kernel::{
    domain::ViewId,
    ports::{PortResult, ScanPage},
};

use super::{Tables, read::Columns, row};
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
        // One more than asked for tells whether there is more. Deleted rows are left out here: nobody knows how many are in a row.
        let page_rows = limit.saturating_add(1);
        let mut page = ScanPage::default();
        let take = |(sort_key, position, is_deleted, body): Columns| {
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
                connection.read_while("reading rows", &statements.scan_group_after, values, page_rows, take).await?;
            }
            None => {
                let values = (partition_key,);
                connection.read_while("reading rows", &statements.scan_group, values, page_rows, take).await?;
            }
        }
        Ok(page)
    }
}
