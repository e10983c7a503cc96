//! The schema: numbered migrations, and the checks that a database must pass to be opened.

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
    vocabulary::ORDINAL_BITS,
};
use refinery::{Migration, Runner};

use crate::{
    config::PostgresConfig,
    driver::{ConnectionFactory, Pool, Session, SqlRow, StatementError, corrupt_data},
};

/// The migrations by name, in order.
const MIGRATIONS: [(&str, &str); 4] = [
    ("V1__events", include_str!("../migrations/V1__events.sql")),
    ("V2__relay", include_str!("../migrations/V2__relay.sql")),
    ("V4__event_segments", include_str!("../migrations/V4__event_segments.sql")),
    ("V6__service_role", include_str!("../migrations/V6__service_role.sql")),
];

/// The number of the last migration.
const NEWEST_VERSION: usize = 6;

const LOCK: &str = include_str!("../queries/schema/lock.sql");
const CREATE_INSTALLATION: &str = include_str!("../queries/schema/create_installation.sql");
const HAS_VERSION: &str = include_str!("../queries/schema/has_version.sql");
const VERSION: &str = include_str!("../queries/schema/version.sql");
const GRANT: &str = include_str!("../queries/schema/grant.sql");
const PREPARE_SEGMENTS: &str = include_str!("../queries/segments/prepare.sql");
const INSTALLATION: &str = include_str!("../queries/schema/installation.sql");

/// The result of [`migrate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// Number of migrations that were applied; 0 if the schema was up to date.
    pub applied: usize,
    /// The version of the schema afterwards.
    pub version: usize,
}

/// Creates the tables or upgrades them, one migration per transaction. Concurrent calls wait for each other. The number
/// of partitions is fixed by the first call, and checked by every later one.
///
/// # Errors
/// When the database cannot be reached. For an operator: when the database does not exist or does not let its user
/// create tables, or was created with another number of partitions or migrated by a newer version of this program.
pub async fn migrate(config: &PostgresConfig, partitions: Partitions) -> PortResult<MigrationReport> {
    let mut connection = ConnectionFactory::new(config)?.connect_once(config).await?;
    let read_error = |error| StatementError::Failed(error).into_read_error();
    // Held until the connection is closed.
    connection.client.batch_execute(LOCK).await.map_err(read_error)?;
    let report = runner()?
        .run_async(&mut connection.client)
        .await
        .map_err(|error| PortError::operator("cannot migrate the schema of the write database").caused_by(error))?;
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
    Ok(MigrationReport { applied: report.applied_migrations().len(), version: NEWEST_VERSION })
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

/// Checks that this program can use the database. Returns its number of partitions.
pub(crate) async fn check(pool: &Pool) -> PortResult<Partitions> {
    let check = async {
        let mut session = pool.session().await?;
        check_version(version(&mut session).await?)?;
        let rows = session.query(INSTALLATION, &[]).await?;
        match rows.first().map(SqlRow) {
            Some(row) => installation(row),
            None => {
                Err(PortError::operator("the migration of the write database is incomplete: run `diptych migrate`")
                    .into())
            }
        }
    };
    check.await.map_err(StatementError::into_read_error)
}

/// The version of the newest migration that was applied, or 0.
async fn version(session: &mut Session) -> Result<usize, StatementError> {
    if !SqlRow::first(&session.query(HAS_VERSION, &[]).await?)?.get::<bool>("has_version")? {
        return Ok(0);
    }
    let version: Option<i32> = SqlRow::first(&session.query(VERSION, &[]).await?)?.get("version")?;
    Ok(usize::try_from(version.unwrap_or_default()).unwrap_or(usize::MAX))
}

fn check_version(present: usize) -> PortResult<()> {
    match present {
        NEWEST_VERSION => Ok(()),
        0 => Err(PortError::operator("the write database has no tables: run `diptych migrate`")),
        older @ ..NEWEST_VERSION => Err(PortError::operator(format!(
            "the write database has schema {older}, but this program needs {NEWEST_VERSION}: run `diptych migrate`"
        ))),
        newer => Err(PortError::operator(format!(
            "the write database has schema {newer}, but this program supports at most {NEWEST_VERSION}: use a newer \
             version of diptych"
        ))),
    }
}

fn installation(row: SqlRow<'_>) -> Result<Partitions, StatementError> {
    let (last_position, base) = (row.position("last_position")?, row.get::<i64>("position_base")?);
    let next = base.saturating_add(row.get("next_transaction_id")?);
    let stored = last_position.as_i64() >> ORDINAL_BITS;
    if stored >= next {
        return Err(PortError::operator(format!(
            "the last event has position {last_position}, and the next would get a smaller one, as this server assigns \
             smaller transaction ids than the server that the data was restored from: stop every writer, then run \
             BEGIN; LOCK TABLE events IN SHARE MODE; UPDATE installation SET position_base = {}; COMMIT",
            stored + 1
        ))
        .into());
    }
    let count = row.partition("partitions")?.number();
    Partitions::new(count).map_err(corrupt_data)
}
