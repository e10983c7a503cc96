//! A stack: servers and other processes under one name, with their own ports and folders.

mod cluster;
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

pub use cluster::{MemberRole, PostgresMember, Takeover};
pub use config::StackConfig;
pub use control::MemberPart;
pub use handle::Stack;
pub use status::ProcessStatus;
pub use stop::StopReport;
