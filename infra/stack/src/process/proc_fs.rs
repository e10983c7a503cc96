//! Reads processes from /proc.

use std::{fs, path::Path, sync::OnceLock};

/// A snapshot of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// State letter of /proc: R running, S sleeping, D uninterruptible, T stopped, Z zombie.
    pub(super) state: char,
    /// Number of threads, including an ended first thread.
    threads: u32,
    /// Start time in ticks since boot. Together with the pid it identifies a process.
    pub(super) start_ticks: u64,
}

impl Stat {
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `pid (name) state parent ... start ...`. The name may contain blanks and parentheses, hence the search from the
    /// right.
    fn parse(pid: u32, text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(") ")?;
        let mut fields = after_name.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // The parent is the 4th field of the line, the number of threads the 20th, the start the 22nd.
        let threads = fields.nth(15)?.parse().ok()?;
        let start_ticks = fields.nth(1)?.parse().ok()?;
        Some(Self { pid, parent, state, threads, start_ticks })
    }

    /// Returns whether the process has ended; it may still be a zombie. The state is that of the first thread: while
    /// other threads are still ending, files and ports are not released yet.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

/// Returns every live process.
pub(super) fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Stat::of).filter(|stat| !stat.has_ended()).collect()
}

/// Finds a process that runs this program in this folder.
pub(super) fn working_in(folder: &Path, program: &Path) -> Option<u32> {
    all_working_in(folder, program).first().copied()
}

/// Finds the processes that run this program in this folder. Unreadable processes are skipped.
pub(super) fn all_working_in(folder: &Path, program: &Path) -> Vec<u32> {
    let (Ok(folder), Ok(program)) = (folder.canonicalize(), program.canonicalize()) else { return Vec::new() };
    let points = |pid: u32, link: &str, target: &Path| {
        fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|path| path == target)
    };
    let pids = all().into_iter().map(|stat| stat.pid);
    pids.filter(|pid| points(*pid, "cwd", &folder) && points(*pid, "exe", &program)).collect()
}

/// Reads a value in KiB from /proc/PID/status. 0 if the process has ended or is unreadable.
pub(super) fn status_kib(pid: u32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value.and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}

/// Returns the boot id; pids are unique only within one boot.
pub(super) fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if id.trim().is_empty() { "unknown".to_owned() } else { id.trim().to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b (c) d) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 424242 1000 5";
        let stat = Stat { pid: 7, parent: 3, state: 'S', threads: 9, start_ticks: 424_242 };
        assert_eq!(Stat::parse(7, text), Some(stat));
        assert_eq!(Stat::parse(7, "7 (cut off"), None);
        assert_eq!(Stat::parse(7, "7 (x) S 3"), None);
    }

    #[test]
    fn a_process_ends_with_its_last_thread() {
        let stat = |threads: u32| Stat { pid: 7, parent: 3, state: 'Z', threads, start_ticks: 1 };
        assert!(stat(1).has_ended());
        assert!(!stat(2).has_ended(), "it may still have its ports");
    }

    #[test]
    fn this_process_is_among_all() {
        let me = Stat::of(std::process::id()).unwrap();
        assert!(!me.has_ended() && !me.is_stopped());
        assert!(all().iter().any(|stat| stat.pid == me.pid && stat.start_ticks == me.start_ticks));
        assert!(status_kib(me.pid, "VmRSS") > 100);
        assert_eq!(status_kib(me.pid, "NoSuchLine"), 0);
    }

    #[test]
    fn a_process_working_in_a_folder_is_found() {
        let (folder, program) = (std::env::current_dir().unwrap(), std::env::current_exe().unwrap());
        assert_eq!(working_in(&folder, &program), Some(std::process::id()));
        assert_eq!(working_in(&folder, Path::new("/bin/false")), None);
        assert_eq!(working_in(Path::new("/proc"), &program), None);
    }

    #[test]
    fn a_dead_process_has_no_entry() {
        // Above the largest pid that Linux gives.
        assert_eq!(Stat::of(1 << 30), None);
        assert_eq!(status_kib(1 << 30, "VmRSS"), 0);
    }
}
