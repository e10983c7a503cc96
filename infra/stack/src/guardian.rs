//! Sees to it that nothing outlives the owner of a stack, also when that was killed.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{StackError, StackResult};

const SCRIPT: &str = include_str!("guardian.sh");

/// A process that holds the end of a pipe from this one. When the pipe breaks, it kills every process that the file of
/// the stack lists, with all that those have started. Dropping it breaks the pipe and returns when they are gone.
pub(crate) struct Guardian {
    child: Child,
}

impl Guardian {
    /// Posts it. `running` is the file that lists processes; it is read when the pipe breaks.
    pub(crate) fn post(running: &Path) -> StackResult<Self> {
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg("diptych-stack-guardian")
            .arg(running)
            .current_dir("/")
            // A Ctrl-C at a terminal, or a signal to the group of the owner, is not for the guardian.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(StackError::io("start /bin/sh, which stops everything when this process is gone"))?;
        Ok(Self { child })
    }

    /// Lets the processes outlive this one.
    pub(crate) fn release(mut self) -> StackResult<()> {
        let mut pipe = self.child.stdin.take();
        let told = pipe.as_mut().map_or(Ok(()), |pipe| pipe.write_all(b"released\n"));
        told.map_err(StackError::io("let the processes go on without this one"))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // An error means that it is gone already.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;
    use crate::process::Identity;

    /// A shell with a child, which is stopped.
    fn family() -> (Child, Identity, Identity) {
        let script = "sleep 600 & echo $!; kill -STOP $!; wait";
        let mut root = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(root.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child = Identity::of(line.trim().parse().unwrap()).unwrap();
        let identity = Identity::of(root.id()).unwrap();
        (root, identity, child)
    }

    #[test]
    fn a_broken_pipe_kills_what_is_listed_with_its_children() {
        let list = tempfile::NamedTempFile::new().unwrap();
        let guardian = Guardian::post(list.path()).unwrap();
        let (mut root, identity, child) = family();
        std::fs::write(list.path(), format!("{identity}\n1 1 no-boot\ngarbage\n")).unwrap();
        drop(guardian);
        assert!(!identity.lives() && !child.lives());
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
        drop(Guardian::post(list.path()).unwrap());
        assert!(identity.lives() && child.lives());
        std::fs::write(list.path(), format!("{identity}\n")).unwrap();
        drop(Guardian::post(list.path()).unwrap());
        assert!(!identity.lives() && !child.lives());
        root.wait().unwrap();
    }

    #[test]
    fn what_was_released_lives_on() {
        let list = tempfile::NamedTempFile::new().unwrap();
        let (mut root, identity, child) = family();
        std::fs::write(list.path(), format!("{identity}\n")).unwrap();
        Guardian::post(list.path()).unwrap().release().unwrap();
        assert!(identity.lives() && child.lives());
        drop(Guardian::post(list.path()).unwrap());
        assert!(!identity.lives() && !child.lives());
        root.wait().unwrap();
    }
}
