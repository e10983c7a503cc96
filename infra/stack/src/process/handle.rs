//! Handle to one process, for signals and for waiting for its end, safe against reuse of its pid.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{sleep, timeout};

use super::identity::ProcessIdentity;

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A pidfd of a process that was alive when it was opened.
pub(crate) struct ProcessHandle {
    pub(crate) identity: ProcessIdentity,
    descriptor: OwnedFd,
}

impl ProcessHandle {
    /// Opens a handle. `None` if the process has ended.
    pub(crate) fn open(identity: &ProcessIdentity) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Checked after opening: from now on the descriptor refers to this process, even if the pid is reused.
        Ok(identity.is_alive().then(|| Self { identity: identity.clone(), descriptor }))
    }

    /// Sends a signal. Has no effect if the process has ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended. It polls, because only the parent is notified; the pidfd becomes readable,
    /// but tokio cannot wait for it without unsafe code.
    pub(crate) async fn ended(&self) {
        while self.identity.is_alive() {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until the process has ended. Returns whether it did within this time.
    pub(crate) async fn ends_within(&self, bound: Duration) -> bool {
        timeout(bound, self.ended()).await.is_ok()
    }
}
