//! What a stack is to have.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{Places, Server, StackResult};

/// What names of stacks of tests begin with.
pub(super) const TEST_PREFIX: &str = "test-";

/// How to start a stack.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Where stacks and tools are kept.
    pub places: Places,
    /// The name: lower-case letters, digits and `-`.
    pub name: String,
    /// The servers to start. Default: all.
    pub servers: Vec<Server>,
    /// Whether data and logs stay when the stack is stopped. Then servers are stopped in order; otherwise they are
    /// killed, since there is nothing to save.
    pub keep: bool,
    /// Whether servers that run already, because nobody owns the stack, are taken as they are. Then nothing is killed
    /// when this process ends. Otherwise it is an error that they run.
    pub adopt: bool,
}

impl StackConfig {
    /// A stack that is kept, in the target folder of this build.
    ///
    /// # Errors
    /// When that cannot be found.
    pub fn new(name: impl Into<String>) -> StackResult<Self> {
        Ok(Self {
            places: Places::of_this_build()?,
            name: name.into(),
            servers: Server::ALL.into(),
            keep: true,
            adopt: false,
        })
    }

    /// A stack with these servers for a test, under a name that no other has, and gone with the test.
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
