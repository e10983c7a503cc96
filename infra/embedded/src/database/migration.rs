//! Schema migrations: numbered files, applied in order in one transaction.

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{DatabaseSpec, error::TransactionError};

/// SQL text of one migration. Its number is its index in [`DatabaseSpec::migrations`], from 1, and the prefix of its
/// file name.
pub(crate) struct Migration(pub(crate) &'static str);

/// Migrates a database to the current schema and checks that it belongs to this installation.
pub(super) fn migrate(connection: &mut Connection, spec: &DatabaseSpec, partitions: Partitions) -> PortResult<()> {
    apply(connection, spec, partitions).map_err(|error| match error {
        TransactionError::Port(error) => error,
        TransactionError::Sqlite(error) => {
            PortError::operator(format!("cannot migrate {}", spec.file_name)).caused_by(error)
        }
    })
}

fn apply(connection: &mut Connection, spec: &DatabaseSpec, partitions: Partitions) -> Result<(), TransactionError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let present: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(spec.migrations.len()).unwrap_or(u32::MAX);
    if present > known {
        return Err(PortError::operator(format!(
            "{} has schema version {present}, but this version of the program supports at most {known}: \
             use a newer version",
            spec.file_name
        ))
        .into());
    }
    for (_, migration) in (0..).zip(spec.migrations).filter(|(number, _)| *number >= present) {
        transaction.execute_batch(migration.0)?;
    }
    if present < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    check_partitions(&transaction, spec, partitions)?;
    transaction.commit()?;
    Ok(())
}

/// Checks the number of partitions against the table `installation`, whose single row is written when the database is
/// created.
fn check_partitions(
    connection: &Connection,
    spec: &DatabaseSpec,
    partitions: Partitions,
) -> Result<(), TransactionError> {
    let configured = partitions.count();
    let stored: Option<u16> =
        connection.query_row("SELECT partitions FROM installation", [], |row| row.get(0)).optional()?;
    match stored {
        Some(stored) if stored != configured => Err(PortError::operator(format!(
            "{} was created with {stored} partitions, but {configured} are configured: configure {stored}, \
             or use another directory",
            spec.file_name
        ))
        .into()),
        Some(_) => Ok(()),
        None => {
            connection.execute("INSERT INTO installation (partitions) VALUES (?1)", [configured])?;
            Ok(())
        }
    }
}
