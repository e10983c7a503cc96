//! [`NaiveReader`]: a reader that misses events.

use diptych_kernel::{
    EventTypeInterner, Position, Timestamp,
    ports::{EventPage, PortResult},
    testing::EventStoreWrapper,
};

use crate::{
    driver::{SqlRow, StatementError, Time},
    events::PostgresEventStore,
};

const READ_WITHOUT_HORIZON: &str = include_str!("../../queries/testing/read_without_horizon.sql");

/// The write database with a naive reader: `WHERE position > cursor`. It skips events that are not committed yet and
/// never returns to them. All other methods are those of [`PostgresEventStore`]. A test that passes with this reader
/// tests nothing.
#[derive(Clone)]
pub struct NaiveReader(pub PostgresEventStore);

impl EventStoreWrapper for NaiveReader {
    type Inner = PostgresEventStore;

    fn inner(&self) -> &PostgresEventStore {
        &self.0
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        let read = async {
            let mut session = self.0.readers().session().await?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = session.query(READ_WITHOUT_HORIZON, &[&cursor_exclusive.as_i64(), &limit]).await?;
            let read_at = rows.first().map(|row| SqlRow(row).get::<Time>("read_at")).transpose()?;
            let mut types = EventTypeInterner::default();
            let events = rows.iter().map(|row| SqlRow(row).event(&mut types)).collect::<Result<Vec<_>, _>>()?;
            let complete_up_to = events.last().map_or(cursor_exclusive, |event| event.position);
            let read_at = read_at.map_or_else(Timestamp::default, |time| time.0);
            Ok(EventPage { events, complete_up_to, read_at, held_back: None })
        };
        read.await.map_err(StatementError::into_read_error)
    }
}
