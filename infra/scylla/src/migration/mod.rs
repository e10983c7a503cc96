//! Schema migrations: numbered files, applied in order by one process at a time.

mod files;
mod lock;
mod schema;

use std::collections::BTreeMap;

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
    vocabulary::Installation,
};
use files::{MIGRATIONS, Migration, PROGRAM_SCHEMA_MIN};

use crate::{config::ScyllaConfig, connection::Connection, history};

pub(crate) use schema::Schema;

/// The result of [`migrate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// Number of migrations that were applied; 0 if the schema was up to date, or newer than this program.
    pub applied: usize,
    /// The version of the schema afterwards: the number of its last migration. Larger than that of this program after a
    /// newer one has migrated.
    pub version: usize,
}

/// Creates the keyspace if it is missing, migrates its schema, and returns when all nodes agree on it. The number of
/// partitions and the data centre of the requests are recorded by the first call, and never change; so is the history
/// of the installation, which only [`rebase`](crate::rebase) changes.
///
/// Can be called by several processes at once, and again after any failure. An existing keyspace keeps its replication.
///
/// # Errors
/// When nodes cannot be reached or do not agree in time, or another process holds the lock for too long: a retry helps.
/// For an operator: when the settings are invalid or refused by the server, there are fewer nodes than replicas, an
/// applied migration was changed since, the schema is newer than this program can use, another data centre is
/// recorded, or the keyspace is of another installation.
pub async fn migrate(config: &ScyllaConfig, installation: &Installation) -> PortResult<MigrationReport> {
    let partitions = installation.partitions;
    let connection = Connection::open(config).await?;
    let schema = Schema::new(&connection, &config.keyspace);
    schema.create_keyspace(config).await?;
    connection.use_keyspace(config).await?;
    schema.create_migration_tables().await?;
    let report = if let Some(version) = version_up_to_date(&schema, partitions).await? {
        MigrationReport { applied: 0, version }
    } else {
        let mut lock = schema.lock().await?;
        let applied = apply(&schema, &mut lock, partitions).await;
        lock.release(applied).await?
    };
    history::claim(&connection, &config.keyspace, installation).await?;
    Ok(report)
}

/// Checks that this program can use the keyspace. Returns its number of partitions.
pub(crate) async fn check(connection: &Connection, keyspace: &str) -> PortResult<Partitions> {
    let schema = Schema::new(connection, keyspace);
    if !schema.has_migration_tables().await? {
        return Err(PortError::operator(format!("keyspace {keyspace} has no schema: run `diptych migrate`")));
    }
    let applied = schema.applied().await?;
    let present = last(&applied);
    check_not_too_new(&schema, present).await?;
    if present < newest() {
        return Err(PortError::operator(format!(
            "keyspace {keyspace} has schema {present}, which is older than this program's schema {}: run `diptych \
             migrate`",
            newest()
        )));
    }
    let (Some(partitions), Some(datacenter)) = (schema.partitions().await?, schema.datacenter().await?) else {
        return Err(PortError::operator(format!(
            "the migration of keyspace {keyspace} is incomplete: run `diptych migrate`"
        )));
    };
    schema.check_datacenter(datacenter.as_deref())?;
    Ok(partitions)
}

/// Returns the version of the schema if there is nothing to migrate.
async fn version_up_to_date(schema: &Schema<'_>, partitions: Partitions) -> PortResult<Option<usize>> {
    let applied = schema.applied().await?;
    if !missing(schema, &applied).await?.is_empty() {
        return Ok(None);
    }
    let (Some(stored), Some(datacenter)) = (schema.partitions().await?, schema.datacenter().await?) else {
        return Ok(None);
    };
    if schema.program_schema_min().await?.is_none_or(|recorded| recorded < PROGRAM_SCHEMA_MIN) {
        return Ok(None);
    }
    check_partitions(schema.keyspace(), stored, partitions)?;
    schema.check_datacenter(datacenter.as_deref())?;
    Ok(Some(last(&applied)))
}

async fn apply(
    schema: &Schema<'_>,
    lock: &mut lock::SchemaLock<'_>,
    partitions: Partitions,
) -> PortResult<MigrationReport> {
    let applied = schema.applied().await?;
    let missing = missing(schema, &applied).await?;
    // Before tables change, so that no program starts that could not use them.
    raise_program_schema_min(schema, lock).await?;
    for migration in &missing {
        for statement in migration.statements() {
            lock.renew().await?;
            schema.change(&statement).await?;
        }
        schema.record(migration).await?;
        tracing::info!(keyspace = schema.keyspace(), migration = migration.name, "applied a migration");
    }
    raise_program_schema_min(schema, lock).await?;
    match schema.partitions().await? {
        Some(stored) => check_partitions(schema.keyspace(), stored, partitions)?,
        None => {
            lock.renew().await?;
            schema.set_partitions(partitions).await?;
        }
    }
    match schema.datacenter().await? {
        Some(recorded) => schema.check_datacenter(recorded.as_deref())?,
        None => {
            lock.renew().await?;
            schema.set_datacenter().await?;
        }
    }
    Ok(MigrationReport { applied: missing.len(), version: last(&applied).max(newest()) })
}

/// Records the smallest schema that a program must have been made for. Does nothing before the migration of its table.
async fn raise_program_schema_min(schema: &Schema<'_>, lock: &mut lock::SchemaLock<'_>) -> PortResult<()> {
    let is_recorded = schema.program_schema_min().await?.is_some_and(|recorded| recorded >= PROGRAM_SCHEMA_MIN);
    if is_recorded || !schema.has_program_schema_min_table().await? {
        return Ok(());
    }
    lock.renew().await?;
    schema.set_program_schema_min(PROGRAM_SCHEMA_MIN).await
}

/// Returns the migrations that are still to be applied, after checking the applied ones: name and checksum by version.
async fn missing(
    schema: &Schema<'_>,
    applied: &BTreeMap<usize, (String, String)>,
) -> PortResult<Vec<&'static Migration>> {
    check_not_too_new(schema, last(applied)).await?;
    let keyspace = schema.keyspace();
    let mut missing = Vec::new();
    for migration in &MIGRATIONS {
        match applied.get(&migration.version) {
            Some((_, checksum)) if *checksum == migration.checksum() => {}
            Some((name, checksum)) => {
                return Err(PortError::operator(format!(
                    "migration {} of keyspace {keyspace} was applied as {name} with checksum {checksum}, but is {} \
                     with checksum {} in this program: an applied migration must not change, so add another one",
                    migration.version,
                    migration.name,
                    migration.checksum()
                )));
            }
            None => missing.push(migration),
        }
    }
    Ok(missing)
}

/// Returns an error if the schema is one that only newer programs can use.
async fn check_not_too_new(schema: &Schema<'_>, present: usize) -> PortResult<()> {
    if present <= newest() {
        return Ok(());
    }
    // Newer programs record it before they change tables.
    let program_schema_min = schema.program_schema_min().await?.unwrap_or(present);
    if program_schema_min > newest() {
        return Err(PortError::operator(format!(
            "keyspace {} has schema {present}, which programs for schema {program_schema_min} or newer can use, and \
             this one is for {}: use a newer version of diptych",
            schema.keyspace(),
            newest()
        )));
    }
    tracing::info!(keyspace = schema.keyspace(), schema = present, "a newer program has migrated the schema");
    Ok(())
}

/// Returns an error if the installation has another number of partitions.
pub(crate) fn check_partitions(keyspace: &str, stored: Partitions, configured: Partitions) -> PortResult<()> {
    if stored == configured {
        return Ok(());
    }
    let (stored, configured) = (stored.count(), configured.count());
    Err(PortError::operator(format!(
        "keyspace {keyspace} was created with {stored} partitions, but {configured} are configured: configure \
         {stored}, or use another keyspace"
    )))
}

/// The version of the last migration that was applied, or 0.
fn last(applied: &BTreeMap<usize, (String, String)>) -> usize {
    applied.last_key_value().map_or(0, |(version, _)| *version)
}

/// The schema version of this program.
fn newest() -> usize {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}
