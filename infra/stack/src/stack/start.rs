//! Start of a stack.

use std::fs;

use super::{
    config::StackConfig,
    handle::{Ownership, Stack},
    owner_lock::OwnerLock,
    sweep::sweep,
};
use crate::{
    error::{StackError, StackResult},
    guardian::Guardian,
    install::Tools,
    process::ProcessIdentity,
    state::{self, StackFolder},
};

impl Stack {
    /// Starts servers concurrently and returns when all are ready. An existing folder is reused: servers keep their
    /// data, and their ports if these are still free.
    ///
    /// # Errors
    /// When a server is not installed or does not become ready: the message contains the end of its log, and all
    /// started processes are killed. When another process owns a stack of this name.
    pub async fn start(config: StackConfig) -> StackResult<Self> {
        let servers = config.servers.clone();
        let mut stack = Self::start_owned(config).await?;
        let started = stack.start_servers(&servers).await;
        if let Err(error) = started {
            // Keeps the logs for inspection; the next stack of a test removes them.
            stack.keep = true;
            return Err(error);
        }
        Ok(stack)
    }

    async fn start_owned(config: StackConfig) -> StackResult<Self> {
        let folder = StackFolder::new(&config.paths, &config.name)?;
        folder.make()?;
        let lock = OwnerLock::take(&folder).await?;
        if !config.keep {
            sweep(&config.paths).await;
        }
        let alive =
            state::load(&folder)?.is_some_and(|state| state.processes.iter().any(|record| record.live_run().is_some()));
        if alive && !config.adopt {
            return Err(StackError::AlreadyRunning { stack: config.name });
        }
        // No guardian for adopted processes: it would kill them too.
        let guardian = if alive { None } else { Some(guard(&folder)?) };
        let ownership = Some(Ownership { guardian, lock });
        let tools = Tools::at(&config.paths);
        let stack =
            Self { paths: config.paths, folder, tools, keep: config.keep, pod_address: config.pod_address, ownership };
        stack.set_owner(ProcessIdentity::of_this_process())?;
        state::edit(&stack.folder, |state| {
            state.pod_address = stack.pod_address;
            Ok(())
        })?;
        Ok(stack)
    }
}

/// Starts a guardian with an empty list, because the processes of earlier runs have ended.
fn guard(folder: &StackFolder) -> StackResult<Guardian> {
    let list = folder.running();
    fs::write(&list, "").map_err(StackError::io(format!("write {}", list.display())))?;
    Guardian::start(&list)
}
