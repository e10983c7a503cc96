//! The migrations.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::cql;

/// A file that changes the schema. It may be applied in part and then again, when its process dies, so every statement in it can be
/// repeated.
#[derive(Debug)]
pub(super) struct Migration {
    /// Counts from 1, without gaps; the beginning of the file's name.
    pub(super) version: usize,
    pub(super) name: &'static str,
    text: &'static str,
}

/// In the order of their versions.
pub(super) const MIGRATIONS: [Migration; 1] =
    [Migration { version: 1, name: "0001_progress", text: include_str!("../../migrations/0001_progress.cql") }];

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
    fn versions_are_dense_and_names_tell_them() {
        for (version, migration) in (1..).zip(&MIGRATIONS) {
            assert_eq!(migration.version, version);
            assert!(migration.name.starts_with(&format!("{version:04}_")), "{}", migration.name);
        }
    }

    #[test]
    fn no_file_is_forgotten() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let files: BTreeSet<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let known: BTreeSet<_> = MIGRATIONS.iter().map(|migration| format!("{}.cql", migration.name).into()).collect();
        assert_eq!(files, known);
    }

    #[test]
    fn every_statement_can_be_repeated() {
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            assert!(statement.contains("IF NOT EXISTS") || statement.contains("IF EXISTS"), "{statement}");
        }
    }

    #[test]
    fn checksums_are_those_of_other_tools() {
        let migration = Migration { version: 1, name: "0001_test", text: "abc" };
        assert_eq!(migration.checksum(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
