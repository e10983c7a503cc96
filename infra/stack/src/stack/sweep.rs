//! Removal of the stacks that tests have left behind.

use super::{config::TEST_PREFIX, handle::Stack, owner_lock::OwnerLock};
use crate::{paths::StackPaths, state};

/// Removes stacks of failed tests and of tests whose process was killed.
pub(super) async fn sweep(paths: &StackPaths) {
    for name in Stack::names(paths).iter().filter(|name| name.starts_with(TEST_PREFIX)) {
        // Stacks that cannot be locked or removed are left to the next sweep.
        let Ok(stack) = Stack::attach(paths, name) else { continue };
        let Ok(_lock) = OwnerLock::take(&stack.folder).await else { continue };
        let all_dead = stack.state().is_ok_and(|state| state.processes.iter().all(|record| !record.is_alive()));
        if all_dead {
            let _ = state::remove_folders(&stack.folder);
        }
    }
}
