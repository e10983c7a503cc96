//! The rows of views: one table per view and generation.

mod audit;
mod ensure;
mod read;
mod scan;
mod statements;
mod write;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use diptych_kernel::{
    Position,
    domain::ViewId,
    ports::{PortError, PortResult, Row},
};
use parking_lot::RwLock;
use statements::Statements;

use crate::{connection::Connection, error};

/// The tables, each with its statements, which are prepared when they are first used.
#[derive(Default)]
pub(crate) struct Tables {
    prepared: RwLock<HashMap<ViewId, Arc<Statements>>>,
}

impl Tables {
    async fn statements(&self, connection: &Connection, view: ViewId) -> PortResult<Arc<Statements>> {
        if let Some(statements) = self.prepared.read().get(&view) {
            return Ok(Arc::clone(statements));
        }
        check_name(view)?;
        // Two that come at once both prepare, and the server gives both the same.
        let statements = Arc::new(Statements::prepare(connection, view).await?);
        self.prepared.write().insert(view, Arc::clone(&statements));
        Ok(statements)
    }
}

/// A view's name becomes the name of a table.
fn check_name(view: ViewId) -> PortResult<()> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if (1..=32).contains(&view.name.len()) && view.name.bytes().all(is_name) {
        return Ok(());
    }
    Err(PortError::operator(format!("view {view} needs a name of 1 to 32 lower-case letters and underscores")))
}

/// The text of a statement for a view's table.
fn for_table(file: &str, view: ViewId) -> String {
    file.replace("{table}", &format!("\"{view}\""))
}

/// The cells of a row. A deleted row has an empty body, which is not the same as none: a cell is never without a value.
fn row(position: i64, is_deleted: bool, body: &Bytes) -> PortResult<Row> {
    let position = Position::from_i64(position).map_err(error::garbled)?;
    // A copy, as the bytes are a piece of an answer with many rows, all of which they would keep in memory.
    Ok(Row { position, body: (!is_deleted).then(|| Bytes::copy_from_slice(body)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_views_are_checked() {
        for name in ["a", "seats_taken", "_", "abcdefghijklmnopqrstuvwxyz_abcde"] {
            check_name(ViewId { name, generation: 1 }).unwrap();
        }
        for name in ["", "A", "a1", "a\"", "größe", "abcdefghijklmnopqrstuvwxyz_abcdef"] {
            check_name(ViewId { name, generation: 1 }).unwrap_err();
        }
    }
}
