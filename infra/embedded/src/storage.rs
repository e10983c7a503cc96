//! Storage location of the embedded databases.

use std::{fmt, path::PathBuf};

/// Storage location of the embedded databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In this process, until the last handle is dropped. Each call of `open` creates a new database; further handles
    /// are clones.
    Memory,
    /// In a directory, which is created if it is missing. Handles opened on the same directory share it, also from
    /// other processes.
    Directory(PathBuf),
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Directory(path) => path.display().fmt(f),
        }
    }
}
