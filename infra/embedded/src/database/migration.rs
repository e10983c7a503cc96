//! Schemas: numbered files, applied in order, each in its transaction.

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{Blueprint, error::Trouble};

/// The text of one migration. Its number is its place in [`Blueprint::migrations`], from 1, and the beginning of its file's name.
pub(crate) struct Migration(pub(crate) &'static str);

/// Brings a database up to date and checks that it is one of this installation.
pub(super) fn migrate(connection: &mut Connection, blueprint: &Blueprint, partitions: Partitions) -> PortResult<()> {
    apply(connection, blueprint, partitions).map_err(|trouble| match trouble {
        Trouble::Port(error) => error,
        Trouble::Sqlite(error) => {
            PortError::operator(format!("cannot bring {} up to date", blueprint.file_name)).caused_by(error)
        }
    })
}

fn apply(connection: &mut Connection, blueprint: &Blueprint, partitions: Partitions) -> Result<(), Trouble> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let present: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(blueprint.migrations.len()).unwrap_or(u32::MAX);
    if present > known {
        return Err(PortError::operator(format!(
            "{} has schema {present}, which is newer than {known}, the newest that this version knows: use a newer version",
            blueprint.file_name
        ))
        .into());
    }
    for (_, migration) in (0..).zip(blueprint.migrations).filter(|(number, _)| *number >= present) {
        transaction.execute_batch(migration.0)?;
    }
    if present < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    check_partitions(&transaction, blueprint, partitions)?;
    transaction.commit()?;
    Ok(())
}

/// Every database has a table `installation` of one row, written when it is made.
fn check_partitions(connection: &Connection, blueprint: &Blueprint, partitions: Partitions) -> Result<(), Trouble> {
    let configured = partitions.count();
    let stored: Option<u16> =
        connection.query_row("SELECT partitions FROM installation", [], |row| row.get(0)).optional()?;
    match stored {
        Some(stored) if stored != configured => Err(PortError::operator(format!(
            "{} was made with {stored} partitions, but {configured} are configured: configure {stored}, or use another folder",
            blueprint.file_name
        ))
        .into()),
        Some(_) => Ok(()),
        None => {
            connection.execute("INSERT INTO installation (partitions) VALUES (?1)", [configured])?;
            Ok(())
        }
    }
}
