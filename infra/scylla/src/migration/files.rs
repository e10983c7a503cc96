//! The migration files.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::cql;

/// A file that changes the schema. If the process crashes, it may have been applied in part and is applied again, so
/// every statement in it is repeatable.
#[derive(Debug)]
pub(super) struct Migration {
    /// Counts from 1 without gaps; the file's name begins with it.
    pub(super) version: usize,
    pub(super) name: &'static str,
    text: &'static str,
}

/// The smallest schema that a program must have been made for to use the newest one. Migrations add, so that an earlier
/// program can go on, and come back after a rollback; one that removes or changes what earlier programs use sets this
/// to its own version.
pub(super) const PROGRAM_SCHEMA_MIN: usize = 5;

/// All migrations in the order of their versions.
pub(super) const MIGRATIONS: [Migration; 5] = [
    Migration { version: 1, name: "0001_progress", text: include_str!("../../migrations/0001_progress.cql") },
    Migration {
        version: 2,
        name: "0002_installation_history",
        text: include_str!("../../migrations/0002_installation_history.cql"),
    },
    Migration { version: 3, name: "0003_datacenter", text: include_str!("../../migrations/0003_datacenter.cql") },
    Migration {
        version: 4,
        name: "0004_program_schema_min",
        text: include_str!("../../migrations/0004_program_schema_min.cql"),
    },
    Migration { version: 5, name: "0005_view_readers", text: include_str!("../../migrations/0005_view_readers.cql") },
];

impl Migration {
    pub(super) fn statements(&self) -> Vec<String> {
        cql::statements(self.text)
    }

    /// SHA-256 of the file, in hexadecimal.
    pub(super) fn checksum(&self) -> String {
        Sha256::digest(self.text).iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn versions_have_no_gaps_and_begin_the_names() {
        for (version, migration) in (1..).zip(&MIGRATIONS) {
            assert_eq!(migration.version, version);
            assert!(migration.name.starts_with(&format!("{version:04}_")), "{}", migration.name);
        }
    }

    #[test]
    fn every_file_is_listed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let files: BTreeSet<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let known: BTreeSet<_> = MIGRATIONS.iter().map(|migration| format!("{}.cql", migration.name).into()).collect();
        assert_eq!(files, known);
    }

    #[test]
    fn every_statement_is_repeatable() {
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            assert!(statement.contains("IF NOT EXISTS") || statement.contains("IF EXISTS"), "{statement}");
        }
    }

    #[test]
    fn checksums_are_sha_256() {
        let migration = Migration { version: 1, name: "0001_test", text: "abc" };
        assert_eq!(migration.checksum(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
