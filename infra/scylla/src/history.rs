//! The history that the rows follow: that of the write database, up to the newest progress.

use diptych_kernel::{
    Position,
    ports::{PortError, PortResult},
    vocabulary::{History, HistoryComparison, Installation, TokenKey},
};

use crate::{
    config::ScyllaConfig,
    connection::Connection,
    error,
    migration::{self, Schema},
    progress::ProgressTable,
};

const READ: &str = include_str!("../queries/schema/installation_history.cql");
const EMPTY_TABLE: &str = include_str!("../queries/rebase/empty_table.cql");
const RECORD: &str = include_str!("../queries/schema/set_installation_history.cql");

/// Tables that a rebase keeps.
const KEPT_TABLES: [&str; 5] =
    ["installation", "installation_datacenter", "installation_history", "schema_lock", "schema_migrations"];

/// The table of progress.
const PROGRESS: &str = "progress";

/// The columns of the recorded history: all histories, and the key of tokens.
type HistoryColumns = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Result of a rebase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebaseReport {
    /// All rows are made of events that the installation has.
    Kept,
    /// The views had events up to this position, which the write database lost. All rows and all progress are deleted;
    /// the projectors make them anew.
    Emptied {
        /// The newest position that a view had.
        newest: Position,
    },
}

/// Returns the history that is recorded, and the key of tokens.
pub(crate) async fn recorded(connection: &Connection) -> PortResult<Option<(History, TokenKey)>> {
    let select = connection.prepare(READ).await?;
    let rows: Vec<HistoryColumns> = connection.read("reading the history of the installation", &select, ()).await?;
    let Some((Some(histories), Some(key))) = rows.into_iter().next() else { return Ok(None) };
    let history = History::from_bytes(&histories).map_err(error::corrupt_data)?;
    let key: [u8; 32] =
        key.try_into().map_err(|_| error::corrupt_data("a key of tokens whose length is not 32 bytes"))?;
    Ok(Some((history, TokenKey::from_bytes(key))))
}

/// Checks that the recorded history is this one.
///
/// # Errors
/// For an operator: if it is not.
pub(crate) async fn check_unchanged(connection: &Connection, keyspace: &str, own: &History) -> PortResult<()> {
    match recorded(connection).await? {
        Some((stored, _)) if stored == *own => Ok(()),
        stored => {
            let stored = stored.map_or("none".to_owned(), |(stored, _)| stored.id().to_string());
            let own = own.id();
            Err(PortError::operator(format!(
                "the views in keyspace {keyspace} follow the history {stored} now, and this process began with the \
                 history {own}: `diptych rebase` ran, or the keyspace was made anew. Restart this process"
            )))
        }
    }
}

/// Checks that the rows are made of events of this installation only, and records its history.
///
/// # Errors
/// For an operator: if the keyspace is of another installation, or has events that the write database lost.
pub(crate) async fn claim(connection: &Connection, keyspace: &str, installation: &Installation) -> PortResult<()> {
    if let Some((stored, _)) = recorded(connection).await? {
        if stored == installation.history {
            return Ok(());
        }
        let newest = ProgressTable::newest_position(connection).await?;
        match installation.history.comparison(stored.id(), newest) {
            HistoryComparison::Shared => {}
            HistoryComparison::Lost { kept_up_to } => return Err(ahead(keyspace, newest, kept_up_to)),
            HistoryComparison::Unknown => return Err(other_installation(keyspace, &stored, &installation.history)),
        }
    }
    record(connection, installation).await
}

async fn record(connection: &Connection, installation: &Installation) -> PortResult<()> {
    let insert = connection.prepare(RECORD).await?;
    let values = (installation.history.to_bytes(), installation.token_key.as_bytes().to_vec());
    connection.execute("recording the history of the installation", &insert, values).await.map(|_| ())
}

/// Checks that [`rebase`] can follow an installation's next history. Returns the newest position that any view has
/// reached. Changes nothing.
///
/// # Errors
/// When nodes cannot be reached. For an operator: if the keyspace has no schema or is of another installation.
pub async fn check_rebase(config: &ScyllaConfig, installation: &Installation) -> PortResult<Position> {
    let connection = Connection::open(config).await?;
    connection.use_keyspace(config).await?;
    migration::check(&connection, &config.keyspace).await?;
    if let Some((stored, _)) = recorded(&connection).await?
        && installation.history.comparison(stored.id(), Position::START) == HistoryComparison::Unknown
    {
        return Err(other_installation(&config.keyspace, &stored, &installation.history));
    }
    ProgressTable::newest_position(&connection).await
}

/// Makes the keyspace follow a history that a restore of the write database began: deletes all rows and all progress if
/// they are made of events that the restore lost. `newest_known` is the newest position on the log: rows are stored
/// before the progress that covers them. No other process may use the keyspace.
///
/// # Errors
/// When nodes cannot be reached. For an operator: if the keyspace has no schema or is of another installation.
pub async fn rebase(
    config: &ScyllaConfig,
    installation: &Installation,
    newest_known: Position,
) -> PortResult<RebaseReport> {
    let connection = Connection::open(config).await?;
    connection.use_keyspace(config).await?;
    migration::check(&connection, &config.keyspace).await?;
    let schema = Schema::new(&connection, &config.keyspace);
    let mut report = RebaseReport::Kept;
    if let Some((stored, _)) = recorded(&connection).await? {
        let newest = ProgressTable::newest_position(&connection).await?.max(newest_known);
        match installation.history.comparison(stored.id(), newest) {
            HistoryComparison::Shared => {}
            HistoryComparison::Lost { .. } => {
                let tables = schema.tables().await?;
                let mut tables: Vec<&String> =
                    tables.iter().filter(|table| !KEPT_TABLES.contains(&table.as_str())).collect();
                // Progress last: while it is there, a repeat after a failure sees that the rows have lost events.
                tables.sort_by_key(|table| table.as_str() == PROGRESS);
                for table in tables {
                    schema.change(&EMPTY_TABLE.replace("{table}", table)).await?;
                }
                report = RebaseReport::Emptied { newest };
            }
            HistoryComparison::Unknown => {
                return Err(other_installation(&config.keyspace, &stored, &installation.history));
            }
        }
    }
    record(&connection, installation).await?;
    Ok(report)
}

fn ahead(keyspace: &str, newest: Position, kept_up_to: Position) -> PortError {
    PortError::operator(format!(
        "the views in keyspace {keyspace} have the events up to position {newest}, and the write database lost those \
         after {kept_up_to} in a restore: stop all processes, run `diptych rebase`, which makes the views anew, and \
         start them again"
    ))
}

fn other_installation(keyspace: &str, stored: &History, own: &History) -> PortError {
    PortError::operator(format!(
        "keyspace {keyspace} is of another installation: it follows the history {}, and the write database has the \
         history {}. Give each installation its own scylla.keyspace, kafka.topic, memcached.key_prefix and database. \
         If the write database was restored from a backup that is older than the last `diptych rebase`, or nothing \
         needs the keyspace any more: drop it, and run `diptych migrate` (see Restore in docs/OPERATIONS.md)",
        stored.id(),
        own.id()
    ))
}
