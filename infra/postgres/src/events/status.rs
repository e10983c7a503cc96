//! State of the write database, for operators.

use diptych_kernel::{Position, Timestamp, ports::PortResult};

use super::horizon::{OldestWriter, oldest_writer};
use crate::driver::{Pool, SqlRow, StatementError, Time};

const STATUS: &str = include_str!("../../queries/status.sql");

/// State of the write database.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreStatus {
    /// The database's time of the read.
    pub read_at: Timestamp,
    /// Position and time of the last committed event.
    pub last_event: Option<(Position, Timestamp)>,
    /// The relay that leads.
    pub relay: Option<String>,
    /// Position up to which the relay has published.
    pub published_up_to: Position,
    /// Time of the first committed event that is not published, as far as the relay's cursor is stored.
    pub unpublished_since: Option<Timestamp>,
    /// Time of the first committed event that readers do not get yet.
    pub held_back_since: Option<Timestamp>,
    /// The open transaction that holds readers back, or would.
    pub oldest_writer: Option<OldestWriter>,
    /// Number of segments of the table of events that were begun.
    pub segments_count: i64,
    /// Number of segments that were made, those made ahead included.
    pub segments_made_count: i64,
    /// Size of the table of events with its indexes, in bytes.
    pub events_bytes: i64,
    /// Number of partitions of the table of request ids.
    pub request_partitions_count: i64,
    /// Time before which request ids are forgotten; `None` if none was.
    pub requests_forgotten_before: Option<Timestamp>,
}

/// Reads the state of the write database.
pub(super) async fn status(readers: &Pool) -> PortResult<StoreStatus> {
    let read = async {
        let rows = readers.session().await?.query(STATUS, &[]).await?;
        let row = SqlRow::first(&rows)?;
        let time = |column| row.get::<Option<Time>>(column).map(|time| time.map(|time| time.0));
        let last_recorded_at = time("last_recorded_at")?;
        let is_leading = row.get::<Option<bool>>("is_relay_leading")?.unwrap_or_default();
        Ok(StoreStatus {
            read_at: row.time("read_at")?,
            last_event: match last_recorded_at {
                Some(recorded_at) => Some((row.position("last_position")?, recorded_at)),
                None => None,
            },
            relay: row.get::<Option<String>>("relay_owner")?.filter(|_| is_leading),
            published_up_to: row.position("published_up_to")?,
            unpublished_since: time("unpublished_since")?,
            held_back_since: time("held_back_since")?,
            oldest_writer: None,
            segments_count: row.get("segments_count")?,
            segments_made_count: row.get("segments_made_count")?,
            events_bytes: row.get::<Option<i64>>("events_bytes")?.unwrap_or_default(),
            request_partitions_count: row.get("request_partitions_count")?,
            requests_forgotten_before: match row.get::<bool>("is_anything_forgotten")? {
                true => time("requests_forgotten_before")?,
                false => None,
            },
        })
    };
    let status: StoreStatus = read.await.map_err(StatementError::into_read_error)?;
    Ok(StoreStatus { oldest_writer: oldest_writer(readers).await?, ..status })
}
