//! [`Stack`]: the handle of a stack.

use std::{collections::BTreeMap, fs, net::Ipv4Addr};

use super::owner_lock::OwnerLock;
use crate::{
    error::{StackError, StackResult},
    guardian::Guardian,
    install::Tools,
    paths::StackPaths,
    ports,
    process::ProcessIdentity,
    servers::Server,
    state::{self, StackFolder, StackState},
};

/// Servers and other processes under one name.
///
/// The process that starts a stack owns it: when the owner drops it, exits, or is killed, all processes of the stack
/// are killed. Other processes can [attach](Stack::attach) to it by name, to inspect it and to kill, pause and start
/// its processes.
#[derive(Debug)]
pub struct Stack {
    pub(super) paths: StackPaths,
    pub(super) folder: StackFolder,
    pub(super) tools: Tools,
    pub(super) keep: bool,
    pub(super) pod_address: Option<Ipv4Addr>,
    pub(super) standbys: u16,
    pub(super) ownership: Option<Ownership>,
}

/// Resources of the owner, dropped in this order: the lock is released after all processes have ended.
pub(super) struct Ownership {
    /// `None` if the processes are to outlive the owner.
    pub(super) guardian: Option<Guardian>,
    pub(super) lock: OwnerLock,
}

impl std::fmt::Debug for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ownership").field("guarded", &self.guardian.is_some()).finish_non_exhaustive()
    }
}

impl Stack {
    /// Attaches to a stack that another process started. Dropping the result has no effect on the stack.
    ///
    /// # Errors
    /// When there is no stack of this name, or its state cannot be read.
    pub fn attach(paths: &StackPaths, name: &str) -> StackResult<Self> {
        let folder = StackFolder::new(paths, name)?;
        let Some(StackState { pod_address, standbys, .. }) = state::load(&folder)? else {
            return Err(StackError::StackNotFound { stack: name.to_owned() });
        };
        let (paths, tools) = (paths.clone(), Tools::at(paths));
        Ok(Self { paths, folder, tools, keep: true, pod_address, standbys, ownership: None })
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

    /// Assigns ports to a process, one for each name in `services`. A process keeps its ports, unless it is down and
    /// another process listens on one of them.
    ///
    /// # Errors
    /// When no port is free.
    pub fn ports(&self, process: &str, services: &[&str]) -> StackResult<BTreeMap<String, u16>> {
        ports::reserve(&self.paths, &self.folder, process, services)
    }

    /// The address of a server for its clients, as `host:port`. Of a Postgres with standbys, that of the first member,
    /// whatever its role: see [`Stack::postgres_addresses`] and [`Stack::primary`].
    ///
    /// # Errors
    /// When the stack does not have the server.
    pub fn address(&self, server: Server) -> StackResult<String> {
        self.port(server).map(|port| format!("127.0.0.1:{port}"))
    }

    /// The address of a server for pods, as `host:port`; `None` if the stack was started without an address for them.
    ///
    /// # Errors
    /// When the stack does not have the server.
    pub fn pod_address(&self, server: Server) -> StackResult<Option<String>> {
        let Some(host) = self.pod_address else { return Ok(None) };
        let record = self.record(server.name())?;
        Ok(record.spec.ports.get(server.pod_service()).map(|port| format!("{host}:{port}")))
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

    pub(super) fn set_owner(&self, owner: Option<ProcessIdentity>) -> StackResult<()> {
        state::edit(&self.folder, |state| {
            state.owner = owner;
            Ok(())
        })
    }

    pub(crate) fn state(&self) -> StackResult<StackState> {
        Ok(state::load(&self.folder)?.unwrap_or_default())
    }
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
            let _ = state::remove_folders(&self.folder);
        }
        drop(ownership.lock);
    }
}
