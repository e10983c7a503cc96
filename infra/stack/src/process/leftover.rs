//! Removes stale lock files before a start.

use std::{io, time::Duration};

use tokio::time::{Instant, sleep};

use super::{proc_fs, spec::ProcessSpec};
use crate::error::{StackError, StackResult};

/// Time limit for orphaned processes to end.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Removes the lock files of a process that is not running. Waits until no process of an earlier run works in their
/// folder, because two runs in one folder would destroy its data. Locks of live detached processes are kept.
pub(crate) async fn clear_locks(spec: &ProcessSpec) -> StackResult<()> {
    // The next manager takes its Postgres over.
    if spec.detached.as_ref().is_some_and(|detached| !detached.alive().is_empty()) {
        return Ok(());
    }
    for file in spec.lock_files.iter().filter(|file| file.exists()) {
        if let Some(folder) = file.parent() {
            let until = Instant::now() + ORPHAN_TIMEOUT;
            while let Some(pid) = proc_fs::working_in(folder, &spec.program) {
                if Instant::now() >= until {
                    return Err(StackError::Invalid(format!(
                        "process {pid} of an earlier run of {} still works in {}: \
                         stop it (kill {pid}) and start {} again",
                        spec.name,
                        folder.display(),
                        spec.name
                    )));
                }
                sleep(POLL_INTERVAL).await;
            }
        }
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StackError::io(format!("remove {}", file.display()))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    #[tokio::test]
    async fn a_lock_file_is_removed_when_no_process_works_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = ProcessSpec::new("sleep", "/bin/sleep");
        let lock = folder.path().join("lock");
        spec.lock_files = vec![lock.clone(), folder.path().join("another")];
        clear_locks(&spec).await.unwrap();

        fs::write(&lock, "").unwrap();
        let mut earlier = Command::new("/bin/sleep").arg("600").current_dir(folder.path()).spawn().unwrap();
        let clearing = clear_locks(&spec);
        tokio::pin!(clearing);
        tokio::select! {
            result = &mut clearing => panic!("it did not wait: {result:?}"),
            () = sleep(POLL_INTERVAL * 3) => assert!(lock.exists()),
        }
        // It remains a zombie until the end of this test, as with a parent that does not reap it.
        earlier.kill().unwrap();
        clearing.await.unwrap();
        assert!(!lock.exists());
        earlier.wait().unwrap();
    }
}
