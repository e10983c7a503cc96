//! Starting and stopping in the order of the data.

use std::time::Duration;

use diptych_runtime::{Shutdown, Tasks};
use futures::future::select_all;
use tokio::time::Instant;
use tracing::{info, warn};

/// The parts of the process, in the order in which data goes through them. Each is stopped when nothing comes into it any more, so that
/// what was taken in goes as far as it can.
pub(super) struct Stages {
    /// The gRPC server: takes no new calls, and answers those that it has.
    pub(super) server: Tasks,
    /// The sequencer: commits what is queued.
    pub(super) write: Tasks,
    /// The relay: publishes what it has read.
    pub(super) relay: Tasks,
    /// The projector: writes what it has folded.
    pub(super) project: Tasks,
    /// What follows progress for queries.
    pub(super) read: Tasks,
    /// Metrics: until the end, so that the end can be watched.
    pub(super) watch: Tasks,
}

impl Stages {
    pub(super) fn new() -> Self {
        let tasks = || Tasks::new(Shutdown::new());
        Self { server: tasks(), write: tasks(), relay: tasks(), project: tasks(), read: tasks(), watch: tasks() }
    }

    /// Returns when a stage has begun to shut down by itself: one of its tasks has failed.
    pub(super) async fn any_stopped(&self) {
        let shutdowns: Vec<_> = self.in_order().into_iter().map(|(_, tasks)| tasks.shutdown()).collect();
        select_all(shutdowns.iter().map(|shutdown| Box::pin(shutdown.begun()))).await;
    }

    /// Stops one after another, and waits for each; all of it takes `bound` at most. Returns whether all went well.
    pub(super) async fn finish(&self, bound: Duration) -> bool {
        let until = Instant::now() + bound;
        let mut well = true;
        for (name, tasks) in self.in_order() {
            tasks.shutdown().begin();
            let left = until.saturating_duration_since(Instant::now());
            match tasks.clone().finish(left).await {
                Ok(()) => info!(stage = name, "stage stopped"),
                Err(unfinished) => {
                    warn!(stage = name, failed = ?unfinished.failed, running = ?unfinished.running, "stage did not end well");
                    well = false;
                }
            }
        }
        well
    }

    fn in_order(&self) -> [(&'static str, &Tasks); 6] {
        [
            ("server", &self.server),
            ("write", &self.write),
            ("relay", &self.relay),
            ("project", &self.project),
            ("read", &self.read),
            ("watch", &self.watch),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn stages_stop_one_after_another() {
        let stages = Stages::new();
        let (stopping, mut stopped) = tokio::sync::mpsc::unbounded_channel();
        for (name, tasks) in stages.in_order() {
            let (shutdown, stopping) = (tasks.shutdown(), stopping.clone());
            tasks.spawn("part", async move {
                shutdown.begun().await;
                // Others would overtake here if they were told already.
                tokio::task::yield_now().await;
                stopping.send(name).unwrap();
            });
        }
        assert!(stages.finish(SOON).await);
        let order: Vec<_> = std::iter::from_fn(|| stopped.try_recv().ok()).collect();
        assert_eq!(order, ["server", "write", "relay", "project", "read", "watch"]);
    }

    #[tokio::test]
    async fn a_part_that_fails_is_noticed() {
        let stages = Stages::new();
        stages.relay.spawn_fallible("relay", async { Err("the log is gone") });
        stages.any_stopped().await;
        assert!(!stages.finish(SOON).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_does_not_hold_the_end_up() {
        let stages = Stages::new();
        stages.write.spawn("sequencer", std::future::pending());
        let began_at = Instant::now();
        assert!(!stages.finish(SOON).await);
        assert!(began_at.elapsed() < SOON + Duration::from_millis(100), "{:?}", began_at.elapsed());
    }
}
