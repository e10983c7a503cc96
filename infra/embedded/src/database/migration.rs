//! Schema migrations: numbered files, applied in order in one transaction.

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::{DatabaseSpec, error::TransactionError};

/// SQL text of one migration. Its number is its index in [`DatabaseSpec::migrations`], from 1, and the prefix of its
/// file name.
pub(crate) struct Migration(pub(crate) &'static str);

/// Migrates a database to the current schema and checks that it belongs to this installation.
pub(super) fn migrate(connection: &mut Connection, spec: &DatabaseSpec, partitions: Partitions) -> PortResult<()> {
    apply(connection, spec, partitions).map_err(|error| error.without_effect(connection))
}

/// Checks that a database has the current schema and belongs to this installation, without changing it.
pub(super) fn check(connection: &Connection, spec: &DatabaseSpec, partitions: Partitions) -> PortResult<()> {
    check_schema(connection, spec, partitions).map_err(|error| error.without_effect(connection))
}

fn apply(connection: &Connection, spec: &DatabaseSpec, partitions: Partitions) -> Result<(), TransactionError> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let present = schema_version(&transaction)?;
    let known = schema_version_known(spec);
    check_not_too_new(&transaction, spec, present)?;
    for (_, migration) in (0..).zip(spec.migrations).filter(|(number, _)| *number >= present) {
        transaction.execute_batch(migration.0)?;
    }
    if present < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    if stored_partitions(&transaction)?.is_none() {
        transaction.execute("INSERT INTO installation (partitions) VALUES (?1)", [partitions.count()])?;
    }
    check_partitions(&transaction, spec, partitions)?;
    transaction.commit()?;
    Ok(())
}

fn check_schema(connection: &Connection, spec: &DatabaseSpec, partitions: Partitions) -> Result<(), TransactionError> {
    let (present, known) = (schema_version(connection)?, schema_version_known(spec));
    check_not_too_new(connection, spec, present)?;
    if present < known {
        return Err(PortError::operator(format!(
            "{} has schema version {present}, but this version of the program reads {known}: start `diptych dev` on \
             the folder once, which migrates it",
            spec.file_name
        ))
        .into());
    }
    check_partitions(connection, spec, partitions)
}

fn schema_version(connection: &Connection) -> Result<u32, TransactionError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn schema_version_known(spec: &DatabaseSpec) -> u32 {
    u32::try_from(spec.migrations.len()).unwrap_or(u32::MAX)
}

/// Returns an error if the schema is one that only newer programs can use. A newer schema may be usable, as after a
/// rollback: migrations add, and one that removes or changes what earlier programs use records it.
fn check_not_too_new(connection: &Connection, spec: &DatabaseSpec, present: u32) -> Result<(), TransactionError> {
    let known = schema_version_known(spec);
    if present <= known {
        return Ok(());
    }
    let program_schema_min: u32 =
        connection.query_row("SELECT version FROM program_schema_min", [], |row| row.get(0))?;
    if program_schema_min <= known {
        return Ok(());
    }
    Err(PortError::operator(format!(
        "{} has schema {present}, which programs for schema {program_schema_min} or newer can use, and this one is for \
         {known}: use a newer version of diptych",
        spec.file_name
    ))
    .into())
}

/// Returns the number of partitions in the table `installation`, whose single row is written when the database is
/// created.
fn stored_partitions(connection: &Connection) -> Result<Option<u16>, TransactionError> {
    Ok(connection.query_row("SELECT partitions FROM installation", [], |row| row.get(0)).optional()?)
}

fn check_partitions(
    connection: &Connection,
    spec: &DatabaseSpec,
    partitions: Partitions,
) -> Result<(), TransactionError> {
    let configured = partitions.count();
    match stored_partitions(connection)? {
        Some(stored) if stored != configured => Err(PortError::operator(format!(
            "{} was created with {stored} partitions, but {configured} are configured: configure {stored}, \
             or use another directory",
            spec.file_name
        ))
        .into()),
        _ => Ok(()),
    }
}
