//! Data folders: their files, permissions and locks.

pub(crate) mod files;
mod lock;
mod read_only;

pub use lock::FolderLock;
pub use read_only::ReadOnlyFolder;
pub(crate) use read_only::log_path;
