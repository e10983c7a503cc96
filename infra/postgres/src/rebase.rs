//! Goes on with the events of a restored database.

use diptych_kernel::{
    Position,
    ports::{PortError, PortResult},
    vocabulary::Installation,
};

use crate::{
    config::PostgresConfig,
    driver::{ConnectionFactory, SqlRow, StatementError},
    schema,
};

const OTHER_PROCESSES: &str = include_str!("../queries/schema/other_processes.sql");
const LOCK_EVENTS: &str = "LOCK TABLE events IN SHARE MODE";
const RAISE_POSITION_BASE: &str = include_str!("../queries/schema/raise_position_base.sql");
const PREPARE_SEGMENTS: &str = include_str!("../queries/segments/prepare.sql");
const BEGIN_HISTORY: &str = include_str!("../queries/schema/begin_history.sql");

/// Result of [`rebase`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebaseReport {
    /// The installation, with the new history.
    pub installation: Installation,
    /// Position of the last event that the database has; the start if it has none.
    pub last_position: Position,
}

/// Begins a new history, which goes on with the events that the database has, and lets commands be accepted again.
/// `newest_known` is the newest position that another part of the installation knows: later events get larger ones.
///
/// # Errors
/// When the database cannot be reached. For an operator: when other processes use it, or it has no tables.
pub async fn rebase(config: &PostgresConfig, newest_known: Position) -> PortResult<RebaseReport> {
    let mut connection = ConnectionFactory::new(config)?.connect_once(config).await?;
    let read_error = |error| StatementError::Failed(error).into_read_error();
    connection.client.batch_execute(schema::LOCK).await.map_err(read_error)?;
    let last_position =
        begin_history(&mut connection.client, newest_known).await.map_err(StatementError::into_write_error)?;
    let installation = schema::installation_of(&connection.client).await?;
    Ok(RebaseReport { installation, last_position })
}

async fn begin_history(
    client: &mut tokio_postgres::Client,
    newest_known: Position,
) -> Result<Position, StatementError> {
    let transaction = client.transaction().await.map_err(StatementError::Failed)?;
    transaction.batch_execute(LOCK_EVENTS).await.map_err(StatementError::Failed)?;
    // After the lock: a process that connects later reads the new history, or finds it when it connects again.
    let others = transaction.query(OTHER_PROCESSES, &[]).await.map_err(StatementError::Failed)?;
    let others: Vec<&str> = others.iter().map(|row| SqlRow(row).get("application_name")).collect::<Result<_, _>>()?;
    if !others.is_empty() {
        return Err(PortError::operator(format!(
            "processes use the write database: {}; stop them, and query services too, and repeat the rebase",
            others.join(", ")
        ))
        .into());
    }
    let row = transaction.query_one(BEGIN_HISTORY, &[]).await.map_err(StatementError::Failed)?;
    let last_position = SqlRow(&row).position("last_position")?;
    let newest = last_position.max(newest_known).transaction_id();
    let newest = i64::try_from(newest).unwrap_or(i64::MAX);
    transaction.execute(RAISE_POSITION_BASE, &[&newest]).await.map_err(StatementError::Failed)?;
    transaction.query_one(PREPARE_SEGMENTS, &[]).await.map_err(StatementError::Failed)?;
    transaction.commit().await.map_err(StatementError::Failed)?;
    Ok(last_position)
}
