//! Unprivileged user for servers that refuse to run as root, and the folders that it can reach.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::{
    error::{StackError, StackResult},
    process::RunAs,
};

/// Users to run Postgres as, in order of preference, because it refuses to run as root. Debian's package creates the
/// first.
pub(super) const USERS: &[&str] = &["postgres", "nobody"];

/// Finds the first existing user of these. `None` if this process is not root; the server then runs as the current
/// user.
pub(super) fn unprivileged_user(preferred: &[&str]) -> StackResult<Option<RunAs>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(StackError::io("read /etc/passwd"))?;
    let found = preferred.iter().find_map(|name| find(&users, name));
    found.map(Some).ok_or_else(|| {
        StackError::Invalid(format!(
            "none of the users {} exists: create one, or do not run as root",
            preferred.join(", ")
        ))
    })
}

/// Looks a user up in `/etc/passwd`.
fn find(users: &str, name: &str) -> Option<RunAs> {
    users.lines().find_map(|line| {
        let mut fields = line.strip_prefix(name)?.strip_prefix(':')?.split(':').skip(1);
        let (user_id, group_id) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(RunAs { user_id, group_id })
    })
}

/// Checks that the user may enter every folder of the path of a program.
pub(super) fn check_reach(user: Option<RunAs>, path: &Path, what: &str) -> StackResult<()> {
    let Some(user) = user.filter(|user| !can_reach(*user, path)) else { return Ok(()) };
    Err(StackError::Invalid(format!(
        "user {} may not enter {}, where {what} is installed: set {} to a folder that all users may enter",
        user.user_id,
        path.display(),
        crate::paths::TOOLS_VARIABLE
    )))
}

/// Returns whether the user may enter every folder of the path.
pub(super) fn can_reach(user: RunAs, path: &Path) -> bool {
    path.ancestors().all(|folder| {
        let Ok(metadata) = fs::metadata(folder) else { return false };
        let enter = if metadata.uid() == user.user_id {
            0o100
        } else if metadata.gid() == user.group_id {
            0o010
        } else {
            0o001
        };
        metadata.permissions().mode() & enter != 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:105:111:,,,:/var:/bin/sh\n";
        assert_eq!(find(users, "postgres"), Some(RunAs { user_id: 105, group_id: 111 }));
        assert_eq!(find(users, "nobody"), None);
    }

    #[test]
    fn an_inaccessible_parent_folder_is_detected() {
        let parent = tempfile::tempdir().unwrap();
        let inner = parent.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let stranger = RunAs { user_id: 65_534, group_id: 65_534 };
        let allow = |mode| fs::set_permissions(parent.path(), fs::Permissions::from_mode(mode)).unwrap();
        allow(0o755);
        let outside = parent.path().parent().unwrap();
        assert_eq!(can_reach(stranger, &inner), can_reach(stranger, outside));
        allow(0o700);
        assert!(!can_reach(stranger, &inner));
        let owner = fs::metadata(parent.path()).unwrap();
        let owner = RunAs { user_id: owner.uid(), group_id: owner.gid() };
        assert_eq!(can_reach(owner, &inner), can_reach(owner, outside));
        assert!(!can_reach(stranger, &inner.join("missing")));
    }
}
