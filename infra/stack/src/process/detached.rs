//! Processes that belong to another one without being its descendants.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{handle::ProcessHandle, identity::ProcessIdentity, proc_fs};

/// Processes that a process starts and that are not its descendants: Patroni's Postgres, which must outlive a crash of
/// Patroni. They are found by their program and working folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// Their program.
    pub program: PathBuf,
    /// Their working folder.
    pub folder: PathBuf,
}

impl Detached {
    /// Returns those that are alive.
    pub(crate) fn alive(&self) -> Vec<ProcessIdentity> {
        let pids = proc_fs::all_working_in(&self.folder, &self.program);
        pids.into_iter().filter_map(ProcessIdentity::of).filter(ProcessIdentity::is_alive).collect()
    }

    /// Opens handles to those that are alive.
    pub(super) fn handles(&self) -> std::io::Result<Vec<ProcessHandle>> {
        self.alive().iter().filter_map(|identity| ProcessHandle::open(identity).transpose()).collect()
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (program, folder) = line.strip_prefix(PREFIX)?.split_once('\t')?;
        Some(Self { program: program.into(), folder: folder.into() })
    }
}

const PREFIX: &str = "detached\t";

/// A line of the file that the guardian reads: `detached`, the program and the folder, separated by tabs.
impl fmt::Display for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}\t{}", self.program.display(), self.folder.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_round_trips() {
        let detached = Detached { program: "/usr/lib/a b/postgres".into(), folder: "/stack/one two/data".into() };
        assert_eq!(Detached::parse(&detached.to_string()), Some(detached));
        for garbage in ["", "1 2 boot", "detached", "detached\tonly-one"] {
            assert_eq!(Detached::parse(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_process_is_found_by_program_and_folder() {
        let folder = std::env::current_dir().unwrap();
        let own = Detached { program: std::env::current_exe().unwrap(), folder: folder.clone() };
        assert_eq!(own.alive(), [ProcessIdentity::of_this_process().unwrap()]);
        assert_eq!(Detached { program: "/bin/false".into(), folder }.alive(), []);
        assert_eq!(Detached { folder: "/no/such/folder".into(), ..own }.alive(), []);
    }
}
