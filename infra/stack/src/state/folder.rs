//! The files of one stack.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Places, StackError, StackResult, process::check_name};

/// The folder of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) name: String,
    path: PathBuf,
}

impl Folder {
    /// Nothing is made yet.
    pub(crate) fn of(places: &Places, name: &str) -> StackResult<Self> {
        check_name("stack", name)?;
        Ok(Self { name: name.to_owned(), path: places.stacks.join(name) })
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

    /// What the stack has written down.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Held for the moment in which `state` changes.
    pub(crate) fn state_lock(&self) -> PathBuf {
        self.path.join("state.lock")
    }

    /// Held by the owner for as long as it owns, and by whoever starts or stops the stack.
    pub(crate) fn owner_lock(&self) -> PathBuf {
        self.path.join("owner.lock")
    }

    /// A line for every process that was started, for the guardian, and for stopping a stack whose state is not
    /// readable.
    pub(crate) fn running(&self) -> PathBuf {
        self.path.join("running")
    }

    /// What a process has for itself.
    pub(crate) fn process(&self, process: &str) -> PathBuf {
        self.path.join(process)
    }

    /// What a process writes to its standard output and error, start after start.
    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.process(process).join("output.log")
    }
}
