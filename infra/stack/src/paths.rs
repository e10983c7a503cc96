//! Folders of stacks and installed tools.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::error::{StackError, StackResult};

/// The environment variable for the folder of installed servers, which several clones, or a CI cache, can share.
pub const TOOLS_VARIABLE: &str = "DIPTYCH_STACK_TOOLS";

/// Files that mark a cargo target folder: cargo writes the first only into folders that it created, the second into
/// all.
const TARGET_MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// The folders that contain all stacks and tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackPaths {
    /// The parent of the folders of all stacks.
    pub stacks: PathBuf,
    /// The installed servers and tools, shared by all stacks.
    pub tools: PathBuf,
}

impl StackPaths {
    /// The folders `stack` and `stack-tools` of the cargo target folder that the running program was built into.
    /// `CARGO_TARGET_DIR` and `DIPTYCH_STACK_TOOLS` override them.
    ///
    /// # Errors
    /// When the program is in no target folder and `CARGO_TARGET_DIR` is not set.
    pub fn in_target_folder() -> StackResult<Self> {
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

/// Treats an empty variable as unset.
fn folder_of(variable: Option<std::ffi::OsString>) -> Option<PathBuf> {
    variable.filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn target_of_this_program() -> StackResult<PathBuf> {
    let program = env::current_exe().map_err(StackError::io("find the path of the running program"))?;
    target_of(&program).map(Path::to_owned).ok_or_else(|| {
        StackError::Invalid(format!(
            "{} is not in a cargo target folder: set CARGO_TARGET_DIR to the folder that stacks are kept in",
            program.display()
        ))
    })
}

fn target_of(program: &Path) -> Option<&Path> {
    let is_target = |folder: &&Path| TARGET_MARKS.iter().any(|mark| folder.join(mark).is_file());
    program.ancestors().skip(1).find(is_target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_found_from_the_program() {
        let target = target_of_this_program().unwrap();
        assert!(env::current_exe().unwrap().starts_with(&target));
        assert!(target.join("debug").is_dir() || target.join("release").is_dir(), "{}", target.display());
    }

    /// The folder may exist before cargo first writes to it.
    #[test]
    fn a_target_folder_that_cargo_did_not_make_is_found() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("target");
        let program = target.join("debug/diptych-stack");
        std::fs::create_dir_all(target.join("debug")).unwrap();
        assert_eq!(target_of(&program), None);
        std::fs::write(target.join(".rustc_info.json"), "{}").unwrap();
        assert_eq!(target_of(&program), Some(target.as_path()));
    }

    #[test]
    fn an_empty_variable_is_no_folder() {
        assert_eq!(folder_of(Some("".into())), None);
        assert_eq!(folder_of(None), None);
        assert_eq!(folder_of(Some("a".into())), Some("a".into()));
    }
}
