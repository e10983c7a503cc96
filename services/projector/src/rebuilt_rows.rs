//! Rows of a view that are folded again in memory, and their comparison with the stored ones.

use std::collections::HashMap;

use diptych_kernel::{
    Position, RecordedEvent,
    domain::{DecodedEvent, Domain, RowKey, View},
    ports::Row,
};

/// The rows of a rebuild in progress, folded from the first event of the partition up to a position.
#[derive(Debug, Default)]
pub(crate) struct RebuiltRows {
    pub(crate) up_to: Position,
    pub(crate) rows: HashMap<RowKey, Row>,
}

impl RebuiltRows {
    /// Folds the next event of the partition.
    ///
    /// # Errors
    /// The reason why it cannot be decoded or folded.
    pub(crate) fn fold<D: Domain>(&mut self, view: &dyn View<D::Event>, record: &RecordedEvent) -> Result<(), String> {
        let event = D::decode_event(&record.event_type, &record.payload).map_err(|error| error.to_string())?;
        let recorded = DecodedEvent { record, event: &event };
        if let Some(key) = view.key(recorded) {
            let before = self.rows.get(&key).and_then(|row| row.body.as_deref());
            let body = view.fold(before, recorded).map_err(|error| error.to_string())?;
            self.rows.insert(key, Row { position: record.position, body });
        }
        self.up_to = record.position;
        Ok(())
    }
}

/// The action for a stored row after a rebuild.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replacement {
    NotNeeded,
    Write(Row),
    /// The stored row is at or beyond the partition's position, so there is no larger position yet to write the rebuilt
    /// one at.
    NotYet,
}

/// Compares a rebuilt row with the stored one. `later` are positions beyond the row's own at which it may be written
/// instead, as no event of the row lies between.
pub(crate) fn replacement(row: &Row, stored: Option<&Row>, later: [Position; 2]) -> Replacement {
    let Some(stored) = stored else { return Replacement::Write(row.clone()) };
    if stored.position < row.position {
        return Replacement::Write(row.clone());
    }
    if stored.body == row.body {
        return Replacement::NotNeeded;
    }
    match later.into_iter().find(|position| *position > stored.position) {
        Some(position) => Replacement::Write(Row { position, body: row.body.clone() }),
        None => Replacement::NotYet,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    fn row(position: i64, body: &'static str) -> Row {
        Row { position: at(position), body: Some(Bytes::from_static(body.as_bytes())) }
    }

    fn replace(rebuilt: &Row, stored: &Row) -> Replacement {
        replacement(rebuilt, Some(stored), [at(8), at(9)])
    }

    #[test]
    fn a_row_is_replaced_only_at_a_larger_position() {
        assert_eq!(replacement(&row(5, "a"), None, [at(8), at(9)]), Replacement::Write(row(5, "a")));
        assert_eq!(replace(&row(5, "a"), &row(4, "b")), Replacement::Write(row(5, "a")));
        assert_eq!(replace(&row(5, "a"), &row(5, "b")), Replacement::Write(row(8, "a")));
        assert_eq!(replace(&row(8, "a"), &row(8, "b")), Replacement::Write(row(9, "a")));
        assert_eq!(replace(&row(5, "a"), &row(9, "b")), Replacement::NotYet);
        assert_eq!(replace(&row(5, "a"), &row(7, "a")), Replacement::NotNeeded);
    }
}
