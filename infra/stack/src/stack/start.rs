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
    servers::Server,
    state::{self, ProcessRecord, StackFolder},
};

/// Maximum number of standbys. Each takes about 130 MB of memory.
const STANDBYS_MAX: u16 = 4;

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
        let alive = state::load(&folder)?.is_some_and(|state| state.processes.iter().any(ProcessRecord::is_alive));
        if alive && !config.adopt {
            return Err(StackError::AlreadyRunning { stack: config.name });
        }
        check_standbys(&folder, &config)?;
        // No guardian for adopted processes: it would kill them too.
        let guardian = if alive { None } else { Some(guard(&folder)?) };
        let ownership = Some(Ownership { guardian, lock });
        let tools = Tools::at(&config.paths);
        let StackConfig { paths, keep, pod_address, standbys, .. } = config;
        let stack = Self { paths, folder, tools, keep, pod_address, standbys, ownership };
        stack.set_owner(ProcessIdentity::of_this_process())?;
        state::edit(&stack.folder, |state| {
            state.pod_address = stack.pod_address;
            state.standbys = stack.standbys;
            Ok(())
        })?;
        Ok(stack)
    }
}

/// Checks that the number of standbys can be had.
fn check_standbys(folder: &StackFolder, config: &StackConfig) -> StackResult<()> {
    if config.standbys > STANDBYS_MAX {
        return Err(StackError::Invalid(format!(
            "{} standbys are too many: at most {STANDBYS_MAX} are supported",
            config.standbys
        )));
    }
    if config.standbys > 0 && config.pod_address.is_some() {
        return Err(StackError::Invalid(
            "a Postgres with standbys listens on 127.0.0.1 only: start the stack without an address for pods"
                .to_owned(),
        ));
    }
    let Some(state) = state::load(folder)? else { return Ok(()) };
    if state.standbys != config.standbys && state.find(Server::Postgres.name()).is_some() {
        return Err(StackError::Invalid(format!(
            "Postgres of stack {} was started with {} standbys, not {}: choose another stack with --name, or remove \
             its data with `cargo stack down --delete-data`",
            folder.name, state.standbys, config.standbys
        )));
    }
    Ok(())
}

/// Starts a guardian with an empty list, because the processes of earlier runs have ended.
fn guard(folder: &StackFolder) -> StackResult<Guardian> {
    let list = folder.running();
    fs::write(&list, "").map_err(StackError::io(format!("write {}", list.display())))?;
    Guardian::start(&list)
}
