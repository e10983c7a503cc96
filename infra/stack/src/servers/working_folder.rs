//! Working folders of processes of another user.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, chown},
    path::{Path, PathBuf},
};

use super::{file::make_folder, user::can_reach};
use crate::{
    error::{StackError, StackResult},
    process::RunAs,
    state::StackFolder,
};

/// The process whose temporary folder has no name of its own.
const FIRST: &str = "postgres";

/// Creates the working folder of a process. If its user cannot reach the stack's folder (such as below a private home
/// folder), the working folder is a temporary one.
pub(super) fn make_working_folder(stack: &StackFolder, process: &str, user: Option<RunAs>) -> StackResult<PathBuf> {
    let own = stack.process(process);
    make_folder(&own)?;
    let Some(user) = user else { return Ok(own) };
    let give = |folder: &Path| {
        chown(folder, Some(user.user_id), Some(user.group_id)).map_err(StackError::io(format!(
            "give {} to user {}",
            folder.display(),
            user.user_id
        )))
    };
    if can_reach(user, stack.path()) {
        give(&own)?;
        return Ok(own);
    }
    let mut name = format!("diptych-stack-{}", fingerprint(stack.path()));
    if process != FIRST {
        name = format!("{name}-{process}");
    }
    let temporary = std::env::temp_dir().join(name);
    match fs::DirBuilder::new().mode(0o700).create(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && belongs_to(&temporary, user) => {}
        Err(error) => return Err(StackError::io(format!("make the folder {}", temporary.display()))(error)),
    }
    give(&temporary)?;
    Ok(temporary)
}

/// Returns whether the folder belongs to the user or root. A folder or link of another user in the temporary folder is
/// not used.
fn belongs_to(temporary: &Path, user: RunAs) -> bool {
    fs::symlink_metadata(temporary)
        .is_ok_and(|metadata| metadata.is_dir() && (metadata.uid() == user.user_id || metadata.uid() == 0))
}

/// Hash of the path of a stack, which makes its temporary folder unique.
fn fingerprint(folder: &Path) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
