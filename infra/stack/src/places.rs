//! Where stacks and tools are kept.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{StackError, StackResult};

/// The variable that says where installed servers are kept, so that several clones, or a CI cache, can share them.
pub const TOOLS_VARIABLE: &str = "DIPTYCH_STACK_TOOLS";

/// The file that cargo puts into each of its target folders.
const TARGET_MARK: &str = "CACHEDIR.TAG";

/// The folders that everything is under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Each stack has a folder of its own in here.
    pub stacks: PathBuf,
    /// What was installed, shared by all stacks.
    pub tools: PathBuf,
}

impl Places {
    /// The folders `stack` and `stack-tools` of the cargo target folder that the running program was built into. `CARGO_TARGET_DIR` and
    /// `DIPTYCH_STACK_TOOLS` change that.
    ///
    /// # Errors
    /// When the program is in no target folder and `CARGO_TARGET_DIR` is not set.
    pub fn of_this_build() -> StackResult<Self> {
        let absolute = |path: PathBuf| std::path::absolute(path).map_err(StackError::io("find the current folder"));
        let target = match folder_of(env::var_os("CARGO_TARGET_DIR")) {
            Some(target) => target,
            None => target_of_this_program()?,
        };
        let target = absolute(target)?;
        let tools = match folder_of(env::var_os(TOOLS_VARIABLE)) {
            Some(tools) => absolute(tools)?,
            None => target.join("stack-tools"),
        };
        Ok(Self { stacks: target.join("stack"), tools })
    }

    /// The cargo target folder.
    #[must_use]
    pub fn target(&self) -> &Path {
        self.stacks.parent().unwrap_or(&self.stacks)
    }
}

/// A variable that is set to nothing is as good as not set.
fn folder_of(variable: Option<std::ffi::OsString>) -> Option<PathBuf> {
    variable.filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn target_of_this_program() -> StackResult<PathBuf> {
    let program = env::current_exe().map_err(StackError::io("find the path of the running program"))?;
    let target = program.ancestors().skip(1).find(|folder| folder.join(TARGET_MARK).is_file());
    target.map(Path::to_owned).ok_or_else(|| {
        StackError::Invalid(format!(
            "{} is in no cargo target folder: set CARGO_TARGET_DIR to the folder that stacks are kept in",
            program.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_found_from_the_program() {
        let target = target_of_this_program().unwrap();
        assert!(env::current_exe().unwrap().starts_with(&target));
        assert!(target.join(TARGET_MARK).is_file());
    }

    #[test]
    fn an_empty_variable_is_no_folder() {
        assert_eq!(folder_of(Some("".into())), None);
        assert_eq!(folder_of(None), None);
        assert_eq!(folder_of(Some("a".into())), Some("a".into()));
    }
}
