//! One connection that inserts batches.

use std::time::Duration;

use bytes::Bytes;
use diptych_kernel::{Partitions, RequestId, StreamId, ports::PortResult, vocabulary::ORDINAL_BITS};
use tokio_postgres::{Statement, types::ToSql};

use super::answer::answer;
use crate::driver::{DriverConnection, SqlRow, StatementError, Uuid, corrupt_data};

const INSERT: &str = include_str!("../../queries/bare_insert/insert.sql");
const FINGERPRINT_BYTES: usize = 32;

/// The rows to insert: the size of a batch, and the columns that all rows have in common.
#[derive(Clone)]
pub(super) struct InsertedRows {
    per_batch: usize,
    partitions: Partitions,
    event_type: String,
    payload: Bytes,
    traceparent: Option<String>,
}

impl InsertedRows {
    /// Reads a row of newest_commits.sql. A batch has as many rows as the average commit has events.
    pub(super) fn read(row: SqlRow<'_>) -> Result<Self, StatementError> {
        let (events, commits) = (row.get::<i64>("events_count")?, row.get::<i64>("commits_count")?);
        let per_batch = (events + commits / 2) / commits.max(1);
        Ok(Self {
            per_batch: usize::try_from(per_batch).unwrap_or_default().max(1),
            partitions: Partitions::new(row.partition("partitions")?.number()).map_err(corrupt_data)?,
            event_type: row.get("event_type")?,
            payload: row.bytes("payload")?,
            traceparent: row.get("traceparent")?,
        })
    }
}

impl InsertedRows {
    fn partition(&self, stream_id: &StreamId) -> i16 {
        // There are at most 256 partitions.
        i16::try_from(self.partitions.of(stream_id).number()).unwrap_or_default()
    }
}

/// The part of one inserter: streams that no other uses, and numbers that make its positions and request ids unique.
pub(super) struct InserterShare {
    pub(super) stream_ids: Vec<StreamId>,
    pub(super) number: u64,
    pub(super) inserters_count: u64,
}

/// Inserts batches of rows, one commit for each batch, over one connection.
pub struct BareInserter {
    connection: DriverConnection,
    answer_timeout: Duration,
    statement: Statement,
    rows: InsertedRows,
    share: InserterShare,
    batches_count: u64,
    rows_count: u64,
}

impl BareInserter {
    /// Prepares the statement.
    pub(super) async fn new(
        connection: DriverConnection,
        answer_timeout: Duration,
        rows: InsertedRows,
        share: InserterShare,
    ) -> PortResult<Self> {
        let statement = answer(answer_timeout, connection.client.prepare(INSERT)).await?;
        Ok(Self { connection, answer_timeout, statement, rows, share, batches_count: 0, rows_count: 0 })
    }

    /// The number of events in a batch; as many requests are inserted.
    #[must_use]
    pub fn events_per_batch(&self) -> usize {
        self.rows.per_batch
    }

    /// Inserts the next batch, and waits for its commit.
    ///
    /// # Errors
    /// When the database does not answer, or refuses the batch.
    pub async fn insert_batch(&mut self) -> PortResult<()> {
        let Self { share, rows, .. } = self;
        let size = rows.per_batch;
        let streams_count = share.stream_ids.len().max(1) as u64;
        let numbers = self.rows_count..self.rows_count + size as u64;
        let first_position = first_position(self.batches_count * share.inserters_count + share.number);
        let streams = share.stream_ids.iter().cycle().skip(index(numbers.start % streams_count)).take(size);
        let (streams, partitions): (Vec<&str>, Vec<i16>) = streams.map(|id| (id.as_str(), rows.partition(id))).unzip();
        let versions: Vec<i64> =
            numbers.clone().map(|number| i64::try_from(number / streams_count + 1).unwrap_or(i64::MAX)).collect();
        let request_ids: Vec<Uuid> = numbers.map(|number| Uuid(request_id(share.number, number))).collect();
        let fingerprints: Vec<Vec<u8>> =
            request_ids.iter().map(|id| id.0.as_bytes().repeat(FINGERPRINT_BYTES / 16)).collect();
        let ordinals: Vec<i32> = (0..).take(size).collect();
        let params: [&(dyn ToSql + Sync); 10] = [
            &first_position,
            &ordinals,
            &streams,
            &versions,
            &partitions,
            &vec![rows.event_type.as_str(); size],
            &vec![&*rows.payload; size],
            &request_ids,
            &vec![rows.traceparent.as_deref(); size],
            &fingerprints,
        ];
        answer(self.answer_timeout, self.connection.client.execute(&self.statement, &params)).await?;
        self.batches_count += 1;
        self.rows_count += size as u64;
        Ok(())
    }
}

/// The position of the first event of a batch, as of a transaction with the number of the batch.
fn first_position(batch: u64) -> i64 {
    i64::try_from(batch + 1).unwrap_or_default() << ORDINAL_BITS
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

fn request_id(inserter: u64, row: u64) -> RequestId {
    RequestId::from_bytes((u128::from(inserter) << 64 | u128::from(row)).to_be_bytes())
}
