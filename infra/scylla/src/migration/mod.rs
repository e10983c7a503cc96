//! The schema: numbered files, applied in their order, one process at a time.

mod files;
mod lock;
mod schema;

use std::collections::BTreeMap;

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use files::{MIGRATIONS, Migration};

use crate::{config::ScyllaConfig, connection::Connection};

pub(crate) use schema::Schema;

/// What [`migrate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// How many migrations were applied; 0 where the schema was up to date.
    pub applied: usize,
    /// The version that the schema has now: the number of its last migration.
    pub version: usize,
}

/// Makes the keyspace where it is missing and brings its schema up to date, and returns when all nodes know it. The number of partitions
/// is written down the first time, and never changes after.
///
/// May be called by any number of processes at once, and again after any failure. An existing keyspace keeps its replication.
///
/// # Errors When nodes cannot be reached or do not agree in time, or another process holds the lock for too long (asking again helps),
/// and for an operator: when the settings are wrong or the server refuses them, there are fewer nodes than copies, a migration that was
/// applied was changed since, the schema is newer than this program, or the installation has another number of partitions.
pub async fn migrate(config: &ScyllaConfig, partitions: Partitions) -> PortResult<Migrated> {
    let connection = Connection::open(config).await?;
    let schema = Schema::new(&connection, &config.keyspace);
    schema.create_keyspace(config).await?;
    connection.use_keyspace(&config.keyspace).await?;
    schema.create_own_tables().await?;
    if is_up_to_date(&schema, partitions).await? {
        return Ok(Migrated { applied: 0, version: newest() });
    }
    let mut lock = schema.lock().await?;
    let applied = apply(&schema, &mut lock, partitions).await;
    lock.release(applied).await
}

/// Checks that a keyspace is one that this program can use. Returns how many partitions it was made with.
pub(crate) async fn check(connection: &Connection, keyspace: &str) -> PortResult<Partitions> {
    let schema = Schema::new(connection, keyspace);
    if !schema.has_own_tables().await? {
        return Err(PortError::operator(format!("keyspace {keyspace} has no schema: run `diptych migrate`")));
    }
    let applied = schema.applied().await?;
    let present = applied.last_key_value().map_or(0, |(version, _)| *version);
    check_not_newer(keyspace, present)?;
    if present < newest() {
        return Err(PortError::operator(format!(
            "keyspace {keyspace} has schema {present}, which is older than {}, the one of this version: run `diptych migrate`",
            newest()
        )));
    }
    schema.partitions().await?.ok_or_else(|| {
        PortError::operator(format!("the migration of keyspace {keyspace} has not ended: run `diptych migrate`"))
    })
}

/// Whether there is nothing to do. What is wrong is an error.
async fn is_up_to_date(schema: &Schema<'_>, partitions: Partitions) -> PortResult<bool> {
    let applied = schema.applied().await?;
    if !missing(schema.keyspace(), &applied)?.is_empty() {
        return Ok(false);
    }
    match schema.partitions().await? {
        Some(stored) => check_partitions(schema.keyspace(), stored, partitions).map(|()| true),
        None => Ok(false),
    }
}

async fn apply(schema: &Schema<'_>, lock: &mut lock::Lock<'_>, partitions: Partitions) -> PortResult<Migrated> {
    let applied = schema.applied().await?;
    let missing = missing(schema.keyspace(), &applied)?;
    for migration in &missing {
        for statement in migration.statements() {
            lock.renew().await?;
            schema.change(&statement).await?;
        }
        schema.record(migration).await?;
        tracing::info!(keyspace = schema.keyspace(), migration = migration.name, "changed the schema");
    }
    match schema.partitions().await? {
        Some(stored) => check_partitions(schema.keyspace(), stored, partitions)?,
        None => {
            lock.renew().await?;
            schema.set_partitions(partitions).await?;
        }
    }
    Ok(Migrated { applied: missing.len(), version: newest() })
}

/// The migrations that were not applied, after a look at those that were: name and checksum by version.
fn missing(keyspace: &str, applied: &BTreeMap<usize, (String, String)>) -> PortResult<Vec<&'static Migration>> {
    check_not_newer(keyspace, applied.last_key_value().map_or(0, |(version, _)| *version))?;
    let mut missing = Vec::new();
    for migration in &MIGRATIONS {
        match applied.get(&migration.version) {
            Some((_, checksum)) if *checksum == migration.checksum() => {}
            Some((name, checksum)) => {
                return Err(PortError::operator(format!(
                    "migration {} of keyspace {keyspace} was applied as {name} with checksum {checksum}, and is {} with checksum {} in \
                     this version: a migration must not change once it was applied, so write another one",
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
            "keyspace {keyspace} has schema {present}, which is newer than {}, the newest that this version knows: use a newer version",
            newest()
        )));
    }
    Ok(())
}

/// Fails where the installation has another number of partitions.
pub(crate) fn check_partitions(keyspace: &str, stored: Partitions, configured: Partitions) -> PortResult<()> {
    if stored == configured {
        return Ok(());
    }
    let (stored, configured) = (stored.count(), configured.count());
    Err(PortError::operator(format!(
        "keyspace {keyspace} was made with {stored} partitions, but {configured} are configured: configure {stored}, or use another keyspace"
    )))
}

/// The version that this program needs.
fn newest() -> usize {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}
