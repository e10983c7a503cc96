//! A hold on one process: signals reach it and nobody else, and its end can be waited for, whoever its parent is.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{sleep, timeout};

use super::Identity;

/// How long between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A file descriptor that stands for a process that lived when it was opened.
pub(crate) struct Handle {
    pub(crate) identity: Identity,
    descriptor: OwnedFd,
}

impl Handle {
    /// `None` when the process is not there any more.
    pub(crate) fn open(identity: &Identity) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after opening: from now on the descriptor means this process, whatever happens to the pid.
        Ok(identity.lives().then(|| Self { identity: identity.clone(), descriptor }))
    }

    /// Sends a signal. A process that has ended meanwhile needs none.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns when the process has ended. Nobody announces that to others than its parent, hence looked for; the
    /// descriptor would tell, but tokio does not take it without unsafe code.
    pub(crate) async fn ended(&self) {
        while self.identity.lives() {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether it ends within this time.
    pub(crate) async fn ends_within(&self, bound: Duration) -> bool {
        timeout(bound, self.ended()).await.is_ok()
    }
}
