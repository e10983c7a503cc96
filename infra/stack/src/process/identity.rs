//! Identity of a process: pid, start time and boot id, because pids are reused.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::proc_fs::{self, Stat};

/// Identifies one process, even if its pid is reused later or after a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pub(crate) pid: u32,
    start_ticks: u64,
    boot_id: String,
}

/// State of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It is running.
    Running,
    /// It was stopped by a signal and can be resumed.
    Paused,
    /// It has ended, but processes that it started and that are not its descendants are alive: Postgres without its
    /// manager, which nobody demotes.
    Unmanaged,
    /// It does not exist.
    Dead,
}

impl ProcessState {
    /// Returns the state as a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Unmanaged => "unmanaged",
            Self::Dead => "dead",
        }
    }
}

impl ProcessIdentity {
    /// Identity of the process that has this pid now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, start_ticks: Stat::of(pid)?.start_ticks, boot_id: proc_fs::boot_id().to_owned() })
    }

    pub(crate) fn of_this_process() -> Option<Self> {
        Self::of(std::process::id())
    }

    pub(crate) fn state(&self) -> ProcessState {
        match self.stat() {
            None => ProcessState::Dead,
            Some(stat) if stat.is_stopped() => ProcessState::Paused,
            Some(_) => ProcessState::Running,
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.stat().is_some()
    }

    fn stat(&self) -> Option<Stat> {
        let stat = Stat::of(self.pid)?;
        let same = stat.start_ticks == self.start_ticks && self.boot_id == proc_fs::boot_id();
        (same && !stat.has_ended()).then_some(stat)
    }
}

/// A line of the file that the guardian reads: `pid start boot`.
impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.pid, self.start_ticks, self.boot_id)
    }
}

impl FromStr for ProcessIdentity {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let mut fields = line.split(' ');
        let (Some(pid), Some(start), Some(boot), None) = (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(());
        };
        let (pid, start_ticks) = (pid.parse().map_err(|_| ())?, start.parse().map_err(|_| ())?);
        Ok(Self { pid, start_ticks, boot_id: boot.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_round_trips() {
        let me = ProcessIdentity::of_this_process().unwrap();
        assert_eq!(me.to_string().parse(), Ok(me));
        for garbage in ["", "1", "1 2", "x 2 b", "1 x b", "1 2 b c", "-1 2 b"] {
            assert_eq!(garbage.parse::<ProcessIdentity>(), Err(()), "{garbage}");
        }
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let me = ProcessIdentity::of_this_process().unwrap();
        assert_eq!(me.state(), ProcessState::Running);
        let before = ProcessIdentity { start_ticks: me.start_ticks - 1, ..me.clone() };
        assert_eq!(before.state(), ProcessState::Dead);
        let other_boot = ProcessIdentity { boot_id: "another".into(), ..me };
        assert!(!other_boot.is_alive());
    }
}
