//! Configuration of a stack.

use std::{
    net::Ipv4Addr,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{error::StackResult, paths::StackPaths, servers::Server};

/// Prefix of the names of stacks of tests.
pub(super) const TEST_PREFIX: &str = "test-";

/// Configuration of a stack to start.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Folders of stacks and tools.
    pub paths: StackPaths,
    /// The name: lower-case letters, digits and `-`.
    pub name: String,
    /// The servers to start. Default: all.
    pub servers: Vec<Server>,
    /// Number of standbys of Postgres. Default 0: one server without a failover manager. With 1, the standby is
    /// synchronous while it lives; the primary goes on alone without it. From 2, the primary acknowledges nothing
    /// without a synchronous standby, so that an acknowledged write survives the loss of any one server.
    pub standbys: u16,
    /// True if data and logs are kept when the stack stops. If so, servers are stopped gracefully; otherwise they are
    /// killed.
    pub keep: bool,
    /// True if running servers of a stack without an owner are adopted. If so, nothing is killed when this process
    /// ends; otherwise running servers are an error.
    pub adopt: bool,
    /// A second address that servers listen on besides 127.0.0.1, for pods of a Kubernetes on this machine. Whoever
    /// reaches it can use the servers without a password.
    pub pod_address: Option<Ipv4Addr>,
}

impl StackConfig {
    /// A kept stack in the target folder of this build.
    ///
    /// # Errors
    /// When the target folder cannot be found.
    pub fn new(name: impl Into<String>) -> StackResult<Self> {
        Ok(Self {
            paths: StackPaths::in_target_folder()?,
            name: name.into(),
            servers: Server::ALL.into(),
            standbys: 0,
            keep: true,
            adopt: false,
            pod_address: None,
        })
    }

    /// A stack with these servers for a test: it has a unique name and is removed at the end of the test.
    ///
    /// # Errors
    /// When the target folder of this build cannot be found.
    pub fn for_test(servers: impl IntoIterator<Item = Server>) -> StackResult<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TEST_PREFIX}{}-{number}", process::id());
        Ok(Self { servers: servers.into_iter().collect(), keep: false, ..Self::new(name)? })
    }
}
