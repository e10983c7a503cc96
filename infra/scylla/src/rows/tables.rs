//! The tables of views, by name, with their statements and cells.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use diptych_kernel::{
    Position,
    domain::ViewId,
    ports::{PortError, PortResult, Row},
};
use parking_lot::RwLock;

use super::statements::RowStatements;
use crate::{connection::Connection, error};

/// The statements of each table, which are prepared when they are first used.
#[derive(Default)]
pub(crate) struct Tables {
    prepared: RwLock<HashMap<ViewId, Arc<RowStatements>>>,
}

impl Tables {
    pub(super) async fn statements(&self, connection: &Connection, view: ViewId) -> PortResult<Arc<RowStatements>> {
        if let Some(statements) = self.prepared.read().get(&view) {
            return Ok(Arc::clone(statements));
        }
        check_name(view)?;
        // Concurrent callers may both prepare them, which is harmless.
        let statements = Arc::new(RowStatements::prepare(connection, view).await?);
        self.prepared.write().insert(view, Arc::clone(&statements));
        Ok(statements)
    }
}

/// Checks the name of a view, which becomes the name of a table.
pub(super) fn check_name(view: ViewId) -> PortResult<()> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if (1..=32).contains(&view.name.len()) && view.name.bytes().all(is_name) {
        return Ok(());
    }
    Err(PortError::operator(format!("invalid view name {view}: use 1 to 32 lower-case letters and underscores")))
}

/// Reads the cells of a row. A deleted row has an empty body and not a null one: every cell always has a value.
pub(super) fn row(position: i64, is_deleted: bool, body: &Bytes) -> PortResult<Row> {
    let position = Position::from_i64(position).map_err(error::corrupt_data)?;
    // Copied, as the bytes are a slice of a response with many rows, which they would keep in memory.
    Ok(Row { position, body: (!is_deleted).then(|| Bytes::copy_from_slice(body)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_names_are_validated() {
        for name in ["a", "seats_taken", "_", "abcdefghijklmnopqrstuvwxyz_abcde"] {
            check_name(ViewId { name, generation: 1 }).unwrap();
        }
        for name in ["", "A", "a1", "a\"", "größe", "abcdefghijklmnopqrstuvwxyz_abcdef"] {
            check_name(ViewId { name, generation: 1 }).unwrap_err();
        }
    }
}
