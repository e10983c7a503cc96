//! Guardian process: kills the processes of a stack when its owner exits, even if the owner was killed.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::error::{StackError, StackResult};

const SCRIPT: &str = include_str!("guardian.sh");

/// Child process that reads from a pipe held by this process. When the pipe closes, it kills every process listed in
/// the stack's file, and their descendants. Dropping this closes the pipe and returns when the processes have ended.
pub(crate) struct Guardian {
    child: Child,
}

impl Guardian {
    /// Starts it. `running` is the file that lists processes; it is read when the pipe closes.
    pub(crate) fn start(running: &Path) -> StackResult<Self> {
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg("diptych-stack-guardian")
            .arg(running)
            .current_dir("/")
            // Ctrl-C in a terminal, and signals to the process group of the owner, must not reach the guardian.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(StackError::io("start /bin/sh as the guardian process"))?;
        Ok(Self { child })
    }

    /// Lets the processes outlive this one.
    pub(crate) fn release(mut self) -> StackResult<()> {
        let mut pipe = self.child.stdin.take();
        let written = pipe.as_mut().map_or(Ok(()), |pipe| pipe.write_all(b"released\n"));
        written.map_err(StackError::io("release the processes from the guardian"))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // An error means that it has already ended.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;
    use crate::process::{Detached, ProcessIdentity};

    /// A shell with a child, which is stopped.
    fn family() -> (Child, ProcessIdentity, ProcessIdentity) {
        let script = "sleep 600 & echo $!; kill -STOP $!; wait";
        let mut root = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(root.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child = ProcessIdentity::of(line.trim().parse().unwrap()).unwrap();
        let identity = ProcessIdentity::of(root.id()).unwrap();
        (root, identity, child)
    }

    #[test]
    fn a_closed_pipe_kills_the_listed_processes_and_their_children() {
        let list = tempfile::NamedTempFile::new().unwrap();
        let guardian = Guardian::start(list.path()).unwrap();
        let (mut root, identity, child) = family();
        std::fs::write(list.path(), format!("{identity}\n1 1 no-boot\ngarbage\n")).unwrap();
        drop(guardian);
        assert!(!identity.is_alive() && !child.is_alive());
        root.wait().unwrap();
    }

    #[test]
    fn another_process_with_the_same_pid_is_left_alone() {
        let list = tempfile::NamedTempFile::new().unwrap();
        let (mut root, identity, child) = family();
        let line = identity.to_string();
        let (pid, rest) = line.split_once(' ').unwrap();
        let (start, boot) = rest.split_once(' ').unwrap();
        std::fs::write(list.path(), format!("{pid} 1 {boot}\n{pid} {start} another-boot\n")).unwrap();
        drop(Guardian::start(list.path()).unwrap());
        assert!(identity.is_alive() && child.is_alive());
        std::fs::write(list.path(), format!("{identity}\n")).unwrap();
        drop(Guardian::start(list.path()).unwrap());
        assert!(!identity.is_alive() && !child.is_alive());
        root.wait().unwrap();
    }

    #[test]
    fn detached_processes_are_killed_with_their_children() {
        let list = tempfile::NamedTempFile::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("two words");
        std::fs::create_dir(&work).unwrap();
        // A shell that is no child of a listed process.
        let script = "sleep 600 & echo $!; wait";
        let mut root =
            Command::new("sh").args(["-c", script]).current_dir(&work).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(root.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child = ProcessIdentity::of(line.trim().parse().unwrap()).unwrap();
        let identity = ProcessIdentity::of(root.id()).unwrap();
        let rule = |program: &str, folder: &Path| Detached { program: program.into(), folder: folder.to_owned() };
        std::fs::write(list.path(), format!("{}\n{}\n", rule("/bin/false", &work), rule("/bin/sh", folder.path())))
            .unwrap();
        drop(Guardian::start(list.path()).unwrap());
        assert!(identity.is_alive() && child.is_alive(), "another program, another folder");
        std::fs::write(list.path(), format!("1 1 no-boot\n{}\n", rule("/bin/sh", &work))).unwrap();
        drop(Guardian::start(list.path()).unwrap());
        assert!(!identity.is_alive() && !child.is_alive());
        root.wait().unwrap();
    }

    #[test]
    fn released_processes_keep_running() {
        let list = tempfile::NamedTempFile::new().unwrap();
        let (mut root, identity, child) = family();
        std::fs::write(list.path(), format!("{identity}\n")).unwrap();
        Guardian::start(list.path()).unwrap().release().unwrap();
        assert!(identity.is_alive() && child.is_alive());
        drop(Guardian::start(list.path()).unwrap());
        assert!(!identity.is_alive() && !child.is_alive());
        root.wait().unwrap();
    }
}
