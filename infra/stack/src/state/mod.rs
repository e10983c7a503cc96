//! Persistent state of a stack, by which any program that knows its name can manage it.

mod file;
mod folder;
mod remove;
mod stack_state;

pub(crate) use file::{edit, load};
pub(crate) use folder::StackFolder;
pub(crate) use remove::remove_folders;
pub(crate) use stack_state::{ProcessRecord, ProcessRun, StackState};
