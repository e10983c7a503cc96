//! A stack: servers and other processes under one name, with their own ports and folders.

mod config;
mod control;
mod handle;
mod launch;
mod log;
mod owner_lock;
mod start;
mod status;
mod stop;
mod sweep;

pub use config::StackConfig;
pub use handle::Stack;
pub use status::ProcessStatus;
pub use stop::StopReport;
