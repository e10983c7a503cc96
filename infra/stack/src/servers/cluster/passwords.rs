//! Passwords of the users with which Patroni works.

use std::{fs, io};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::file::write_private;
use crate::{
    error::{StackError, StackResult},
    state::StackFolder,
};

/// Passwords of a stack, generated once.
#[derive(Serialize, Deserialize)]
pub(super) struct Passwords {
    pub(super) superuser: String,
    pub(super) replication: String,
    pub(super) rewind: String,
}

impl Passwords {
    /// Reads them, or generates them when the stack has none.
    pub(super) fn of_stack(folder: &StackFolder) -> StackResult<Self> {
        let path = folder.path().join("postgres-passwords.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                StackError::Invalid(format!(
                    "{} is not a valid file of passwords ({error}): `cargo stack down --delete-data` removes it with \
                     the databases that need it",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let passwords = Self::generate();
                let text = serde_json::to_string(&passwords)
                    .map_err(|error| StackError::io(format!("write {}", path.display()))(error.into()))?;
                write_private(&path, &text, None)?;
                Ok(passwords)
            }
            Err(error) => Err(StackError::io(format!("read {}", path.display()))(error)),
        }
    }

    fn generate() -> Self {
        let random = || Uuid::new_v4().simple().to_string();
        Self { superuser: random(), replication: random(), rewind: random() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::paths::StackPaths;

    #[test]
    fn they_are_random_kept_and_private() {
        let parent = tempfile::tempdir().unwrap();
        let paths = StackPaths { stacks: parent.path().join("stack"), tools: parent.path().join("tools") };
        let folder = |name: &str| {
            let folder = StackFolder::new(&paths, name).unwrap();
            folder.make().unwrap();
            folder
        };
        let one = Passwords::of_stack(&folder("one")).unwrap();
        assert_eq!(Passwords::of_stack(&folder("one")).unwrap().replication, one.replication);
        let other = Passwords::of_stack(&folder("two")).unwrap();
        assert!(one.replication != other.replication && one.replication != one.rewind && one.superuser.len() == 32);
        let file = folder("one").path().join("postgres-passwords.json");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
