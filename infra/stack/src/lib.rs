//! Installs, starts, stops, kills and pauses real servers on one machine, without containers.
//!
//! Users run the program `cargo stack`; tests use [`Stack`]. Both work on the same files, so a stack that a test has
//! started can be inspected by hand while the test runs.
//!
//! A stack has a name and its own folder, ports and processes, so several can run side by side. Its state is a file in
//! its folder, and each process is identified by more than its pid, because pids are reused. The owner of a stack is
//! the process that started it. A guardian process kills everything when the owner exits, even if the owner was killed.
//!
//! ```no_run
//! use diptych_stack::{Server, Stack, StackConfig, StackResult};
//!
//! # async fn example() -> StackResult<()> {
//! let stack = Stack::start(StackConfig::for_test([Server::Postgres, Server::Memcached])?).await?;
//! let address = stack.address(Server::Postgres)?;
//! stack.kill(Server::Postgres).await?;
//! stack.start_process(Server::Postgres).await?; // at the same address, with its data
//! stack.stop().await?;
//! # Ok(())
//! # }
//! ```

mod error;
mod guardian;
mod install;
mod paths;
mod ports;
mod probe;
mod process;
mod product;
mod servers;
mod stack;
mod state;

pub use error::{StackError, StackResult};
pub use install::{Package, ProgressReporter, Tools, install};
pub use paths::{StackPaths, TOOLS_VARIABLE};
pub use process::{Detached, ProcessSpec, ProcessState, Readiness, RunAs, StopSignal};
pub use product::{Product, ProductConfig, Tracing};
pub use servers::Server;
pub use stack::{MemberPart, MemberRole, PostgresMember, ProcessStatus, Stack, StackConfig, StopReport, Takeover};
