//! A stack: servers and other processes under one name, with their own ports and folders.

mod config;
mod control;
mod environment;
mod launch;
mod log;
mod owner;
mod status;
mod stop;

use std::{collections::BTreeMap, fs};

pub use config::StackConfig;
pub use status::ProcessStatus;
pub use stop::StopReport;

use crate::{
    Server, StackError, StackPaths, StackResult, Tools,
    guardian::Guardian,
    ports,
    process::ProcessIdentity,
    state::{self, StackFolder, StackState},
};
use owner::OwnerLock;

/// Servers and other processes under one name.
///
/// The process that starts a stack owns it: when the owner drops it, exits, or is killed, all processes of the stack
/// are killed. Other processes can [attach](Stack::attach) to it by name, to inspect it and to kill, pause and start
/// its processes.
#[derive(Debug)]
pub struct Stack {
    paths: StackPaths,
    folder: StackFolder,
    tools: Tools,
    keep: bool,
    ownership: Option<Ownership>,
}

/// Resources of the owner, dropped in this order: the lock is released after all processes have ended.
struct Ownership {
    /// `None` if the processes are to outlive the owner.
    guardian: Option<Guardian>,
    lock: OwnerLock,
}

impl std::fmt::Debug for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ownership").field("guarded", &self.guardian.is_some()).finish_non_exhaustive()
    }
}

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

    /// Attaches to a stack that another process started. Dropping the result has no effect on the stack.
    ///
    /// # Errors
    /// When there is no stack of this name, or its state cannot be read.
    pub fn attach(paths: &StackPaths, name: &str) -> StackResult<Self> {
        let folder = StackFolder::new(paths, name)?;
        if state::load(&folder)?.is_none() {
            return Err(StackError::StackNotFound { stack: name.to_owned() });
        }
        Ok(Self { paths: paths.clone(), folder, tools: Tools::at(paths), keep: true, ownership: None })
    }

    /// Returns the names of all stacks, running or not.
    #[must_use]
    pub fn names(paths: &StackPaths) -> Vec<String> {
        let entries = fs::read_dir(&paths.stacks).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> =
            names.filter(|name| StackFolder::new(paths, name).is_ok_and(|folder| folder.state().exists())).collect();
        names.sort();
        names
    }

    /// Gives up ownership, so that the stack outlives this process and runs until it is stopped.
    ///
    /// # Errors
    /// When a system call fails; then everything is killed.
    pub fn detach(mut self) -> StackResult<()> {
        if let Some(mut ownership) = self.ownership.take() {
            self.set_owner(None)?;
            ownership.guardian.take().map_or(Ok(()), Guardian::release)?;
        }
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.folder.name
    }

    /// The installed tools.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Returns whether data and logs are kept when the stack stops.
    pub(crate) fn is_kept(&self) -> bool {
        self.keep
    }

    /// Assigns ports to a process, one for each name in `services`. A process keeps its ports, unless it is down and
    /// another process listens on one of them.
    ///
    /// # Errors
    /// When no port is free.
    pub fn ports(&self, process: &str, services: &[&str]) -> StackResult<BTreeMap<String, u16>> {
        ports::reserve(&self.paths, &self.folder, process, services)
    }

    /// The address of a server for its clients, as `host:port`.
    ///
    /// # Errors
    /// When the stack does not have the server.
    pub fn address(&self, server: Server) -> StackResult<String> {
        self.port(server).map(|port| format!("127.0.0.1:{port}"))
    }

    /// The port of a server for its clients, on 127.0.0.1.
    ///
    /// # Errors
    /// When the stack does not have the server.
    pub fn port(&self, server: Server) -> StackResult<u16> {
        let record = self.record(server.name())?;
        Ok(record.spec.ports.get(server.service()).copied().unwrap_or(0))
    }

    pub(crate) fn folder(&self) -> &StackFolder {
        &self.folder
    }

    async fn start_owned(config: StackConfig) -> StackResult<Self> {
        let folder = StackFolder::new(&config.paths, &config.name)?;
        folder.make()?;
        let lock = OwnerLock::take(&folder).await?;
        if !config.keep {
            owner::sweep(&config.paths).await;
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
        let stack = Self { paths: config.paths, folder, tools, keep: config.keep, ownership };
        stack.set_owner(ProcessIdentity::of_this_process())?;
        Ok(stack)
    }

    fn set_owner(&self, owner: Option<ProcessIdentity>) -> StackResult<()> {
        state::edit(&self.folder, |state| {
            state.owner = owner;
            Ok(())
        })
    }

    pub(crate) fn state(&self) -> StackResult<StackState> {
        Ok(state::load(&self.folder)?.unwrap_or_default())
    }
}

/// Starts a guardian with an empty list, because the processes of earlier runs have ended.
fn guard(folder: &StackFolder) -> StackResult<Guardian> {
    let list = folder.running();
    fs::write(&list, "").map_err(StackError::io(format!("write {}", list.display())))?;
    Guardian::start(&list)
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(ownership) = self.ownership.take() else { return };
        let guarded = ownership.guardian.is_some();
        // Returns when the guardian has killed everything.
        drop(ownership.guardian);
        // The logs of a failed test are kept.
        if guarded && !self.keep && !std::thread::panicking() {
            // On failure, the next stack of a test removes them.
            let _ = stop::remove_folders(&self.folder);
        }
        drop(ownership.lock);
    }
}
