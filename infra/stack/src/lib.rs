//! The real servers on one machine, without containers: installs, starts, stops, kills and pauses them.
//!
//! For people there is the program, `cargo stack`; for tests there is [`Stack`]. Both do the same things to the same
//! files, so that a stack that a test has started can be looked at by hand while the test runs.
//!
//! A stack has a name, and under it a folder, ports and processes of its own: several stand side by side. What it knows
//! is written down in its folder, and every process is told apart from a later one with the same pid. The owner of a
//! stack is the process that started it; a guardian process kills everything when the owner goes, also when the owner
//! was killed.
//!
//! ```no_run
//! use diptych_stack::{Server, Stack, StackConfig, StackResult};
//!
//! # async fn example() -> StackResult<()> {
//! let stack = Stack::start(StackConfig::for_test([Server::Postgres, Server::Memcached])?).await?;
//! let address = stack.address(Server::Postgres)?;
//! stack.kill(Server::Postgres).await?;
//! stack.start_again(Server::Postgres).await?; // at the same address, with its data
//! stack.stop().await?;
//! # Ok(())
//! # }
//! ```

mod error;
mod guardian;
mod install;
mod places;
mod ports;
mod probe;
mod process;
mod product;
mod servers;
mod stack;
mod state;

pub use error::{StackError, StackResult};
pub use install::{Package, Say, Tools, install};
pub use places::{Places, TOOLS_VARIABLE};
pub use process::{ProcessSpec, ProcessState, Readiness, RunAs, StopSignal};
pub use product::{Product, ProductConfig, Tracing};
pub use servers::Server;
pub use stack::{ProcessStatus, Stack, StackConfig, Stopped};
