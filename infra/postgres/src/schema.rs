//! The schema: numbered migrations, and the checks that a database must pass to be opened.

use diptych_kernel::{
    Partitions, Position,
    ports::{PortError, PortResult},
    vocabulary::{History, HistoryId, HistorySpan, Installation, ORDINAL_BITS, TokenKey},
};
use refinery::{Migration, Runner};
use tokio_postgres::{Client, Row, error::SqlState};

use crate::{
    config::PostgresConfig,
    driver::{ConnectionFactory, KnownHistory, Pool, SqlRow, StatementError, corrupt_data},
};

/// The migrations by name, in the order of their numbers.
const MIGRATIONS: [(&str, &str); 10] = [
    ("V1__events", include_str!("../migrations/V1__events.sql")),
    ("V2__relay", include_str!("../migrations/V2__relay.sql")),
    ("V3__histories", include_str!("../migrations/V3__histories.sql")),
    ("V4__event_segments", include_str!("../migrations/V4__event_segments.sql")),
    ("V5__refusals", include_str!("../migrations/V5__refusals.sql")),
    ("V6__service_role", include_str!("../migrations/V6__service_role.sql")),
    ("V7__checksums", include_str!("../migrations/V7__checksums.sql")),
    ("V8__read_horizon", include_str!("../migrations/V8__read_horizon.sql")),
    ("V9__program_schema_min", include_str!("../migrations/V9__program_schema_min.sql")),
    ("V10__command_queue", include_str!("../migrations/V10__command_queue.sql")),
];

/// The number of the newest migration.
const NEWEST_VERSION: usize = 10;

pub(crate) const LOCK: &str = include_str!("../queries/schema/lock.sql");
const CREATE_INSTALLATION: &str = include_str!("../queries/schema/create_installation.sql");
const HISTORIES: &str = include_str!("../queries/schema/histories.sql");
const HAS_VERSION: &str = include_str!("../queries/schema/has_version.sql");
const VERSION: &str = include_str!("../queries/schema/version.sql");
const PROGRAM_SCHEMA_MIN: &str = include_str!("../queries/schema/program_schema_min.sql");
const GRANT: &str = include_str!("../queries/schema/grant.sql");
const PREPARE_SEGMENTS: &str = include_str!("../queries/segments/prepare.sql");
const INSTALLATION: &str = include_str!("../queries/schema/installation.sql");

/// The result of [`migrate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The installation, which all other parts must belong to.
    pub installation: Installation,
    /// Number of migrations that were applied; 0 if the schema was up to date, or newer than this program.
    pub applied: usize,
    /// The version of the schema afterwards. Larger than that of this program after a newer one has migrated.
    pub version: usize,
}

/// Creates the tables or upgrades them, one migration per transaction. Concurrent calls wait for each other. The number
/// of partitions is fixed by the first call, and checked by every later one.
///
/// # Errors
/// When the database cannot be reached, or a table stays locked by a transaction that is open; a repeat goes on with
/// the migrations that are left. For an operator: when the database does not exist or does not let its user create
/// tables, was created with another number of partitions, or migrated by a newer version of this program to a schema
/// that this one cannot use.
pub async fn migrate(config: &PostgresConfig, partitions: Partitions) -> PortResult<MigrationReport> {
    let mut connection = ConnectionFactory::new(config)?.connect_once(config).await?;
    let read_error = |error| StatementError::Failed(error).into_read_error();
    // Held until the connection is closed.
    connection.client.batch_execute(LOCK).await.map_err(read_error)?;
    let query = async |sql| connection.client.query(sql, &[]).await.map_err(StatementError::Failed);
    let present = check_not_too_new(query).await.map_err(StatementError::into_read_error)?;
    let applied = if present > NEWEST_VERSION {
        tracing::info!(schema = present, of_this_program = NEWEST_VERSION, "a newer program has migrated the schema");
        0
    } else {
        let report = runner()?.run_async(&mut connection.client).await.map_err(migration_error)?;
        report.applied_migrations().len()
    };
    let configured = partitions.count();
    let column = i16::try_from(configured).unwrap_or(i16::MAX);
    let row = connection.client.query_one(CREATE_INSTALLATION, &[&column]).await.map_err(read_error)?;
    let stored = SqlRow(&row).partition("partitions").map_err(StatementError::into_read_error)?.number();
    if stored != configured {
        return Err(PortError::operator(format!(
            "the write database was created with {stored} partitions, but {configured} are configured: configure \
             {stored}, or use another database"
        )));
    }
    // Repeated by every command service. Without it, the first append of an installation would have no segment if its
    // positions began beyond the first one, as after a restore.
    connection.client.query_one(PREPARE_SEGMENTS, &[]).await.map_err(read_error)?;
    let installation = installation_of(&connection.client).await?;
    Ok(MigrationReport { installation, applied, version: present.max(NEWEST_VERSION) })
}

/// Reads the installation that a database belongs to.
///
/// # Errors
/// When the database cannot be reached, or [`migrate`] has not run.
pub async fn installation(config: &PostgresConfig) -> PortResult<Installation> {
    let connection = ConnectionFactory::new(config)?.connect_once(config).await?;
    installation_of(&connection.client).await
}

/// Reads the installation on a connection outside the pools.
pub(crate) async fn installation_of(client: &Client) -> PortResult<Installation> {
    let query = async |sql: &str| client.query(sql, &[]).await.map_err(StatementError::Failed);
    let read = async {
        let rows = query(INSTALLATION).await?;
        let count = SqlRow::first(&rows)?.partition("partitions")?.number();
        read_installation(Partitions::new(count).map_err(corrupt_data)?, &query(HISTORIES).await?)
    };
    read.await.map_err(StatementError::into_read_error)
}

/// Gives a role the rights that services need. It gets none to change tables: rotation is done by functions that run as
/// the user of `config`, who owns the tables. To be repeated after each migration.
///
/// # Errors
/// When the database cannot be reached. For an operator: when the role does not exist, or the user of `config` does not
/// own the tables.
pub async fn grant(config: &PostgresConfig, role: &str) -> PortResult<()> {
    let connection = ConnectionFactory::new(config)?.connect_once(config).await?;
    let granted = async {
        let row =
            connection.client.query_one("SELECT format($1, $2::text, current_schema())", &[&GRANT, &role]).await?;
        connection.client.batch_execute(row.try_get(0)?).await
    };
    granted.await.map_err(|error| StatementError::Failed(error).into_read_error())
}

fn runner() -> PortResult<Runner> {
    let migrations =
        MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect::<Result<Vec<_>, _>>();
    let migrations =
        migrations.map_err(|error| PortError::operator("a migration has an invalid name").caused_by(error))?;
    Ok(Runner::new(&migrations))
}

/// The port's error for a failed migration: one that did not get a lock is rolled back, and can be tried again.
fn migration_error(error: refinery::Error) -> PortError {
    let code = match error.kind() {
        refinery::error::Kind::Connection(_, cause) => cause.downcast_ref().and_then(tokio_postgres::Error::code),
        _ => None,
    };
    match code {
        Some(&(SqlState::LOCK_NOT_AVAILABLE | SqlState::T_R_DEADLOCK_DETECTED)) => PortError::not_done(
            "a migration of the write database waited too long for transactions that are open: if this repeats, look \
             for old ones in pg_stat_activity",
        ),
        _ => PortError::operator("cannot migrate the schema of the write database"),
    }
    .caused_by(error)
}

/// Checks that this program can use the database, and sets the history that further connections must have.
pub(crate) async fn check(pool: &Pool, known: &KnownHistory) -> PortResult<Installation> {
    let check = async {
        let mut session = pool.session().await?;
        check_not_too_old(check_not_too_new(async |sql| session.query(sql, &[]).await).await?)?;
        let rows = session.query(INSTALLATION, &[]).await?;
        let Some(row) = rows.first().map(SqlRow) else {
            let message = "the migration of the write database is incomplete: run `diptych migrate`";
            return Err(PortError::operator(message).into());
        };
        let installation = read_installation(check_positions(row)?, &session.query(HISTORIES, &[]).await?)?;
        known.set_id(installation.history.id());
        session.check_history(known).await?;
        Ok(installation)
    };
    check.await.map_err(StatementError::into_read_error)
}

/// Reads the position that the next transaction's events begin with.
pub(crate) async fn next_position(pool: &Pool) -> PortResult<Position> {
    let read = async {
        let rows = pool.session().await?.query(INSTALLATION, &[]).await?;
        let row = SqlRow::first(&rows)?;
        let next = row.get::<i64>("position_base")?.saturating_add(row.get("next_transaction_id")?);
        Position::new(next.unsigned_abs(), 0).map_err(corrupt_data)
    };
    read.await.map_err(StatementError::into_read_error)
}

/// Checks that the schema is not one that only newer programs can use. Returns its version: the number of the newest
/// migration that was applied, or 0.
///
/// A schema that is newer than this program may still be usable, as after a rollback: migrations add, and one that
/// removes or changes what earlier programs use raises the smallest schema that a program must have been made for.
async fn check_not_too_new(
    mut query: impl AsyncFnMut(&'static str) -> Result<Vec<Row>, StatementError>,
) -> Result<usize, StatementError> {
    if !SqlRow::first(&query(HAS_VERSION).await?)?.get::<bool>("has_version")? {
        return Ok(0);
    }
    let count = |version: i32| usize::try_from(version).unwrap_or_default();
    let version: Option<i32> = SqlRow::first(&query(VERSION).await?)?.get("version")?;
    let present = version.map_or(0, count);
    if present > NEWEST_VERSION {
        let program_schema_min = count(SqlRow::first(&query(PROGRAM_SCHEMA_MIN).await?)?.get("version")?);
        if program_schema_min > NEWEST_VERSION {
            return Err(PortError::operator(format!(
                "the write database has schema {present}, which programs for schema {program_schema_min} or newer can \
                 use, and this one is for {NEWEST_VERSION}: use a newer version of diptych"
            ))
            .into());
        }
    }
    Ok(present)
}

fn check_not_too_old(present: usize) -> PortResult<()> {
    match present {
        NEWEST_VERSION.. => Ok(()),
        0 => Err(PortError::operator("the write database has no tables: run `diptych migrate`")),
        older => Err(PortError::operator(format!(
            "the write database has schema {older}, but this program needs {NEWEST_VERSION}: run `diptych migrate`"
        ))),
    }
}

/// Reads the rows of all histories.
fn read_installation(partitions: Partitions, rows: &[Row]) -> Result<Installation, StatementError> {
    let spans = rows.iter().map(SqlRow).map(|row| {
        let id = HistoryId::from_bytes(*row.request_id("history_id")?.as_bytes());
        Ok(HistorySpan { id, begins_after: row.position("begins_after")? })
    });
    let spans = spans.collect::<Result<Vec<_>, StatementError>>()?;
    let history = History::from_spans(spans).ok_or_else(|| corrupt_data("histories out of order, or none"))?;
    let key: &[u8] = SqlRow::first(rows)?.get("token_key")?;
    let key = key.try_into().map_err(|_| corrupt_data("a key of tokens whose length is not 32 bytes"))?;
    Ok(Installation { partitions, history, token_key: TokenKey::from_bytes(key) })
}

/// Checks that the next position is above all stored ones. Returns the number of partitions.
fn check_positions(row: SqlRow<'_>) -> Result<Partitions, StatementError> {
    let (last_position, base) = (row.position("last_position")?, row.get::<i64>("position_base")?);
    let next = base.saturating_add(row.get("next_transaction_id")?);
    let stored = last_position.as_i64() >> ORDINAL_BITS;
    if stored >= next {
        return Err(PortError::operator(format!(
            "the last event has position {last_position}, and the next would get a smaller one, as this server assigns \
             smaller transaction ids than the server that the data was restored from: stop all processes, run `diptych \
             rebase`, and start them again"
        ))
        .into());
    }
    let count = row.partition("partitions")?.number();
    Partitions::new(count).map_err(corrupt_data)
}
