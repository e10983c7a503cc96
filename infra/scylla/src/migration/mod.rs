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
use files::{MIGRATIONS, Migration};

use crate::{config::ScyllaConfig, connection::Connection, history};

pub(crate) use schema::Schema;

/// The result of [`migrate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// Number of migrations that were applied; 0 if the schema was up to date.
    pub applied: usize,
    /// The version of the schema afterwards: the number of its last migration.
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
/// applied migration was changed since, the schema is newer than this program, another data centre is
/// recorded, or the keyspace is of another installation.
pub async fn migrate(config: &ScyllaConfig, installation: &Installation) -> PortResult<MigrationReport> {
    let partitions = installation.partitions;
    let connection = Connection::open(config).await?;
    let schema = Schema::new(&connection, &config.keyspace);
    schema.create_keyspace(config).await?;
    connection.use_keyspace(config).await?;
    schema.create_migration_tables().await?;
    let report = if is_up_to_date(&schema, partitions).await? {
        MigrationReport { applied: 0, version: newest() }
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
    let present = applied.last_key_value().map_or(0, |(version, _)| *version);
    check_not_newer(keyspace, present)?;
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

/// Returns whether there is nothing to migrate.
async fn is_up_to_date(schema: &Schema<'_>, partitions: Partitions) -> PortResult<bool> {
    let applied = schema.applied().await?;
    if !missing(schema.keyspace(), &applied)?.is_empty() {
        return Ok(false);
    }
    let (Some(stored), Some(datacenter)) = (schema.partitions().await?, schema.datacenter().await?) else {
        return Ok(false);
    };
    check_partitions(schema.keyspace(), stored, partitions)?;
    schema.check_datacenter(datacenter.as_deref())?;
    Ok(true)
}

async fn apply(
    schema: &Schema<'_>,
    lock: &mut lock::SchemaLock<'_>,
    partitions: Partitions,
) -> PortResult<MigrationReport> {
    let applied = schema.applied().await?;
    let missing = missing(schema.keyspace(), &applied)?;
    for migration in &missing {
        for statement in migration.statements() {
            lock.renew().await?;
            schema.change(&statement).await?;
        }
        schema.record(migration).await?;
        tracing::info!(keyspace = schema.keyspace(), migration = migration.name, "applied a migration");
    }
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
    Ok(MigrationReport { applied: missing.len(), version: newest() })
}

/// Returns the migrations that are still to be applied, after checking the applied ones: name and checksum by version.
fn missing(keyspace: &str, applied: &BTreeMap<usize, (String, String)>) -> PortResult<Vec<&'static Migration>> {
    check_not_newer(keyspace, applied.last_key_value().map_or(0, |(version, _)| *version))?;
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

fn check_not_newer(keyspace: &str, present: usize) -> PortResult<()> {
    if present > newest() {
        return Err(PortError::operator(format!(
            "keyspace {keyspace} has schema {present}, which is newer than this program's schema {}: use a newer \
             version of diptych",
            newest()
        )));
    }
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

/// The schema version of this program.
fn newest() -> usize {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}
