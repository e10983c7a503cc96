//! Processes: specification, start, identity (pids are reused), stop and kill.

mod detached;
mod handle;
mod identity;
mod leftover;
mod proc_fs;
mod spawn;
mod spec;
mod tree;

pub(crate) use handle::ProcessHandle;
pub(crate) use identity::ProcessIdentity;
pub(crate) use leftover::clear_locks;
pub(crate) use spawn::{SpawnedProcess, spawn};
pub(crate) use tree::{ProcessTree, SIGNAL_TIMEOUT, StopOutcome, freeze, kill, memory_kib, terminate, thaw};

pub use detached::Detached;
pub use identity::ProcessState;
pub(crate) use spec::check_name;
pub use spec::{ProcessSpec, Readiness, RunAs, StopSignal};
