//! Where things are kept.

use std::{fmt, path::PathBuf};

/// Where the embedded databases keep what they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In this process, until the last handle is dropped. Each opening is a place of its own; further handles are clones.
    Memory,
    /// In a folder, which is made where it is missing. Handles opened on the same folder, also by other processes, share it.
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
