//! The thread of the load generator.

use std::thread;

use anyhow::{Context, anyhow};
use tokio::{runtime, sync::oneshot};

/// Runs work on a runtime with one thread: it leaves most of a shared machine to the server.
///
/// # Errors
/// Those of the work, or when the thread cannot be started.
pub(super) async fn run_on_one_thread<T: Send + 'static>(
    work: impl AsyncFnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (sender, result) = oneshot::channel();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start the client")?;
    thread::Builder::new()
        .name("bench".to_owned())
        .spawn(move || {
            // The receiver is dropped only if the program is being interrupted.
            let _ = sender.send(runtime.block_on(work()));
        })
        .context("cannot start the client")?;
    result.await.map_err(|_| anyhow!("the client thread ended without a result"))?
}
