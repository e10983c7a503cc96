//! The files of one stack.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{StackError, StackResult},
    paths::StackPaths,
    process::check_name,
};

/// The folder of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StackFolder {
    pub(crate) name: String,
    path: PathBuf,
}

impl StackFolder {
    /// Checks the name; creates nothing.
    pub(crate) fn new(paths: &StackPaths, name: &str) -> StackResult<Self> {
        check_name("stack", name)?;
        Ok(Self { name: name.to_owned(), path: paths.stacks.join(name) })
    }

    pub(crate) fn make(&self) -> StackResult<()> {
        fs::create_dir_all(&self.path).map_err(StackError::io(format!("make the folder {}", self.path.display())))
    }

    pub(crate) fn remove(&self) -> StackResult<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StackError::io(format!("remove the folder {}", self.path.display()))(error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The state file.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Lock held while `state` changes.
    pub(crate) fn state_lock(&self) -> PathBuf {
        self.path.join("state.lock")
    }

    /// Lock held by the owner, and by programs that start or stop the stack.
    pub(crate) fn owner_lock(&self) -> PathBuf {
        self.path.join("owner.lock")
    }

    /// List of started processes, one a line, for the guardian and for stopping a stack whose state is unreadable.
    pub(crate) fn running(&self) -> PathBuf {
        self.path.join("running")
    }

    /// Folder of a process.
    pub(crate) fn process(&self, process: &str) -> PathBuf {
        self.path.join(process)
    }

    /// Log of a process: its standard output and error, appended at each start.
    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.process(process).join("output.log")
    }
}
