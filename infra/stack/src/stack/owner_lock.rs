//! Lock by which one process owns a stack.

use std::{
    fs::{File, TryLockError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    error::{StackError, StackResult},
    process::ProcessIdentity,
    state::{self, StackFolder},
};

/// Longest time that a lock may outlive its owner: a child inherits the descriptor between fork and exec.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Lock held by the owner. The system releases it when the owner ends.
pub(super) struct OwnerLock {
    _file: File,
}

impl OwnerLock {
    /// Takes the lock. The folder must exist.
    ///
    /// # Errors
    /// When another process has it.
    pub(super) async fn take(folder: &StackFolder) -> StackResult<Self> {
        let path = folder.owner_lock();
        let doing = || StackError::io(format!("lock {}", path.display()));
        let file = File::create(&path).map_err(doing())?;
        let until = Instant::now() + RELEASE_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(doing()(error)),
            }
            let owner = state::load(folder).ok().flatten().and_then(|state| state.owner);
            let owner_is_alive = owner.as_ref().is_some_and(ProcessIdentity::is_alive);
            if owner_is_alive || Instant::now() >= until {
                return Err(StackError::InUse { stack: folder.name.clone(), owner: owner.map(|owner| owner.pid) });
            }
            sleep(RETRY_INTERVAL).await;
        }
    }
}
