//! Removal of the files of a stack.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::{file::load, folder::StackFolder};
use crate::error::{StackError, StackResult};

/// Removes the stack's folder, and working folders of its processes outside of it.
pub(crate) fn remove_folders(folder: &StackFolder) -> StackResult<()> {
    let records = load(folder).ok().flatten().map(|state| state.processes).unwrap_or_default();
    let elsewhere: BTreeSet<PathBuf> = records.into_iter().filter_map(|record| record.spec.folder).collect();
    for other in elsewhere.iter().filter(|other| !other.starts_with(folder.path()) && other.exists()) {
        fs::remove_dir_all(other).map_err(StackError::io(format!("remove the folder {}", other.display())))?;
    }
    folder.remove()
}
