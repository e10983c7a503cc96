//! The history of a record, compared with that of the installation.

use diptych_kernel::{
    Position,
    vocabulary::{History, HistoryComparison, HistoryId},
};

use super::header;

/// Whether a record is part of the installation's history.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RecordHistory {
    /// It is. So is a record without a history, which an older version of this program wrote.
    Shared,
    /// It names an event or a position that was lost in a restore.
    Lost,
    /// It is of another installation, for this reason.
    Unknown(String),
}

/// Compares the header of a record at a position.
pub(super) fn compare(value: Option<&[u8]>, position: Position, history: Option<&History>) -> RecordHistory {
    let (Some(value), Some(history)) = (value, history) else { return RecordHistory::Shared };
    let id = std::str::from_utf8(value).ok().and_then(HistoryId::parse);
    let Some(id) = id else {
        return RecordHistory::Unknown(format!("its header {} is not a UUID", header::HISTORY));
    };
    match history.comparison(id, position) {
        HistoryComparison::Shared => RecordHistory::Shared,
        HistoryComparison::Lost { .. } => RecordHistory::Lost,
        HistoryComparison::Unknown => RecordHistory::Unknown(format!(
            "it is of the history {id}, and this installation has the history {}: another installation uses the topic \
             (give each its own kafka.topic, scylla.keyspace, memcached.key_prefix and database); or the write \
             database was restored from a backup that is older than the last `diptych rebase`, and the topic must be \
             made anew (see Restore in docs/OPERATIONS.md)",
            history.id()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    #[test]
    fn records_of_the_own_history_are_told_from_lost_and_foreign_ones() {
        let (first, second) = (HistoryId::random(), HistoryId::random());
        let mut history = History::new(first);
        history.renew(second, at(10));
        let compare = |text: &str, number| compare(Some(text.as_bytes()), at(number), Some(&history));
        assert_eq!(compare(&first.to_string(), 10), RecordHistory::Shared);
        assert_eq!(compare(&first.to_string(), 11), RecordHistory::Lost);
        assert_eq!(compare(&second.to_string(), 11), RecordHistory::Shared);
        for foreign in [HistoryId::random().to_string(), "garbage".to_owned()] {
            assert!(matches!(compare(&foreign, 1), RecordHistory::Unknown(_)), "{foreign}");
        }
    }

    #[test]
    fn a_record_of_an_older_version_is_shared() {
        let history = History::new(HistoryId::random());
        assert_eq!(compare(None, at(1), Some(&history)), RecordHistory::Shared);
    }
}
